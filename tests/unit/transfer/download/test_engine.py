"""A download over a connection that fails in every way, in memory except the target folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from tests.fakes.clock import VirtualClock
from uploader.errors import ExitStatus, FileNotHeld, PermissionDenied, Unreachable
from uploader.figshare.outcomes import FetchFailed, RangeIgnored
from uploader.figshare.settings import RetryPolicy
from uploader.transfer.download import receiving
from uploader.transfer.download.engine import Download, Existing
from uploader.transfer.download.plan import Plan, Skip, Wanted
from uploader.transfer.download.report import DownloadReport, exit_status
from uploader.transfer.notices import AnyNotice, Retrying
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


def wanted(path: str = "a.bin", file_id: int = 1, md5: str | None = MD5) -> Wanted:
    return Wanted(file_id=file_id, remote=path, path=path, size=len(CONTENT), md5=md5, url="https://x")


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "SEGMENT", 30_000)
    monkeypatch.setattr(receiving, "_BLOCK", 5_000)
    monkeypatch.setattr(receiving, "_HASH_FROM", 10_000)


async def downloaded(
    folder: Path,
    server: Server,
    *files: Wanted,
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
    server = Server(PermissionDenied("no"))
    reports = await downloaded(tmp_path, server, wanted("a", 1), wanted("b", 2), wanted("c", 3))
    assert sorted(statuses(reports)) == ["downloaded", "downloaded", "failed"]
    assert exit_status(reports) is ExitStatus.SOME_FAILED


async def test_a_file_in_the_place_of_a_folder_is_an_error_of_that_file(tmp_path: Path) -> None:
    reports = await downloaded(tmp_path, Server(), wanted("a", 1), wanted("a/b", 2))
    assert sorted(statuses(reports)) == ["downloaded", "failed"]


async def test_leftovers_of_a_finished_download_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    (tmp_path / ".figup-1.part").hardlink_to(tmp_path / "a.bin")
    assert statuses(await downloaded(tmp_path, Server())) == ["same"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


async def test_a_link_that_was_asked_for_is_no_success(tmp_path: Path) -> None:
    skip = Skip(file_id=9, remote="l", reason="link", named=True)
    assert exit_status(await downloaded(tmp_path, Server(), skipped=(skip,))) is ExitStatus.SOME_FAILED


async def test_an_empty_file_needs_no_request(tmp_path: Path) -> None:
    empty = Wanted(file_id=1, remote="e", path="e", size=0, md5=EMPTY_MD5, url="https://x")
    server = Server()
    assert statuses(await downloaded(tmp_path, server, empty)) == ["downloaded"]
    assert (tmp_path / "e").read_bytes() == b""
    assert not server.asked


async def test_a_file_that_is_not_available_yet_is_waited_for(tmp_path: Path) -> None:
    early = dataclasses.replace(wanted(), available=False)
    assert statuses(await downloaded(tmp_path, Server(FileNotHeld("no"), FileNotHeld("no")), early)) == ["downloaded"]
    gone = await downloaded(tmp_path, Server(FileNotHeld("no")), wanted("b", 2))
    assert exit_status(gone) is ExitStatus.NOT_FOUND


async def test_an_unfinished_file_is_no_success(tmp_path: Path) -> None:
    reports = await downloaded(tmp_path, Server(), skipped=(Skip(file_id=9, remote="u", reason="unfinished"),))
    assert exit_status(reports) is ExitStatus.SOME_FAILED
