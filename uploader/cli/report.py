"""`figup report`: complete tables of records, continued by the same command after any interruption."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uploader import units
from uploader.cli.options import (
    ENVIRONMENT,
    FigupCommand,
    GlobalOptions,
    ParsedParam,
    common_options,
    grouped,
    output_options,
    with_options,
)
from uploader.cli.output.console import MAX_REPORTED
from uploader.cli.runner import Session, on_figshare, run
from uploader.cli.transfer_options import DEADLINE, report_request_options
from uploader.errors import ExitStatus, Facts, RecordsMissing
from uploader.text import printable
from uploader.transfer.options import RequestOptions
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.catalog.report.collect import Progress, Spec
    from uploader.catalog.report.columns import Selection
    from uploader.catalog.report.make import Made, Place, Report
    from uploader.figshare.client import Figshare
    from uploader.figshare.ids import Kind

HELP = """\b
Run the same command again until it exits with 0, and every record is in the
table once. Exit status: 1 if records are missing or could not be read in
full, which are named; 8 if another process makes this report; 75 if it ended
early. What was read is kept; later runs read what changed.

"""
_PROGRESS_EVERY = 10.0
"""Seconds between notes on progress."""
_GRACE = 10.0
"""Seconds that requests under way may take after Ctrl-C."""


def _columns(text: str) -> Selection:
    from uploader.catalog.report.columns import parse_columns

    return parse_columns(text)


_PATH = click.Path(path_type=Path, readable=False)
_table, _run = grouped("Table"), grouped("Run")
_OPTIONS = [
    _table("--output", metavar="FILE", type=_PATH, required=True,
           help="The table: FILE.xlsx, FILE.csv, or FILE.jsonl with records as received."),
    _table("--force", is_flag=True, help="Replace the file if it exists."),
    _table("--columns", metavar="LIST", type=ParsedParam("columns", _columns), default="default", show_default=True,
           help="Names joined by commas, default, or notebook for those of Figshare's notebooks; not for .jsonl."),
    _table("--collections", is_flag=True, help="Collections, too."),
    _table("--projects", is_flag=True, help="Projects, too."),
    _run("--dry-run", is_flag=True, help="Read the lists only, and say what the report costs."),
    _run("--fresh", is_flag=True, help="Read everything anew."),
    _run("--failed-to", metavar="FILE", type=_PATH, help="Write the records that could not be read, as CSV."),
    _run("--deadline", metavar="auto|TIME", type=DEADLINE,
         help="Exit with 75 before this time (17:30, 2026-12-01T17:30) or after this long (90min). auto: before the "
              "end of the batch job.  [default: no deadline]"),
    _run("--max-requests", metavar="N", type=click.IntRange(min=1), help="Exit with 75 after N requests."),
]  # fmt: skip


def _report_options(command: Callable[..., int]) -> Any:
    return with_options(command, _OPTIONS)


@click.group("report")
def report() -> None:
    """Make complete tables of records: an institution's public ones, or your own."""


@report.command("public", cls=FigupCommand, epilog=HELP + ENVIRONMENT)
@click.option("--institution", metavar="NAME|ID", required=True, help="The institution: name, portal or id.")
@click.option("--group", metavar="ID", type=click.IntRange(min=1), help="Only this group, without its subgroups.")
@click.option("--type", "type_name", metavar="TYPE", help="Only items of this type, such as dataset.")
@_report_options
@report_request_options
@common_options
def public(
    institution: str,
    group: int | None,
    type_name: str | None,
    requests: RequestOptions,
    common: GlobalOptions,
    **values: Any,
) -> int:
    """Make a table of all public records of an institution. No token is needed."""

    async def spec(api: Figshare, kinds: tuple[Kind, ...]) -> tuple[Spec, int | None]:
        from uploader.catalog.names import Names, find_type
        from uploader.catalog.report.collect import Spec

        number = await Names(api).institution(institution)
        type_id = find_type(type_name) if type_name is not None else None
        return Spec(report="public", kinds=kinds, institution=number, group=group, type_id=type_id), None

    return _make(common, requests, values, spec, anonymous=True)


@report.command("own", cls=FigupCommand, epilog=HELP + ENVIRONMENT, short_help="Make a table of your own records.")
@_report_options
@report_request_options
@common_options
def own(requests: RequestOptions, common: GlobalOptions, **values: Any) -> int:
    """Make a table of your own records, drafts included; only you can read the file."""

    async def spec(api: Figshare, kinds: tuple[Kind, ...]) -> tuple[Spec, int | None]:
        from uploader.catalog.report.collect import Spec

        return Spec(report="own", kinds=kinds), (await api.account()).id

    return _make(common, requests, values, spec, anonymous=False)


@report.command("columns", cls=FigupCommand)
@output_options
def columns(common: GlobalOptions) -> int:
    """List the columns that tables can have, and what they mean."""

    from uploader.catalog.report.columns import CUSTOM, KNOWN

    default = {one.name for one in _columns("default").columns}
    lines = [(one.name, one.meaning, one.name in default) for one in KNOWN.values()]
    lines.append((f"{CUSTOM}NAME", "each custom field by its name; custom stands for all of them", True))

    async def work(session: Session) -> int:
        for name, meaning, is_default in lines:
            session.console.event("column", name=name, meaning=meaning, default=is_default)
            session.console.result(f"{name:<22}  {meaning}{'' if is_default else ' (only if named)'}")
        return ExitStatus.OK

    return run(common, work)


def _make(
    common: GlobalOptions, requests: RequestOptions, values: dict[str, Any], spec: Any, *, anonymous: bool
) -> int:
    kinds: tuple[Kind, ...] = ("item",)
    kinds += ("collection",) if values["collections"] else ()
    kinds += ("project",) if values["projects"] else ()

    async def work(session: Session, api: Figshare) -> int:
        from uploader.catalog.report.collect import Limits, seconds_until
        from uploader.catalog.report.make import Place, Report
        from uploader.catalog.report.sheets import check_format
        from uploader.cli.context import state_dir

        session.resumable = True
        check_format(values["output"])
        wanted, account = await spec(api, kinds)
        place = Place(state_dir=state_dir(common), endpoint=api.endpoint, account=account)
        making = Report(api.records, wanted, place, verify=api.account if account is not None else None)
        if values["dry_run"]:
            return await _price(session, api, making, place)
        session.signals.stop_with(making.stop, _GRACE)
        limits = Limits(deadline=seconds_until(values["deadline"], api.clock), max_requests=values["max_requests"])
        made = await making.make(
            values["output"], values["columns"], replace=values["force"], fresh=values["fresh"], limits=limits,
            on_progress=_Shown(session).show,
        )  # fmt: skip
        session.report_written = True
        return _conclude(session, api, made, values["output"], values["failed_to"])

    return on_figshare(common, work, anonymous=anonymous, requests=requests)


class _Shown:
    """Says now and then how far a report is."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._told = self._began = time.monotonic()
        self._first: int | None = None

    def show(self, progress: Progress) -> None:
        """Write a note, if it is time for one."""
        now = time.monotonic()
        if progress.total is not None and self._first is None:
            self._first, self._began = progress.done, now
        if now - self._told < _PROGRESS_EVERY:
            return
        self._told = now
        self._session.console.event(
            "progress", done=progress.done, total=progress.total, failed=progress.failed, requests=progress.requests
        )
        if not (self._session.common.json or self._session.common.no_progress):
            self._session.console.note(self._text(progress, now))

    def _text(self, progress: Progress, now: float) -> str:
        if progress.total is None or self._first is None:
            return f"{format_count(progress.done, 'record')} listed so far"
        rate = (progress.done - self._first) / max(now - self._began, 1e-3)
        left = progress.total - progress.done
        pieces = [f"{progress.done} of {format_count(progress.total, 'record')} read"]
        pieces += [f"{progress.failed} failed"] if progress.failed else []
        pieces += [f"{rate:.1f} a second, {units.format_duration(left / rate)} left"] if rate > 0 else []
        return ", ".join(pieces)


async def _price(session: Session, api: Figshare, making: Report, place: Place) -> int:
    price = await making.price()
    every = price.list_requests + price.record_requests
    rate = api.request_rate
    session.summary.records = {
        "found": price.listed,
        "known": price.known,
        "list_requests": price.list_requests,
        "record_requests": price.record_requests,
        "seconds": every / rate if rate else None,
        "requests": api.requests,
    }
    pieces = f"{price.list_requests} for lists and {price.record_requests} for records"
    shortest = f"; at least {units.format_duration(every / rate)} at {rate:g} a second" if rate else ""
    session.console.result(
        f"{format_count(price.listed, 'record')}, {price.known} of them unchanged: {format_count(every, 'request')} "
        f"({pieces}) to {printable(place.endpoint)}{shortest}. Nothing was written."
    )
    return ExitStatus.OK


def _conclude(session: Session, api: Figshare, made: Made, output: Path, failed_to: Path | None) -> int:
    """Report what was made, and return the exit status. Raises RecordsMissing."""
    from uploader.catalog.pager import check_complete
    from uploader.catalog.report.sheets import CHANGES

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
        "changes": dict(made.changes),
        "requests": api.requests,
    }
    if failed_to is not None:
        _write_failed(failed_to, made)
    console.result(
        f"{made.written} of {format_count(made.listed, 'record')} written to {printable(str(output))}; "
        f"{made.read} read in this run."
    )
    for name, count in made.changes.items():
        console.note(f"{CHANGES[name]}: {count}")
    if made.gone:
        console.note(f"{format_count(made.gone, 'record')} that Figshare had before exist no more and were left out")
    if made.left_out:
        console.note(f"{format_count(made.left_out, 'record')} did not fit the filters and were left out")
    for one in made.failed[:MAX_REPORTED]:
        console.note(f"{one.kind} {one.id} could not be read: {one.message}")
    if len(made.failed) > MAX_REPORTED:
        console.note(f"and {len(made.failed) - MAX_REPORTED} more; --failed-to FILE has all")
    if made.failed:
        raise RecordsMissing(
            f"{format_count(len(made.failed), 'record')} could not be read in full", facts=Facts("records-failed")
        )
    check_complete(made.gaps)
    return ExitStatus.OK


def _write_failed(path: Path, made: Made) -> None:
    """Write the records that could not be read as CSV, in place of an older file. Blocks briefly."""
    from uploader.catalog.rows import NewFile, csv_header, csv_line

    lines = [csv_line([one.kind, one.id, one.title, one.message]) for one in made.failed]
    file = NewFile(path, replace=True, private=True)
    written = False
    try:
        file.write(csv_header(["record_type", "id", "title", "message"]) + b"".join(lines))
        written = True
    finally:
        file.close(keep=written)
