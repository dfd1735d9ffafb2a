"""A killed run leaves the state of its MD5; the next one reads only the rest, unless the source may have changed."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes import figshare
from tests.fakes.figshare import Fault
from tests.fakes.world import KILLED, World, md5
from uploader.sources import digest as digests
from uploader.sources.md5 import SavableMd5, can_save
from uploader.transfer.files import content as contents
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import decode, encode, synced_path

pytestmark = pytest.mark.anyio
SIZE = 400_000


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch, save_often: Callable[[int, int], None]) -> None:
    """Parts are large, so that they are few."""
    monkeypatch.setattr(figshare, "PART_SIZE", 40_000)
    save_often(10_000, 20_000)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the pieces that were hashed."""
    sizes: list[int] = []
    update = SavableMd5.update

    def counted(self: SavableMd5, data: bytes, /) -> None:
        sizes.append(len(data))
        update(self, data)

    can_save()  # its self-test is not to be counted
    monkeypatch.setattr(SavableMd5, "update", counted)
    return sizes


def journal(world: World) -> Path:
    (job,) = world.jobs()
    return job / "journal"


def kept(world: World) -> list[ev.DigestKept]:
    return [event for event in decode(journal(world).read_bytes()).events if isinstance(event, ev.DigestKept)]


def contents_of(world: World) -> list[tuple[str, str]]:
    (item,) = world.figshare.stored_items
    return world.contents(item)


async def killed_before_the_end(world: World) -> str:
    """Kill an upload after everything was sent and hashed, before it is completed; return the source's path."""
    path = world.source("a", os.urandom(SIZE))
    world.figshare.fail("complete", Fault.KILLED_BEFORE)
    assert await world.upload(path, title="abc") == KILLED
    return path


async def test_the_next_run_hashes_only_what_is_left(world: World, hashed: list[int]) -> None:
    path = await killed_before_the_end(world)
    assert sum(hashed) == SIZE
    assert kept(world)[-1].position >= SIZE - 20_000
    hashed.clear()
    assert await world.upload(path, title="abc") == 0
    assert sum(hashed) == SIZE - kept(world)[-1].position
    assert contents_of(world) == [("a", md5(Path(path).read_bytes()))]


async def test_a_source_that_may_have_changed_is_read_again(world: World, hashed: list[int]) -> None:
    path = await killed_before_the_end(world)
    os.utime(path)
    hashed.clear()
    assert await world.upload(path, title="abc") == 0
    assert sum(hashed) >= SIZE


async def test_a_source_that_did_change_is_never_mixed_with_what_was_sent(world: World) -> None:
    path = await killed_before_the_end(world)
    status = Path(path).stat()
    with Path(path).open("r+b") as stream:
        stream.write(b"other")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert await world.upload(path, title="abc") == 5


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_file_system_without_a_reliable_ctime_is_read_again(
    world: World, hashed: list[int], monkeypatch: pytest.MonkeyPatch, *, keeps: bool
) -> None:
    path = await killed_before_the_end(world)
    monkeypatch.setattr(contents, "shows_changes", lambda _: keeps)
    hashed.clear()
    assert await world.upload(path, title="abc") == 0
    assert (sum(hashed) < SIZE) is keeps


async def test_where_no_state_can_be_kept_everything_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await killed_before_the_end(world)
    monkeypatch.setattr(digests, "new_md5", lambda: hashlib.md5(usedforsecurity=False))
    monkeypatch.setattr(contents, "can_save", lambda: False)
    assert await world.upload(path, title="abc") == 0
    assert contents_of(world) == [("a", md5(Path(path).read_bytes()))]


def doctored(world: World, **fields: Any) -> None:
    """Replace fields of the newest checkpoint, with correct checksums."""
    events = list(decode(journal(world).read_bytes()).events)
    at = max(i for i, event in enumerate(events) if isinstance(event, ev.DigestKept))
    events[at] = msgspec.structs.replace(events[at], **fields)
    data, _ = encode(events)
    journal(world).write_bytes(data)
    synced_path(journal(world)).unlink(missing_ok=True)


def encoded(digest: SavableMd5) -> str:
    return base64.b64encode(digest.save()).decode()


@pytest.mark.parametrize("what", ["size", "mtime_ns", "ctime_ns", "inode", "device"])
async def test_a_state_of_a_source_with_another_stamp_is_not_used(world: World, hashed: list[int], what: str) -> None:
    path = await killed_before_the_end(world)
    doctored(world, **{what: getattr(kept(world)[-1], what) + 1})
    hashed.clear()
    assert await world.upload(path, title="abc") == 0
    assert sum(hashed) == SIZE


async def test_the_device_is_compared_on_the_same_machine_only(world: World, hashed: list[int]) -> None:
    path = await killed_before_the_end(world)
    doctored(world, device=kept(world)[-1].device + 1, machine="another")
    hashed.clear()
    assert await world.upload(path, title="abc") == 0
    assert sum(hashed) < SIZE


async def test_a_state_of_another_length_is_not_used(world: World, hashed: list[int]) -> None:
    path = await killed_before_the_end(world)
    doctored(world, state=encoded(SavableMd5()))
    hashed.clear()
    assert await world.upload(path, title="abc") == 0
    assert sum(hashed) == SIZE


async def test_a_state_of_other_bytes_is_noticed_and_nothing_is_sent_again(world: World) -> None:
    path = await killed_before_the_end(world)
    other = SavableMd5()
    other.update(bytes(kept(world)[-1].position))
    doctored(world, state=encoded(other))
    sent = world.figshare.log.count("send_part")
    assert await world.upload(path, title="abc") == 0
    assert world.figshare.log.count("send_part") == sent
    assert contents_of(world) == [("a", md5(Path(path).read_bytes()))]
