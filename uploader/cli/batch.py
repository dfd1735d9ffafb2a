"""`figup batch`: the metadata report of Figshare's administration pages, as a table and as a summary."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from uploader.cli.options import (
    ENVIRONMENT,
    CommandGroup,
    FigupCommand,
    GlobalOptions,
    common_options,
    grouped,
    with_options,
)
from uploader.cli.output.console import MAX_REPORTED
from uploader.cli.output.progress import Display
from uploader.cli.parameters import LocalPath, ParsedParam
from uploader.cli.prices import HostCost, noting_requests, show_long_price
from uploader.cli.records_result import PROGRESS_EVERY
from uploader.cli.runner import Session, on_figshare, run
from uploader.cli.stats_service import SCOPE, SERVICE, Service, cached_responses, with_service
from uploader.cli.transfer_options import request_options
from uploader.concurrency import in_thread
from uploader.disk import temporary_folder
from uploader.errors import ExitStatus, Facts, RecordsMissing
from uploader.text import printable
from uploader.transfer.options import RequestOptions
from uploader.units import format_count

if TYPE_CHECKING:
    from collections import Counter

    from uploader.catalog.batch.additions import Additions
    from uploader.catalog.batch.records import Batch, Found
    from uploader.catalog.batch.summary import Summary
    from uploader.catalog.kept import ResponseCache
    from uploader.catalog.report.columns import Selection
    from uploader.catalog.report.side_tables import SideTable
    from uploader.figshare.client import Figshare

HELP = """\b
Export it from the administration pages, under "Batch management"; the ZIP
that Figshare sends by e-mail can be given unchanged. Exit status: 1 if cells
or records could not be read (they are named); 2 if the file is not such a
report (invalid lines are named); 75 if it ended early: run it again.

"""
_SHOWN = 10
"""Values of each kind that a summary on a terminal has."""


def _columns(text: str) -> Selection:
    from uploader.catalog.batch.additions import COLUMNS
    from uploader.catalog.report.columns import Columns, parse_columns
    from uploader.catalog.report.known_columns import RECORDS

    own = {one.name: one for one in COLUMNS}
    known = {one.name for one in RECORDS.default}
    usual, notebook = ([own.get(one.name, one) for one in some] for some in (RECORDS.default, RECORDS.notebook))
    added = [one for one in COLUMNS if one.name not in known]
    return parse_columns(
        text, Columns(default=(*usual, *added), further=RECORDS.further, notebook=tuple(notebook), custom=True)
    )


_PATH = LocalPath(path_type=Path, readable=False)
_table, _more, _page = grouped("Table"), grouped("From Figshare"), grouped("Page")
_FORCE = "--force"
_ADDED = [
    _more("--stats", is_flag=True, help="Views, downloads, shares and citations: one request per public record."),
    _more("--funders", is_flag=True, help="Names of funders: one request per public record."),
    _more("--scope", metavar="INST", type=SCOPE, help="With --stats: only events of this institution's portal."),
    *SERVICE,
]  # fmt: skip


@click.group("batch", cls=CommandGroup)
def batch() -> None:
    """Convert and summarize the metadata report that administrators download from Figshare."""


@batch.command("convert", cls=FigupCommand, epilog=HELP + ENVIRONMENT, short_help="Write it as a table.")
@click.argument("file", metavar="FILE", type=_PATH)
@(lambda command: with_options(command, [
    _table("--output", metavar="FILE", type=_PATH, required=True,
           help="The table: FILE.xlsx, FILE.csv, or FILE.jsonl with records in the form of Figshare's API."),
    _table(_FORCE, is_flag=True, help="Replace the file if it exists."),
    _table("--columns", metavar="LIST", type=ParsedParam("columns", _columns), default="default", show_default=True,
           help="As for figup report, and status, private_link, linked_address, embargo_title."),
    _table("--tables", is_flag=True,
           help="Also separate tables of authors, categories, funding and others: sheets, or NAME.authors.csv …"),
    *_ADDED,
]))  # fmt: skip
@request_options
@common_options
def convert(file: Path, requests: RequestOptions, common: GlobalOptions, **values: Any) -> int:
    """Write it as a table like those of `figup report`; only you can read the file.

    FILE is the CSV, or the ZIP with it. Nothing is sent to Figshare without --stats or --funders.
    """

    async def check() -> None:
        from uploader.catalog.report.sheets import check_output

        sides = _sides(values["tables"])
        await in_thread(lambda: check_output(values["output"], sides=sides, replace=values["force"]))

    async def finish(session: Session, batch: Batch, additions: Additions) -> int:
        output, selection = values["output"], values["columns"]
        written, changes = await in_thread(
            lambda: _write(batch, additions, file, output, selection, _sides(values["tables"]), replace=values["force"])
        )
        session.report_written = True
        session.summary.records = {"found": batch.found.records, "written": written, "output": str(output),
                                   "changes": dict(changes)}  # fmt: skip
        session.console.result(
            f"{written} of {format_count(batch.found.records, 'record')} written to {printable(str(output))}."
        )
        for text in _changes(changes):
            session.console.note(text)
        return _conclude(session, batch.found, additions)

    return _run(file, requests, common, values, check, finish)


@batch.command("summary", cls=FigupCommand, epilog=HELP + ENVIRONMENT, short_help="Count what is in it.")
@click.argument("file", metavar="FILE", type=_PATH)
@(lambda command: with_options(command, [
    _page("--html", metavar="FILE", type=_PATH, help="Write a self-contained page with plots."),
    _page(_FORCE, is_flag=True, help="Replace the file if it exists."),
    *_ADDED,
]))  # fmt: skip
@request_options
@common_options
def summary(file: Path, html: Path | None, requests: RequestOptions, common: GlobalOptions, **values: Any) -> int:
    """Count its states, licences, embargoes, links, funders and categories.

    FILE is the CSV, or the ZIP with it. With --stats also views and downloads, by funder and category, too.
    """

    async def check() -> None:
        from uploader.cli.stats_output import check_output

        if html is not None:
            await in_thread(lambda: check_output(html, replace=values["force"]))

    async def finish(session: Session, batch: Batch, additions: Additions) -> int:
        from uploader.catalog.batch.summary import summarize

        found = await in_thread(lambda: summarize(additions.to(batch.entries())))
        if html is not None:
            from uploader.catalog.rows import write_new
            from uploader.cli.batch_html import summary_html

            page = summary_html(found, file.name).encode("utf-8", "replace")
            # Private: it counts drafts and confidential records, too.
            await in_thread(lambda: write_new(html, page, replace=values["force"], private=True))
            session.console.event("file", path=str(html))
        _show(session, found)
        session.summary.records = {"found": found.records, **_as_json(found)}
        if html is not None:
            session.console.result(f"\nWritten to {printable(str(html))}.")
        return _conclude(session, batch.found, additions)

    return _run(file, requests, common, values, check, finish)


Finish: TypeAlias = "Callable[[Session, Batch, Additions], Awaitable[int]]"


def _run(
    file: Path,
    requests: RequestOptions,
    common: GlobalOptions,
    values: dict[str, Any],
    check: Callable[[], Awaitable[None]],
    finish: Finish,
) -> int:
    """Check what is written, read the file, add what Figshare knows, and finish."""
    if values["scope"] is not None and not values["stats"]:
        raise click.UsageError("--scope needs --stats")
    endpoint_from = click.get_current_context().get_parameter_source("stats_endpoint")
    if endpoint_from is click.core.ParameterSource.COMMANDLINE and not values["stats"]:
        raise click.UsageError("--stats-endpoint needs --stats")

    async def offline(session: Session) -> int:
        await check()
        return await _add_and_finish(session, file, None, None, finish)

    async def with_statistics(session: Session, service: Service) -> int:
        await check()
        async with _figshare_of(session, service, wanted=values["funders"]) as api:
            return await _add_and_finish(session, file, service, api, finish)

    async def with_figshare(session: Session, api: Figshare) -> int:
        await check()
        return await _add_and_finish(session, file, None, api, finish)

    if values["stats"]:
        given = {name: values[name] for name in ("scope", "stats_endpoint")}
        return with_service(common, with_statistics, given, requests=requests)
    if values["funders"]:
        return on_figshare(common, with_figshare, anonymous=True, requests=requests)
    return run(common, offline)


@asynccontextmanager
async def _figshare_of(session: Session, service: Service, *, wanted: bool) -> AsyncIterator[Figshare | None]:
    """Yield a session with Figshare beside one with its statistics; None if it is not wanted."""
    if not wanted:
        yield None
        return
    async with await in_thread(service.open_client) as client:
        with client.figshare(Display(session.console, None).show) as api:
            yield api


async def _add_and_finish(
    session: Session, file: Path, service: Service | None, api: Figshare | None, finish: Finish
) -> int:
    from uploader.catalog.batch.additions import Additions, public_ids
    from uploader.catalog.batch.files import open_batch
    from uploader.catalog.batch.records import Batch

    additions = Additions()
    async with AsyncExitStack() as stack:
        stack.enter_context(noting_requests(session, service.api if service is not None else None, api))
        content, remark = await in_thread(lambda: open_batch(file))
        stack.callback(content.close)
        batch = await in_thread(lambda: Batch(content, str(file)))
        if remark:
            session.console.note(f"{printable(str(file))}: {remark}")
        numbers = await in_thread(lambda: public_ids(batch.entries())) if service is not None or api is not None else ()
        kept: ResponseCache | None = None
        costs: list[HostCost] = []
        if api is not None:
            kept = await stack.enter_async_context(cached_responses(session, "funders", [api.endpoint, numbers]))
            costs = [HostCost.of(api, len(numbers) - len(kept))]
        if service is not None:
            counting = await stack.enter_async_context(service.counting(session, "article", numbers, then=costs))
            for number in _with_progress(session, numbers, "counted"):
                await additions.count(counting, number)
        else:
            show_long_price(session, len(numbers), costs)
        if api is not None and kept is not None:
            for number in _with_progress(session, numbers, "looked up for funders"):
                await additions.find_funders(api.records, kept, number)
        return await finish(session, batch, additions)


def _with_progress(session: Session, numbers: Sequence[int], done: str) -> Iterator[int]:
    """Yield the numbers, one request each, and report the progress now and then."""
    quiet = session.common.json or session.common.no_progress
    reported = time.monotonic()
    for count, number in enumerate(numbers):
        if time.monotonic() - reported >= PROGRESS_EVERY and not quiet:
            reported = time.monotonic()
            session.console.note(f"{count} of {format_count(len(numbers), 'public record')} {done}")
        yield number


def _sides(wanted: bool) -> Sequence[SideTable]:
    """Return the separate tables, if they are wanted."""
    from uploader.catalog.report.side_tables import SIDE_TABLES

    return SIDE_TABLES if wanted else ()


def _write(
    batch: Batch,
    additions: Additions,
    file: Path,
    output: Path,
    selection: Selection,
    sides: Sequence[SideTable],
    *,
    replace: bool,
) -> tuple[int, Counter[str]]:
    """Write the table; return the number of records, and what was changed in cells. Blocks."""
    from uploader._version import __version__
    from uploader.catalog.report.columns import Layout
    from uploader.catalog.report.sheets import CHANGES, write_table

    layout = Layout.of(selection, batch.custom_names() if selection.all_custom else ())

    def about(changes: Counter[str]) -> list[tuple[str, str | int]]:
        return [
            ("Report", "metadata report of the administration pages"),
            ("Source", file.name),
            ("Written", f"by figup {__version__}"),
            ("Records", batch.found.records),
            *((CHANGES[name], count) for name, count in changes.items() if count),
        ]

    with temporary_folder() as scratch:
        return write_table(
            output, layout, additions.to(batch.entries()), about, sides=sides, replace=replace, private=True,
            scratch=scratch, expected=batch.found.records,
        )  # fmt: skip


def _changes(changes: Counter[str]) -> Iterator[str]:
    from uploader.catalog.report.sheets import CHANGES

    yield from (f"{CHANGES[name]}: {count}" for name, count in changes.items())


def _conclude(session: Session, found: Found, additions: Additions) -> int:
    """Report what was noticed, and return the exit status. Raises RecordsMissing."""
    note = session.console.note
    if found.repeated:
        note(f"{format_count(found.repeated, 'record')} with the number of an earlier one")
    if found.dates.rewritten:
        note(f"dates that a spreadsheet had rewritten, now as year-month-day: {found.dates.rewritten}")
    if found.dates.unclear:
        note(f"ambiguous dates (day or month first), kept as they are: "
             f"{found.dates.unclear}")  # fmt: skip
    for name, count in found.unread.items():
        note(f"cells of {printable(name)} that could not be read: {count}")
    for number, message in list(additions.failures.items())[:MAX_REPORTED]:
        note(f"item {number}: {message}")
    if missing := found.unread.total() + len(additions.failures):
        raise RecordsMissing(
            f"{format_count(missing, 'value')} could not be read",
            hint="The column 'missing' of a table says which, and why.",
            facts=Facts("values-unread"),
        )  # fmt: skip
    return ExitStatus.OK


def _show(session: Session, summary: Summary) -> None:
    """Print a summary."""
    from uploader.catalog.batch.summary import RANKED

    lines = [f"{count:>9,}  {name}" for name, count in [*summary.facts(), *summary.events()]]
    for name, title in RANKED.items():
        ranked = summary.ranked(name)
        if not ranked:
            continue
        lines.append(f"\n{title}" + (", with views, downloads and views a record" if summary.counted else ""))
        for value, count in ranked[:_SHOWN]:
            events = ""
            if summary.counted:
                events = f"{summary.views[name][value]:>11,} {summary.downloads[name][value]:>9,}"
                events += f" {summary.views_a_record(name, value):>9,.1f}"
            lines.append(f"{count:>9,}{events}  {printable(value)}")
        if len(ranked) > _SHOWN:
            lines.append(f"           and {len(ranked) - _SHOWN} more")
        if summary.counted and name == "funders":
            lines.append(f"\n{title} with the most views a record")
            most = summary.most_viewed_each(name, _SHOWN)
            lines += [f"{views:>9,.1f}  {printable(value)}" for value, views in most]
    session.console.result("\n".join(lines))


def _as_json(summary: Summary) -> dict[str, Any]:
    """Return a summary for `--json`, with all values of each kind."""
    from uploader.catalog.batch.summary import RANKED

    def value(kind: str, name: str, count: int) -> dict[str, Any]:
        events = {
            "views": summary.views[kind][name], "downloads": summary.downloads[kind][name],
            "views_a_record": round(summary.views_a_record(kind, name), 2),
        }  # fmt: skip
        return {"name": name, "records": count, **(events if summary.counted else {})}

    numbers = ("embargoed_files", "embargoed_wholly", "metadata_only", "linked", "linked_to_publication",
               "publications", "linked_share", "counted")  # fmt: skip
    return {
        "statuses": dict(summary.statuses),
        **{name: getattr(summary, name) for name in numbers},
        **{kind: [value(kind, *pair) for pair in summary.ranked(kind)] for kind in RANKED},
    }
