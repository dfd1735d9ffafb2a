"""Opening and closing a job: however the block ends, the next call can open it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from blockbuster import BlockBuster

from tests.fakes.clock import VirtualClock, run_inline
from tests.support.takeover import take_over
from uploader.clock import Clock
from uploader.disk import Disk
from uploader.errors import JobBusy
from uploader.sources.models import Sources
from uploader.sources.select import select
from uploader.transfer.job import OpenJob
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import encode
from uploader.transfer.journal.plan import Target, plan_events
from uploader.transfer.store.jobs import JobStore


@pytest.mark.anyio
async def test_a_new_job_that_is_cancelled_before_anything_happened_is_free_again_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"a")
    states = JobStore(tmp_path / "state", Disk())
    plan = await anyio.to_thread.run_sync(
        lambda: plan_events(
            Target(endpoint="https://example.org/v2", item=None, title="title"),
            select(Sources(paths=(str(source),))),
            "job",
        )
    )
    for _ in range(2):
        with anyio.CancelScope() as scope:
            async with OpenJob(states, "job", Clock(), lambda: plan, new=True) as job:
                assert not job.resumed
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert not (states.jobs / "job").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("begun", [False, True], ids=["new", "torn"])
async def test_a_process_suspended_while_it_opens_a_job_leaves_the_journal_to_the_one_that_took_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster, begun: bool
) -> None:
    """It planned the job, or read a journal to which the other was just writing, and wakes up."""
    no_blocking_calls.deactivate()
    monkeypatch.setattr(anyio.to_thread, "run_sync", run_inline)
    clock, states = VirtualClock(), JobStore(tmp_path / "state", Disk())
    source = tmp_path / "a"
    source.write_bytes(b"a")
    target = Target(endpoint="https://example.org/v2", item=None, title="title")
    plan = plan_events(target, select(Sources(paths=(str(source),))), "job")
    folder = states.folder("job")
    journal = folder / "journal"
    theirs = encode([*plan, ev.ItemIntended("2026-01-01T00:00:00+00:00", "mark")])[0]

    def suspended() -> None:
        take_over(folder, clock)
        journal.write_bytes(theirs + b"half a line" * begun)

    def planned() -> Sequence[ev.AnyEvent]:
        suspended()
        return plan

    if begun:
        folder.mkdir(parents=True)
        journal.write_bytes(theirs)
        load = states.load

        def loaded(job: str) -> object:
            suspended()
            return load(job)

        monkeypatch.setattr(states, "load", loaded)
    opened = OpenJob(states, "job", clock, planned, new=not begun)
    with pytest.raises(JobBusy):
        await opened.__aenter__()
    assert journal.read_bytes().startswith(theirs)
    assert journal.read_bytes().endswith(b"line") is begun
