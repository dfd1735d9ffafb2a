"""Reading sources, detecting changes, and computing the MD5 while parts are sent."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import threading
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import xxhash

from uploader.errors import SourceChanged, SourceNotFound, StorageUnavailable, UsageError
from uploader.sources import digest as digests
from uploader.sources.digest import Digest, Recorded
from uploader.sources.source import Source, remote_name
from uploader.text import printable


def test_a_missing_file_a_folder_and_a_pipe_are_rejected_with_reasons(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no such file"):
        Source(str(tmp_path / "gone"))
    with pytest.raises(SourceNotFound):
        Source(str(tmp_path / "gone" / "deeper"))
    with pytest.raises(UsageError, match="is a folder"):
        Source(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        Source(str(tmp_path / "pipe"))
    with pytest.raises(UsageError):
        Source(str(tmp_path / ("x" * 300)))


def test_an_unreadable_file_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    source = Source(str(tmp_path / "a"))

    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(StorageUnavailable, match="Input/output error"):
        source.read(0, 3)
    source.close()


def test_reading_past_a_new_end_is_a_changed_source(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    source = Source(str(path))
    os.truncate(path, 50)
    assert source.read(0, 50) == b"x" * 50
    with pytest.raises(SourceChanged, match="shorter"):
        source.read(40, 20)
    source.close()


def test_changes_since_opening_are_detected(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    source = Source(str(path))
    assert not source.changed_since_open()
    status = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert source.changed_since_open(), "other bytes behind the same size and mtime"
    source.close()
    source = Source(str(path))
    (tmp_path / "b").write_bytes(b"z" * 100)
    (tmp_path / "b").replace(path)
    assert source.changed_since_open(), "another file behind the same name"
    path.write_bytes(b"short")
    with pytest.raises(SourceChanged, match="from 100 to 5 bytes"):
        source.changed_since_open()
    path.unlink()
    with pytest.raises(SourceNotFound, match="removed"):
        source.changed_since_open()
    source.close()


@pytest.mark.parametrize("what", ["mtime_ns", "ctime_ns", "inode", "device"])
def test_each_part_of_the_stamp_shows_a_change(tmp_path: Path, what: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    source = Source(str(tmp_path / "a"))
    source.snapshot = dataclasses.replace(source.snapshot, **{what: getattr(source.snapshot, what) + 1})
    assert source.changed_since_open()
    source.close()


def test_names_stay_on_one_line_and_in_utf_8() -> None:
    assert printable("a\nb\x1b[31m\u2028é😀") == "a\\nb\\x1b[31m\\u2028é😀"
    assert remote_name("/x/-a b\n") == "-a b\n"
    with pytest.raises(UsageError, match="UTF-8"):
        remote_name("/x/\udcff")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    data = os.urandom(1000) * 5000
    (tmp_path / "s").write_bytes(data)
    return Source(str(tmp_path / "s"))


def recorded(data: bytes, start: int, end: int, no: int = 1) -> Recorded:
    return Recorded(no=no, start=start, end=end, xxh3=xxhash.xxh3_64_intdigest(data[start:end]))


@pytest.mark.anyio
async def test_the_digest_is_the_md5_and_compares_recorded_parts(source: Source) -> None:
    data = Path(source.path).read_bytes()
    sent = [recorded(data, 0, 10), recorded(data, 10, 1_500_000, 2), recorded(data, 2_000_000, 5_000_000, 3)]
    digest = Digest(source, recorded=sent, paced=False)
    assert await digest.run() == hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.anyio
async def test_a_changed_part_stops_the_digest(source: Source) -> None:
    data = Path(source.path).read_bytes()
    changed = Recorded(no=2, start=10, end=1_500_000, xxh3=xxhash.xxh3_64_intdigest(b"other"))
    with pytest.raises(SourceChanged, match="since part 2 of it was sent"):
        await Digest(source, recorded=[recorded(data, 0, 10), changed], paced=False).run()


@pytest.mark.anyio
async def test_the_digest_stays_within_its_window(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_LEAD", 1 << 20)
    monkeypatch.setattr(digests, "MAX_LAG", 1 << 20)
    digest = Digest(source)
    results: list[str] = []

    async def run() -> None:
        results.append(await digest.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(5):
            while digest._position < 1 << 20:
                await anyio.lowlevel.checkpoint()
        await digest.wait_for_position(digest.awaited(1 << 19))
        await anyio.sleep(0.05)
        assert digest._position == 2 << 20, "the digest ran away from the senders"
        # A part that begins far behind the hashed bytes, as when a job is resumed: the sender waits for the digest.
        with anyio.fail_after(5):
            await digest.wait_for_position(digest.awaited(5 << 20))
        assert 4 << 20 <= digest._position <= 6 << 20
        assert not results
        digest.all_sent()
    assert results == [hashlib.md5(Path(source.path).read_bytes(), usedforsecurity=False).hexdigest()]


@pytest.mark.anyio
async def test_a_sender_far_into_a_file_does_not_wait_for_the_digest(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "MAX_LEAD", 1)
    monkeypatch.setattr(digests, "MAX_LAG", 1 << 10)
    monkeypatch.setattr(digests, "DETACH", 1 << 20)
    monkeypatch.setattr(Digest, "_hash_all", lambda digest: digest._ended.wait() and "")
    digest = Digest(source)
    with anyio.fail_after(5):
        await digest.wait_for_position(digest.awaited((1 << 20) + 1))
        # The bytes between them are not sent now: the digest needs time to get there.
        await digest.wait_for_position(digest.awaited(1 << 20, since=1 << 19))
    with anyio.move_on_after(0.05) as patience:
        await digest.wait_for_position(digest.awaited(1 << 20))
    assert patience.cancelled_caught, "a sender that is near waits until its pages are hashed"


@pytest.mark.anyio
async def test_a_waiting_digest_is_cancelled_at_once(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_LEAD", 1)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            digest = Digest(source)
            tasks.start_soon(digest.run)
            while not digest._position:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await digest.wait_for_position(digest.awaited(1 << 60))


async def test_a_digest_cancelled_before_its_start_leaves_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    source = await anyio.to_thread.run_sync(Source, str(path))
    waits: list[float | None] = []

    class Ended(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return super().wait(0)

    digest = Digest(source)
    digest._ended = Ended()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await digest.run()
    assert waits == [], "nothing began, and nothing is waited for"
    await anyio.to_thread.run_sync(source.close)


def test_cached_pages_are_read_without_a_thread(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    source = Source(str(path))
    try:
        room = memoryview(bytearray(100))
        count = source.read_into(2, room)
        assert bytes(room[:count]) == b"23456789"[:count]
        assert source.read_into(10, room) == 0
    finally:
        source.close()


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_cached_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def preadv(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    (tmp_path / "data").write_bytes(b"0123456789")
    source = Source(str(tmp_path / "data"))
    monkeypatch.setattr(os, "preadv", preadv)
    try:
        assert source.read_into(0, memoryview(bytearray(5))) == 0
        assert source.read(0, 5) == b"01234"
    finally:
        source.close()


async def test_reading_for_a_digest_reports_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploader.sources.digest._FIRST_NOTICE", 0.01)
    path = tmp_path / "a"
    path.write_bytes(bytes(3 << 20))
    source = await anyio.to_thread.run_sync(Source, str(path))
    reported: list[tuple[int, int]] = []
    heard = threading.Event()
    honest = source.read

    def read_after_a_word(offset: int, length: int) -> bytes:
        if offset == 1 << 20:
            assert heard.wait(30), "no progress was reported"
        return honest(offset, length)

    def on_read(done: int, total: int) -> None:
        reported.append((done, total))
        if done == 1 << 20:
            heard.set()

    monkeypatch.setattr(source, "read", read_after_a_word)
    assert (
        await Digest(source, paced=False, on_read=on_read).run()
        == hashlib.md5(bytes(3 << 20), usedforsecurity=False).hexdigest()
    )
    assert (1 << 20, 3 << 20) in reported
    count = len(reported)
    await anyio.sleep(0.1)
    assert len(reported) == count, "reported after its end"
    source.close()
