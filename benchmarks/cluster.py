"""How throughput adds up over the processes of one job: real processes on one machine, each with a line of its own.

Each process sends from an address of its own (127.0.0.2 and on), by which the simulated line tells them apart. A shared
line takes what all of them send. The state directory is a local one, so its latency is not a cluster's.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.files import md5_of
from benchmarks.harness import Measurement, Spread, in_turn, measure
from benchmarks.link import Carried, Line
from benchmarks.report import Bar, Column, Report
from benchmarks.service import TOKEN
from benchmarks.simulated import RunningLink, simulated
from benchmarks.stage import Stage, stage
from tests.support.environment import clean_environment

MIB = 1 << 20
OWN, SHARED = 16 * MIB, 96 * MIB
"""Bytes per second of each process's line, and of the one that all share."""
LINE = Line(SHARED, round_trip=0.010, window=MIB, own=OWN)
SMALL = 2_000_000
MEMBERS = (1, 2, 4, 8)
_LEAST = 0.95


@dataclass(frozen=True)
class Round:
    """One upload by several processes. `seconds` are those between the first and the last byte of a part."""

    size: int
    seconds: float
    leader: Measurement
    others: list[Measurement]

    def share(self) -> float:
        """The rate, as a fraction of what the lines allow."""
        return self.size / self.seconds / possible(1 + len(self.others))


def possible(members: int) -> int:
    """Bytes per second that the lines allow."""
    return min(members * OWN, SHARED)


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """1 to 8 processes with 16 MiB/s each on a line of 96 MiB/s: one file of 8 GiB, and small files as many bytes."""
    size = size or (256 * MIB if quick else 8 << 30)
    sources = {"one file": _zeros(work / "one", 1, size), "files of 2 MB": _zeros(work / "many", size // SMALL, SMALL)}
    with simulated(LINE) as link, stage(discard=True, link=link) as place:
        runs: dict[str, Callable[[], Round]] = {
            f"{what}, {members} {'process' if members == 1 else 'processes'}": partial(
                upload, folder, members, place, link
            )
            for what, folder in sources.items()
            for members in (MEMBERS[:2] if quick else MEMBERS)
        }
        measured, missing = in_turn(1, runs)
    rounds = {label: found[0] for label, found in measured.items()}
    return Report(
        "cluster",
        "1 to 8 processes on one job",
        [
            Column("MiB/s", 1, plot=True),
            Column("possible, MiB/s"),
            Column("%", 1),
            Column("leader: CPU seconds", 1),
            Column("leader: MB", 0),
            Column("others, each: CPU seconds", 1),
            Column("others, most: MB", 0),
        ],
        {label: _row(one) for label, one in rounds.items()},
        [
            Bar(f"{label}: share of what is possible", round(one.share(), 3), least=_LEAST)
            for label, one in rounds.items()
        ],
        missing,
    )


def upload(folder: Path, members: int, place: Stage, link: RunningLink) -> Round:
    """Send a folder by several processes that start at once. Raises RuntimeError unless all bytes have arrived."""
    files = list(folder.iterdir())
    size = sum(file.stat().st_size for file in files)
    place.clear()
    place.expect(files[0], md5_of(files[0]))
    link.carried()
    with tempfile.TemporaryDirectory(dir=folder.parent) as home, ThreadPoolExecutor(members) as pool:
        ended = list(pool.map(partial(_member, folder, Path(home), place), range(members)))
    carried: Carried = link.carried()
    if (arrived := place.stored_zeros()) != size:
        raise RuntimeError(f"{arrived} bytes arrived of {size}")
    (leader,) = [cost for cost, leads in ended if leads]
    others = [cost for cost, leads in ended if not leads]
    return Round(size, carried.last - carried.first, leader, others)


def _member(folder: Path, home: Path, place: Stage, number: int) -> tuple[Measurement, bool]:
    """Run one process to its end; also return whether it was the leader."""
    command: list[str | Path] = [sys.executable, "-m", "uploader", "upload", folder, "--title", "cluster", "--json"]
    options: list[str | Path] = [
        "--bind",
        f"127.0.0.{2 + number}",
        "--api-rate",
        "1000",
        "--no-progress",
        "--ca-file",
        place.ca_file,
    ]
    env = clean_environment(home) | {
        "FIGSHARE_ENDPOINT": place.endpoint,
        "FIGSHARE_TOKEN": TOKEN,
        "PYTHONPATH": os.fspath(Path(__file__).parent.parent),
    }
    cost, stdout = measure([*command, *options, "--join", "--state-dir", home / "state"], env=env)
    return cost, any(json.loads(line)["event"] == "job" for line in stdout.splitlines())


def _row(one: Round) -> list[Spread]:
    return [
        Spread.of([one.size / one.seconds / MIB]),
        Spread.of([possible(1 + len(one.others)) / MIB]),
        Spread.of([100 * one.share()]),
        Spread.of([one.leader.cpu_seconds]),
        Spread.of([one.leader.peak_memory / 1e6]),
        Spread.of([other.cpu_seconds for other in one.others] or [0.0]),
        Spread.of([max((other.peak_memory for other in one.others), default=0) / 1e6]),
    ]


def _zeros(folder: Path, count: int, size: int) -> Path:
    """Make files of zeros, which the server compares and discards on arrival."""
    folder.mkdir()
    for number in range(count):
        with (folder / f"f{number:05}").open("wb") as file:
            file.truncate(size)
    return folder
