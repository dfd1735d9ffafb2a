"""Jobs of records as `figup jobs` lists and removes them: what state each is in, and which may be removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.records import RecordWorld, record
from tests.fakes.world import ENDPOINT, KILLED
from tests.support.takeover import take_over
from uploader.catalog.report.limits import Limits
from uploader.disk import Disk
from uploader.errors import JobBusy, RequestRejected, StateLost
from uploader.figshare.outcomes import PageLimitReached
from uploader.records import job as jobs
from uploader.records.job import OpenJob, job_store, overview, overviews, plan, read_state, recorded
from uploader.records.journal import AnyEvent, JobState
from uploader.records.run import RunOptions
from uploader.transfer.journal.log import Replay
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.removal import remove_job

pytestmark = pytest.mark.anyio

RECORDS = [record(1), record(2, link=False)]


def state(world: RecordWorld) -> tuple[str, int, int]:
    one = recorded(job_store(world.folder / "state"), world.job)
    return one.state, one.items, one.unfinished


async def test_a_job_is_interrupted_done_or_undone(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_BEFORE, first=2)
    assert await world.run(RECORDS) == KILLED
    assert state(world) == ("interrupted", 2, 1)
    assert await world.run(RECORDS) == 0
    journal = job_store(world.folder / "state").folder(world.job) / "journal"
    written = journal.stat().st_size
    assert state(world) == ("done", 2, 0)
    assert await world.run(RECORDS) == 0
    assert journal.stat().st_size == written
    world.figshare.fail("update", RequestRejected("no"))
    assert await world.run([record(1, description="Higher")], RunOptions(on_duplicate="update")) == 1
    assert state(world) == ("interrupted", 2, 1)
    assert await world.run(RECORDS) == 0
    await world.undo()
    assert world.items() == []
    assert state(world) == ("undone", 0, 0)


async def test_a_run_that_has_records_left_is_not_done(world: RecordWorld) -> None:
    assert await world.run(RECORDS, RunOptions(limits=Limits(max_requests=5))) == 75
    assert state(world) == ("interrupted", 1, 0)


async def test_a_job_that_is_worked_on_or_continued_is_not_removed(world: RecordWorld) -> None:
    assert await world.run(RECORDS) == 0
    states = job_store(world.folder / "state")
    planned = plan(ENDPOINT, 1, "create", world.folder / "records.csv", world.clock)
    async with OpenJob(states, world.job, world.clock, planned):
        assert overview(states, world.job).state == "running"
        with pytest.raises(JobBusy):
            await remove_job(states, world.job, world.clock)
    assert not await remove_job(states, world.job, world.clock, may=lambda: False)
    assert [one.job for one in overviews(states)] == [world.job]
    assert await remove_job(states, world.job, world.clock, may=lambda: True)
    assert overviews(states) == []
    assert await world.run(RECORDS) == 0, "it begins again, and finds the items by their DOIs"
    assert len(world.items()) == 2


async def test_a_process_suspended_while_it_reads_the_journal_leaves_it_to_the_one_that_took_over(
    world: RecordWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await world.run(RECORDS) == 0
    folder = job_store(world.folder / "state").folder(world.job)
    journal = folder / "journal"
    growing = journal.read_bytes() + b"half a line"

    def read(states: JobStore, job: str) -> tuple[Replay[AnyEvent], JobState]:
        take_over(folder, world.clock)
        journal.write_bytes(growing)
        return read_state(states, job)

    monkeypatch.setattr(jobs, "read_state", read)
    assert await world.run(RECORDS) == JobBusy.exit_status
    assert journal.read_bytes() == growing


async def test_a_job_whose_lease_cannot_be_read_hides_no_other(world: RecordWorld) -> None:
    class Failing(Disk):
        def read(self, path: Path) -> bytes | None:
            if path.parent.name == world.job and path.name.startswith("lease-"):
                raise StateLost("no answer")
            return super().read(path)

    assert await world.run(RECORDS) == 0
    state_dir = world.folder / "state"
    other = plan(ENDPOINT, 1, "create", world.folder / "other.csv", world.clock)
    states = job_store(state_dir, Failing())
    async with OpenJob(job_store(state_dir), other.job, world.clock, other):
        assert [(one.job, one.state) for one in overviews(states)] == [(other.job, "running")]
    with pytest.raises(StateLost):
        overview(states, world.job)


async def test_an_undo_that_could_not_list_all_items_is_not_over(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_BEFORE, first=2)
    assert await world.run(RECORDS) == KILLED
    world.figshare.fail("list /account/articles", PageLimitReached("no further"), times=100)
    await world.undo()
    assert state(world)[0] == "interrupted"
    world.figshare.clear_faults()
    await world.undo()
    assert state(world)[0] == "undone"
