"""`figup verify`: compare local files, or their checksums, with what Figshare holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click
import msgspec

from uploader import units
from uploader.cli.context import open_context
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options
from uploader.cli.output.progress import Display
from uploader.cli.output.summary import named_in_item, reason_text, skipped_lines
from uploader.cli.output.writer import GREEN, RED, YELLOW, Mark
from uploader.cli.packing_options import packed_options
from uploader.cli.parameters import ITEM_ID, LocalPath
from uploader.cli.runner import Session, run
from uploader.cli.source_options import read_stdin, source_options
from uploader.errors import ExitStatus
from uploader.figshare.ids import Reference
from uploader.sources.models import STDIN, Packing, Sources, remote_path
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.verify import Comparison, Total, exit_status, likely_folder, surplus_folder, totals

HELP = f"""\b
Examples:
  figup verify 1234567 survey.tar
  figup verify 1234567 survey                   a whole folder, both ways
  figup verify 1234567 --checksums survey.md5   the data is elsewhere
  figup verify 1234567 survey --packed          it was sent with --pack
  figup verify 1234567 *.csv --json

\b
Exit status:
  {ExitStatus.OK} all files are the same
  {ExitStatus.SOME_FAILED} a file is missing, unfinished or duplicated
  {ExitStatus.NOT_FOUND} a local file or the item does not exist
  {ExitStatus.INTEGRITY} a file differs
  {ExitStatus.PENDING} Figshare has not computed an MD5 yet

"""
_STATUS_TEXTS = {
    "same": "the same",
    "different": "DIFFERENT",
    "failed": "FAILED: it did not pass Figshare's integrity check",
    "missing": "MISSING: the item has no file of this name",
    "missing-here": "MISSING HERE: only in the item",
    "extra-copy": "EXTRA COPY: another file of the same name in the item",
    "unfinished": "UNFINISHED: its upload was never completed",
    "left-out": "LEFT OUT: in the item, but excluded here",
    "unknown": "UNKNOWN: same size, but Figshare has not computed the MD5",
}
_COLORS = {"same": GREEN, "different": RED, "missing": RED, "missing-here": RED}
_TOTALS = {
    "same": "the same",
    "different": "different",
    "failed": "failed on Figshare",
    "missing": "missing on Figshare",
    "missing-here": "missing here",
    "extra-copy": "duplicate",
    "unfinished": "unfinished on Figshare",
    "left-out": "left out",
    "unknown": "not known",
}
_ALWAYS = ("same", "different", "missing", "missing-here")
"""Statuses whose totals are shown even if they are zero."""


@click.command("verify", cls=FigupCommand, epilog=HELP + ENVIRONMENT)
@click.argument("item", metavar="ITEM", type=ITEM_ID)
@source_options(optional=True)
@click.option(
    "--checksums",
    metavar="FILE",
    type=LocalPath(readable=False, dir_okay=False, allow_dash=True),
    help="Compare the MD5s in this file, as md5sum and other programs write them; reads no local files. - reads stdin.",
)
@packed_options
@common_options
def verify(
    item: Reference, sources: Sources, checksums: str | None, packing: Packing | None, common: GlobalOptions
) -> int:
    """Compare local files with the item's files by size and MD5. Sends nothing.

    Each file is compared with the item's file of the same folder and name, and read only if the sizes are equal. For a
    folder, and with --checksums, files that only the item has are listed, too.
    """
    if checksums is None and not sources.named:
        raise click.UsageError("no files given: use PATH, --from-file, --manifest or --checksums")
    if checksums == sources.from_file == STDIN:
        raise click.UsageError("--from-file and --checksums cannot both read stdin")
    outputs = (str(common.log_file),) if common.log_file is not None else ()
    sources = replace(sources, stdin=read_stdin(sources, checksums), outputs=outputs)
    with open_context(common) as context:
        client = context.client()

        async def work(session: Session) -> int:
            display = Display(session.console, None)
            summary = session.summary
            rows: list[dict[str, Any]] = []
            summary.files = rows

            def on_notice(notice: no.AnyNotice) -> None:
                if isinstance(notice, no.ItemKnown):
                    summary.item_id, summary.item_url = notice.item_id, notice.item_url or None
                elif isinstance(notice, no.Skipped):
                    summary.skipped.append({"path": notice.path, "reason": notice.reason})
                else:
                    display.show(notice)

            def tell(result: Comparison) -> None:
                fields: dict[str, Any] = msgspec.to_builtins(result)
                rows.append(fields)
                summary.bytes_total += result.size or 0
                session.console.event("compared", **fields)
                session.console.result(line(result), mark(result))

            async with client:
                results = await client.verify(
                    item, sources, checksums=checksums, packing=packing, on_result=tell, on_event=on_notice
                )
            found = totals(results)
            summary.totals = msgspec.to_builtins(found)
            write_result = skipped_lines([(skip["path"], skip["reason"]) for skip in summary.skipped])
            session.console.result("\n".join([*write_result, totals_line(found)]))
            if (folder := likely_folder(results)) is not None:
                where = f"the missing files are in the item's folder {printable(folder)}"
                session.console.note(f"{where}: name the folder itself, not its contents")
            if (folder := surplus_folder(results)) is not None:
                where = f"the missing files are in the item, but not in a folder {printable(folder)!r}"
                session.console.note(f"{where}; compare its contents: {printable(folder)}/.")
            return exit_status(results)

        return run(common, work)


def totals_line(found: Mapping[str, Total]) -> str:
    """Format the number and total size of files by status."""
    parts = [
        f"{found[status].files} {texts}{_in_bytes(found[status].bytes)}"
        for status, texts in _TOTALS.items()
        if found[status].files or status in _ALWAYS
    ]
    return f"{sum(total.files for total in found.values())} compared: {', '.join(parts)}"


def _in_bytes(size: int | None) -> str:
    return f" ({units.format_bytes(size)})" if size is not None else ""


def line(result: Comparison) -> str:
    """Format one comparison for a user."""
    remote = remote_path(result.folder, result.name)
    named = printable(remote) if result.path is None else named_in_item(result.path, remote)
    text = f"{named}: {_STATUS_TEXTS[result.status]}"
    if result.spelling is not None:
        text += f", there under another spelling, {result.spelling!a}"
    local = _content(result.size, result.md5)
    there = _content(result.remote_size, result.remote_md5)
    if result.status == "left-out":
        return f"{text}: {reason_text(result.reason or '')}"
    if result.status in ("missing-here", "extra-copy"):
        return f"{text} (file {result.file_id}, {there})"
    if result.status == "different":
        return f"{text} ({local}; there {there})"
    if result.elsewhere is not None:
        text += f", but {printable(result.elsewhere)}"
    return f"{text} ({local})" if local else text


def mark(result: Comparison) -> Mark:
    """Return the status word with its color."""
    return Mark(_STATUS_TEXTS[result.status].partition(":")[0], _COLORS.get(result.status, YELLOW))


def _content(size: int | None, md5: str | None) -> str:
    facts = [units.format_bytes(size)] if size is not None else []
    return ", ".join([*facts, f"MD5 {md5}"] if md5 is not None else facts)
