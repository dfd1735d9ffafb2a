"""Reading all sources again: a write that moves neither the times nor the inode of a file."""

from __future__ import annotations

import dataclasses
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.world import World, md5
from uploader.errors import ExitStatus
from uploader.sources import source
from uploader.transfer import source_check
from uploader.transfer.notices import AnyNotice, FileVerified
from uploader.transfer.options import Options

pytestmark = pytest.mark.anyio


def overwrite_through_a_mapping(path: str, content: bytes) -> None:
    """Change a file without changing its times, as a write through an existing mapping may."""
    before = os.stat(path)  # noqa: PTH116 - the times in ns are set as they were
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 0) as mapping:
        mapping[: len(content)] = content
    os.close(fd)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


class Watched(list[AnyNotice]):
    """Notices, each of which is passed on when it is added."""

    def __init__(self, hear: Callable[[AnyNotice], None]) -> None:
        super().__init__()
        self._hear = hear

    def append(self, notice: AnyNotice) -> None:
        super().append(notice)
        self._hear(notice)


@pytest.fixture
def blind_to_ctime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the ctime change of `overwrite_through_a_mapping`, which restores the mtime."""
    real = source._snapshot
    monkeypatch.setattr(source, "_snapshot", lambda status: dataclasses.replace(real(status), ctime_ns=1))


@pytest.mark.usefixtures("blind_to_ctime")
@pytest.mark.parametrize("how", ["upload", "resume"])
async def test_a_write_that_no_time_tells_of_is_found_by_reading_again(world: World, how: str) -> None:
    first, second = world.source("a.bin", b"first version"), world.source("b.bin", b"other")

    async def again(**options: Any) -> int:
        if how == "resume":
            (job,) = [path.name for path in (world.folder / "state" / "jobs").iterdir()]
            return await world.resume(job, options=Options(**options))
        return await world.upload([first, second], title="my data", options=Options(**options))

    assert await world.upload([first, second], title="my data") == 0
    overwrite_through_a_mapping(first, b"FIRST")
    assert await again() == 0
    assert await again(reread=True) == ExitStatus.INTEGRITY
    assert world.error is not None
    assert "a.bin: changed since it was sent and verified" in world.error.message
    assert await again(reread=True, restart_changed=True) == 0
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [("a.bin", md5(b"FIRST version")), ("b.bin", md5(b"other"))]
    assert await again(reread=True) == 0


@pytest.mark.usefixtures("blind_to_ctime")
async def test_a_write_right_after_a_file_was_verified_is_found_by_reading_again(world: World) -> None:
    path = world.source("a.bin", b"first version")

    def overwrite(notice: AnyNotice) -> None:
        if isinstance(notice, FileVerified):
            overwrite_through_a_mapping(path, b"FIRST")

    world.notices = Watched(overwrite)
    assert await world.upload(path, title="my data", options=Options(reread=True)) == ExitStatus.INTEGRITY


@pytest.mark.parametrize("reread", [True, False])
async def test_a_source_that_changes_while_others_are_read_again_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch, reread: bool
) -> None:
    """Reading all of them, or only the one that was touched, may take hours."""
    first, second = world.source("a.bin", b"first version"), world.source("b.bin", b"other")
    assert await world.upload([first, second], title="my data") == 0
    Path(second).touch()
    read = source_check.source_md5

    async def change_the_first(*args: Any, **options: Any) -> str:
        found = await read(*args, **options)
        world.source("a.bin", b"FIRST")
        monkeypatch.setattr(source_check, "source_md5", read)
        return found

    monkeypatch.setattr(source_check, "source_md5", change_the_first)
    status = await world.upload([first, second], title="my data", options=Options(reread=reread))
    assert status == ExitStatus.INTEGRITY
    assert world.error is not None
    assert "a.bin: changed since it was sent and verified" in world.error.message
