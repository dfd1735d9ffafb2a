"""The summary of a metadata report as one self-contained page with plots, for the screen and for print. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from uploader._version import __version__
from uploader.catalog.batch.summary import RANKED, Summary
from uploader.cli.stats_plot import Bars, drawn
from uploader.text import printable

_MAX_BARS = 15
"""Bars of a plot; a table has all values."""
_SVG = Path("plot.svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """Counts by one kind of name: plots as SVG, and table rows (name, records, views, downloads, views per record)."""

    title: str
    plots: list[str]
    rows: list[tuple[str, int, int, int, float]]


def summary_html(summary: Summary, name: str) -> str:
    """Return the page; `name` is that of the file it is about."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("batch.html.j2").render(
        name=printable(name),
        version=__version__,
        facts=[(printable(what), count) for what, count in [*summary.facts(), *summary.events()]],
        counted=summary.counted,
        sections=[_section(summary, kind, title) for kind, title in RANKED.items() if summary.counts[kind]],
    )


def _section(summary: Summary, kind: str, title: str) -> _Section:
    ranked = summary.ranked(kind)
    plots = [_plot(f"{title}, by records", ranked[:_MAX_BARS])]
    if summary.counted:
        plots.append(_plot(f"{title}, by views", summary.most_viewed(kind, _MAX_BARS)))
    views, downloads = summary.views[kind], summary.downloads[kind]
    rows = [
        (printable(name), count, views[name], downloads[name], summary.views_a_record(kind, name))
        for name, count in ranked
    ]
    return _Section(title=title, plots=plots, rows=rows)


def _plot(title: str, values: list[tuple[str, int]]) -> str:
    return drawn(Bars(title=title, values=[(printable(name), count) for name, count in values]), _SVG).decode()
