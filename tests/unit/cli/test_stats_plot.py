"""Plots of statistics."""

from __future__ import annotations

import itertools
import re
import sys
import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest

from uploader.cli.stats_plot import Bars, Lines, check_format, drawn
from uploader.errors import UsageError


def _labels(svg: str, pattern: str) -> list[float]:
    return [
        float(x)
        for x, text in re.findall(r'<text x="([\d.]+)"[^>]*>([^<]*)</text>', svg)
        if re.fullmatch(pattern, text)
    ]


@pytest.mark.parametrize(
    ("days", "pattern", "width"),
    [(1, r"\d{4}-\d\d-\d\d", 80), (44, r"\d{4}-\d\d-\d\d", 80), (320, r"\d{4}-\d\d", 60), (4000, r"\d{4}", 40)],
    ids=str,
)
def test_labels_are_those_of_days_months_or_years_and_do_not_touch(days: int, pattern: str, width: int) -> None:
    steps = [f"{date(2013, 10, 17) + timedelta(days=day)}" for day in range(days)]
    svg = drawn(Lines(title="Views", steps=steps, series={"1": [1] * days}), Path("a.svg")).decode()
    places = _labels(svg, pattern)
    assert places
    assert max(places) <= 860 - width / 2
    assert all(right - left >= width for left, right in itertools.pairwise(places))


def test_the_scale_fits_the_values() -> None:
    for most in (*range(400), 4321, 10**9 + 1):
        svg = drawn(Lines(title="Views", steps=["2024"], series={"1": [most]}), Path("a.svg")).decode()
        labels = [int(text.replace(",", "")) for text in re.findall(r'text-anchor="end"[^>]*>([\d,]+)<', svg)]
        assert labels == [step * (labels[-1] // 4) for step in range(5)]
        assert most <= labels[-1] <= max(4, 1.6 * most)


def test_a_page_is_as_wide_as_its_screen() -> None:
    page = drawn(Bars(title="Views", values=[("A", 1)]), Path("a.html")).decode()
    assert '<meta name="viewport"' in page
    assert "max-width:100%" in page


def test_names_of_lines_do_not_overlap() -> None:
    series = {f"3100000{number} downloads": [number] for number in range(6)}
    svg = drawn(Lines(title="Downloads", steps=["2024"], series=series), Path("a.svg")).decode()
    places = _labels(svg, r"\d+ downloads")
    assert len(places) == 6
    assert places[1] - places[0] >= 170


def test_the_smaller_bars_are_summed() -> None:
    plot = Bars(title="<Views>", values=[(f"Country {number}", 100 - number) for number in range(30)])
    page = drawn(plot, Path("a.html")).decode()
    assert "5 others" in page
    assert f">{sum(range(71, 76))}<" in page
    assert "<Views>" not in page


def test_png_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match="needs the package matplotlib, which is not installed") as caught:
        check_format(Path("a.png"))
    extras = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert "figup[plot]" in (caught.value.hint or "")
    assert extras["plot"][0].startswith("matplotlib")
