"""A lack of threads, memory or descriptors, or a source whose mount dies during a run. The run ends with 75, and a
rerun with 0 and every byte exactly once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import anyio.to_thread
import pytest

from tests.fakes.world import World, md5
from tests.support.archives import read_members
from uploader.errors import ExitStatus
from uploader.transfer.options import Options

pytestmark = pytest.mark.anyio

CONTENT = {"a.bin": bytes(range(200)), "b.bin": b"other"}
EXHAUSTED = [
    RuntimeError("can't start new thread"),
    MemoryError(),
    OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
]


class Refusals:
    """Makes the calls from number `begin` to `end` (exclusive) of blocking work fail, before or after it is done."""

    def __init__(self, patch: pytest.MonkeyPatch, fault: Exception) -> None:
        self.calls = 0
        self.begin = self.end = 1 << 30
        self._fault = fault
        self._run: Callable[..., Any] = anyio.to_thread.run_sync
        patch.setattr(anyio.to_thread, "run_sync", self.run_sync)

    async def run_sync(self, func: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        self.calls += 1
        if self.begin <= self.calls < self.end:
            raise self._fault
        return await self._run(func, *args, **settings)


def sources(world: World) -> list[str]:
    there = {name: world.folder / name for name in CONTENT}
    return [str(path) if path.exists() else world.source(name, CONTENT[name]) for name, path in there.items()]


async def run(world: World, options: Options | None = None) -> int:
    return await world.upload(sources(world), title="my data", options=options)


def check_complete(world: World) -> None:
    (item,) = world.figshare.stored_items.values()
    assert world.contents(item.id) == [(name, md5(content)) for name, content in CONTENT.items()]
    assert world.figshare.resent_parts == []


@pytest.mark.search
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "from then on"])
async def test_nothing_left_at_any_moment(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, for_good: bool
) -> None:
    """Any blocking call may fail: no internal error, and nothing is lost or sent twice."""
    refusals = Refusals(monkeypatch, EXHAUSTED[0])
    assert await run(world) == ExitStatus.OK
    calls = refusals.calls
    assert calls > 20
    for number in range(1 + for_good, calls + 1, 2):
        again = World(tmp_path_factory.mktemp("world"), monkeypatch)
        refusals = Refusals(monkeypatch, EXHAUSTED[number // 2 % len(EXHAUSTED)])
        refusals.begin, refusals.end = number, (1 << 30 if for_good else number + 1)
        status = await run(again)
        # Steps omitted at the end, such as the overview, are optional.
        assert status in (ExitStatus.RESUMABLE, *([ExitStatus.OK] if number > calls / 2 else [])), (number, again.error)
        refusals.begin = 1 << 30
        assert await run(again) == ExitStatus.OK, (number, again.error)
        check_complete(again)


@contextmanager
def dying(patch: pytest.MonkeyPatch, number: int, after: int) -> Iterator[None]:
    """Make every source fail with this error after that many reads, also when it is reopened."""
    reads, really_open, really_read, really_fill = 0, os.open, os.pread, os.preadv

    def count() -> None:
        nonlocal reads
        reads += 1
        if reads > after:
            raise OSError(number, os.strerror(number))

    def read(fd: int, length: int, offset: int) -> bytes:
        count()
        return really_read(fd, length, offset)

    def fill(fd: int, buffers: Any, offset: int) -> int:
        count()
        return really_fill(fd, buffers, offset)

    def look(path: Any, *args: Any, **settings: Any) -> int:
        if reads > after and str(path).endswith(".bin"):
            raise OSError(number, os.strerror(number), path)
        return really_open(path, *args, **settings)

    with patch.context() as dead:
        dead.setattr("uploader.sources.source.NOWAIT", 0)
        dead.setattr("uploader.sources.archive.reader.NOWAIT", 0)
        dead.setattr(os, "pread", read)
        dead.setattr(os, "preadv", fill)
        dead.setattr(os, "open", look)
        yield


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE, errno.EIO], ids=["ENOTCONN", "ESTALE", "EIO"])
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("pack", [None, "zip", "tar"])
async def test_a_mount_that_dies_while_it_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int, after: int, pack: Literal["zip", "tar"] | None
) -> None:
    options = Options(pack=pack, pack_name="data.zip" if pack else None)
    with dying(monkeypatch, number, after):
        assert await run(world, options) == ExitStatus.RESUMABLE
        assert world.error is not None
        assert world.error.code == "storage-unavailable"
        assert pack is None or str(world.error.path).endswith(".bin")
        # Still dead: nothing changes.
        assert await run(world, options) == ExitStatus.RESUMABLE
    assert await run(world, options) == ExitStatus.OK
    if pack is None:
        check_complete(world)
        return
    (item,) = world.figshare.stored_items.values()
    (file,) = item.files.values()
    assert read_members(file.content).items() >= CONTENT.items()
    assert world.figshare.resent_parts == []
