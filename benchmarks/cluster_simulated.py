"""How throughput adds up over the processes of one job: the real code of all of them, in virtual time.

Each process has its own line, and all of them share another one. Only lines take time; a byte stands for 160 KiB,
so that a part of the fake Figshare is one of 10 MiB.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.harness import Spread, of_one_round
from benchmarks.report import Bar, Column, Report
from tests.fakes.figshare import PART_SIZE
from tests.support import teams
from tests.support.teams import Crew
from uploader.cluster import leader
from uploader.transfer.parts import queue

SCALE = 160 << 10
"""Bytes that a byte stands for."""
MIB = 1 << 20
OWN, SHARED = 4 * MIB, 24 * MIB
"""Bytes per second of each process's line, and of the one that all share."""
MEMBERS = (1, 2, 4, 8)
_LEAST = 0.95


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """1 to 8 processes with 4 MiB/s each on a line of 24 MiB/s: one file of 8 GiB, and small files as many bytes."""
    total = size or (256 * MIB if quick else 8 << 30)
    rng = random.Random(1)
    contents = {
        "one file": {"big": rng.randbytes(total // SCALE)},
        "files of 5 MiB": {f"f{n:05}": rng.randbytes(PART_SIZE // 2) for n in range(total // (5 * MIB))},
    }
    rows: dict[str, list[Spread]] = {}
    bars = []
    for what, files in contents.items():
        for members in MEMBERS:
            print(f"  {what}, {members} processes", flush=True)
            began = time.process_time()
            seconds = _play(work / f"{what}-{members}", files, members)
            cpu = time.process_time() - began
            possible = min(members * OWN, SHARED)
            share = sum(map(len, files.values())) * SCALE / seconds / possible
            label = f"{what}, {members} {'process' if members == 1 else 'processes'}"
            rows[label] = of_one_round(share * possible / MIB, possible / MIB, 100 * share, cpu)
            bars.append(Bar(f"{label}: share of what is possible", round(share, 3), least=_LEAST))
    columns = [
        Column("MiB/s", 1, plot=True),
        Column("possible, MiB/s"),
        Column("%", 1),
        Column("CPU seconds of the simulation", 1),
    ]
    return Report("cluster-simulated", "1 to 8 processes on one job, simulated", columns, rows, bars)


def _play(folder: Path, files: dict[str, bytes], members: int) -> float:
    """Send the files by several processes; return the seconds from the first start to the last part."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (queue, leader):
            patch.setattr(module, "SMALL", PART_SIZE)
        patch.setattr(teams, "PATIENCE", float("inf"))
        patch.setattr(teams, "TIME_LIMIT", float("inf"))
        crew = Crew(folder, patch, files, strangers=True)
        crew.figshare.duration = _lines(crew)

        async def script(crew: Crew) -> None:
            for _ in range(members):
                crew.start()

        asyncio.run(crew.play(script, time_limit=3600))
        crew.check()
        return crew.figshare.sent[-1][3]


def _lines(crew: Crew) -> Callable[[str, int], float]:
    """Return how long a part takes: it waits for what is on the process's line, and on the shared one."""
    free: defaultdict[str, float] = defaultdict(float)

    def duration(who: str, size: int) -> float:
        now = crew.clock.monotonic()
        free[who] = max(now, free[who]) + size * SCALE / OWN
        free[""] = max(now, free[""]) + size * SCALE / SHARED
        return max(free[who], free[""]) - now

    return duration
