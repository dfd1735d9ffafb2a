"""The throughput plot of the HTML report: from samples to coordinates. Pure; report.html.j2 draws it as SVG."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from uploader.transfer.history.build_report import RunEntry

_WIDTH, _HEIGHT = 760, 240
_MARGIN_LEFT, _MARGIN_RIGHT, _TOP, _BOTTOM = 74, 8, 22, 34
"""Margins."""
_STEPS = 240
"""Maximum number of steps of the whole curve."""
_LABEL = 100
"""Width of a run's label."""
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
"""Possible tick distances on the time axis, in seconds."""


@dataclass(frozen=True, kw_only=True)
class RunRates:
    """One run's section of the curve: `rates` (bytes per second) over equal steps of its `seconds`."""

    run: RunEntry
    seconds: float
    rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GridLine:
    """A horizontal line at `y` for a rate in bytes per second."""

    y: float
    rate: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of the time axis; `seconds` is active time since the first run began."""

    x: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArea:
    """One run in the plot. `outline` is the path of its area; `pause_x` the line before it, None for the first run.

    `label` is when the run began, "" where it is not shown.
    """

    x: float
    outline: str
    ticks: Sequence[Tick]
    pause_x: float | None
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Coordinates of the plot in SVG user units, y downwards; `peak` in bytes per second."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    peak: float
    grid: Sequence[GridLine]
    runs: Sequence[RunArea]


def run_rates(runs: Sequence[RunEntry]) -> list[RunRates]:
    """Return the curve run by run, without runs that have no samples of sent bytes."""
    sampled = [(run, run.samples[-1][0]) for run in runs if run.sent > 0 and run.samples[-1][0] > 0]
    total = sum(seconds for _, seconds in sampled)
    made = []
    for run, seconds in sampled:
        steps = max(1, min(len(run.samples) - 1, round(_STEPS * seconds / total)))
        ends = [sent_until(run.samples, seconds * step / steps) for step in range(steps + 1)]
        rates = tuple((after - before) * steps / seconds for before, after in itertools.pairwise(ends))
        made.append(RunRates(run=run, seconds=seconds, rates=rates))
    return made


def sent_until(samples: Sequence[tuple[float, int]], at: float) -> float:
    """Return the bytes sent `at` seconds after the start, interpolated linearly between samples."""
    after = bisect_right(samples, at, key=lambda sample: sample[0])
    if after >= len(samples):
        return samples[-1][1]
    (then, before), (later, more) = samples[after - 1], samples[after]
    return before + (more - before) * (at - then) / (later - then)


def plot(curve: Sequence[RunRates]) -> Plot:
    """Lay out the plot; `curve` must not be empty."""
    peak = max(max(segment.rates) for segment in curve)
    top = _ceiling(peak)
    total = sum(segment.seconds for segment in curve)
    gap = min(12.0, 160 / len(curve))
    scale = (_WIDTH - _MARGIN_LEFT - _MARGIN_RIGHT - gap * (len(curve) - 1)) / total
    tick = next((t for t in _TIMES if total / t <= 8), _TIMES[-1])
    areas: list[RunArea] = []
    left, elapsed = float(_MARGIN_LEFT), 0.0
    for number, segment in enumerate(curve, start=1):
        times = _ticks(elapsed, elapsed + segment.seconds, tick, last=number == len(curve))
        labeled = len(curve) > 1 and segment.seconds * scale >= _LABEL
        areas.append(
            RunArea(
                x=left,
                outline=_outline(segment, left, scale, top),
                ticks=[Tick(left + (at - elapsed) * scale, at) for at in times],
                pause_x=left - gap / 2 if number > 1 else None,
                label=_minute(segment.run.began) if labeled else "",
            )
        )
        left, elapsed = left + segment.seconds * scale + gap, elapsed + segment.seconds
    return Plot(
        width=_WIDTH,
        height=_HEIGHT,
        left=_MARGIN_LEFT,
        right=_WIDTH - _MARGIN_RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
        peak=peak,
        grid=[GridLine(_y(top * part / 4, top), top * part / 4) for part in range(5)],
        runs=areas,
    )


def px(value: float) -> str:
    """Format a coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def _y(rate: float, top: float) -> float:
    """Return the height of a rate; `top` is the rate at the top of the plot."""
    base = _HEIGHT - _BOTTOM
    return base - (base - _TOP) * rate / top


def _outline(segment: RunRates, left: float, scale: float, top: float) -> str:
    step = segment.seconds * scale / len(segment.rates)
    points = [f"M{px(left)} {px(_y(0, top))}"]
    for number, rate in enumerate(segment.rates):
        y = px(_y(rate, top))
        points.append(f"L{px(left + number * step)} {y}L{px(left + (number + 1) * step)} {y}")
    points.append(f"L{px(left + len(segment.rates) * step)} {px(_y(0, top))}Z")
    return "".join(points)


def _ticks(first: float, end: float, distance: int, *, last: bool) -> Iterator[float]:
    """Yield the times with a label; one exactly at the end only for the last run."""
    at = -(-first // distance) * distance
    while at < end or (last and at == end):
        yield at
        at += distance


def _ceiling(rate: float) -> float:
    """Return the smallest of 1, 2, 4, 6, 8, 10 times a power of ten that is at least `rate`."""
    power = 1.0
    while power * 10 < rate:
        power *= 10
    return next(power * n for n in (1, 2, 4, 6, 8, 10) if power * n >= rate)


def _minute(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M")
