"""`figup item|collection|project list`: the account's own records, drafts included, all pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options
from uploader.cli.records_result import conclude, output_options, put_rows
from uploader.cli.runner import Session, on_figshare
from uploader.cli.transfer_options import request_options
from uploader.errors import UsageError
from uploader.figshare.ids import Kind
from uploader.figshare.records import own_list
from uploader.transfer.options import RequestOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from uploader.catalog.search import Conclusion
    from uploader.figshare.client import Figshare
    from uploader.figshare.records import Record


def own_list_command(kind: Kind) -> click.Command:
    """Return the command that lists the account's own items, collections or projects."""
    note = " Items of which you are only an author are listed with --as-author." if kind == "item" else ""
    text = f"List your own {kind}s, drafts included: id, day of publication, title.{note}"

    @click.command("list", cls=FigupCommand, epilog=ENVIRONMENT, help=text, short_help=f"List your own {kind}s.")
    @click.option("--state", type=click.Choice(["draft", "published"]), help="Only drafts, or only published ones.")
    @output_options
    @request_options
    @common_options
    def list_(
        state: str | None,
        output: Path | None,
        force: bool,
        requests: RequestOptions,
        common: GlobalOptions,
        as_author: bool = False,
    ) -> int:
        async def work(session: Session, api: Figshare) -> int:
            from uploader.catalog.search import Conclusion

            result = Conclusion()
            rows = _rows(api, kind, result, state, as_author=as_author)
            result.found = await put_rows(session, rows, kind, output, replace=force)
            return conclude(session, api, result, output)

        return on_figshare(common, work, requests=requests)

    if kind == "item":
        help_text = "Also public items that have your ORCID iD; not all items on which you are an author have it."
        list_.params.insert(1, click.Option(["--as-author"], is_flag=True, help=help_text))
    return list_


async def _rows(
    api: Figshare, kind: Kind, result: Conclusion, state: str | None, *, as_author: bool
) -> AsyncIterator[Record]:
    """Yield the account's records of a state, and with `as_author` those that are found by its ORCID iD."""
    from uploader.catalog.query import Query
    from uploader.catalog.reading import Reading
    from uploader.catalog.search import Search, SearchRun

    orcid = (await api.accounts.own()).orcid if as_author else ""
    if as_author and not orcid:
        raise UsageError("this account has no ORCID iD", hint="Add it to the account on Figshare.")
    reading, seen = Reading(api.records, own_list(kind)), set[int]()
    async for row in reading.rows():
        seen.add(row.id)
        if state is None or (row.published is None) == (state == "draft"):
            yield row
    result.gaps = reading.gaps
    if as_author and state != "draft":
        searching = SearchRun(api.records, Search(query=Query(orcid=(orcid,)), limit=None))
        async for row in searching.rows():
            if row.id not in seen:
                yield row
        result.gaps += searching.conclusion.gaps
