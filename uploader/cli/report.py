"""`figup report`: complete tables of records, continued by the same command after any interruption."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uploader.catalog.report.request import STATUSES, ReportRequest, needs_of, tables_of
from uploader.catalog.report.spec import DEFINITIONS, REPORTS, ReportName
from uploader.catalog.report.values import STATES
from uploader.cli.options import (
    ENVIRONMENT,
    CommandGroup,
    FigupCommand,
    GlobalOptions,
    common_options,
    grouped,
    output_options,
    with_options,
)
from uploader.cli.parameters import LocalPath, ParsedParam, names_among
from uploader.cli.prices import noting_requests, show_long_price
from uploader.cli.report_output import ProgressNotes, conclude, costs_of, show_price, write_failed
from uploader.cli.runner import Session, on_context, run
from uploader.cli.signals import REQUEST_GRACE
from uploader.cli.stats_service import SCOPE, open_statistics, service_endpoint, service_option
from uploader.cli.transfer_options import DEADLINE, request_options
from uploader.concurrency import in_thread
from uploader.errors import ExitStatus, Facts, UsageError
from uploader.metadata import identifiers
from uploader.text import printable
from uploader.transfer.options import RequestOptions

if TYPE_CHECKING:
    from uploader.catalog.report.incomplete import IncompleteTable
    from uploader.catalog.report.make import ReportRun, Table
    from uploader.catalog.report.price import CostEstimate
    from uploader.cli.context import Context
    from uploader.figshare.client import Figshare
    from uploader.figshare.statistics_api import StatisticsApi

HELP = """\b
Run the same command again until it exits with 0, and every record is in the
table once. Exit status: 1 if records are missing or could not be read in full
(they are named); 8 if another process makes this report; 75 if it ended
early. What was read is kept; later runs read only what changed.

"""


_PATH = LocalPath(path_type=Path, readable=False)
_which, _table, _numbers, _run = grouped("Which"), grouped("Table"), grouped("Numbers"), grouped("Run")
_SPECIFIC: dict[str, list[Any]] = {
    "author": [click.argument("author", metavar="[NAME]", required=False)],
    "orcid": [_which("--orcid", metavar="ID", type=ParsedParam("ORCID iD", identifiers.orcid),
                     help="Records with this ORCID iD; with NAME, also those without it.")],
    "author_ids": [_which("--author-id", "author_ids", metavar="ID", type=click.IntRange(min=1), multiple=True,
                          help="The author, if several have the name; may be repeated.")],
    "strict": [_which("--strict", is_flag=True, help="Leave out records that only the name matches.")],
    "group": [_which("--group", metavar="ID", type=click.IntRange(min=1),
                     help="Only this group, without its subgroups.")],
    "type": [_which("--type", metavar="TYPE", help="Only items of this type, such as dataset.")],
    "states": [_which("--state", "states", metavar="STATE,…", type=ParsedParam("states", names_among("state", STATES)),
                      help=f"Only records in these states: {', '.join(STATES)}.")],
    "status": [_which("--status", type=click.Choice(STATUSES), help="Only reviews of this status.")],
    "kinds": [_which("--collections", is_flag=True, help="Collections, too."),
              _which("--projects", is_flag=True, help="Projects, too.")],
    "versions": [_table("--versions", is_flag=True, help="One row for each public version.")],
    "tables": [_table("--tables", is_flag=True,
                      help="Also tables of authors, categories, tags, files, funding, custom fields and others: sheets "
                           "of FILE.xlsx, or FILE.authors.csv and so on.")],
    "emails": [_table("--without-emails", is_flag=True, help="Leave out e-mail addresses.")],
    "stats": [_numbers("--stats", is_flag=True,
                       help="Also views, downloads, shares and citations, read once a day at most.")],
    "stats_since": [_numbers("--stats-since", metavar="DATE", type=ParsedParam("date", identifiers.date_of),
                             help="Only those from this day to today, without citations; with --tables, also by month "
                                  "and by country.")],
    "scope": [_numbers("--scope", metavar="INST", type=SCOPE,
                       help="Only those of an institution's portal: INST is X in X.figshare.com."),
              service_option("Numbers")],
}  # fmt: skip
"""Options by what they set in a `ReportRequest`; a report takes some of them."""
_COMMON = [
    _table("--output", metavar="FILE", type=_PATH, required=True,
           help="The table: FILE.xlsx, FILE.csv, or FILE.jsonl with records as received."),
    _table("--force", is_flag=True, help="Replace the file if it exists."),
    _table("--columns", metavar="LIST", default="default", show_default=True,
           help="Names joined by commas, default, or notebook for those of Figshare's notebooks; not for .jsonl."),
    _run("--dry-run", is_flag=True, help="Read only the lists, and estimate the number of requests."),
    _run("--fresh", is_flag=True, help="Read everything again."),
    _run("--failed-to", metavar="FILE", type=_PATH,
         help="Write the records that could not be read, as CSV, also if there is no table; replaces FILE."),
    _run("--deadline", metavar="auto|TIME", type=DEADLINE,
         help="Exit with 75 before this time (17:30, 2026-12-01T17:30) or after this long (90min). auto: before the "
              "end of the batch job.  [default: no deadline]"),
    _run("--max-requests", metavar="N", type=click.IntRange(min=1),
         help="Exit with 75 after N requests plus those that finish what was begun."),
]  # fmt: skip
_COMMANDS: dict[ReportName, str] = {
    "public": "Make a table of all public records of an institution. No token is needed.",
    "own": "Make a table of your own records, drafts included.\n\n"
           "Only you can read the file.",
    "author": "Make a table of an author's public records.\n\n"
              "By name, ORCID iD or both. Each row says what matched. "
              "Records of namesakes with another ORCID iD are left out and counted.",
    "published": "Make a table of all published records of your institution.\n\n"
                 "For administrators. With owners and groups. "
                 "Also what is under embargo; drafts and withdrawn records are counted.",
    "accounts": "Make a table of the accounts of your institution. For administrators.",
    "reviews": "Make a table of the reviews of your institution's items. For administrators.",
    "embargoes": "Make a table of what is under embargo in your institution. For administrators.",
    "quotas": "Make a table of what each account of your institution uses. For administrators.",
}  # fmt: skip


@click.group("report", cls=CommandGroup)
def report() -> None:
    """Make complete tables: of records, accounts, reviews, embargoes or quotas."""


def _command(name: ReportName, text: str) -> None:
    """Add the command that makes a report."""
    takes = DEFINITIONS[name].takes
    specific = [option for field, options in _SPECIFIC.items() if field in takes for option in options]
    if "institution" in takes:
        needed = name == "public"
        specific.insert(0, _which("--institution", metavar="NAME|ID", required=needed,
                                  help="The institution: name, portal or id."))  # fmt: skip

    def command(requests: RequestOptions, common: GlobalOptions, **values: Any) -> int:
        return _make(name, common, requests, values)

    wrapped: Callable[..., int] = with_options(common_options(request_options(command)), [*specific, *_COMMON])
    made = click.command(name, cls=FigupCommand, epilog=HELP + ENVIRONMENT, help=text)(wrapped)
    report.add_command(made)


for _name, _text in _COMMANDS.items():
    _command(_name, _text)


@report.command("columns", cls=FigupCommand)
@click.argument("report_name", metavar="[REPORT]", type=click.Choice(REPORTS), default="published")
@output_options
def columns(report_name: ReportName, common: GlobalOptions) -> int:
    """List the columns of a report and of its separate tables."""

    from uploader.catalog.report.columns import CUSTOM

    known = DEFINITIONS[report_name].columns
    default = {one.name for one in known.default} | {"missing"}
    lines = [(one.name, one.meaning, one.name in default) for one in known.known.values()]
    if known.custom:
        lines.append((f"{CUSTOM}NAME", "each custom field by its name; custom stands for all of them", True))

    async def work(session: Session) -> int:
        console = session.console
        for name, meaning, is_default in lines:
            console.event("column", table="records", name=name, meaning=meaning, default=is_default)
            console.result(f"{name:<22}  {meaning}{'' if is_default else ' (only if named)'}")
        for side in tables_of(report_name):
            options = " ".join(f"--{name.replace('_', '-')}" for name in needs_of(side))
            console.result(f"\nTable {side.name}, with {options}:")
            for one in side.columns:
                console.event("column", table=side.name, name=one.name, meaning=one.meaning, default=True)
                console.result(f"{one.name:<22}  {one.meaning}")
        return ExitStatus.OK

    return run(common, work)


def _request(name: ReportName, values: dict[str, Any]) -> ReportRequest:
    """Return the request that the options describe. Raises UsageError."""
    given = {field: values[field] for field in DEFINITIONS[name].takes if field in values and values[field] is not None}
    if "kinds" in DEFINITIONS[name].takes:
        given["kinds"] = ("item", *(kind for kind in ("collection", "project") if values[f"{kind}s"]))
    if "emails" in DEFINITIONS[name].takes:
        given["emails"] = not values["without_emails"]
    return ReportRequest(report=name, columns=values["columns"], **given)


def _make(name: ReportName, common: GlobalOptions, requests: RequestOptions, values: dict[str, Any]) -> int:
    request = _request(name, values)

    async def work(session: Session, context: Context, api: Figshare) -> int:
        from uploader.catalog.report.incomplete import IncompleteTable
        from uploader.catalog.report.make import FOLDER, Table
        from uploader.catalog.report.sheets import check_format, output_files
        from uploader.cli.context import state_dir

        session.resumable = True
        check_format(values["output"], tables=bool(request.sides))  # other names are made of it
        files = output_files(values["output"], request.sides)
        before = IncompleteTable(state_dir(common) / FOLDER, (request, api.endpoint), files)
        replaces = values["force"] or await in_thread(before.exists)
        table = Table.of(request, values["output"], replace=replaces)
        await in_thread(lambda: _check_files(table, values["failed_to"]))
        async with AsyncExitStack() as stack:
            numbers = None
            if request.stats:
                endpoint = service_endpoint(context, values["stats_endpoint"])
                numbers = await stack.enter_async_context(
                    open_statistics(session, context, endpoint, request.scope, requests)
                )
            stack.enter_context(noting_requests(session, api, numbers))
            return await _report(session, api, request, table, before, numbers, values)

    return on_context(common, work, anonymous=not DEFINITIONS[name].private, requests=requests)


def _check_files(table: Table, failed_to: Path | None) -> None:
    """Check that all files can be written, before anything is asked. Blocks."""
    from uploader.catalog.report.sheets import check_output, output_files
    from uploader.catalog.rows import NewFile

    check_output(table.output, sides=table.sides, replace=table.replace)
    if failed_to is not None:
        if failed_to.resolve() in {path.resolve() for path in output_files(table.output, table.sides)}:
            raise UsageError(f"{printable(str(failed_to))} is also a file of the table", facts=Facts("same-output"))
        NewFile(failed_to, replace=True).close(keep=False)


async def _report(
    session: Session,
    api: Figshare,
    request: ReportRequest,
    table: Table,
    before: IncompleteTable,
    numbers: StatisticsApi | None,
    values: dict[str, Any],
) -> int:
    from uploader.catalog.report.limits import Limits
    from uploader.catalog.report.make import ReportRun
    from uploader.cli.context import state_dir

    making = await ReportRun.of(api, request, state_dir(session.common), numbers)
    account = making.place.account
    if not values["force"]:
        if table.replace:
            await in_thread(lambda: before.check(account))
        # Killed while the files get their names, the same command may replace those that have.
        replaces = table.replace
        table = replace(table, on_complete=lambda files: before.expect(account, files, replace=replaces))
    if values["dry_run"]:
        asked = api.requests  # for the account, and for names
        price = await making.price(fresh=values["fresh"])
        price = replace(price, list_requests=price.list_requests + asked)
        return show_price(session, price, costs_of(price, api, numbers, since=request.stats_since))

    def tell(price: CostEstimate) -> None:
        show_long_price(session, price.listed, costs_of(price, api, numbers, since=request.stats_since))

    session.signals.stop_with(making.stop, REQUEST_GRACE)
    limits = Limits.of(values["deadline"], values["max_requests"], api.clock)
    try:
        made = await making.make(
            table, fresh=values["fresh"], limits=limits, on_progress=ProgressNotes(session).show, on_price=tell
        )
    finally:
        await _write_failed(making, values["failed_to"])
    await in_thread(lambda: before.update(account, incomplete=bool(made.failed or made.gaps)))
    session.report_written = True
    return conclude(session, api, numbers, made, table.output, private=DEFINITIONS[request.report].private)


async def _write_failed(making: ReportRun, path: Path | None) -> None:
    if path is not None and making.failed is not None:
        await in_thread(write_failed, path, making.failed)
