"""`figup item authors|tags|categories add|remove`: the lists of an item's description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from uploader.cli.confirm import confirm
from uploader.cli.metadata_options import read_description
from uploader.cli.options import ENVIRONMENT, CommandGroup, FigupCommand, GlobalOptions, common_options
from uploader.cli.parameters import ITEM_ID
from uploader.cli.runner import Session, on_item
from uploader.errors import ExitStatus, Facts, UsageError
from uploader.figshare.ids import Reference, is_number
from uploader.figshare.models import Author, ItemDetail
from uploader.items import lists
from uploader.metadata.description import author_body
from uploader.metadata.resolve import Resolver, UnknownName
from uploader.metadata.schema import split_keywords
from uploader.text import printable

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

_ITEM = click.argument("item", metavar="ITEM", type=ITEM_ID)


def add_to(group: click.Group) -> None:
    """Make these commands part of `figup item`."""
    for command in (authors, tags, categories):
        group.add_command(command)


@click.group("authors", cls=CommandGroup)
def authors() -> None:
    """Add authors to an item or remove them."""


@authors.command("add", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@click.argument("who", metavar="AUTHOR...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask about names of one word.")
@common_options
def add_authors(item: Reference, who: tuple[str, ...], yes: bool, common: GlobalOptions) -> int:
    """Append authors to those of the item.

    AUTHOR is a name in quotes ("Jane Doe", "Doe, Jane"), optionally followed by an ORCID iD, or the id of an author
    known to Figshare. Authors that the item already has are not added again. An iD known to Figshare selects its owner
    there, whose name is printed; an iD that clearly belongs to another person is an error.
    """

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        if not all(one.strip() for one in who):
            raise UsageError("an author needs a name")
        if not await _confirm_short_names(session, who, yes=yes):
            return ExitStatus.SOME_FAILED
        given: list[Any] = [int(one) if is_number(one) else one for one in who]
        description = await read_description(session, given={"authors": given})
        bodies = [author_body(one) for one in description.metadata.authors]
        now, recognized = await lists.add_authors(api, found, bodies)
        for one in recognized:
            text = f"{one.given} is {one.full_name} on Figshare (author {one.id}), by the ORCID iD"
            session.console.note(printable(text))
        return _write_authors(session, found, now, recognized)

    return on_item(common, item, work)


async def _confirm_short_names(session: Session, who: Sequence[str], *, yes: bool) -> bool:
    """Ask about one-word names: they probably are one author's name without quotes."""
    short = [one for one in who if len(one.split()) == 1 and not any(c.isdigit() for c in one)]
    if not short:
        return True
    names = " and ".join(f'"{printable(one)}"' for one in short)
    several = f"{len(short)} authors with names of one word" if len(short) > 1 else "an author with a name of one word"
    return await confirm(
        session, f'Add {several}, {names}? (A name of several words needs quotes: "Jane Doe".)', yes=yes
    )


@authors.command("remove", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@click.argument("who", metavar="AUTHOR...", nargs=-1, required=True)
@common_options
def remove_authors(item: Reference, who: tuple[str, ...], common: GlobalOptions) -> int:
    """Remove authors, given by id, ORCID iD or name."""

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        return _write_authors(session, found, await lists.remove_authors(api, found, who))

    return on_item(common, item, work)


def _write_authors(
    session: Session, item: ItemDetail, now: list[Author], recognized: Sequence[lists.MatchedAuthor] = ()
) -> int:
    values = msgspec.to_builtins({"authors": now, "recognized": list(recognized)})
    session.console.event("authors", item_id=item.id, **values)
    names = "; ".join(f"{printable(one.full_name)} ({one.id})" for one in now)
    session.console.result(f"The authors of item {item.id}: {names or 'none'}.")
    return 0


@click.group("tags", cls=CommandGroup)
def tags() -> None:
    """Add tags (keywords) to an item or remove them."""


@tags.command("add", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@click.argument("words", metavar="TAG...", nargs=-1, required=True)
@common_options
def add_tags(item: Reference, words: tuple[str, ...], common: GlobalOptions) -> int:
    """Add tags to an item. Commas separate tags."""

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        wanted = [tag for word in words for tag in _tags_in(word)]
        description = await read_description(session, given={"keywords": wanted})
        now = await lists.change_keywords(api, found, add=description.metadata.keywords)
        return _write_tags(session, found, now)

    return on_item(common, item, work)


@tags.command("remove", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@click.argument("words", metavar="TAG...", nargs=-1, required=True)
@common_options
def remove_tags(item: Reference, words: tuple[str, ...], common: GlobalOptions) -> int:
    """Remove tags from an item. Commas separate tags, unless the item has a tag with that comma."""

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        gone = [tag for word in words for tag in ([word] if word in found.keywords else _tags_in(word))]
        return _write_tags(session, found, await lists.change_keywords(api, found, remove=gone))

    return on_item(common, item, work)


def _tags_in(word: str) -> list[str]:
    """Split one argument into tags. Raises UsageError if it contains none."""
    found = split_keywords(word)
    if not found:
        raise UsageError("a tag must not be empty")
    return found


def _write_tags(session: Session, item: ItemDetail, now: list[str]) -> int:
    session.console.event("tags", item_id=item.id, tags=now)
    session.console.result(f"The tags of item {item.id}: {printable(', '.join(now)) or 'none'}.")
    return 0


@click.group("categories", cls=CommandGroup)
def categories() -> None:
    """Add categories to an item or remove them."""


@categories.command("add", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@click.argument("names", metavar="CATEGORY...", nargs=-1, required=True)
@common_options
def add_categories(item: Reference, names: tuple[str, ...], common: GlobalOptions) -> int:
    """Add categories, given by name or id."""

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        known = Resolver(lookup=api.items)
        try:
            ids = [await known.category(one) for one in names]
        except UnknownName as unknown:
            raise UsageError(unknown.message, hint=unknown.hint, facts=Facts(unknown.situation)) from None
        await lists.add_categories(api, found, ids)
        return _write_categories(session, await api.items.detail(found.id))

    return on_item(common, item, work)


@categories.command("remove", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@click.argument("names", metavar="CATEGORY...", nargs=-1, required=True)
@common_options
def remove_categories(item: Reference, names: tuple[str, ...], common: GlobalOptions) -> int:
    """Remove categories, given by name or id."""

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        await lists.remove_categories(api, found, names)
        return _write_categories(session, await api.items.detail(found.id))

    return on_item(common, item, work)


def _write_categories(session: Session, item: ItemDetail) -> int:
    session.console.event("categories", item_id=item.id, categories=msgspec.to_builtins(item.categories))
    titles = "; ".join(f"{printable(one.title)} ({one.id})" for one in item.categories)
    session.console.result(f"The categories of item {item.id}: {titles or 'none'}.")
    return 0
