"""`figup item|collection|project list`: the account's own records, drafts included, all pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options
from uploader.cli.output.record_lines import record_line
from uploader.cli.records_result import conclude, output_options, write_rows
from uploader.cli.runner import Session, on_figshare
from uploader.cli.transfer_options import request_options
from uploader.figshare.ids import Kind
from uploader.figshare.records import own_list
from uploader.transfer.options import RequestOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from uploader.figshare.client import Figshare
    from uploader.figshare.records import Record


def own_list_command(kind: Kind) -> click.Command:
    """Return the command that lists the account's own items, collections or projects."""
    note = " Items of which you are only an author are not among them." if kind == "item" else ""
    text = f"List your own {kind}s, drafts included: id, day of publication, title.{note}"

    @click.command("list", cls=FigupCommand, epilog=ENVIRONMENT, help=text, short_help=f"List your own {kind}s.")
    @click.option("--state", type=click.Choice(["draft", "published"]), help="Only drafts, or only published ones.")
    @output_options
    @request_options
    @common_options
    def list_(
        state: str | None, output: Path | None, force: bool, requests: RequestOptions, common: GlobalOptions
    ) -> int:
        async def work(session: Session, api: Figshare) -> int:
            from uploader.catalog.reading import Reading
            from uploader.catalog.search import Conclusion

            reading, result = Reading(api.records, own_list(kind)), Conclusion()

            async def rows() -> AsyncIterator[Record]:
                async for row in reading.rows():
                    if state is None or (row.published is None) == (state == "draft"):
                        result.found += 1
                        yield row
                result.gaps = reading.gaps

            if output is not None:
                await write_rows(rows(), kind, output, replace=force)
            else:
                async for row in rows():
                    session.console.event("record", kind=kind, record=row.raw)
                    session.console.result(record_line(row))
            return conclude(session, api, result, output)

        return on_figshare(common, work, requests=requests)

    return list_
