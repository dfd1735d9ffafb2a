"""Whether the cost depends only on the bytes: up to 100 GB, a hundred thousand parts, a long journal."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Send, perform
from benchmarks.files import md5_of_zeros, sparse_file
from benchmarks.harness import Measurement, of_one_round
from benchmarks.job import Job
from benchmarks.report import Bar, Column, Report
from benchmarks.stage import stage
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import decode, encode

GB = 10**9
MIB = 1 << 20
MANY = 100_000
"""Parts."""


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """1, 10 and 100 GB, 10 to 100,000 parts, the start of a resume of 100,000 parts, a journal of a million."""
    most = size or (GB // 4 if quick else 100 * GB)
    grown: dict[int, Measurement] = {}
    for one in [one for one in (GB, 10 * GB, 100 * GB) if one < most] + [most]:
        print(f"  {one / GB:g} GB in parts of 1 MB", flush=True)
        grown[one] = _zeros(work, one, 10**6)
    print("  1 GB in 10 parts", flush=True)
    few = _zeros(work, min(GB, most), min(GB, most) // 10)
    parts = 2_000 if quick else MANY
    print(f"  {parts:,} parts, killed half way, and resumed", flush=True)
    started, resumed = _resume(work, parts)
    per_part, replayed = _journal(10_000 if quick else 1_000_000)
    smaller, larger = list(grown.values())[-2:] if len(grown) > 1 else (few, grown[most])
    before, after = sorted(grown)[-2:] if len(grown) > 1 else (most, most)
    rows = {f"{one / GB:g} GB in {-(-one // 10**6):,} parts": (cost, one) for one, cost in grown.items()}
    rows[f"{min(GB, most) / GB:g} GB in 10 parts"] = (few, min(GB, most))
    return Report(
        "scale",
        "From 1 to 100 GB",
        [
            Column("seconds a GB", 2, plot=True),
            Column("CPU seconds a GB", 2, plot=True),
            Column("peak memory, MiB", plot=True),
            Column("seconds", 1),
        ],
        {
            name: of_one_round(
                cost.seconds / (one / GB), cost.cpu_seconds / (one / GB), cost.peak_memory / MIB, cost.seconds
            )
            for name, (cost, one) in rows.items()
        },
        [
            Bar("wall time of the last tenfold / ten", larger.seconds / smaller.seconds / (after / before), most=1.05),
            Bar(
                "CPU of the last tenfold / ten", larger.cpu_seconds / smaller.cpu_seconds / (after / before), most=1.05
            ),
            Bar(f"start of a resume of {parts:,} parts, seconds", started, most=2),
            Bar("journal, bytes a part", per_part, most=100),
        ],
        [
            f"Resuming {parts:,} parts of 1 KiB, half of them there: asked the server for its parts after"
            f" {started:.2f} s, ended after {resumed:.1f} s.",
            f"A journal of {10_000 if quick else 1_000_000:,} parts is replayed in {replayed:.2f} s.",
        ],
    )


def _zeros(work: Path, size: int, part_size: int) -> Measurement:
    path = sparse_file(work, size)
    try:
        with stage(part_size=part_size, discard=True) as place:
            return perform(contenders.figup, place, path, md5_of_zeros(size)).cost
    finally:
        path.unlink()


def _resume(work: Path, parts: int) -> tuple[float, float]:
    """Seconds until a resumed job has asked for its parts, and until it ends."""
    path = sparse_file(work, parts * 1024)
    md5 = md5_of_zeros(parts * 1024)
    with stage(part_size=1024) as place, tempfile.TemporaryDirectory(dir=work) as home:
        place.expect(path, md5)
        job = Job(Send(place, path, md5, Path(home)))
        job.run_until(lambda: sum(1 for _ in (place.folder / "parts").glob("*/*")) >= parts // 2)
        place.catch_up()
        started, ended, _ = job.run()
        if place.stored_md5() != md5:
            raise RuntimeError("what is stored is not the source")
    path.unlink()
    return started, ended


def _journal(parts: int) -> tuple[float, float]:
    """Bytes per part, and seconds to read a journal of this many parts."""
    data, _ = encode(ev.PartSent(0, no=number, xxh3=0xFEDCBA9876543210 - number) for number in range(1, parts + 1))
    began = time.perf_counter()
    replay = decode(data)
    seconds = time.perf_counter() - began
    if len(replay.events) != parts or not replay.clean:
        raise RuntimeError("the journal does not read as it was written")
    return len(data) / parts, seconds
