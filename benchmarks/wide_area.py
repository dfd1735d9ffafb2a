"""The utilisation of a wide-area line: figup without options, and with numbers of connections chosen by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Contender, perform
from benchmarks.files import md5_of, random_file
from benchmarks.harness import Spread, in_turn
from benchmarks.link import Carried, Line
from benchmarks.report import Bar, Column, Report
from benchmarks.simulated import RunningLink, simulated
from benchmarks.stage import Stage, stage

MIB = 1 << 20
MBIT = 10**6 / 8
LINES = {
    "1 Gbit/s, 10 ms": Line(1000 * MBIT, 0.010, 4 * MIB),
    "400 Mbit/s, 80 ms, windows of 1 MB": Line(400 * MBIT, 0.080, 10**6),
    "100 Mbit/s, 200 ms, windows of 512 KB, a drop every 200 MB": Line(100 * MBIT, 0.200, 512_000, 200 * 10**6),
}
FIXED = (4, 8, 16)
"""Connections chosen by hand; `auto` is compared with the best of them."""
AUTO = "figup, no flags"
SLOW = "one request at a time"


@dataclass(frozen=True)
class Crossing:
    """One file over one line: shares of the line's capacity, 0 to 1."""

    between: float
    """Between the first and the last byte of a part: bytes transferred."""
    whole: float
    """Over the whole command: bytes of the file."""
    seconds: float
    carried: Carried


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """1 GB over simulated lines, from 1 Gbit/s at 10 ms to 100 Mbit/s at 200 ms with drops; figup and others."""
    size = size or (32 if quick else 954) * MIB
    lines = dict(list(LINES.items())[:1]) if quick else LINES
    rows: dict[str, list[Spread]] = {}
    bars: list[Bar] = []
    notes: list[str] = [f"{SLOW}: a tenth of the file (its rate does not depend on the length)."]
    for name, line in lines.items():
        with simulated(line) as link, stage(link=link) as place:
            crossings, missing = in_turn(1, _runs(place, link, work, size, quick=quick))
        notes += missing
        rows |= {f"{name}: {who}": _spreads(found) for who, found in crossings.items()}
        bars += _bars(name, {who: found[0] for who, found in crossings.items()})
    return Report(
        "wide-area",
        f"{size / 10**6:.0f} MB over a simulated line",
        [
            Column("% of the line, first to last byte", 1, plot=True),
            Column("% of the line, whole command", 1, plot=True),
            Column("seconds", 1),
            Column("connections made"),
            Column("drops"),
        ],
        rows,
        bars,
        notes,
    )


def cross(contender: Contender, place: Stage, link: RunningLink, source: Path, md5: str) -> Crossing:
    """One round. Raises RuntimeError if the stored bytes are not the source."""
    link.carried()
    sent = perform(contender, place, source, md5)
    carried = link.carried()
    size, rate = source.stat().st_size, link.line.rate
    return Crossing(
        between=carried.bytes / (rate * (carried.last - carried.first)),
        whole=size / rate / sent.cost.seconds,
        seconds=sent.cost.seconds,
        carried=carried,
    )


def _runs(place: Stage, link: RunningLink, work: Path, size: int, *, quick: bool) -> dict[str, Callable[[], Crossing]]:
    source, short = random_file(work, size), random_file(work, max(10 * MIB, size // 10 // MIB * MIB))
    md5, short_md5 = md5_of(source), md5_of(short)
    runs: dict[str, Callable[[], Crossing]] = {
        AUTO: partial(cross, contenders.figup, place, link, source, md5),
    }
    for number in FIXED[:1] if quick else FIXED:
        fixed = partial(contenders.figup, options=("--connections", str(number)))
        runs[f"figup, {number} connections"] = partial(cross, fixed, place, link, source, md5)
    if not quick:
        other = partial(contenders.pyfigshare, workers=16)
        runs["pyfigshare, 16 workers"] = partial(cross, other, place, link, source, md5)
        runs[SLOW] = partial(cross, contenders.documented_flow, place, link, short, short_md5)
    return runs


def _spreads(found: Sequence[Crossing]) -> list[Spread]:
    return [
        Spread.of([100 * crossing.between for crossing in found]),
        Spread.of([100 * crossing.whole for crossing in found]),
        Spread.of([crossing.seconds for crossing in found]),
        Spread.of([crossing.carried.connections for crossing in found]),
        Spread.of([crossing.carried.drops for crossing in found]),
    ]


def _bars(name: str, found: Mapping[str, Crossing]) -> list[Bar]:
    auto = found[AUTO]
    best = min(crossing.seconds for who, crossing in found.items() if who.startswith("figup,") and who != AUTO)
    return [
        Bar(f"{name}: share of the line between first and last part byte", auto.between, least=0.95),
        Bar(f"{name}: share of the line over the whole command", auto.whole, least=0.90),
        Bar(f"{name}: time / that of the best fixed number", auto.seconds / best, most=1.03),
    ]
