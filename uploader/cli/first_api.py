"""`figup v1`: the listing and the search of Figshare's first API, signed with OAuth 1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import TYPE_CHECKING

import click

from uploader.cli.context import INTERACTIVE_RETRY, open_context
from uploader.cli.options import (
    ENVIRONMENT,
    CommandGroup,
    FigupCommand,
    GlobalOptions,
    common_options,
    with_options,
)
from uploader.cli.parameters import ParsedParam
from uploader.cli.records_result import put_rows
from uploader.cli.runner import Session, run
from uploader.errors import ExitStatus, Facts, NoToken, RecordsMissing, UsageError
from uploader.metadata import identifiers
from uploader.units import format_count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from uploader.figshare.oauth1 import FirstApi
    from uploader.figshare.records import Record

_DAY = ParsedParam("date", identifiers.date_of)
_CONDITIONS = [
    click.option("--title", metavar="T", help="A word or phrase of the title."),
    click.option("--author", metavar="NAME", help="An author's name."),
    click.option("--tag", metavar="TAG", help="A tag."),
    click.option("--category", metavar="C", help="A category, by its title."),
    click.option("--since", metavar="DATE", type=_DAY, help="First day of publication."),
    click.option("--until", metavar="DATE", type=_DAY, help="Last day of publication."),
    click.option("--page", metavar="N", type=click.IntRange(1, 100_000), default=1, show_default=True,
                 help="Page of ten items."),
]  # fmt: skip


@click.group("v1", cls=CommandGroup)
def v1() -> None:
    """List and search through Figshare's first API.

    Sign in with `figup auth login --oauth1` first. New applications of this API have not been accepted since 2016, and
    whether Figshare still answers is unknown: this is tested against the sandbox only. `figup item list` and `figup
    search` do more.
    """


@v1.command("list", cls=FigupCommand, epilog=ENVIRONMENT)
@common_options
def list_(common: GlobalOptions) -> int:
    """List your own items: id, day of publication, title.

    The first API shows ten of them. Exit status 1 if there are more.
    """

    async def work(session: Session, api: FirstApi) -> int:
        rows, count = await api.own()
        await put_rows(session, _each(rows), "item")
        _summarize(session, api, rows, complete=count == len(rows))
        if count > len(rows):
            raise RecordsMissing(
                f"the first API shows {len(rows)} of {format_count(count, 'item')}", facts=Facts("v1-incomplete")
            )
        return ExitStatus.OK

    return _on_first_api(common, work)


@v1.command("search", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("words", metavar="[WORDS]...", nargs=-1)
@(lambda command: with_options(command, _CONDITIONS))
@common_options
def search(
    words: tuple[str, ...],
    title: str | None,
    author: str | None,
    tag: str | None,
    category: str | None,
    since: date | None,
    until: date | None,
    page: int,
    common: GlobalOptions,
) -> int:
    """Find public items, ten at a time."""
    conditions = {
        "search_for": " ".join(words), "has_title": title, "has_author": author, "has_tag": tag,
        "has_category": category, "from_date": since and since.isoformat(), "to_date": until and until.isoformat(),
    }  # fmt: skip
    query = {name: value for name, value in conditions.items() if value}
    if not query:
        raise UsageError("nothing to search for: give WORDS or a condition")

    async def work(session: Session, api: FirstApi) -> int:
        from uploader.figshare.oauth1 import PAGE

        rows, count = await api.search(query, page)
        await put_rows(session, _each(rows), "item")
        more = bool(rows) and page * PAGE < count
        _summarize(session, api, rows, complete=not more)
        if more:
            session.console.note(f"{format_count(count, 'item')} in all; --page {page + 1} shows the next ones")
        elif not rows:
            session.console.note("nothing found" + (f" on page {page}" if page > 1 else ""))
        return ExitStatus.OK

    return _on_first_api(common, work)


def _on_first_api(common: GlobalOptions, work: Callable[[Session, FirstApi], Awaitable[int]]) -> int:
    """Run the work in a session with the first API."""
    from uploader.figshare.auth import default_config_dir, find_first_grant
    from uploader.figshare.oauth1 import FirstApi, first_endpoint

    if common.sandbox:
        raise UsageError("figup v1 needs an endpoint and a sign-in there; a sandbox of --sandbox has none")
    with open_context(common) as context:
        endpoint = first_endpoint(context.endpoint)
        found = find_first_grant(endpoint=endpoint, config_dir=default_config_dir())
        if found is None:
            raise NoToken(f"no OAuth 1 sign-in for {endpoint}", facts=Facts("no-v1"))

        async def connected(session: Session) -> int:
            api = FirstApi(found[0], context.settings(retry=INTERACTIVE_RETRY))
            try:
                return await work(session, api)
            finally:
                await api.close()

        return run(common, connected)


def _summarize(session: Session, api: FirstApi, rows: list[Record], *, complete: bool) -> None:
    session.summary.records = {
        "found": len(rows), "written": len(rows), "complete": complete, "more": not complete, "requests": api.requests
    }  # fmt: skip


async def _each(rows: list[Record]) -> AsyncIterator[Record]:
    for row in rows:
        yield row
