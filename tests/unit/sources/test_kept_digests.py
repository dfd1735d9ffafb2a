"""MD5 states kept between processes: computed, stored, continued, and trusted only where a change would be detected."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import SourceChanged
from uploader.sources import digest as digests
from uploader.sources import md5 as md5s
from uploader.sources.digest import Digest, Recorded
from uploader.sources.md5 import Checkpoint, SavableMd5, can_save, is_state_of, new_md5, shows_changes
from uploader.sources.source import FileStamp, Source

SIZE = 5_000_000


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(0, 8))
def test_an_md5_continues_from_its_state(pieces: list[bytes], cut: int) -> None:
    first = SavableMd5()
    for piece in pieces[:cut]:
        first.update(piece)
    state = first.save()
    assert is_state_of(state, len(b"".join(pieces[:cut])))
    second = SavableMd5(state)
    for piece in pieces[cut:]:
        second.update(piece)
    assert second.hexdigest() == md5(b"".join(pieces))


def test_an_md5_state_has_its_number_of_bytes() -> None:
    counted = SavableMd5()
    counted.update(bytes(100))
    state = counted.save()
    assert is_state_of(state, 100)
    assert not any(is_state_of(state, position) for position in (0, 36, 99, 101, 164))
    assert not is_state_of(state[:-1], 100)
    assert not is_state_of(b"", 0)


@pytest.fixture
def no_libcrypto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def missing() -> None:
        raise AttributeError("MD5_Init")

    can_save.cache_clear()
    monkeypatch.setattr(md5s, "_functions", missing)
    yield
    can_save.cache_clear()


def test_hashlib_is_used_without_openssl(no_libcrypto: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert not can_save()
    assert "sources are read again after a kill" in caplog.text
    plain = new_md5()
    plain.update(b"abc")
    assert plain.hexdigest() == md5(b"abc")
    assert not isinstance(plain, SavableMd5)


def test_a_library_with_wrong_results_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    can_save.cache_clear()
    monkeypatch.setattr(SavableMd5, "hexdigest", lambda _: "0" * 32)
    assert not can_save()
    can_save.cache_clear()


class CountedSource(Source):
    """Counts the bytes that are read."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.reads: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return super().read(offset, length)


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(digests, "SAVE_BYTES", 1 << 20)
    monkeypatch.setattr(digests, "SAVE_SECONDS", 0)
    data = os.urandom(SIZE)
    (tmp_path / "s").write_bytes(data)
    return data


@pytest.fixture
def source(tmp_path: Path, content: bytes) -> Iterator[CountedSource]:
    opened = CountedSource(str(tmp_path / "s"))
    yield opened
    opened.close()


async def kept_of(source: Source) -> list[Checkpoint]:
    kept: list[Checkpoint] = []
    await Digest(source, paced=False, on_checkpoint=kept.append).run()
    await anyio.lowlevel.checkpoint()
    return kept


@pytest.mark.anyio
async def test_a_digest_saves_checkpoints_and_continues_from_them(source: CountedSource, content: bytes) -> None:
    kept = await kept_of(source)
    assert len(kept) >= 4
    for checkpoint in kept:
        source.reads.clear()
        assert await Digest(source, paced=False, checkpoint=checkpoint).run() == md5(content)
        assert sum(length for _, length in source.reads) == SIZE - checkpoint.position


@pytest.mark.anyio
async def test_a_stopped_digest_saves_its_state(
    source: CountedSource, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "MAX_LEAD", 1 << 20)
    kept: list[Checkpoint] = []
    digest = Digest(source, on_checkpoint=kept.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(digest.run)
        digest.advance(2 << 20)
        await digest.wait_for_position(3 << 20)
        tasks.cancel_scope.cancel()
    await anyio.lowlevel.checkpoint()
    assert kept[-1].position == digest._position
    assert await Digest(source, paced=False, checkpoint=kept[-1]).run() == md5(content)


@pytest.mark.anyio
async def test_parts_behind_the_checkpoint_are_compared_and_those_before_it_are_not(
    source: CountedSource, content: bytes
) -> None:
    checkpoint = (await kept_of(source))[1]
    before = Recorded(no=1, start=0, end=100, xxh3=1)
    behind = Recorded(no=2, start=checkpoint.position, end=SIZE, xxh3=1)
    right = Recorded(
        no=2, start=checkpoint.position, end=SIZE, xxh3=xxhash.xxh3_64_intdigest(content[checkpoint.position :])
    )
    assert await Digest(source, paced=False, recorded=[before, right], checkpoint=checkpoint).run() == md5(content)
    with pytest.raises(SourceChanged, match="part 2"):
        await Digest(source, paced=False, recorded=[before, behind], checkpoint=checkpoint).run()


@pytest.mark.parametrize(
    ("kind", "age", "expected"),
    [
        ("ext4", 61, True),
        ("ext4", 59, False),
        ("ext4", -5, False),
        ("nfs4", 61, True),
        ("nfs4", 3, False),
        ("fuse.sshfs", 10_000, False),
        ("tmpfs", 10_000, False),
        ("vfat", 10_000, False),
        (None, 10_000, False),
    ],
)
def test_when_a_change_is_visible_in_the_ctime(
    monkeypatch: pytest.MonkeyPatch, kind: str | None, age: float, *, expected: bool
) -> None:
    monkeypatch.setattr(md5s, "file_system_of", lambda _: kind)
    stamp = FileStamp(size=1, mtime_ns=0, inode=1, ctime_ns=1_000_000_000_000, device=1)
    assert shows_changes(stamp, 1000 + age) is expected
