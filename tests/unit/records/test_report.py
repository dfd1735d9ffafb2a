"""The result of a job of records: what is shown, who may write its report, and what is recorded of that."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

import uploader.records.report
from tests.fakes.records import RecordWorld
from tests.fakes.world import ENDPOINT
from uploader.cli import records_jobs
from uploader.cli.output.console import MAX_REPORTED
from uploader.errors import OutputExists
from uploader.records.job import OpenJob, job_store, plan
from uploader.records.run import Outcome

pytestmark = pytest.mark.anyio
SESSION = cast("Any", SimpleNamespace(console=SimpleNamespace(note=lambda _: None)))
RUN = cast("Any", SimpleNamespace(outcomes=lambda: iter([])))


def opened(world: RecordWorld) -> OpenJob:
    planned = plan(ENDPOINT, 1, "create", world.folder / "records.csv", world.clock)
    return OpenJob(job_store(world.folder / "state"), planned.job, world.clock, planned)


def values(world: RecordWorld) -> dict[str, Any]:
    return {"report": world.folder / "report.jsonl", "force": False}


async def test_a_process_that_lost_the_job_leaves_the_report_of_the_next_one(world: RecordWorld) -> None:
    options = values(world) | {"force": True}
    options["report"].write_text("of the other process")
    async with opened(world) as job:
        job.lock.lost = True
        await records_jobs._write_report(SESSION, job, RUN, 0, options)
    assert options["report"].read_text() == "of the other process"


async def test_a_report_whose_writing_was_killed_may_be_replaced(
    world: RecordWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_and_die(path: Path, *_: object, **__: object) -> None:
        path.write_text("complete")
        raise KeyboardInterrupt

    path = values(world)["report"]
    with monkeypatch.context() as patch:
        patch.setattr(uploader.records.report, "write_report", write_and_die)
        async with opened(world) as job:
            with pytest.raises(KeyboardInterrupt):
                await records_jobs._write_report(SESSION, job, RUN, 0, values(world))
    async with opened(world) as job:
        again = values(world)
        await records_jobs._check_report(job, again)
        await records_jobs._write_report(SESSION, job, RUN, 0, again)
    assert path.read_text() != "complete"


async def test_the_report_of_another_command_is_neither_replaced_nor_claimed(world: RecordWorld) -> None:
    path = values(world)["report"]
    path.write_text("of another command")
    async with opened(world) as job:
        with pytest.raises(OutputExists):
            await records_jobs._write_report(SESSION, job, RUN, 0, values(world))
        assert job.state.reports == set()
    assert path.read_text() == "of another command"


class _Held(Outcome, frozen=True, kw_only=True, weakref=True):
    """An outcome of which it is known whether it is still held."""


def test_the_outcomes_that_are_shown_do_not_grow_with_the_number_of_records() -> None:
    held: weakref.WeakSet[Outcome] = weakref.WeakSet()
    notes: list[str] = []
    most = 0

    def outcomes() -> Any:
        nonlocal most
        for line in range(50 * MAX_REPORTED):
            result: Any = "failed" if line % 2 else "existing"
            one = _Held(line=line, key=f"k{line}", title="", result=result, reason=f"{result}!")
            held.add(one)
            most = max(most, len(held))
            yield one

    console = SimpleNamespace(event=lambda *_, **__: None, note=notes.append, result=lambda _: None)
    session: Any = SimpleNamespace(console=console, summary=SimpleNamespace())
    run = SimpleNamespace(outcomes=outcomes, made=0)
    api, job = SimpleNamespace(requests=1), SimpleNamespace(name="k3v9")
    anyio.run(records_jobs._show, session, cast("Any", api), cast("Any", job), cast("Any", run))
    assert most <= 2 * MAX_REPORTED + 2 * 100, "one batch, while the next one is read"
    assert [note.endswith("failed!") for note in notes[:-2]] == [False] * MAX_REPORTED + [True] * MAX_REPORTED
    assert notes[-2:] == [f"and {24 * MAX_REPORTED} more; --report FILE has all"] * 2
    assert session.summary.records["results"] == {"existing": 25 * MAX_REPORTED, "failed": 25 * MAX_REPORTED}
