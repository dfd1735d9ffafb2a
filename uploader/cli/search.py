"""`figup search`: find items, collections and projects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uploader.catalog.query import Query, is_searchable
from uploader.cli.options import (
    ENVIRONMENT,
    FigupCommand,
    GlobalOptions,
    check_exclusive,
    common_options,
    grouped,
    with_options,
)
from uploader.cli.parameters import ParsedParam
from uploader.cli.prices import HostCost, noting_requests, show_long_price
from uploader.cli.records_result import RESULT, conclude, output_options, put_rows, with_progress
from uploader.cli.runner import Session, on_figshare
from uploader.cli.transfer_options import request_options
from uploader.errors import ExitStatus, FigupError
from uploader.figshare.ids import Kind
from uploader.metadata import identifiers
from uploader.metadata.vocabulary import ITEM_TYPE_IDS
from uploader.transfer.options import RequestOptions

if TYPE_CHECKING:
    from uploader.catalog.search import Search, SearchRun
    from uploader.figshare.client import Figshare

HELP = """\b
Examples:
  figup search beavers telemetry --type dataset
  figup search "beaver dam" --author "Jane Doe" --since 2020-01-01
  figup search --orcid 0000-0002-1825-0097 --limit all --output jane.csv
  figup search --institution "Iowa State University" --count

\b
All conditions must hold. An argument with blanks is a phrase; Figshare also
finds other forms of a word, except of tags. Exit status: 0 complete; 1 if
records may be missing; 4 for an unknown institution or group; 5 if Figshare
ignored a filter.

"""


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 500_000):
        raise ValueError(f"invalid limit {text!r}; use a number, or all")
    return int(text)


def _value(text: str) -> str:
    if not is_searchable(text):
        raise ValueError(f"nothing to search for in {text!r}")
    return text


def _complete_types(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in ITEM_TYPE_IDS if name.startswith(incomplete)]


_TEXT, _DAY = ParsedParam("text", _value), ParsedParam("date", identifiers.date_of)
_what, _where, _how = grouped("Conditions"), grouped("Where"), grouped(RESULT)
_OPTIONS = [
    _what("--any", "any_word", is_flag=True, help="Find records with at least one of the WORDS."),
    _what("--title", metavar="T", multiple=True, type=_TEXT, help="A word or phrase of the title."),
    _what("--description", metavar="T", multiple=True, type=_TEXT, help="A word or phrase of the description."),
    _what("--author", metavar="NAME", multiple=True, type=_TEXT, help="An author's name; namesakes are found as well."),
    _what("--orcid", metavar="ID", multiple=True, type=ParsedParam("orcid", identifiers.orcid),
          help="An author's ORCID iD; finds records that have it."),
    _what("--tag", metavar="TAG", multiple=True, type=_TEXT, help="A tag, exactly."),
    _what("--category", metavar="C", multiple=True, help="A category, by title or id."),
    _what("--type", "type_name", metavar="TYPE", shell_complete=_complete_types, help="The type, such as dataset."),
    _what("--licence", "--license", "licences", metavar="L", multiple=True, help="A licence, such as CC-BY."),
    _what("--extension", metavar="EXT", multiple=True, type=_TEXT, help="The extension of a file, such as csv."),
    _what("--doi", metavar="DOI", type=ParsedParam("doi", identifiers.doi), help="The DOI of any version."),
    _what("--resource-doi", metavar="DOI", type=ParsedParam("doi", identifiers.doi),
          help="The DOI of the publication that it belongs to."),
    _what("--references", metavar="URL", multiple=True, type=_TEXT, help="An address among its references."),
    _what("--since", metavar="DATE", type=_DAY, help="First day of publication."),
    _what("--until", metavar="DATE", type=_DAY, help="Last day of publication."),
    _what("--modified-since", metavar="DATE", type=_DAY, help="First day of the last change."),
    _what("--raw", metavar="QUERY", help="A query in Figshare's own search language."),
    _where("--institution", metavar="NAME|ID", help="An institution's records, by name, portal or id."),
    _where("--group", metavar="NAME|ID", help="A group's records, without those of its subgroups."),
    _where("--subgroups", is_flag=True, help="With --group: those of all groups below it as well."),
    _where("--collections", is_flag=True, help="Search collections instead of items."),
    _where("--projects", is_flag=True, help="Search projects instead of items."),
    _where("--own", is_flag=True, help="Search your own records, drafts included."),
    _how("--order", type=click.Choice(["published", "modified", "created", "views", "downloads", "shares", "cites"]),
         default="published", show_default=True, help="Sort by this, greatest or latest first."),
    _how("--reverse", is_flag=True, help="Sort in the opposite direction."),
    _how("--limit", metavar="N|all", type=ParsedParam("limit", _limit), default="20", show_default=True,
         help="Maximum number of records, or all. With all, and with --output, oldest first."),
    _how("--count", is_flag=True, help="Print only the number of records; reads the whole list."),
    _how("--explain", is_flag=True, help="Print the request, without sending it."),
]  # fmt: skip


def _search_options(command: Callable[..., int]) -> Any:
    return with_options(command, _OPTIONS)


@click.command("search", cls=FigupCommand, epilog=HELP + ENVIRONMENT)
@click.argument("words", metavar="[WORDS]...", nargs=-1, type=_TEXT)
@_search_options
@output_options
@request_options
@common_options
def search(
    words: tuple[str, ...],
    output: Path | None,
    force: bool,
    requests: RequestOptions,
    common: GlobalOptions,
    **values: Any,
) -> int:
    """Find public items, collections or projects, or your own.

    WORDS are found in titles, descriptions, authors, tags and more. A token is needed only with --own, and for names
    and subgroups of groups.
    """
    _check(values)
    whole = values["count"] or (output is not None and not _given("limit"))
    if whole:
        values["limit"] = None

    async def work(session: Session, api: Figshare) -> int:
        from uploader.catalog.search import SearchRun

        wanted = await _search(api, words, values)
        searching = SearchRun(api.records, wanted)
        if values["explain"]:
            return _explain(session, searching)
        # The length of a list shows at its end, but each group has one.
        show_long_price(session, None, [HostCost.of(api, len(searching.requests()), more=True)])
        with noting_requests(session, api):
            if values["count"]:
                async for _ in with_progress(session, searching.rows()):
                    pass
            else:
                await put_rows(session, searching.rows(), wanted.kind, output, replace=force, private=wanted.own)
                if not searching.conclusion.found:
                    with suppress(FigupError):  # only a remark
                        await _note_unknown(session, api, wanted)
            return conclude(session, api, searching.conclusion, output, count=values["count"])

    return on_figshare(common, work, anonymous=not values["own"], requests=requests)


def _given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is not None and source is not click.core.ParameterSource.DEFAULT


def _check(values: dict[str, Any]) -> None:
    """Raise UsageError for options that do not fit together."""
    check_exclusive({"--collections": values["collections"], "--projects": values["projects"]})
    check_exclusive({"--count": values["count"], "--explain": values["explain"]})
    if values["subgroups"] and values["group"] is None:
        raise click.UsageError("--subgroups needs --group")
    if values["since"] is not None and values["until"] is not None and values["since"] > values["until"]:
        raise click.UsageError(f"--since {values['since']} is after --until {values['until']}")
    kind = "collections" if values["collections"] else "projects" if values["projects"] else None
    lacking = {
        "collections": ("type_name", "extension"),
        "projects": ("type_name", "extension", "doi", "resource_doi", "modified_since"),
    }
    for name in lacking.get(kind or "", ()):
        if values[name]:
            raise click.UsageError(f"{kind} have no {name.removesuffix('_name').replace('_', '-')} to search for")


async def _search(api: Figshare, words: tuple[str, ...], values: dict[str, Any]) -> Search:
    """Return the search that the options describe. Raises UsageError and NameNotFound for unknown names."""
    from uploader.catalog.search import Search, resolve

    kind: Kind = "collection" if values["collections"] else "project" if values["projects"] else "item"

    def given(*names: str) -> dict[str, Any]:
        return {name: values[name] for name in names}

    of_text = given(
        "any_word", "title", "description", "author", "orcid", "tag", "extension", "references", "until", "raw"
    )
    others = given("own", "since", "modified_since", "doi", "resource_doi", "order", "reverse", "limit")
    return await resolve(
        api,
        Search(kind=kind, query=Query(words=words, **of_text), **others),
        categories=values["category"],
        **given("licences", "type_name", "institution", "group", "subgroups"),
    )


async def _note_unknown(session: Session, api: Figshare, search: Search) -> None:
    """Explain an empty result by groups that the account's institution does not have."""
    from uploader.catalog.names import Names

    names = Names(api)
    for group in search.groups:
        if await names.is_unknown_group(group):
            session.console.note(f"your institution has no group {group}")


def _explain(session: Session, searching: SearchRun) -> int:
    for request in searching.requests():
        session.console.event("request", method=request.method, path=request.path, body=request.body)
        lines = [f"{request.method} {request.path}", *(f"  {name}: {value}" for name, value in request.body.items())]
        session.console.result("\n".join(lines))
    return ExitStatus.OK
