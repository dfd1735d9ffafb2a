"""A table with a row for each record of a run: its outcome, from that record's own responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from uploader._version import __version__
from uploader.catalog.report.columns import Column, ColumnKind, Entry, Layout
from uploader.catalog.report.sheets import CHANGES, write_table
from uploader.catalog.report.workbook import About
from uploader.disk import temporary_folder
from uploader.records.journal import JobPlanned
from uploader.records.run import Outcome


def _column(name: str, meaning: str, kind: ColumnKind = "text") -> Column:
    return Column(name=name, meaning=meaning, read=lambda _, raw: raw[name], kind=kind)


COLUMNS = (
    _column("line", "place of the record in the file", "number"),
    _column("key", "DOI, or id of the source"),
    _column("title", "title in the file"),
    _column("result", "created, existing, updated, failed, or left if the run ended before"),
    _column("reason", "why it failed or was left as it is"),
    _column("item_id", "id on Figshare", "number"),
    _column("url", "address of the item's page"),
    _column("doi", "DOI of the item"),
    _column("published", "public, embargoed (until its embargo ends) or review; empty for a draft, or if unknown"),
)


def write_report(path: Path, plan: JobPlanned, outcomes: Iterable[Outcome], count: int, *, replace: bool) -> None:
    """Write the report of `count` outcomes as .csv, .xlsx or .jsonl, for this user alone.

    Blocks. Raises what `write_table` raises.
    """

    def about(changes: Counter[str]) -> About:
        lines: list[tuple[str, str | int]] = [
            ("Records", plan.path), ("Job", plan.job), ("Figshare", plan.endpoint),
            ("Written by", f"figup {__version__}"),
        ]  # fmt: skip
        return [*lines, *((CHANGES[name], count) for name, count in changes.items() if count)]

    entries = (Entry(kind="item", row=msgspec.to_builtins(one), full=None) for one in outcomes)
    with temporary_folder() as scratch:
        write_table(
            path, Layout(columns=COLUMNS), entries, about, replace=replace, private=True, scratch=scratch,
            expected=count,
        )  # fmt: skip
