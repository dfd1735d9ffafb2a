"""The memory that a repeated command, its run and its closing check need for each of many files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.existing_files import MD5, ItemWithFiles, complete_file
from tests.support.memory import measured_memory
from tests.support.walks import PLAN
from uploader.clock import Clock
from uploader.disk import Disk
from uploader.figshare.models import File
from uploader.sources.models import Selection, SourceFile
from uploader.transfer.job import OpenJob
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.log import Journal
from uploader.transfer.journal.plan import Target, plan_events, renewal_events
from uploader.transfer.journal.state import JobState, state_after
from uploader.transfer.recheck import ItemCheck, check_item
from uploader.transfer.renewal import lost_sources
from uploader.transfer.run.listing import RemoteListing
from uploader.transfer.run.progress import ProgressTracker
from uploader.transfer.store.archives import Archives
from uploader.transfer.store.jobs import JobStore

FILES = 2000
FOLDER = "measurements/run000"


def name_of(number: int) -> str:
    return f"measurement-{number:06d}.csv"


def selected() -> Selection:
    files = [SourceFile(root="/data", folder=FOLDER, name=name_of(number), size=7) for number in range(FILES)]
    return Selection(files=files, title="title")


def a_job(selection: Selection) -> list[ev.AnyEvent]:
    return plan_events(Target(endpoint="https://example.org/v2", title="title"), selection, "job")


def test_a_repeated_command_keeps_nothing_of_files_that_the_job_has(tmp_path: Path) -> None:
    selection = selected()
    state = state_after(a_job(selection))
    archives = Archives(tmp_path, Disk())
    with measured_memory() as memory:
        assert renewal_events(state, selection) == []
        assert archives.changes(state, selection, restart=False) == []
    assert memory.peak / FILES < 20, memory.peak / FILES
    for transfer in state.transfers:
        transfer.state = State.VERIFIED
    with measured_memory() as memory:
        assert lost_sources(state, selection) == set()
    assert memory.peak / FILES < 10, memory.peak / FILES


def test_a_job_with_added_files_knows_the_others_wherever_they_are() -> None:
    selection = selected()
    state = state_after(a_job(selection))
    added = SourceFile(root="/data", folder=FOLDER, name="a", size=7)
    selection.files.insert(FILES // 2, added)
    first = selection.files.pop(0)
    planned, grown = renewal_events(state, Selection(files=[*selection.files, first]))
    assert isinstance(planned, ev.SourcePlanned)
    assert (planned.file, planned.path) == (FILES, f"{FOLDER}/a")
    assert grown == ev.JobGrown(FILES + 1)


class ListedLazily(ItemWithFiles):
    """An item with the files of a job, each made when it is listed."""

    async def files(self, item_id: int) -> AsyncIterator[File]:
        for number in range(FILES):
            yield complete_file(number + 1, name=name_of(number), supplied_md5=f"{number:032x}")


def verified_job() -> JobState:
    transfers = [
        Transfer(
            index=number, root="/data", folder=FOLDER, name=name_of(number), size=7, mtime_ns=1, inode=1,
            state=State.VERIFIED, file_id=number + 1, md5=MD5,
        )
        for number in range(FILES)
    ]  # fmt: skip
    return JobState(plan=PLAN, item_id=7, transfers=transfers)


@pytest.mark.anyio
async def test_the_closing_check_keeps_only_ids_of_files_that_are_as_they_were_sent() -> None:
    api: Any = ListedLazily([], {number + 1: FOLDER for number in range(FILES)})
    state = verified_job()
    with measured_memory() as memory:
        assert await check_item(api, state, 30.0) == ItemCheck()
    assert memory.peak / FILES < 180, memory.peak / FILES


@pytest.mark.anyio
async def test_an_item_that_is_listed_again_is_not_kept() -> None:
    api: Any = ListedLazily([], {number + 1: FOLDER for number in range(FILES)})
    state = verified_job()
    others = verified_job()
    for transfer in others.transfers[1:]:
        transfer.file_id = None
    others.transfers[0].state = State.INITIATED
    for job in (state, others):
        at = RemoteListing(api, job, Clock())
        with measured_memory() as memory:
            await at.refresh()
        assert at.foreign_files == {}
        assert memory.peak / FILES < 180, memory.peak / FILES


def test_of_a_verified_file_only_the_numbers_of_its_parts_are_kept() -> None:
    transfers = [Transfer(index=n, source="/a", name="a", size=9, mtime_ns=1, inode=1) for n in range(FILES)]
    meter = ProgressTracker(transfers)
    with measured_memory() as memory:
        for transfer in transfers:
            file = meter.file(transfer)
            file.begin()
            file.inspected, file.parts_found = True, 2
            file.part_done(9, sent=True)
            transfer.state = State.VERIFIED
            file.verified()
            file.end()
    assert {meter.parts(transfer) for transfer in transfers} == {(2, 1)}
    assert memory.kept / FILES < 100, memory.kept / FILES
    assert meter.parts(Transfer(index=FILES, source="/a", name="a", size=9, mtime_ns=1, inode=1)) == (0, 0)
    again = meter.file(transfers[0])
    assert (again.inspected, again.parts_found, again.parts_sent) == (True, 2, 1)
    assert (meter.bytes_done, meter.files_done) == (9 * FILES, FILES)


@pytest.mark.search
def test_a_journal_is_not_read_as_a_whole_to_open_its_job(tmp_path: Path) -> None:
    states = JobStore(tmp_path / "state", Disk())
    journal = states.folder("job") / "journal"
    Disk().make_folder(journal.parent)
    selection = Selection(files=[SourceFile(root="/data", folder=FOLDER, name="a", size=7)])
    runs = [ev.Resumed("2026-01-02T03:04:05+00:00")] * 50_000
    Journal.create(journal, [*a_job(selection), *runs], Disk()).close()

    async def opened() -> None:
        async with OpenJob(states, "job", Clock()) as job:
            assert job.resumed

    with measured_memory() as memory:
        anyio.run(opened)
    assert memory.peak < journal.stat().st_size / 2, memory
