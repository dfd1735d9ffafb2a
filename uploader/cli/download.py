"""`figup download`: an item's files to a local folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from uploader import units
from uploader.cli.context import open_context
from uploader.cli.hints import hint_for
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options, grouped
from uploader.cli.output.progress import Display, display_for
from uploader.cli.output.writer import GREEN, RED, YELLOW, Mark
from uploader.cli.parameters import ITEM_AS_NAMED, LocalPath, ParsedParam
from uploader.cli.runner import Session, reading_public, run
from uploader.cli.transfer_options import DEADLINE, DEADLINE_HELP, LIMIT_RATE, log_deadline
from uploader.errors import ExitStatus
from uploader.figshare.ids import Reference
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.options import Options, parse_connections

if TYPE_CHECKING:
    from uploader.transfer.download.report import DownloadReport

HELP = f"""\b
Examples:
  figup download 1234567                      all files, into this folder
  figup download 1234567 -o data --include '*.csv'
  figup download 1234567 survey/readme.txt    one file
  figup download https://doi.org/10.6084/m9.figshare.1234567.v2

\b
Exit status:
  {ExitStatus.OK} everything is here and verified
  {ExitStatus.SOME_FAILED} some files failed, are unfinished, or a different one is in their place
  {ExitStatus.NOT_FOUND} no such item or file
  {ExitStatus.INTEGRITY} an MD5 differs
  {ExitStatus.PENDING} Figshare has no MD5 to compare with
  {ExitStatus.RESUMABLE} interrupted; run the same command again to continue

"""
_WORDS = {
    "downloaded": "downloaded",
    "same": "already here",
    "kept": "KEPT: a different file exists here",
    "unknown": "NOT VERIFIED: Figshare has no MD5 of it",
    "skipped": "skipped",
    "failed": "FAILED",
}
_COLORS = {"downloaded": GREEN, "same": GREEN, "failed": RED}
_REASONS = {
    "link": "a link to another address",
    "unfinished": "its upload was never completed",
    "integrity-failed": "it did not pass Figshare's integrity check",
    "excluded": "excluded",
    "not-included": "not included",
}
_what, _conflicts, _speed = grouped("What to download"), grouped("Conflicts"), grouped("Speed")


@click.command("download", cls=FigupCommand, epilog=HELP + ENVIRONMENT)
@click.argument("item", metavar="ITEM", type=ITEM_AS_NAMED)
@click.argument("names", metavar="[FILE]...", nargs=-1)
@_what(
    "-o",
    "--output",
    "target",
    metavar="DIR",
    type=LocalPath(path_type=Path, file_okay=False, readable=False),
    default=Path(),
    help="Folder to write to; it is created if missing.  [default: current folder]",
)
@_what(
    "--include",
    metavar="PATTERN",
    multiple=True,
    help="Only files that match, in the syntax of .gitignore; may be repeated.",
)
@_what("--exclude", metavar="PATTERN", multiple=True, help="Skip files that match; may be repeated.")
@_conflicts(
    "--on-conflict",
    type=click.Choice(["fail", "skip", "replace"]),
    default="fail",
    show_default=True,
    help="If a different file is already here: report an error, keep it, or replace it once the new one is "
    "verified. An identical file is never downloaded again.",
)
@_speed(
    "--connections",
    metavar="auto|N",
    type=ParsedParam("connections", parse_connections),
    default="auto",
    show_default=True,
    help="Ranges downloaded at the same time.",
)
@_speed(
    "--limit-rate",
    metavar="RATE",
    type=LIMIT_RATE,
    help="Maximum bytes per second, as for figup upload.  [default: no limit]",
)
@_speed("--deadline", metavar="auto|TIME", type=DEADLINE, help=DEADLINE_HELP)
@common_options
def download(
    item: tuple[Reference, int | None, bool], names: tuple[str, ...], target: Path, common: GlobalOptions, **values: Any
) -> int:
    """Download an item's files, or some of them, in parallel; verify their MD5s.

    Run the same command again to continue an interrupted download. Folders of the item become folders; nothing is
    written outside DIR, and no existing file is changed unless --on-conflict replace is given. A DOI or an address
    with a version means that published version, a DOI without one the newest.
    """
    from uploader.transfer.download.report import exit_status

    if str(target) == "-":
        raise click.UsageError("--output is the folder to write to, and cannot be '-'")
    options = Options(**{name: values[name] for name in ("connections", "limit_rate", "deadline")})
    with open_context(common) as at:
        client = at.client(options, anonymous=True)

        async def work(session: Session) -> int:
            with reading_public(anonymous=True):
                return await received(session)

        async def received(session: Session) -> int:
            session.resumable = True
            log_deadline(options)
            display = display_for(session.console, no_progress=common.no_progress)
            shown = _Shown(session, display)
            try:
                async with client:
                    reports = await client.download(
                        item[0],
                        target,
                        version=item[1],
                        published=item[2],
                        names=names,
                        include=values["include"],
                        exclude=values["exclude"],
                        on_conflict=values["on_conflict"],
                        on_result=shown.report,
                        on_event=shown.take,
                    )
            finally:
                display.close()
            session.console.result(_totals(reports))
            return exit_status(reports)

        return run(common, work)


class _Shown:
    """Shows notices and reports of one download, and collects them for the summary."""

    def __init__(self, session: Session, display: Display) -> None:
        self._session = session
        self._display = display
        self._rows: list[dict[str, Any]] = []
        session.summary.files = self._rows

    def take(self, notice: no.AnyNotice) -> None:
        """Show a notice."""
        summary = self._session.summary
        if isinstance(notice, no.ItemKnown):
            summary.item_id, summary.item_url = notice.item_id, notice.item_url or None
        else:
            self._display.show(notice)

    def report(self, report: DownloadReport) -> None:
        """Show the result of one file."""
        session, fields = self._session, msgspec.to_builtins(report)
        if report.error is not None:
            fields["error"]["hint"] = hint_for(report.error, repeated=session.common.repeated)
            del fields["error"]["facts"]
        self._rows.append(fields)
        session.summary.bytes_total += report.size or 0
        session.console.event("downloaded", **fields)
        if report.reason not in ("excluded", "not-included"):
            words = _WORDS[report.status]
            session.console.result(_line(report), Mark(words.partition(":")[0], _COLORS.get(report.status, YELLOW)))


def _line(report: DownloadReport) -> str:
    """Return one file's result, for a person."""
    text = f"{printable(report.path or report.remote)}: {_WORDS[report.status]}"
    if report.reason is not None:
        return f"{text}: {_REASONS[report.reason]}"
    if report.size is None or report.status == "failed":
        return text
    md5 = f", MD5 {report.md5}" if report.md5 is not None else ""
    return f"{text} ({units.format_bytes(report.size)}{md5})"


def _totals(reports: Sequence[DownloadReport]) -> str:
    """Format the number and size of files by status."""
    pieces = []
    for status, words in _WORDS.items():
        sizes = [report.size or 0 for report in reports if report.status == status]
        if sizes or status == "downloaded":
            size = f" ({units.format_bytes(sum(sizes))})" if status != "skipped" else ""
            pieces.append(f"{len(sizes)} {words.partition(':')[0].lower()}{size}")
    return f"{units.format_count(len(reports), 'file')}: {', '.join(pieces)}"
