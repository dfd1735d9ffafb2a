"""Memory of commands on files of many records, which must not grow with the file."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.harness import Measurement, Spread, measure, of_one_round
from benchmarks.report import Bar, Column, Report
from tests.support.environment import clean_environment
from tests.support.sandbox import Sandbox

MIB = 1 << 20
SIZES = (1_000, 10_000, 50_000)
CREATED = (200, 2_000)
"""Records of which items are created, with six requests each."""
MOST = 16
"""MiB that the largest file may take more than the smallest; the keys of 50,000 records are half of it."""


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """Files of 1,000 to 50,000 records: `records check` and `create`, `batch convert`."""
    rows, bars = dict[str, list[Spread]](), list[Bar]()
    sandbox = Sandbox(work / "sandbox")
    sandbox.start()
    environment = clean_environment(work) | {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    sizes, created = (SIZES[:2], (50, 500)) if quick else (SIZES, CREATED)
    try:
        for name, write, words, counts in (
            ("records check, CSV", _table, ("records", "check", "records.csv"), sizes),
            ("records check, JSON Lines", _lines, ("records", "check", "records.jsonl"), sizes),
            ("records check, JSON list", _list, ("records", "check", "records.json"), sizes),
            ("records create", _lines, ("records", "create", "records.jsonl", "--api-rate", "100000"), created),
            ("batch convert", _batch, ("batch", "convert", "batch.csv", "--output", "table.csv", "--force"), sizes),
        ):
            peaks: list[float] = []
            for records in counts:
                print(f"  {name}, {records:,} records", flush=True)
                write(work, records)
                cost = _cost(work, words, environment)
                peaks.append(cost.peak_memory / MIB)
                rows[f"{name}, {records:,}"] = of_one_round(peaks[-1], cost.seconds, cost.cpu_seconds)
            more = f"{name}: MiB more for {counts[-1]:,} than for {counts[0]:,}"
            bars.append(Bar(more, peaks[-1] - peaks[0], most=MOST))
    finally:
        sandbox.stop()
    columns = [Column("peak memory, MiB", 1, plot=True), Column("seconds", 1), Column("CPU seconds", 1)]
    return Report("bulk", "Files of many records", columns, rows, bars)


def _cost(work: Path, words: Iterable[str], environment: dict[str, str]) -> Measurement:
    program = f"import os, sys; os.chdir({str(work)!r}); from uploader.__main__ import main; sys.exit(main())"
    return measure([sys.executable, "-c", program, *words], env=environment)[0]


def _record(number: int) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "title": f"Beavers and their dams, part {number}",
        "description": f"Part {number}. " + "What became of a dam in the second year after it was built. " * 20,
        "authors": [f"Jane Doe{number}", "Ada Byron", "Max Muster"],
        "doi": f"10.1234/dam.{number}",
        "keywords": ["dam", f"site {number % 50}"],
        "link": f"https://doi.org/10.1234/dam.{number}",
    }


def _table(work: Path, records: int) -> None:
    with (work / "records.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(_record(0))
        for number in range(records):
            table.writerow(" | ".join(one) if isinstance(one, list) else one for one in _record(number).values())


def _lines(work: Path, records: int) -> None:
    with (work / "records.jsonl").open("w") as file:
        file.writelines(f"{json.dumps(_record(number))}\n" for number in range(records))


def _list(work: Path, records: int) -> None:
    """A list on one line, as services answer."""
    with (work / "records.json").open("w") as file:
        file.write('{"items": [')
        file.writelines(f"{', ' * bool(number)}{json.dumps(_record(number))}" for number in range(records))
        file.write("]}")


def _batch(work: Path, records: int) -> None:
    with (work / "batch.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["article_id", "status", "title", "authors", "categories", "description", "licence", "Site"])
        for number in range(records):
            one = _record(number)
            authors = [{"id": number, "first_name": "Ann", "last_name": name} for name in one["authors"]]
            license_ = "https://creativecommons.org/licenses/by/4.0/"
            table.writerow([number, "public", one["title"], json.dumps(authors), '["Zoology"]', one["description"],
                            license_, '["Ness"]'])  # fmt: skip
