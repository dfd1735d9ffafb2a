"""The cost of an interruption: figup is killed at 90 %, and resumes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.contenders import Send, check
from benchmarks.files import md5_of, random_file, sparse_file
from benchmarks.harness import Spread, of_one_round
from benchmarks.job import Job
from benchmarks.link import Line
from benchmarks.report import Bar, Column, Report
from benchmarks.simulated import simulated
from benchmarks.stage import PART_SIZE, Stage, stage
from benchmarks.wide_area import LINES
from uploader.sources.digest import SAVE_BYTES, SAVE_SECONDS

MIB = 1 << 20
TB = 10**12
SHARE, LARGE_SHARE = 0.9, 0.99
ROUNDS = 5
"""Rounds without a line, where a full run takes seconds."""
_AGE = 65
"""Seconds after the last change of a file from which the state of its MD5 is kept."""
_KEPT_EVERY = SAVE_SECONDS + 0.5
"""Seconds between two states of the MD5 on disk: events are synced every half second."""
_MODULES = 32 << 20
"""More bytes than Python reads when figup starts."""


@dataclass(frozen=True)
class Interruption:
    """The time of an uninterrupted run and of the resumed one, and the bytes sent twice, and read again."""

    full_seconds: float
    resumed_seconds: float
    sent_again: int
    in_flight: int
    """Maximum bytes in flight: one part per connection."""
    read_again: int
    """Bytes read from files in addition to those that were left to send."""
    interval: int
    """Maximum bytes between two kept states of the MD5."""

    @property
    def share(self) -> float:
        """The time to resume as a fraction of a full run."""
        return self.resumed_seconds / self.full_seconds


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """1 GB over simulated lines and 4 GiB on this machine: the time to finish, and the bytes sent again."""
    source = random_file(work, size or (64 if quick else 954) * MIB)
    large = source if quick or size else random_file(work, 4096 * MIB)
    if not quick:
        _let_age(large)
    lines = dict(list(LINES.items())[:1]) if quick else LINES
    rows = {name: [interrupted(source, line)] for name, line in lines.items()}
    rows["no line, on this machine"] = [interrupted(large, None) for _ in range(1 if quick else ROUNDS)]
    return Report(
        "resume",
        "Resuming after a SIGKILL at 90 %",
        [
            Column("time to resume, % of a full run", 1, plot=True),
            Column("MB sent again", 1, plot=True),
            Column("MB in flight at most"),
            Column("MB read again", 1),
            Column("full run, seconds", 1),
            Column("resuming, seconds", 1),
        ],
        {
            name: [
                Spread.of([100 * one.share for one in rounds]),
                Spread.of([one.sent_again / 10**6 for one in rounds]),
                Spread.of([one.in_flight / 10**6 for one in rounds]),
                Spread.of([one.read_again / 10**6 for one in rounds]),
                Spread.of([one.full_seconds for one in rounds]),
                Spread.of([one.resumed_seconds for one in rounds]),
            ]
            for name, rounds in rows.items()
        },
        [bar for name, rounds in rows.items() for bar in _bars(name, rounds, most=0.12 if name in lines else 0.2)],
        ["--quick does not wait until the file is old enough for its MD5 to be kept: then all is hashed once more."],
    )


def run_large(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """A sparse file of 1 TB, killed at 99 %: the time until the next part arrives."""
    size = size or (512 * MIB if quick else TB)
    source = sparse_file(work, size)
    if not quick:
        _let_age(source)
    with stage(discard=True) as place, tempfile.TemporaryDirectory(dir=work) as home:
        job = Job(Send(place, source, "", Path(home)))
        job.run_until(lambda: _parts_there(place, pause=0.1 if quick else 5.0) >= LARGE_SHARE * size / PART_SIZE)
        # What the server was still receiving is there by then.
        time.sleep(2)
        there = _newest(place)
        seconds = job.run_until(lambda: _newest(place) != there)
    return Report(
        "resume-large",
        f"A file of {size / 10**9:g} GB, killed at 99 %",
        [Column("seconds until the next part", 1, plot=True)],
        {"figup": of_one_round(seconds)},
        [Bar("seconds until the next part has arrived", round(seconds, 1), most=5)],
    )


def _parts_there(place: Stage, *, pause: float) -> int:
    """The number of complete parts, counted after a pause, since there may be 100,000."""
    time.sleep(pause)
    return sum(1 for _ in (place.folder / "parts").glob("*/*"))


def _newest(place: Stage) -> int:
    """When the last part arrived, in nanoseconds."""
    return max(upload.stat().st_mtime_ns for upload in (place.folder / "parts").iterdir())


def _let_age(source: Path) -> None:
    time.sleep(max(0.0, source.stat().st_ctime + _AGE - time.time()))


def _bars(name: str, rounds: list[Interruption], *, most: float) -> list[Bar]:
    """The bars of one line; `most` is that for the time."""
    return [
        Bar(f"{name}: time to resume / a full run", median(one.share for one in rounds), most=most),
        Bar(f"{name}: bytes sent again / in flight", max(one.sent_again / one.in_flight for one in rounds), most=1),
        Bar(
            f"{name}: bytes read again / in flight, one interval and Python's modules",
            max(one.read_again / (one.in_flight + one.interval + _MODULES) for one in rounds),
            most=1,
        ),
    ]


def interrupted(source: Path, line: Line | None) -> Interruption:
    """Send the file, then once more with an interruption. Raises RuntimeError if a copy is not the source."""
    if line is None:
        with stage() as place:
            return _interrupted(place, source)
    with simulated(line) as link, stage(link=link) as place:
        return _interrupted(place, source)


def _interrupted(place: Stage, source: Path) -> Interruption:
    md5, size = md5_of(source), source.stat().st_size
    place.expect(source, md5)
    with tempfile.TemporaryDirectory(dir=source.parent) as home:
        _, full, _ = Job(Send(place, source, md5, Path(home))).run()
    place.clear()
    with tempfile.TemporaryDirectory(dir=source.parent) as home:
        job = Job(Send(place, source, md5, Path(home)))
        job.run_until(lambda: stored_bytes(place) >= SHARE * size)
        there = stored_bytes(place)
        _, resumed, summary = job.run()
        check(place, source, md5)
    # Parts that were being received when figup was killed count only if they are complete.
    left = size - there
    interval = max(SAVE_BYTES, int(size / full * _KEPT_EVERY))
    return Interruption(
        full, resumed, summary["bytes_sent"] - left, 32 * PART_SIZE, job.bytes_read - summary["bytes_sent"], interval
    )


def stored_bytes(place: Stage) -> int:
    """Bytes of the complete parts."""
    return sum(path.stat().st_size for path in (place.folder / "parts").glob("*/*"))
