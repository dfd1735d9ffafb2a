"""`figup verify`: local files compared with what Figshare holds."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from uploader.cli import units
from uploader.cli.displays import Display
from uploader.cli.options import ENVIRONMENT, Common, FigupCommand, common_options
from uploader.cli.place import place
from uploader.cli.running import Session, run
from uploader.transfer.source import shown
from uploader.transfer.verify import Comparison, exit_status

HELP = """\b
Example:
  figup verify 1234567 survey.tar
  figup verify 1234567 *.csv --json

\b
Exit status:
  0 all are the same                    5 one differs
  1 one is missing, or unfinished       7 Figshare has not computed an MD5 yet
  4 no such local file or item

"""
_WORDS = {
    "same": "the same",
    "different": "DIFFERENT",
    "missing": "MISSING: the item has no file of this name",
    "unfinished": "UNFINISHED: its upload was never completed",
    "unknown": "not known: of the same size, but Figshare has not computed its MD5",
}


@click.command("verify", cls=FigupCommand, epilog=HELP + ENVIRONMENT)
@click.argument("item", metavar="ITEM", type=click.IntRange(min=1))
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(readable=False))
@common_options
def verify(item: int, paths: tuple[str, ...], common: Common) -> int:
    """Compare local files with the files of the item: size and MD5. Nothing is sent.

    Each file is read once, and compared with the item's file of the same name.
    """
    with place(common) as at:
        client = at.client()

        async def work(session: Session) -> int:
            display = Display(session.console, None)
            session.summary.item_id = item

            def tell(result: Comparison) -> None:
                fields: dict[str, Any] = msgspec.to_builtins(result)
                session.summary.files.append(fields)
                session.summary.bytes_total += result.size
                session.console.event("compared", **fields)
                session.console.result(line(result))

            async with client:
                results = await client.verify(item, paths, on_result=tell, on_event=display.take)
            return exit_status(results)

        return run(common, work)


def line(result: Comparison) -> str:
    """One comparison, for a person."""
    here = f"{units.show_bytes(result.size)}, MD5 {result.md5}"
    text = f"{shown(result.path)}: {_WORDS[result.status]} ({here}"
    if result.status == "different":
        text += f"; there {units.show_bytes(result.remote_size or 0)}, MD5 {result.remote_md5 or 'not known'}"
    return text + ")"
