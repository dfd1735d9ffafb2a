"""What a benchmark found: a table for people, JSON for later, a plot where matplotlib is installed."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import Spread

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Column:
    """One measured quantity: its name and unit as people read it, and the decimals that mean something."""

    name: str
    decimals: int = 0


@dataclass(frozen=True)
class Bar:
    """A limit that must hold."""

    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def held(self) -> bool:
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        bounds = {"at least": self.least, "at most": self.most}
        limits = [f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None]
        return f"{'held  ' if self.held else 'BROKEN'} {self.what}: {self.value:g} ({', '.join(limits)})"


@dataclass(frozen=True)
class Report:
    """The rows are labelled; each has a spread for each column. The first column is the one that is plotted."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: dict[str, list[Spread]]
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return all(bar.held for bar in self.bars)

    def table(self) -> str:
        """Markdown: the median of each quantity, and from where to where the rounds went."""
        lines = [
            "| | " + " | ".join(column.name for column in self.columns) + " |",
            "|---|" + "---:|" * len(self.columns),
        ]
        for label, spreads in self.rows.items():
            cells = [_cell(spread, column) for spread, column in zip(spreads, self.columns, strict=True)]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def save(self) -> None:
        """Writes `results/NAME.json`, and `results/NAME.png` where that can be done."""
        RESULTS.mkdir(exist_ok=True)
        document = {
            "title": self.title,
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {
                "cores": os.cpu_count(),
                "system": platform.system(),
                "architecture": platform.machine(),
                "python": platform.python_version(),
            },
            "rows": {
                label: {column.name: asdict(spread) for column, spread in zip(self.columns, spreads, strict=True)}
                for label, spreads in self.rows.items()
            },
            "bars": [asdict(bar) | {"held": bar.held} for bar in self.bars],
            "notes": self.notes,
        }
        (RESULTS / f"{self.name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        self._plot()

    def _plot(self) -> None:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return
        labels = list(self.rows)
        spreads = [spreads[0] for spreads in self.rows.values()]
        middles = [spread.median for spread in spreads]
        whiskers = [[s.median - s.least for s in spreads], [s.most - s.median for s in spreads]]
        figure = Figure(figsize=(8, 1.2 + 0.5 * len(labels)), layout="constrained")
        axes = figure.subplots()
        axes.barh(labels, middles, xerr=whiskers, color="#3b6ea5", capsize=3)
        axes.invert_yaxis()
        axes.set_title(self.title)
        axes.set_xlabel(f"{self.columns[0].name} (median; least to most)")
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(RESULTS / f"{self.name}.png", dpi=120)


def _cell(spread: Spread, column: Column) -> str:
    middle = f"{spread.median:,.{column.decimals}f}"
    if spread.least == spread.most:
        return middle
    return f"{middle} ({spread.least:,.{column.decimals}f}-{spread.most:,.{column.decimals}f})"
