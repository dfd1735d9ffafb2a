"""How often an upload reads its source: once, although it is both sent and hashed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.files import md5_of, random_file
from benchmarks.harness import Measurement, Spread, forget_cached, in_turn, measure
from benchmarks.report import Bar, Column, Report
from benchmarks.upload import upload
from tests.support.environment import clean_environment

GIB = 1 << 30
MIB = 1 << 20


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """2 GiB of random bytes (`quick`: 256 MiB) that are not in memory, beside a plain read of the same file."""
    size = size or (GIB // 4 if quick else 2 * GIB)
    path = random_file(work, size)
    md5 = md5_of(path)
    measured, _ = in_turn(
        1 if quick else 3, {"a plain read": partial(plain_read, path), "figup upload": partial(send, path, md5, work)}
    )
    read = {name: Spread.of([cost.storage_read / size for cost in costs]) for name, costs in measured.items()}
    return Report(
        "one-pass",
        "Bytes read from storage, as a share of the file",
        [Column("read / size", 3, plot=True), Column("seconds", 1)],
        {name: [read[name], Spread.of([cost.seconds for cost in costs])] for name, costs in measured.items()},
        [
            # If a plain read is not counted either (tmpfs, some network mounts), the rest is meaningless.
            Bar("a plain read reads the whole file from storage", read["a plain read"].least, least=0.95, most=1.05),
            Bar("figup upload reads the file once", read["figup upload"].most, least=0.95, most=1.05),
        ],
    )


def plain_read(path: Path) -> Measurement:
    forget_cached(path)
    return measure(["dd", f"if={path}", "of=/dev/null", "bs=256K"], env=clean_environment(path.parent))[0]


def send(path: Path, md5: str, work: Path) -> Measurement:
    forget_cached(path)
    return upload(path, md5=md5, work=work)
