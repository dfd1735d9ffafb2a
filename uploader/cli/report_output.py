"""Output of a report: progress, cost, result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uploader import units
from uploader.cli.output.console import MAX_REPORTED
from uploader.cli.prices import HostCost, cost_by_host, host_and_port, requests_by_host, shortest_time, text_of_requests
from uploader.cli.runner import Session
from uploader.errors import ExitStatus, Facts, RecordsMissing
from uploader.text import named_few, printable
from uploader.units import format_count

if TYPE_CHECKING:
    from datetime import date

    from uploader.catalog.report.collect import RunProgress
    from uploader.catalog.report.make import ReportResult
    from uploader.catalog.report.parts import Failed
    from uploader.catalog.report.price import CostEstimate
    from uploader.figshare.client import Figshare
    from uploader.figshare.statistics_api import StatisticsApi

_PROGRESS_EVERY = 10.0
"""Seconds between notes on progress."""


class ProgressNotes:
    """Reports progress occasionally; `done` is the word for what is done to records."""

    def __init__(self, session: Session, done: str = "read") -> None:
        self._session, self._done = session, done
        self._reported_at = self._began = time.monotonic()
        self._first: int | None = None
        self._last = 0

    def show(self, progress: RunProgress) -> None:
        """Write a note, if it is time for one."""
        now = time.monotonic()
        if progress.total is not None and (self._first is None or progress.done < self._last):
            self._first, self._began = progress.done, now  # the first part of the records, or the next one
        self._last = progress.done
        if now - self._reported_at < _PROGRESS_EVERY:
            return
        self._reported_at = now
        self._session.console.event(
            "progress", done=progress.done, total=progress.total, failed=progress.failed, requests=progress.requests
        )
        if not (self._session.common.json or self._session.common.no_progress):
            self._session.console.note(self._text(progress, now))

    def _text(self, progress: RunProgress, now: float) -> str:
        if progress.total is None or self._first is None:
            return f"{format_count(progress.done, 'record')} listed so far"
        rate = (progress.done - self._first) / max(now - self._began, 1e-3)
        left = progress.total - progress.done
        pieces = [f"{progress.done} of {format_count(progress.total, 'record')} {self._done}"]
        pieces += [f"{progress.failed} failed"] if progress.failed else []
        pieces += [f"{rate:.1f} a second, {units.format_duration(left / rate)} left"] if rate > 0 else []
        return ", ".join(pieces)


def costs_of(
    price: CostEstimate, api: Figshare, numbers: StatisticsApi | None, *, since: date | None
) -> list[HostCost]:
    """Return the requests of a report to each of its services."""
    asked = price.list_requests + price.record_requests
    costs = [HostCost.of(api, asked, more=price.at_least)]
    if numbers is not None:
        # Of all time, there are more if the service cannot combine the counters.
        costs.append(HostCost.of(numbers, price.number_requests, more=since is None))
    return costs


def show_price(session: Session, price: CostEstimate, costs: Sequence[HostCost]) -> int:
    """Print the cost of a report."""
    seconds = shortest_time(costs)
    session.summary.records = {
        "found": price.listed,
        "known": price.known,
        "list_requests": price.list_requests,
        "record_requests": price.record_requests,
        "number_requests": price.number_requests,
        "requests_by_host": cost_by_host(costs),
        "seconds": seconds,
    }
    more = " or more" if price.at_least else ""
    pieces = f"{price.list_requests} for lists and {price.record_requests}{more} for records"
    text = f"{format_count(costs[0].requests, 'request')} ({pieces}) to {host_and_port(costs[0].endpoint)}"
    text += "".join(f", {one}, for numbers" for one in costs[1:] if one.requests)
    shortest = f"; at least {units.format_duration(seconds)}" if seconds else ""
    session.console.result(
        f"{format_count(price.listed, 'record')}, {price.known} of them unchanged: {text}{shortest}. "
        "Nothing was written."
    )
    return ExitStatus.OK


def conclude(
    session: Session,
    api: Figshare,
    numbers: StatisticsApi | None,
    made: ReportResult,
    output: Path,
    *,
    private: bool,
) -> int:
    """Report what was made, and return the exit status. Raises RecordsMissing."""
    from uploader.catalog.pager import check_complete

    console = session.console
    session.summary.records = {
        "found": made.listed,
        "written": made.written,
        "output": str(output),
        "complete": not made.gaps,
        "gaps": [gap.message for gap in made.gaps],
        "read": made.read,
        "gone": made.gone,
        "left_out": made.left_out,
        "failed": [{"kind": one.kind, "id": one.id, "message": one.message} for one in made.failed],
        "versions": made.versions,
        "excluded": dict(made.excluded),
        "unnamed": dict(made.unnamed),
        "sums": dict(made.sums),
        "uncounted": made.uncounted,
        "candidates": {str(number): list(one) for number, one in made.candidates.items()},
        "changes": dict(made.changes),
        "requests": api.requests,
    }
    by_host = f" {text_of_requests(requests_by_host(api, numbers))}." if numbers is not None else ""
    console.result(f"{_written(made, output)}{by_host}")
    for note in _notes(made):
        console.note(note)
    if private:
        console.note("the table has unpublished metadata or personal data; only you can read it")
    for one in made.failed[:MAX_REPORTED]:
        console.note(f"{one.kind} {one.id} could not be read: {one.message}")
    if len(made.failed) > MAX_REPORTED:
        console.note(f"and {len(made.failed) - MAX_REPORTED} more; --failed-to FILE has all")
    if made.failed:
        failed = len({(one.kind, one.id) for one in made.failed})
        raise RecordsMissing(
            f"{format_count(failed, 'record')} could not be read in full", facts=Facts("records-failed")
        )
    check_complete(made.gaps)
    return ExitStatus.OK


def _written(made: ReportResult, output: Path) -> str:
    text = f"{made.listed - made.excluded.total()} of {format_count(made.listed, 'record')}"
    text += f" and {format_count(made.versions, 'earlier version')}" if made.versions else ""
    return f"{text} written to {printable(str(output))}; {made.read} read in this run."


def _notes(made: ReportResult) -> list[str]:
    from uploader.catalog.report.sheets import CHANGES

    notes = [f"{CHANGES[name]}: {count}" for name, count in made.changes.items()]
    notes += [f"{format_count(count, 'record')} left out: {reason}" for reason, count in made.excluded.items()]
    notes += [f"{format_count(count, 'record')} with a {what} that has no name" for what, count in made.unnamed.items()]
    if made.numbers:
        sums = ", ".join(f"{count:,} {name}" for name, count in made.sums.items()) or "no numbers"
        uncounted = f"; {format_count(made.uncounted, 'record')} not counted" if made.uncounted else ""
        notes.append(f"{made.numbers}: {sums}{uncounted}")
    if len(made.candidates) > 1:
        notes.append(_namesakes(made))
    if made.gone:
        notes.append(f"{format_count(made.gone, 'record')} no longer on Figshare left out")
    if made.left_out:
        notes.append(f"{format_count(made.left_out, 'record')} did not fit the filters and were left out")
    return notes


def _namesakes(made: ReportResult) -> str:
    """Name the authors that have the wanted name, those of the most records first."""
    found = sorted(made.candidates.items(), key=lambda one: (-one[1][1], one[0]))
    shown = [f"{number} ({printable(name)}, {count})" for number, (name, count) in found]
    return f"{len(found)} authors have this name: {named_few(shown, MAX_REPORTED)}; --author-id chooses"


def write_failed(path: Path, failed: Sequence[Failed]) -> None:
    """Write the records that could not be read as CSV, in place of an older file. Blocks briefly."""
    from uploader.catalog.rows import csv_header, csv_line, write_new

    lines = [csv_line([one.kind, one.id, one.title, one.message]) for one in failed]
    header = csv_header(["record_type", "id", "title", "message"])
    write_new(path, header + b"".join(lines), replace=True, private=True)
