"""Several tasks that commit to one journal: events reported as durable are on disk."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from uploader.disk import Disk
from uploader.errors import FigupError, ResourcesExhausted, StateDiskFull
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import Journal, decode

pytestmark = pytest.mark.anyio


class FullDisk(Disk):
    """A disk that accepts nothing once it is `full`."""

    full = False

    def write(self, fd: int, data: bytes, path: Path) -> None:
        if self.full:
            raise StateDiskFull("full")
        super().write(fd, data, path)


async def test_a_failed_batch_reports_no_line_as_durable(tmp_path: Path) -> None:
    disk = FullDisk()
    journal = await anyio.to_thread.run_sync(Journal.create, tmp_path / "journal", [], disk)
    disk.full = True
    outcomes: list[str] = []

    async def commit(number: int) -> None:
        journal.record(ev.UploadIntended(number, at="2026-03-14T09:26:53+00:00"))
        try:
            await journal.commit()
        except FigupError as error:
            outcomes.append(error.code)
        else:
            outcomes.append("on disk")

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(commit, number)
    assert outcomes == ["state-full"] * 3
    await anyio.to_thread.run_sync(journal.close)


async def test_what_could_not_be_written_for_want_of_a_thread_is_written_by_the_next_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, disk = tmp_path / "journal", Disk()
    journal = await anyio.to_thread.run_sync(Journal.create, path, [], disk)
    first, second = (ev.UploadIntended(file=number, at="2026-03-14T09:26:53+00:00") for number in range(2))
    journal.record(first)

    async def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(anyio.to_thread, "run_sync", no_thread)
        with pytest.raises(ResourcesExhausted):
            await journal.commit()
    journal.record(second)
    await journal.commit()
    await anyio.to_thread.run_sync(journal.close)
    replay = decode(await anyio.to_thread.run_sync(path.read_bytes))
    assert (replay.events, replay.clean) == ([first, second], True)


async def test_nothing_follows_a_batch_that_may_be_written_in_part(tmp_path: Path) -> None:
    class ShortOfMemory(Disk):
        def sync(self, fd: int, path: Path) -> None:
            raise MemoryError

    path = tmp_path / "journal"
    journal = await anyio.to_thread.run_sync(Journal.create, path, [], Disk())
    journal._disk = ShortOfMemory()
    journal.record(ev.UploadIntended(file=0, at="2026-03-14T09:26:53+00:00"))
    for _ in range(2):
        with pytest.raises(ResourcesExhausted):
            await journal.commit()
        written = await anyio.to_thread.run_sync(path.read_bytes)
        assert len(decode(written).events) == 1
    await anyio.to_thread.run_sync(journal.close)


def test_an_event_that_cannot_be_queued_leaves_the_chain_as_it_was(
    tmp_path: Path,
) -> None:
    class Full(list[bytes]):
        def append(self, _: bytes) -> None:
            raise MemoryError

    path = tmp_path / "journal"
    journal = Journal.create(path, [], Disk())
    event = ev.UploadIntended(file=0, at="2026-03-14T09:26:53+00:00")
    queue, journal._pending = journal._pending, Full()
    with pytest.raises(MemoryError):
        journal.record(event)
    journal._pending = queue
    journal.record(event)
    anyio.run(journal.commit)
    journal.close()
    assert decode(path.read_bytes()).events == [event]
