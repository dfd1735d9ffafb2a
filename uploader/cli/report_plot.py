"""The plot on the lab page: how fast a job went, over the time that was worked on it. Pure: from samples to SVG."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from uploader import units
from uploader.cli.markup import Element, el
from uploader.transfer.records.build_report import RunEntry

_WIDTH, _HEIGHT = 760, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 8, 22, 34
_STEPS = 240
"""Steps that the whole curve has at most."""
_LABEL = 100
"""Width that the label of a run needs."""
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
"""Distances of ticks on the axis of time, in seconds."""


@dataclass(frozen=True)
class RunRates:
    """One run's part of the curve: `rates` (bytes a second) over equal steps of its `seconds`."""

    run: RunEntry
    seconds: float
    rates: tuple[float, ...]


def run_rates(runs: Sequence[RunEntry]) -> list[RunRates]:
    """The curve, run by run; runs that sent nothing that is known of are left out."""
    told = [(run, run.samples[-1][0]) for run in runs if run.sent > 0 and run.samples[-1][0] > 0]
    total = sum(seconds for _, seconds in told)
    made = []
    for run, seconds in told:
        steps = max(1, min(len(run.samples) - 1, round(_STEPS * seconds / total)))
        ends = [sent_until(run.samples, seconds * step / steps) for step in range(steps + 1)]
        rates = tuple((after - before) * steps / seconds for before, after in itertools.pairwise(ends))
        made.append(RunRates(run, seconds, rates))
    return made


def sent_until(samples: Sequence[tuple[float, int]], at: float) -> float:
    """Bytes sent after so many seconds, between two samples in proportion."""
    after = bisect_right(samples, at, key=lambda sample: sample[0])
    if after >= len(samples):
        return samples[-1][1]
    (then, before), (later, more) = samples[after - 1], samples[after]
    return before + (more - before) * (at - then) / (later - then)


def plot(curve: Sequence[RunRates]) -> Element:
    """The picture; `curve` must not be empty."""
    top = _ceiling(max(max(stretch.rates) for stretch in curve))
    total = sum(stretch.seconds for stretch in curve)
    gap = min(12.0, 160 / len(curve))
    width = _WIDTH - _LEFT - _RIGHT - gap * (len(curve) - 1)
    scale = width / total
    ground = _HEIGHT - _BOTTOM

    def height(rate: float) -> float:
        return ground - (ground - _TOP) * rate / top

    picture = el(
        "svg",
        el("title", "Throughput over time"),
        el("desc", f"{units.format_count(len(curve), 'run')}, up to {units.format_rate(max(map(_peak, curve)))}"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )
    for part in range(5):
        y = height(top * part / 4)
        picture.append(el("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=_n(y), y2=_n(y), class_="grid"))
        picture.append(el("text", units.format_rate(top * part / 4), x=_LEFT - 6, y=_n(y + 4), class_="rate"))
    left, worked = float(_LEFT), 0.0
    tick = next((t for t in _TIMES if total / t <= 8), _TIMES[-1])
    for number, stretch in enumerate(curve, start=1):
        picture.append(_area(stretch, left, scale, height))
        for at in _ticks(worked, worked + stretch.seconds, tick, last=number == len(curve)):
            picture.append(el("text", units.format_duration(at), x=_n(left + (at - worked) * scale), y=ground + 16))
        if number > 1:
            picture.append(el("line", x1=_n(left - gap / 2), x2=_n(left - gap / 2), y1=_TOP, y2=ground, class_="pause"))
        if len(curve) > 1 and stretch.seconds * scale >= _LABEL:
            picture.append(el("text", _clock(stretch.run.began), x=_n(left), y=_TOP - 8, class_="run"))
        left, worked = left + stretch.seconds * scale + gap, worked + stretch.seconds
    picture.append(el("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=ground, y2=ground, class_="axis"))
    picture.append(el("text", "time worked, without pauses", x=_WIDTH - _RIGHT, y=_HEIGHT - 4, class_="rate"))
    return picture


def _area(stretch: RunRates, left: float, scale: float, height: Callable[[float], float]) -> Element:
    step = stretch.seconds * scale / len(stretch.rates)
    points = [f"M{_n(left)} {_n(height(0))}"]
    for number, rate in enumerate(stretch.rates):
        y = _n(height(rate))
        points.append(f"L{_n(left + number * step)} {y}L{_n(left + (number + 1) * step)} {y}")
    points.append(f"L{_n(left + len(stretch.rates) * step)} {_n(height(0))}Z")
    return el("path", d="".join(points), class_="speed")


def _ticks(first: float, end: float, distance: int, *, last: bool) -> Iterator[float]:
    """Times at which the axis has a label, those of its end left out where another run follows."""
    at = -(-first // distance) * distance
    while at < end or (last and at == end):
        yield at
        at += distance


def _peak(stretch: RunRates) -> float:
    return max(stretch.rates)


def _ceiling(rate: float) -> float:
    """The end of an axis that holds this rate: one of 1, 2, 4, 6, 8 with zeros."""
    power = 1.0
    while power * 10 < rate:
        power *= 10
    return next(power * n for n in (1, 2, 4, 6, 8, 10) if power * n >= rate)


def _clock(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M")


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
