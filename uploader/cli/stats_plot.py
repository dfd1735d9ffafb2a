"""Plots of statistics, lines over time and bars by country: as SVG, as a page, or with matplotlib as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from uploader.catalog.rows import check_ending
from uploader.errors import UsageError

FORMATS: Final = (".svg", ".html", ".png")
_WIDTH, _HEIGHT = 860, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 56, 64
_BAR, _MAX_BARS = 22, 25
_NAMES = 260
"""Width of the names beside bars."""
_COLORS: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")
_MAX_LABELS: Final = 12
_MIN_LABELS: Final = 3
_LABEL: Final = 9
"""Width of a character of a label and its share of the gap to the next one."""
_LEGEND: Final = 4
"""Names of lines beside one another."""
_TOPS: Final = (4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 60, 80, 100)
"""Upper ends of the scale, times a power of ten."""
_STYLE: Final = "font:13px system-ui,sans-serif;fill:#222"


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Series over the same `steps` (days, months or years)."""

    title: str
    steps: Sequence[str]
    series: Mapping[str, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One value for each name, the greatest first."""

    title: str
    values: Sequence[tuple[str, int]]


def check_format(path: Path) -> None:
    """Raise UsageError for a name that ends in no known format, and for PNG without matplotlib."""
    check_ending(path, FORMATS)
    if path.suffix.lower() == ".png":
        _matplotlib()


def drawn(plot: Lines | Bars, path: Path) -> bytes:
    """Return the file of a plot in the format that its name says. Slow for PNG."""
    if path.suffix.lower() == ".png":
        return _png(plot)
    svg = _lines(plot) if isinstance(plot, Lines) else _bars(plot)
    if path.suffix.lower() == ".svg":
        return svg.encode()
    scaling = '<meta name="viewport" content="width=device-width"><style>svg{max-width:100%;height:auto}</style>'
    head = f'<head><meta charset="utf-8"><title>{escape(plot.title)}</title>{scaling}</head>'
    return f'<!doctype html>\n<html lang="en">{head}\n<body>{svg}</body></html>\n'.encode()


def _lines(plot: Lines) -> str:
    top = _round_up(max((value for values in plot.series.values() for value in values), default=0))
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    count = len(plot.steps)

    def x(place: int) -> float:
        return _LEFT + (width * place / (count - 1) if count > 1 else width / 2)

    def y(value: float) -> float:
        return _TOP + height * (1 - value / top)

    parts = [_grid(y(top * step / 4), f"{top * step / 4:,.0f}") for step in range(5)]
    parts += [
        _text(x(place), _HEIGHT - _BOTTOM + 18, name, "middle")
        for place, name in _labels(plot.steps, width).items()
        if x(place) + _LABEL * len(name) / 2 <= _WIDTH
    ]
    for number, (name, values) in enumerate(plot.series.items()):
        color = _COLORS[number % len(_COLORS)]
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        if count <= 2 * _MAX_LABELS:
            parts += [
                f'<circle cx="{x(place):.1f}" cy="{y(value):.1f}" r="3" fill="{color}"><title>{escape(name)}, '
                f"{plot.steps[place]}: {value}</title></circle>"
                for place, value in enumerate(values)
            ]
        row, column = divmod(number, _LEGEND)
        left, line = _LEFT + 190 * column, _HEIGHT - 26 + 20 * row
        parts.append(f'<rect x="{left}" y="{line}" width="12" height="12" fill="{color}"/>')
        parts.append(_text(left + 18, line + 11, _short(name, 24), "start"))
    return _svg(plot.title, _HEIGHT + 20 * ((len(plot.series) - 1) // _LEGEND), parts)


def _labels(steps: Sequence[str], width: int) -> dict[int, str]:
    """Return the labels by place: those of all steps if there is room, else of first days of months, or of years."""
    labels: dict[int, str] = {}
    most = _MAX_LABELS
    for length in (len("2024-05-17"), len("2024-05"), len("2024")):
        found = {place: name[:length] for place, name in enumerate(steps) if name[length:] in ("", "-01", "-01-01")}
        if len(steps[0]) >= length and (not labels or len(found) >= _MIN_LABELS):
            labels, most = found, min(_MAX_LABELS, width // (_LABEL * length))
            if len(labels) <= most:
                break
    places = list(labels)[:: -(-len(labels) // most)]
    return {place: labels[place] for place in places}


def _rows(plot: Bars) -> list[tuple[str, int]]:
    """Return the bars to draw: the greatest values, and one for the sum of the others."""
    shown, others = list(plot.values[:_MAX_BARS]), plot.values[_MAX_BARS:]
    return [*shown, (f"{len(others)} others", sum(value for _, value in others))] if others else shown


def _bars(plot: Bars) -> str:
    rows = _rows(plot)
    top = max((value for _, value in rows), default=0) or 1
    width = _WIDTH - _NAMES - 90
    parts = []
    for place, (name, value) in enumerate(rows):
        y = _TOP + place * _BAR
        parts.append(_text(_NAMES - 8, y + 15, _short(name, 32), "end"))
        size = f'width="{width * value / top:.1f}" height="{_BAR - 6}"'
        parts.append(f'<rect x="{_NAMES}" y="{y + 3}" {size} fill="{_COLORS[0]}"/>')
        parts.append(_text(_NAMES + width * value / top + 6, y + 15, f"{value:,}", "start"))
    return _svg(plot.title, _TOP + max(1, len(rows)) * _BAR + 16, parts)


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">\n<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    )
    heading = _text(_WIDTH / 2, 28, _short(title, 100), "middle")
    return "\n".join([head, heading, *parts, "</svg>\n"])


def _grid(y: float, label: str) -> str:
    line = f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
    return line + _text(_LEFT - 8, y + 4, label, "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="{_STYLE}">{escape(text)}</text>'


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _round_up(value: int) -> int:
    """Return the next value that quarters evenly and has few digits, at least 4."""
    scale: int = 10 ** max(0, len(str(value)) - 2)
    return next(top * scale for top in _TOPS if top * scale >= value and top * scale % 4 == 0)


def _matplotlib() -> Any:
    try:
        import matplotlib.figure
    except ImportError:
        raise UsageError(
            "a PNG needs the package matplotlib, which is not installed",
            hint="Install it: pip install 'figup[plot]'; or write .svg or .html.",
        ) from None
    return matplotlib.figure


def _png(plot: Lines | Bars) -> bytes:
    figure = _matplotlib().Figure(figsize=(8.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(plot.title)
    if isinstance(plot, Lines):
        for name, values in plot.series.items():
            axes.plot(plot.steps, values, label=name)
        axes.set_ylim(bottom=0)
        labels = _labels(plot.steps, _WIDTH)
        axes.set_xticks(list(labels), list(labels.values()))
        axes.tick_params(axis="x", rotation=45)
        axes.legend()
    else:
        rows = _rows(plot)[::-1]
        axes.barh([name for name, _ in rows], [value for _, value in rows])
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
