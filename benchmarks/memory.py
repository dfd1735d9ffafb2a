"""The memory of an upload, which must be small and independent of the size of the file and its parts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Contender, Sent, perform
from benchmarks.files import md5_of_zeros, sparse_file
from benchmarks.harness import Measurement, Spread, in_turn
from benchmarks.report import Bar, Column, Report
from benchmarks.stage import stage

GIB = 1 << 30
MIB = 1 << 20
LIMIT = 120 * MIB

OTHERS: dict[str, Contender] = {
    "md5sum, then curl -Z": contenders.md5sum_and_curl,
    "pyfigshare, 4 workers": partial(contenders.pyfigshare, workers=4),
    "pyfigshare, 16 workers": partial(contenders.pyfigshare, workers=16),
    "one request at a time, as documented": contenders.documented_flow,
    "rclone to WebDAV": contenders.rclone,
}


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """Sparse files from 100 MB to 64 GiB, in parts from 10 MiB to 1 GiB; the others with 1 GiB."""
    largest = size or (GIB // 2 if quick else 64 * GIB)
    sizes = [one for one in (100_000_000, GIB, 8 * GIB) if one < largest] + [largest]
    of_parts = min(GIB if quick else 8 * GIB, largest)
    figup, notes = contenders.figup, list[str]()
    rows: dict[str, list[Measurement]] = {}

    def measured(label: str, file_size: int, part_size: int, who: Contender) -> None:
        found, missing = in_turn(1, {label: partial(zeros, who, work, file_size, part_size)})
        rows.update({name: [sent.cost for sent in rounds] for name, rounds in found.items()})
        notes.extend(missing)

    for one in sizes:
        measured(f"figup, {label(one)} in parts of 10 MiB", one, 10 * MIB, figup)
    for part in (100 * MIB, GIB):
        measured(f"figup, {label(of_parts)} in parts of {label(part)}", of_parts, part, figup)
    measured(f"figup, {label(of_parts)}, 32 connections", of_parts, 10 * MIB, partial(figup, options=MOST))
    others = min(GIB, largest)
    for name, who in OTHERS.items():
        for part in (10 * MIB, 256 * MIB):
            measured(f"{name}, {label(others)} in parts of {label(part)}", others, part, who)
    return Report(
        "memory",
        "Peak memory",
        [Column("peak memory, MiB", plot=True), Column("seconds", 1), Column("CPU seconds", 1)],
        {
            name: [
                Spread.of([m.peak_memory / MIB for m in costs]),
                Spread.of([m.seconds for m in costs]),
                Spread.of([m.cpu_seconds for m in costs]),
            ]
            for name, costs in rows.items()
        },
        [
            Bar(f"{name}: peak memory, MiB", max(m.peak_memory for m in costs) / MIB, most=LIMIT / MIB)
            for name, costs in rows.items()
            if name.startswith("figup")
        ],
        [*notes, "Parts of zeros over TLS, compared with zeros and thrown away as they come (xxh3)."],
    )


MOST = ("--connections", "32")


def label(size: int) -> str:
    return f"{size // GIB} GiB" if size >= GIB else f"{size // MIB} MiB"


def zeros(who: Contender, work: Path, size: int, part_size: int) -> Sent:
    """One round with a sparse file on a stage that keeps nothing."""
    path = sparse_file(work, size)
    try:
        with stage(part_size=part_size, discard=True) as place:
            return perform(who, place, path, md5_of_zeros(size))
    finally:
        path.unlink()
