"""A download over a connection that fails in every way, in memory except the target folder."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import functools
import hashlib
import itertools
import json
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from blockbuster import BlockBuster

from tests.fakes.clock import VirtualClock
from tests.support.open_files import open_files
from uploader.concurrency import run_isolated
from uploader.errors import ExitStatus, FileNotHeld, PermissionDenied, TargetFull, TargetUnusable, Unreachable
from uploader.figshare.models import File, Item
from uploader.figshare.outcomes import FetchFailed, RangeIgnored
from uploader.figshare.settings import RetryPolicy
from uploader.transfer.download import receiving
from uploader.transfer.download.engine import Download, Existing
from uploader.transfer.download.partial import PartialFile
from uploader.transfer.download.plan import FileToFetch, Plan, Skip
from uploader.transfer.download.report import DownloadReport, exit_status
from uploader.transfer.download.run import DownloadRequest, download
from uploader.transfer.notices import AnyNotice, FileFailed, Retrying
from uploader.transfer.options import Options
from uploader.transfer.run.throttle import Throttle

pytestmark = pytest.mark.anyio
CONTENT = hashlib.shake_128(b"content").digest(100_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
Sink = Callable[[int, bytes], Awaitable[None]]


class Server:
    """Serves CONTENT in blocks. `faults` are raised by the next requests, each after `healthy` bytes."""

    def __init__(self, *faults: Exception, healthy: int = 0, ranged: bool = True, content: bytes = CONTENT) -> None:
        self.faults = list(faults)
        self.healthy = healthy
        self.ranged = ranged
        self.content = content
        self.asked: list[tuple[int, int]] = []

    async def fetch(self, url: str, *, start: int, end: int, size: int, sink: Sink, authorized: bool) -> None:
        self.asked.append((start, end))
        await anyio.lowlevel.checkpoint()
        if not self.ranged:
            if start:
                raise RangeIgnored("no ranges")
            end = size
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            end = min(end, start + self.healthy)
        for at in range(start, end, 1000):
            await sink(at, self.content[at : min(at + 1000, end)])
        if fault is not None:
            raise fault


def wanted(path: str = "a.bin", file_id: int = 1, md5: str | None = MD5) -> FileToFetch:
    return FileToFetch(file_id=file_id, remote=path, path=path, size=len(CONTENT), md5=md5, url="https://x")


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "SEGMENT", 30_000)
    monkeypatch.setattr(receiving, "_BLOCK", 5_000)
    monkeypatch.setattr(receiving, "_HASH_FROM", 10_000)


async def downloaded(
    folder: Path,
    server: Server,
    *files: FileToFetch,
    existing: Existing = "fail",
    skipped: tuple[Skip, ...] = (),
    notify: Callable[[AnyNotice], None] = lambda _: None,
) -> list[DownloadReport]:
    clock = VirtualClock()
    run = Download(
        Plan(wanted=files or (wanted(),), skipped=skipped),
        folder,
        server.fetch,
        authorized=False,
        existing=existing,
        connections=3,
        retry=RetryPolicy(elapsed_cap=60),
        throttle=Throttle(None, clock),
        clock=clock,
        notify=notify,
        on_result=lambda _: None,
    )
    return await run.run()


def statuses(reports: list[DownloadReport]) -> list[str]:
    return [each.status for each in reports]


async def test_a_file_is_fetched_in_ranges_and_verified(tmp_path: Path) -> None:
    server = Server()
    reports = await downloaded(tmp_path, server)
    assert statuses(reports) == ["downloaded"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert sorted(server.asked) == [(0, 30_000), (30_000, 60_000), (60_000, 90_000), (90_000, 100_000)]
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


async def test_a_download_cancelled_at_any_moment_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster
) -> None:
    no_blocking_calls.deactivate()  # the thread is a fake: every turn of the loop is the same each time

    async def inline(work: Callable[..., Any], *args: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return work(*args)

    monkeypatch.setattr(anyio.to_thread, "run_sync", inline)
    for turns in itertools.count():
        call = functools.partial(downloaded, tmp_path / str(turns), Server(), wanted(), wanted("b.bin", 2))
        task = asyncio.create_task(run_isolated(call))
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled = task.cancel()
        await asyncio.wait([task])
        assert open_files(tmp_path) == [], turns
        if not cancelled:
            assert statuses(task.result()) == ["downloaded", "downloaded"]
            break
    assert turns > 20


async def test_a_broken_connection_costs_only_what_had_not_arrived(tmp_path: Path) -> None:
    notices: list[AnyNotice] = []
    server = Server(FetchFailed("cut"), healthy=7_000)
    assert statuses(await downloaded(tmp_path, server, notify=notices.append)) == ["downloaded"]
    assert (7_000, 30_000) in server.asked
    assert any(isinstance(each, Retrying) and each.reason == "cut" for each in notices)


async def test_a_server_without_ranges_sends_the_whole_file_once(tmp_path: Path) -> None:
    server = Server(ranged=False)
    assert statuses(await downloaded(tmp_path, server)) == ["downloaded"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [start for start, _ in server.asked].count(0) == 1


async def test_a_server_without_ranges_starts_over_after_a_broken_connection(tmp_path: Path) -> None:
    server = Server(FetchFailed("cut"), healthy=7_000, ranged=False)
    assert statuses(await downloaded(tmp_path, server)) == ["downloaded"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


async def test_the_next_run_fetches_the_rest_only(tmp_path: Path) -> None:
    await interrupted(tmp_path)
    recorded = json.loads(record(tmp_path))["ranges"]
    there = sum(end - start for start, end in recorded)
    assert there > 0
    again = Server()
    assert statuses(await downloaded(tmp_path, again)) == ["downloaded"]
    assert sum(end - start for start, end in again.asked) == len(CONTENT) - there


def record(folder: Path) -> str:
    return (folder / ".figup-1.json").read_text()


async def interrupted(folder: Path) -> None:
    """A run that gets up to 10,000 bytes and then loses the connection."""
    with pytest.raises(Unreachable):
        await downloaded(folder, _once_healthy(Server(*[FetchFailed("x", network=True)] * 200, healthy=10_000)))


def _once_healthy(server: Server) -> Server:
    """The first request brings 10,000 bytes, all others none."""
    fetch = server.fetch

    async def first(url: str, *, start: int, end: int, size: int, sink: Sink, authorized: bool) -> None:
        if server.asked:
            server.healthy = 0
        await fetch(url, start=start, end=end, size=size, sink=sink, authorized=authorized)

    server.fetch = first  # type: ignore[method-assign]
    return server


async def test_data_that_the_disk_lost_is_fetched_again(tmp_path: Path) -> None:
    await interrupted(tmp_path)
    with (tmp_path / ".figup-1.part").open("r+b") as data:
        data.write(bytes(10_000))
    assert statuses(await downloaded(tmp_path, Server())) == ["downloaded"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


async def test_wrong_bytes_are_never_given_the_files_name(tmp_path: Path) -> None:
    reports = await downloaded(tmp_path, Server(content=bytes(len(CONTENT))))
    assert statuses(reports) == ["failed"]
    assert reports[0].error is not None
    assert reports[0].error.code == "md5-mismatch"
    assert exit_status(reports) is ExitStatus.INTEGRITY
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("existing", "status"), [("fail", "failed"), ("skip", "kept"), ("replace", "downloaded")])
async def test_a_different_file_is_replaced_only_on_request(tmp_path: Path, existing: Existing, status: str) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    server = Server()
    assert statuses(await downloaded(tmp_path, server, existing=existing)) == [status]
    assert (tmp_path / "a.bin").read_bytes() == (CONTENT if existing == "replace" else b"mine")
    assert bool(server.asked) == (existing == "replace")


async def test_an_identical_file_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    server = Server()
    assert statuses(await downloaded(tmp_path, server)) == ["same"]
    assert not server.asked


async def test_a_file_without_md5_is_unknown(tmp_path: Path) -> None:
    reports = await downloaded(tmp_path, Server(), wanted(md5=None))
    assert statuses(reports) == ["unknown"]
    assert exit_status(reports) is ExitStatus.PENDING
    assert statuses(await downloaded(tmp_path, Server(), wanted(md5=None))) == ["unknown"]


async def test_an_error_of_one_file_leaves_the_others_alone(tmp_path: Path) -> None:
    server, notices = Server(PermissionDenied("no")), list[AnyNotice]()
    reports = await downloaded(tmp_path, server, wanted("a", 1), wanted("b", 2), wanted("c", 3), notify=notices.append)
    assert sorted(statuses(reports)) == ["downloaded", "downloaded", "failed"]
    assert exit_status(reports) is ExitStatus.SOME_FAILED
    (failed,) = [each for each in notices if isinstance(each, FileFailed)]
    (report,) = [each for each in reports if each.status == "failed"]
    assert failed.message == f"{report.remote}: no"


async def test_a_file_in_the_place_of_a_folder_is_an_error_of_that_file(tmp_path: Path) -> None:
    reports = await downloaded(tmp_path, Server(), wanted("a", 1), wanted("a/b", 2))
    assert sorted(statuses(reports)) == ["downloaded", "failed"]


async def test_leftovers_of_a_finished_download_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    (tmp_path / ".figup-1.part").hardlink_to(tmp_path / "a.bin")
    assert statuses(await downloaded(tmp_path, Server())) == ["same"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


async def test_a_requested_link_is_not_yet_a_success(tmp_path: Path) -> None:
    skip = Skip(file_id=9, remote="l", reason="link", named=True)
    assert exit_status(await downloaded(tmp_path, Server(), skipped=(skip,))) is ExitStatus.SOME_FAILED


async def test_an_empty_file_needs_no_request(tmp_path: Path) -> None:
    empty = FileToFetch(file_id=1, remote="e", path="e", size=0, md5=EMPTY_MD5, url="https://x")
    server = Server()
    assert statuses(await downloaded(tmp_path, server, empty)) == ["downloaded"]
    assert (tmp_path / "e").read_bytes() == b""
    assert not server.asked


async def test_a_file_that_is_not_available_yet_is_waited_for(tmp_path: Path) -> None:
    early = dataclasses.replace(wanted(), available=False)
    assert statuses(await downloaded(tmp_path, Server(FileNotHeld("no"), FileNotHeld("no")), early)) == ["downloaded"]
    gone = await downloaded(tmp_path, Server(FileNotHeld("no")), wanted("b", 2))
    assert exit_status(gone) is ExitStatus.NOT_FOUND


async def test_an_unfinished_file_is_not_a_success(tmp_path: Path) -> None:
    reports = await downloaded(tmp_path, Server(), skipped=(Skip(file_id=9, remote="u", reason="unfinished"),))
    assert exit_status(reports) is ExitStatus.SOME_FAILED


# --- other processes, other files, a full disk, a kill -----------------------------------------------------------


@pytest.mark.parametrize(("theirs", "status"), [(CONTENT, "same"), (b"other", "failed")], ids=["same", "different"])
async def test_a_file_that_another_process_finished_meanwhile(tmp_path: Path, theirs: bytes, status: str) -> None:
    server = Server()
    fetch = server.fetch

    async def finished_elsewhere(*args: Any, **options: Any) -> None:
        await fetch(*args, **options)
        await anyio.to_thread.run_sync((tmp_path / "a.bin").write_bytes, theirs)

    server.fetch = finished_elsewhere  # type: ignore[method-assign]
    assert statuses(await downloaded(tmp_path, server)) == [status]
    assert (tmp_path / "a.bin").read_bytes() == theirs
    assert (tmp_path / ".figup-1.part").exists() == (status == "failed"), "data is kept if it is needed"


async def test_files_that_another_process_downloads_are_busy(tmp_path: Path) -> None:
    other = await anyio.to_thread.run_sync(PartialFile, tmp_path, wanted("b", 2))
    reports = await downloaded(tmp_path, Server(), wanted("a", 1), wanted("b", 2))
    assert sorted(statuses(reports)) == ["downloaded", "failed"]
    assert exit_status(reports) is ExitStatus.BUSY
    await anyio.to_thread.run_sync(other.close)
    reports = await downloaded(tmp_path, Server(), wanted("a", 1), wanted("b", 2))
    assert sorted(statuses(reports)) == ["downloaded", "same"]


async def test_a_file_that_changes_on_the_server_is_fetched_whole_before_it_is_an_error(tmp_path: Path) -> None:
    """The first half is of another version; the MD5 tells, and all of it is fetched once more."""
    other = bytes(len(CONTENT))
    await downloaded_until_cut(tmp_path, Server(FetchFailed("x", network=True), healthy=20_000, content=other))
    server = Server()
    assert statuses(await downloaded(tmp_path, server)) == ["downloaded"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert (0, len(CONTENT)) in server.asked


async def downloaded_until_cut(folder: Path, server: Server) -> None:
    server.faults *= 200
    with pytest.raises(Unreachable):
        await downloaded(folder, _once_healthy(server))
    assert (folder / ".figup-1.json").exists()


@pytest.mark.parametrize("existing", ["fail", "skip", "replace"])
@pytest.mark.parametrize("name", ["a.bin", ".figup-1.part", ".figup-1.json", ".figup-1.json.new"])
async def test_a_link_that_was_planted_between_two_runs_is_not_followed(
    tmp_path: Path, name: str, existing: Existing
) -> None:
    target, victim = tmp_path / "target", tmp_path / "victim"
    victim.write_bytes(b"mine")
    target.mkdir()
    await interrupted(target)
    (target / name).unlink(missing_ok=True)
    (target / name).symlink_to(victim)
    reports = await downloaded(target, Server(), existing=existing)
    assert statuses(reports) == ["downloaded" if "json" in name else "failed"]
    assert (victim.read_bytes(), victim.stat().st_nlink) == (b"mine", 1)
    if "json" in name:
        assert [path.name for path in target.iterdir()] == ["a.bin"]


async def test_after_a_full_disk_the_next_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def full(fd: int, data: bytes, offset: int) -> int:
        if len(written) >= 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(offset)
        return real(fd, data, offset)

    real = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(TargetFull):
            await downloaded(tmp_path, Server())
    server = Server()
    assert statuses(await downloaded(tmp_path, server)) == ["downloaded"]
    assert sum(end - start for start, end in server.asked) < len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


async def test_a_disk_that_is_full_for_every_connection_at_once_is_reported_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(3, timeout=20)

    def full(fd: int, data: bytes, offset: int) -> int:
        together.wait()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(20):  # which of the tasks the event loop resumes first is not fixed
        with pytest.raises(TargetFull):
            await downloaded(tmp_path, Server())


class Killed(Exception):
    """The process was killed before this call, and makes none afterwards."""


_CALLS = ("open", "pwrite", "ftruncate", "fsync", "rename", "link", "unlink", "mkdir")


class KilledAt:
    """Kills the process before its system call of this number, counted from 0: no later one takes effect."""

    def __init__(self, patch: pytest.MonkeyPatch, number: int) -> None:
        self.left = number
        self.opened: list[int] = []
        for name in _CALLS:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Killed
            result = call(*args, **options)
            if name == "open":
                self.opened.append(result)
            return result

        return counted

    def end(self) -> None:
        """Close what the process had open, which releases its locks."""
        for fd in self.opened:
            with suppress(OSError):
                os.close(fd)


@pytest.mark.search
@pytest.mark.parametrize("existing", ["fail", "replace"])
async def test_a_kill_at_any_system_call_leaves_something_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: Existing
) -> None:
    for number in range(200):
        folder = tmp_path / str(number)
        folder.mkdir()
        with monkeypatch.context() as patch:
            process = KilledAt(patch, number)
            try:
                await downloaded(folder, Server(), existing=existing)
            except Killed:
                process.end()
        assert statuses(await downloaded(folder, Server(), existing=existing))[0] in ("downloaded", "same")
        assert [(path.name, path.read_bytes() == CONTENT) for path in folder.iterdir()] == [("a.bin", True)]
        if process.left >= 0:
            assert number > 20
            return
    raise AssertionError("the download does not end")


class GrowingItem:
    """An item to which a second file is added after the first request for it."""

    has_token = True

    def __init__(self) -> None:
        self.downloads = Server()
        self._requests = 0

    def _count(self) -> int:
        self._requests += 1
        return min(self._requests, 2)

    async def item(self, item_id: int) -> Item:
        return Item(id=item_id, folders={1: "set", 2: "set"} if self._count() == 2 else {1: "set"})

    async def files(self, item_id: int) -> AsyncIterator[File]:
        for number in range(1, self._count() + 1):
            row = File(id=number, name=f"{number}.bin", size=len(CONTENT), computed_md5=MD5, download_url="https://x")
            yield row


async def test_a_file_that_is_added_while_the_item_is_read_does_not_lose_its_folder(tmp_path: Path) -> None:
    request = DownloadRequest(item_id=7, target=tmp_path)
    service: Any = GrowingItem()
    clock = VirtualClock()
    await download(service, request, Options(), RetryPolicy(elapsed_cap=60), clock, lambda _: None)
    found = await anyio.to_thread.run_sync(lambda: [p for p in tmp_path.rglob("*.bin") if p.parent.name != "set"])
    assert found == []


async def test_a_target_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    request = DownloadRequest(item_id=7, target=tmp_path / "file" / "below")
    service: Any = GrowingItem()
    with pytest.raises(TargetUnusable):
        await download(service, request, Options(), RetryPolicy(), VirtualClock(), lambda _: None)
    assert service.downloads.asked == []
