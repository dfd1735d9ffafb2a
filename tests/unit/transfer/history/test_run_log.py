"""The history of a job and its recorder, with a fake clock."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.clock import Clock
from uploader.disk import Disk
from uploader.errors import FigupError, Interrupted, JobBusy, StateDiskFull
from uploader.transfer import notices as no
from uploader.transfer.history import run_log
from uploader.transfer.history.recorder import RunRecorder, record_run
from uploader.transfer.report import Report, RunFailed
from uploader.transfer.store import progress_file
from uploader.transfer.store.lock import JobLock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = 7 * 24 * 3600
TERM = 3


@dataclass
class FakeClock(Clock):
    seconds: float = 50.0
    start: datetime = field(default=START)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds - 50)


class FullDisk(Disk):
    """A disk that accepts nothing while it is full, or half of the data."""

    full = True

    def append(self, path: Path, data: bytes) -> None:
        if self.full:
            super().append(path, data[: len(data) // 2])
            raise StateDiskFull("the disk is full")
        super().append(path, data)


def progress(sent: int, done: int = 0) -> no.Progress:
    return no.Progress(
        bytes_done=done or sent,
        bytes_total=10**9,
        files_done=0,
        files_total=2,
        rate=1.0,
        connections=4,
        active=(),
        bytes_sent=sent,
    )


class Held(JobLock):
    """A lock that is held as long as its lease is `fresh`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Disk(), FakeClock())
        self.fresh = True

    def is_fresh(self) -> bool:
        return self.fresh

    @property
    def term(self) -> int:
        return TERM

    async def check(self) -> None:
        if not self.fresh:
            raise JobBusy("another machine took over this job")


def entries(folder: Path) -> list[run_log.AnyEntry]:
    return list(run_log.read(folder, Disk()))


def report(sent: int = 0) -> Report:
    return Report(
        job="k3", item_id=7, item_url="u", files=(), bytes_sent=sent, bytes_total=sent, seconds=1.0, exit_status=0
    )


def test_the_history_of_a_run(tmp_path: Path) -> None:
    clock = FakeClock()
    historian = RunRecorder(tmp_path, Disk(), clock, Held(tmp_path))
    clock.seconds += 1
    historian.take(progress(100))
    for part in range(3):
        historian.take(no.Retrying(f"/data/a: b.bin, part {part}: h answered 503", 1.0))
    historian.take(no.Retrying("h: reset", 1.0))
    historian.take(no.FileVerified(path="/data/a", file_id=7, md5="0" * 32))
    historian.take(no.FileRestarted("/data/b", "Figshare aborted the upload"))
    historian.take(no.FileFailed(code="conflict", message="c: other file", hint="Rename it.", path="/data/c"))
    historian.take(no.Warned(message="look out"))
    historian.write_due()
    reported = progress_file.read(tmp_path, Disk())
    assert reported is not None
    assert (reported.progress, reported.at) == (progress(100), "2026-03-01T12:00:01+00:00")
    clock.seconds += 1
    historian.end(report(150), None)
    historian.write_due()
    first, *others = entries(tmp_path)
    assert isinstance(first, run_log.RunBegan)
    assert first.began == "2026-03-01T12:00:00+00:00"
    assert others == [
        run_log.FileDone(1.0, 7),
        run_log.Restart(1.0, "/data/b", "Figshare aborted the upload"),
        run_log.FileError(1.0, "/data/c", "conflict", "c: other file"),
        run_log.WarningEntry(1.0, "look out"),
        run_log.Sample(at=1.0, sent=100, done=100, files=0, connections=4),
        run_log.RetryEntry(1.0, "h answered 503", 3),
        run_log.RetryEntry(1.0, "h: reset", 1),
        run_log.RunEnded(2.0, None, None, 150, TERM),
    ]
    assert (tmp_path / run_log.NAME).stat().st_mode & 0o077 == 0


def test_names_that_are_not_utf8_are_escaped() -> None:
    line = run_log.encode(run_log.Restart(1.0, "/data/caf\udce9\n", "changed"))
    assert b"/data/caf\\\\udce9" in line
    assert run_log.encode(run_log.Restart(1.0, "/data/caf\n", "changed")).count(b"\n") == 1


def test_samples_become_rarer_so_that_a_week_fits(tmp_path: Path) -> None:
    taken, at = 0, 0.0
    while at < WEEK:
        at += run_log.spacing(taken)
        taken += 1
    assert 1000 < taken < 10_000
    clock = FakeClock()
    historian = RunRecorder(tmp_path, Disk(), clock, Held(tmp_path))
    for second in range(4000):
        clock.seconds += 1
        historian.take(progress(second + 1))
        historian.write_due()
    samples = [entry for entry in entries(tmp_path) if isinstance(entry, run_log.Sample)]
    assert 600 + 600 + 300 < len(samples) < 600 + 600 + 600
    assert samples[-1].at - samples[-2].at == 4


def test_a_run_of_a_long_job_keeps_to_its_spacing(tmp_path: Path) -> None:
    line = run_log.encode(run_log.Sample(at=1.0, sent=1, done=1, files=0, connections=1))
    run_log.append(tmp_path, line * 1300, Disk())
    clock = FakeClock()
    historian = RunRecorder(tmp_path, Disk(), clock, Held(tmp_path))
    for _ in range(40):
        historian.take(progress(int(clock.seconds)))
        historian.write_due()
        clock.seconds += 1
    assert sum(isinstance(entry, run_log.Sample) for entry in entries(tmp_path)) == 1310


def test_the_number_of_distinct_reasons_is_limited(tmp_path: Path) -> None:
    historian = RunRecorder(tmp_path, Disk(), FakeClock(), Held(tmp_path))
    for number in range(500):
        historian.take(no.Retrying(f"host {number}: refused", 1.0))
    historian.end(None, Interrupted("stopped"))
    historian.write_due()
    faults = [entry for entry in entries(tmp_path) if isinstance(entry, run_log.RetryEntry)]
    assert (len(faults), sum(fault.times for fault in faults)) == (9, 500)
    assert entries(tmp_path)[-1] == run_log.RunEnded(0.0, "interrupted", "stopped", 0, TERM)


@given(st.binary(max_size=60))
def test_torn_and_foreign_lines_are_left_out(rubbish: bytes) -> None:
    class Kept(Disk):
        def read(self, path: Path) -> bytes | None:
            good = run_log.encode(run_log.WarningEntry(1.0, "a")), run_log.encode(run_log.WarningEntry(2.0, "b"))
            return good[0] + rubbish + b"\n" + good[1] + good[0][:-9]

    found = list(run_log.read(Path(), Kept()))
    assert [entry for entry in found if isinstance(entry, run_log.WarningEntry)][:1] == [run_log.WarningEntry(1.0, "a")]
    assert found[-1] == run_log.WarningEntry(2.0, "b")


def test_a_run_begins_on_a_new_line(tmp_path: Path) -> None:
    (tmp_path / run_log.NAME).write_bytes(run_log.encode(run_log.WarningEntry(1.0, "a")) + b'{"e":"s","at":3')
    progress_file.write(tmp_path, progress_file.Live(host="h", pid=1, since="s", at="a", progress=progress(3)), Disk())
    RunRecorder(tmp_path, Disk(), FakeClock(), Held(tmp_path)).write_due()
    assert [type(entry) for entry in entries(tmp_path)] == [run_log.WarningEntry, run_log.RunBegan]
    assert progress_file.read(tmp_path, Disk()) is None, "what an earlier run left is not this run's"


def test_a_full_disk_only_loses_history_lines(tmp_path: Path) -> None:
    disk = FullDisk()
    historian = RunRecorder(tmp_path, disk, FakeClock(), Held(tmp_path))
    historian.take(no.Warned(message="lost"))
    historian.write_due()
    disk.full = False
    historian.take(no.Warned(message="kept"))
    historian.write_due()
    assert entries(tmp_path)[-1] == run_log.WarningEntry(0.0, "kept")


@pytest.mark.anyio
async def test_a_run_is_recorded_however_it_ends(tmp_path: Path) -> None:
    heard: list[no.AnyNotice] = []

    async def fine(tell: no.Listener) -> Report:
        tell(progress(5))
        return report(9)

    async def interrupted(tell: no.Listener) -> Report:
        raise RunFailed(Interrupted("stopped before everything was sent and verified"), report(4))

    async def broken(tell: no.Listener) -> Report:
        raise ZeroDivisionError

    assert await record_run(tmp_path, Disk(), FakeClock(), Held(tmp_path), fine, heard.append) == report(9)
    assert heard == [progress(5)]
    with pytest.raises(FigupError):
        await record_run(tmp_path, Disk(), FakeClock(), Held(tmp_path), interrupted, heard.append)
    with pytest.raises(ZeroDivisionError):
        await record_run(tmp_path, Disk(), FakeClock(), Held(tmp_path), broken, heard.append)
    ends = [entry for entry in await anyio.to_thread.run_sync(entries, tmp_path) if isinstance(entry, run_log.RunEnded)]
    assert [(end.code, end.sent) for end in ends] == [(None, 9), ("interrupted", 4), ("stopped", 0)]
    assert not (tmp_path / progress_file.NAME).exists()


@pytest.mark.anyio
async def test_a_process_that_lost_the_job_writes_and_removes_nothing(tmp_path: Path) -> None:
    lock = Held(tmp_path)
    live = progress_file.Live(host="other", pid=1, since="s", at="a", progress=progress(3))

    def take_over() -> None:
        run_log.append(tmp_path, run_log.encode(run_log.RunBegan("2026-03-01T12:00:00+00:00", "1", "h", 1, 4)), Disk())
        progress_file.write(tmp_path, live, Disk())

    async def lost(tell: no.Listener) -> Report:
        lock.fresh = False
        await anyio.to_thread.run_sync(take_over)
        tell(progress(5))
        raise RunFailed(JobBusy("another machine took over this job"), report())

    with pytest.raises(RunFailed):
        await record_run(tmp_path, Disk(), FakeClock(), lock, lost, lambda _: None)
    found = await anyio.to_thread.run_sync(entries, tmp_path)
    left = await anyio.to_thread.run_sync(progress_file.read, tmp_path, Disk())
    assert [entry.term for entry in found if isinstance(entry, run_log.RunBegan)] == [4]
    assert not any(isinstance(entry, run_log.RunEnded) for entry in found)
    assert left == live


@pytest.mark.anyio
async def test_the_recorder_ends_even_if_the_lease_cannot_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        raise OSError(errno.EMFILE, "too many open files")

    async def fine(_: no.Listener) -> Report:
        return report()

    lock = Held(tmp_path)
    monkeypatch.setattr(lock, "check", check)
    await record_run(tmp_path, Disk(), FakeClock(), lock, fine, lambda _: None)
    assert "figup-historian" not in {thread.name for thread in threading.enumerate()}


def test_what_was_not_written_while_the_lease_was_not_certain_is_written_later(tmp_path: Path) -> None:
    lock = Held(tmp_path)
    historian = RunRecorder(tmp_path, Disk(), FakeClock(), lock)
    lock.fresh = False
    historian.take(no.Warned(message="after a sleep"))
    historian.write_due()
    assert entries(tmp_path) == []
    lock.fresh = True
    historian.write_due()
    assert entries(tmp_path)[-1] == run_log.WarningEntry(0.0, "after a sleep")
