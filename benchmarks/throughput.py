"""Time and CPU of one large file over TLS, compared with the alternatives."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Contender, Sent, perform
from benchmarks.files import md5_of, random_file
from benchmarks.harness import Spread, in_turn
from benchmarks.report import Bar, Column, Report
from benchmarks.stage import stage

GIB = 1 << 30
MIB = 1 << 20
MB = 10**6
SHELL = "md5sum, then curl -Z"
IN_MEMORY = "figup, source on tmpfs"
"""Such a source cannot be read without blocking (RWF_NOWAIT), like those on network file systems."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a private folder is made in it
PEERS: dict[str, Contender] = {
    SHELL: contenders.md5sum_and_curl,
    **{f"pyfigshare, {number} workers": partial(contenders.pyfigshare, workers=number) for number in (4, 8, 16)},
    "one request at a time, as documented": contenders.documented_flow,
    "rclone to WebDAV (no MD5)": contenders.rclone,
}


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """One file of 4 GiB over TLS to nginx: figup, md5sum + curl, pyfigshare, the documented flow, rclone."""
    size = size or (GIB // 8 if quick else 4 * GIB)
    source = random_file(work, size)
    md5 = md5_of(source)
    runs: dict[str, Contender] = {"figup": contenders.figup, **PEERS}
    with stage() as place, in_memory(source) as copy:
        rounds = {name: partial(perform, one, place, source, md5) for name, one in runs.items()}
        if copy is not None:
            rounds[IN_MEMORY] = partial(perform, contenders.figup, place, copy, md5, work=work)
        measured, missing = in_turn(1 if quick else 3, rounds)
    if copy is None:
        missing.append(f"{IN_MEMORY}: {SHARED_MEMORY} has not enough room")
    # Without the shell's programs, figup is the reference.
    shell = [sent.cost.seconds for sent in measured.get(SHELL, measured["figup"])]
    return Report(
        "throughput",
        f"Sending {size / GIB:g} GiB over TLS to nginx on the same machine",
        [
            Column("MB/s", plot=True),
            Column("CPU seconds a GiB", 2, plot=True),
            Column("peak memory, MiB"),
            Column(f"time / ({SHELL})", 2),
            Column("servers' CPU seconds a GiB", 2),
        ],
        {name: quantities(sent, size, shell) for name, sent in measured.items()},
        bars(measured),
        [*missing, "In every round the MD5 of what nginx has stored was compared with the source's."],
    )


@contextmanager
def in_memory(source: Path) -> Iterator[Path | None]:
    """A copy of the source in a file system in memory; None if it has no room for it and for what is received."""
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < 3 * source.stat().st_size:
        yield None
        return
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as folder:
        yield Path(shutil.copy(source, folder))


def quantities(rounds: Sequence[Sent], size: int, shell: Sequence[float]) -> list[Spread]:
    costs = [sent.cost for sent in rounds]
    return [
        Spread.of([size / MB / cost.seconds for cost in costs]),
        Spread.of([cost.cpu_seconds / (size / GIB) for cost in costs]),
        Spread.of([cost.peak_memory / MIB for cost in costs]),
        # Per round: other load affected both.
        Spread.of([cost.seconds / other for cost, other in zip(costs, shell, strict=True)]),
        Spread.of([sent.server_cpu_seconds / (size / GIB) for sent in rounds]),
    ]


def bars(measured: Mapping[str, Sequence[Sent]]) -> list[Bar]:
    """The limits for the medians."""

    def seconds(name: str) -> float:
        return Spread.of([sent.cost.seconds for sent in measured[name]]).median

    def cpu(name: str) -> float:
        return Spread.of([sent.cost.cpu_seconds for sent in measured[name]]).median

    found: list[Bar] = []
    if IN_MEMORY in measured:
        found += [
            Bar("wall time, source on tmpfs / on disk", seconds(IN_MEMORY) / seconds("figup"), most=1.1),
            Bar("CPU, source on tmpfs / on disk", cpu(IN_MEMORY) / cpu("figup"), most=1.1),
        ]
    if SHELL in measured:
        found += [
            Bar(f"wall time, figup / ({SHELL})", seconds("figup") / seconds(SHELL), most=0.72),
            Bar(f"CPU, figup / ({SHELL})", cpu("figup") / cpu(SHELL), most=1.25),
        ]
    if others := [seconds(name) for name in measured if name.startswith("pyfigshare")]:
        found.append(Bar("wall time, figup / pyfigshare's best", seconds("figup") / min(others), most=0.5))
    return found
