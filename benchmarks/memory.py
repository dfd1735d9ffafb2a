"""How much memory an upload takes: whatever the size of the file and of its parts, the same, and little."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.files import md5_of_zeros, sparse_file
from benchmarks.harness import Measurement, Spread, in_turn
from benchmarks.report import Bar, Column, Report
from benchmarks.upload import upload

GIB = 1 << 30
MIB = 1 << 20
LIMIT = 120 * MIB


def run(work: Path, *, quick: bool) -> Report:
    """Sparse files of 1, 8 and 64 GiB, and 8 GiB in parts of 512 MiB; `quick`: of 256 MiB and 1 GiB."""
    small, large = (GIB // 4, GIB) if quick else (GIB, 8 * GIB)
    runs: dict[str, Callable[[], Measurement]] = {
        label(small): partial(upload_zeros, small, work),
        label(large): partial(upload_zeros, large, work),
        f"{label(large)} in parts of 512 MiB": partial(upload_zeros, large, work, "--part-size", "512MiB"),
    }
    measured = in_turn(1 if quick else 3, runs)
    if not quick:
        measured |= in_turn(1, {label(64 * GIB): partial(upload_zeros, 64 * GIB, work)})
    return Report(
        "memory",
        "Peak memory of figup upload",
        [Column("peak memory, MiB"), Column("seconds", 1)],
        {
            name: [Spread.of([m.peak_memory / MIB for m in costs]), Spread.of([m.seconds for m in costs])]
            for name, costs in measured.items()
        },
        [
            Bar(f"{name}: peak memory, MiB", max(m.peak_memory for m in costs) / MIB, most=LIMIT / MIB)
            for name, costs in measured.items()
        ],
    )


def label(size: int) -> str:
    return f"{size // GIB} GiB" if size >= GIB else f"{size // MIB} MiB"


def upload_zeros(size: int, work: Path, *sandbox_args: str) -> Measurement:
    path = sparse_file(work, size)
    try:
        return upload(path, md5=md5_of_zeros(size), work=work, sandbox_args=sandbox_args)
    finally:
        path.unlink()
