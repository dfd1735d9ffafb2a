"""`figup item|collection|project list`: the account's own records, drafts included, all pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from uploader.catalog.report.values import PUBLISHED_STATES, STATES
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options
from uploader.cli.parameters import ParsedParam, names_among
from uploader.cli.prices import HostCost, noting_requests, show_long_price
from uploader.cli.records_result import conclude, output_options, put_rows
from uploader.cli.report_output import ProgressNotes
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
    from uploader.catalog.states import StateFilter
    from uploader.figshare.client import Figshare
    from uploader.figshare.records import Record

_PUBLISHED = "published"
"""A name for all states of what is published."""


def own_list_command(kind: Kind) -> click.Command:
    """Return the command that lists the account's own items, collections or projects."""
    note = " Items of which you are only an author are listed with --as-author." if kind == "item" else ""
    text = f"List your own {kind}s, drafts included: id, day of publication, title.{note}"
    names = (*STATES, _PUBLISHED) if kind == "item" else ("public", "draft", "unpublished", _PUBLISHED)
    shown = f"{', '.join(names[:-1])}; or {_PUBLISHED}: all but draft and unpublished"

    @click.command("list", cls=FigupCommand, epilog=ENVIRONMENT, help=text, short_help=f"List your own {kind}s.")
    @click.option("--state", "states", metavar="STATE,…", type=ParsedParam("states", names_among("state", names)),
                  help=f"Only {kind}s in these states, at one request for each of your {kind}s: {shown}.")  # fmt: skip
    @output_options
    @request_options
    @common_options
    def list_(
        states: tuple[str, ...] | None,
        output: Path | None,
        force: bool,
        requests: RequestOptions,
        common: GlobalOptions,
        as_author: bool = False,
    ) -> int:
        async def work(session: Session, api: Figshare) -> int:
            from uploader.catalog.search import Conclusion

            result = Conclusion()
            wanted = None if states is None else frozenset(states)
            if wanted is not None and _PUBLISHED in wanted:
                wanted |= PUBLISHED_STATES
            rows = _rows(session, api, kind, result, wanted, as_author=as_author)
            with noting_requests(session, api):
                result.found = await put_rows(
                    session, rows, kind, output, replace=force, private=True, progress=wanted is None
                )
                return conclude(session, api, result, output)

        return on_figshare(common, work, requests=requests)

    if kind == "item":
        help_text = "Also public items that have your ORCID iD; not all items on which you are an author have it."
        list_.params.insert(1, click.Option(["--as-author"], is_flag=True, help=help_text))
    return list_


async def _rows(
    session: Session,
    api: Figshare,
    kind: Kind,
    result: Conclusion,
    states: frozenset[str] | None,
    *,
    as_author: bool,
) -> AsyncIterator[Record]:
    """Yield the account's records in these states, and with `as_author` those that are found by its ORCID iD."""
    from uploader.catalog.query import Query
    from uploader.catalog.reading import Reading
    from uploader.catalog.search import Search, SearchRun
    from uploader.catalog.states import StateFilter

    orcid = (await api.accounts.own()).orcid if as_author else ""
    if as_author and not orcid:
        raise UsageError("this account has no ORCID iD", hint="Add it to the account on Figshare.")
    chosen = None if states is None else StateFilter(api.records, kind, states, api.account)
    reading, seen = Reading(api.records, own_list(kind)), set[int]()
    async for row in _in_states(session, api, chosen, _new(reading.rows(), seen)):
        yield row
    result.gaps = reading.gaps
    if as_author and (states is None or states & PUBLISHED_STATES):
        searching = SearchRun(api.records, Search(query=Query(orcid=(orcid,)), limit=None))
        async for row in _in_states(session, api, chosen, _new(searching.rows(), seen), public=True):
            yield row
        result.gaps += searching.conclusion.gaps
    if chosen is not None:
        result.gaps += chosen.gaps


async def _new(rows: AsyncIterator[Record], seen: set[int]) -> AsyncIterator[Record]:
    """Yield the rows that were not seen before."""
    async for row in rows:
        if row.id not in seen:
            seen.add(row.id)
            yield row


async def _in_states(
    session: Session, api: Figshare, chosen: StateFilter | None, rows: AsyncIterator[Record], *, public: bool = False
) -> AsyncIterator[Record]:
    """Yield the rows whose records, each of which is read, are in one of the states; None: all."""
    from uploader.catalog.report.collect import RunProgress

    if chosen is None:
        async for row in rows:
            yield row
        return
    listed = [row async for row in rows]
    show_long_price(session, len(listed), [HostCost.of(api, len(listed))])
    progress = ProgressNotes(session)

    def show(done: int) -> None:
        progress.show(RunProgress(done=done, total=len(listed), failed=chosen.failed, requests=api.requests))

    async for row in chosen.fitting(listed, show, public=public):
        yield row
