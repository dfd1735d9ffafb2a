"""The results of a benchmark: a table, JSON, and a plot if matplotlib is installed."""

from __future__ import annotations

import json
import os
import platform
import re
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import Spread
from uploader._version import __version__

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Column:
    """One measured quantity: its name with unit, and the number of significant decimals."""

    name: str
    decimals: int = 0
    plot: bool = False


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
    """Labeled rows with a spread for each column. Columns with `plot` are plotted side by side."""

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
        """Markdown: the median and range of each quantity."""
        lines = [
            "| | " + " | ".join(column.name for column in self.columns) + " |",
            "|---|" + "---:|" * len(self.columns),
        ]
        for label, spreads in self.rows.items():
            cells = [_cell(spread, column) for spread, column in zip(spreads, self.columns, strict=True)]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def save(self) -> None:
        """Write `results/NAME.json`, and `results/NAME.png` if possible."""
        RESULTS.mkdir(exist_ok=True)
        document: dict[str, Any] = {
            "title": self.title,
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "figup": figup_version(),
            "machine": machine(),
            "columns": [asdict(column) for column in self.columns],
            "rows": {
                label: {column.name: asdict(spread) for column, spread in zip(self.columns, spreads, strict=True)}
                for label, spreads in self.rows.items()
            },
            "bars": [asdict(bar) | {"held": bar.held} for bar in self.bars],
            "notes": self.notes,
        }
        (RESULTS / f"{self.name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        plot(document, RESULTS / f"{self.name}.png")


def plot(document: dict[str, Any], path: Path) -> None:
    """Plot the saved results if matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    shown = [column for column in document["columns"] if column["plot"]]
    rows, where = document["rows"], document["machine"]
    labels = max(len(name) for name in rows) / 13
    figure = Figure(figsize=(labels + 4 * len(shown), 1.4 + 0.4 * len(rows)), layout="constrained")
    about = (
        f"{document['measured'][:16]} UTC, figup {document['figup']}, {where['cores']} cores, load {where['load'][0]}"
    )
    figure.suptitle(f"{document['title']}\n{about}", fontsize=10)
    for axes, column in zip(figure.subplots(1, len(shown), sharey=True, squeeze=False)[0], shown, strict=True):
        spreads = [Spread(**row[column["name"]]) for row in rows.values()]
        whiskers = [[s.median - s.least for s in spreads], [s.most - s.median for s in spreads]]
        middles = [spread.median for spread in spreads]
        axes.barh(list(rows), middles, xerr=whiskers, color="#3b6ea5", ecolor="#888888", capsize=3)
        for number, spread in enumerate(spreads):
            axes.annotate(f" {spread.median:,.{column['decimals']}f}", (spread.most, number), va="center", fontsize=8)
        axes.margins(x=0.15)
        axes.set_xlim(0, None if any(spread.most for spread in spreads) else 1)
        axes.set_xlabel(f"{column['name']}\n(median; least to most)")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].invert_yaxis()
    figure.savefig(path, dpi=110)


def figup_version() -> str:
    """The version, and the commit in a checkout."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=8", "HEAD"]
    found = subprocess.run(git, capture_output=True, text=True, check=False)
    return f"{__version__} ({found.stdout.strip()})" if found.returncode == 0 else __version__


def machine() -> dict[str, object]:
    """The conditions of the measurement; the load is the average of the last minute, including the benchmark's own."""
    cpu = None
    with suppress(OSError):
        cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu[1] if cpu else "unknown",
        "cores": os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def _cell(spread: Spread, column: Column) -> str:
    middle = f"{spread.median:,.{column.decimals}f}"
    if spread.least == spread.most:
        return middle
    return f"{middle} ({spread.least:,.{column.decimals}f}-{spread.most:,.{column.decimals}f})"
