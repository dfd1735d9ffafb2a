"""Several tasks that commit to one journal: who is told that it is on disk finds it there."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from uploader.disk import Disk
from uploader.errors import FigupError, StateDiskFull
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import Journal

pytestmark = pytest.mark.anyio


class FullDisk(Disk):
    """Takes nothing once it is `full`."""

    full = False

    def write(self, fd: int, data: bytes, path: Path) -> None:
        if self.full:
            raise StateDiskFull("full")
        super().write(fd, data, path)


async def test_nobody_whose_lines_were_in_a_batch_that_failed_is_told_that_they_are_on_disk(tmp_path: Path) -> None:
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
