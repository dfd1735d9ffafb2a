"""Plain progress lines, with a fake clock."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from uploader.cli.output.progress_lines import EVERY, Forecast, Lines, progress_line, time_left
from uploader.transfer import notices as no


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def progress(done: int = 250, *, rate: float | None = 50.0, waiting: bool = False, verified: int = 0) -> no.Progress:
    active = (no.ActiveFile(path="/a", name="a", size=1000, bytes_done=done, waiting=waiting),) if verified == 0 else ()
    return no.Progress(
        bytes_done=done, bytes_total=1000, files_done=verified, files_total=1, rate=rate, connections=3, active=active
    )


def test_a_line_has_bytes_percent_files_rate_time_left_and_connections() -> None:
    assert progress_line(progress()) == (
        "250 bytes of 1.00 kB (25 %), 0 of 1 file verified, 50 bytes/s, 15 s left, 3 connections"
    )


def test_without_progress_there_is_no_time_left() -> None:
    assert time_left(progress(rate=None)) is None
    assert progress_line(progress(0, rate=None)).endswith("0 of 1 file verified, 3 connections")


def test_the_forecast_of_many_small_files_uses_their_number() -> None:
    forecast = Forecast()

    def of_many(files: int) -> no.Progress:
        return no.Progress(
            bytes_done=990, bytes_total=1000, files_done=files, files_total=1000, rate=10.0, connections=3, active=()
        )

    assert forecast(0.0, of_many(0)) == 1.0
    assert forecast(10.0, of_many(20)) == 490.0
    assert forecast(20.0, msgspec.structs.replace(of_many(999), rate=0.001)) == pytest.approx(10_000)
    few = Forecast()
    few(0.0, progress())
    assert few(10.0, progress()) == 15.0


@pytest.mark.parametrize(
    ("rate", "limit"), [(1.0, "Figshare's limit of one request a second"), (0.5, "the limit of 0.5 requests a second")]
)
def test_the_forecast_uses_the_slower_of_bytes_and_files(rate: float, limit: str) -> None:
    held = msgspec.structs.replace(
        progress(999, waiting=True),
        files_done=112,
        files_total=500,
        request_rate=rate,
        requests_left=540,
        requests_total=1000,
    )
    left = {1.0: "9 min 00 s", 0.5: "18 min 00 s"}[rate]
    assert progress_line(held) == f"112 of 500 files verified, 46 %, held by {limit}, about {left} left"


def test_failed_files_are_counted_and_nothing_is_left_when_all_have_ended() -> None:
    failing = msgspec.structs.replace(progress(999), files_total=100, files_done=98, files_failed=1)
    assert ", 98 of 100 files verified, 1 failed, 50 bytes/s, 0 s left" in progress_line(failing)
    ended = msgspec.structs.replace(failing, files_done=99)
    assert progress_line(ended) == "999 bytes of 1.00 kB (99 %), 99 of 100 files verified, 1 failed"


@pytest.mark.parametrize("request_rate", [None, 1.0])
def test_the_last_line_promises_nothing(request_rate: float | None) -> None:
    written: list[str] = []
    lines = Lines(written.append, Clock())
    lines.update(progress(10))
    lines.update(msgspec.structs.replace(progress(990), request_rate=request_rate, requests_total=2))
    lines.close()
    assert written[-1] == "990 bytes of 1.00 kB (99 %), 0 of 1 file verified"


def test_after_sending_the_line_says_what_is_awaited() -> None:
    line = progress_line(progress(1000, waiting=True))
    assert line == "1.00 kB of 1.00 kB (100 %), 0 of 1 file verified, waiting for Figshare's checksum"


def test_many_files_of_which_those_at_hand_were_sent_have_a_rate_and_an_end() -> None:
    many = msgspec.structs.replace(progress(250, waiting=True), files_total=500, files_done=112)
    assert progress_line(many).endswith("112 of 500 files verified, 50 bytes/s, 15 s left, 3 connections")
    stuck = msgspec.structs.replace(many, rate=0.0)
    assert progress_line(stuck).endswith("112 of 500 files verified, waiting for Figshare's checksum")


def test_after_verification_the_line_is_short() -> None:
    done = progress(1000, verified=1)
    assert progress_line(done) == "1.00 kB of 1.00 kB (100 %), 1 of 1 file verified"
    still_active = msgspec.structs.replace(done, active=progress(1000, waiting=True).active)
    assert progress_line(still_active) == progress_line(done)


def test_a_line_at_the_start_every_thirty_seconds_and_at_the_end() -> None:
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    for _ in range(int(2 * EVERY * 4)):
        lines.update(progress())
        clock.now += 0.25
    assert len(said) == 2
    lines.update(progress(999))
    assert len(said) == 3
    lines.update(progress(1000))
    lines.close()
    assert len(said) == 4
    assert said[-1].startswith("1.00 kB of 1.00 kB")


@pytest.mark.parametrize(
    ("resumed", "words"),
    [(False, "job k3: 2 files, 1.00 kB"), (True, "job k3, resumed: 2 files, 1.00 kB")],
)
def test_the_first_line_names_the_job(resumed: bool, words: str) -> None:
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    lines.job_started(no.JobStarted(job="k3", resumed=resumed, files=2, bytes_total=1000))
    lines.update(progress())
    assert said == [words]
    clock.now += EVERY
    lines.update(progress())
    assert len(said) == 2


def test_the_last_line_is_not_repeated() -> None:
    said: list[str] = []
    lines = Lines(said.append, Clock())
    lines.close()
    lines.update(progress())
    lines.close()
    assert len(said) == 1
