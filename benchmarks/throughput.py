"""How fast an upload is, and what it costs the CPU, beside a bare MD5 and a bare read of the same file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.files import md5_of, random_file
from benchmarks.harness import Measurement, Spread, in_turn, measure
from benchmarks.report import Column, Report
from benchmarks.upload import upload
from tests.support.environment import clean_environment

GIB = 1 << 30
MB = 10**6


def run(work: Path, *, quick: bool) -> Report:
    """2 GiB of random bytes (`quick`: 256 MiB) that are in memory, so that storage is no part of it."""
    size = GIB // 4 if quick else 2 * GIB
    path = random_file(work, size)
    md5 = md5_of(path)
    measured = in_turn(
        1 if quick else 5,
        {
            "read alone": partial(alone, ["dd", f"if={path}", "of=/dev/null", "bs=256K"], path),
            "md5sum alone": partial(alone, ["md5sum", str(path)], path),
            "figup upload": partial(upload, path, md5=md5, work=work),
        },
    )
    bare = Spread.of([cost.seconds for cost in measured["md5sum alone"]]).median
    return Report(
        "throughput",
        f"Sending {size / GIB:g} GiB to a sandbox on the same machine",
        [Column("MB/s"), Column("CPU seconds a GiB", 2), Column("time / md5sum", 2)],
        {name: quantities(costs, size, bare) for name, costs in measured.items()},
        notes=["The sandbox shares the machine: it receives, stores and hashes the same bytes at the same time."],
    )


def quantities(costs: Sequence[Measurement], size: int, bare: float) -> list[Spread]:
    return [
        Spread.of([size / MB / cost.seconds for cost in costs]),
        Spread.of([cost.cpu_seconds / (size / GIB) for cost in costs]),
        Spread.of([cost.seconds / bare for cost in costs]),
    ]


def alone(command: Sequence[str], path: Path) -> Measurement:
    return measure(command, env=clean_environment(path.parent))[0]
