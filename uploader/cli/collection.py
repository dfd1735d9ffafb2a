"""`figup collection`: create collections, add items to them and remove them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from uploader.cli.options import ENVIRONMENT, CommandGroup, FigupCommand, GlobalOptions, common_options
from uploader.cli.own_lists import own_list_command
from uploader.cli.parameters import COLLECTION_ID, ITEM_ID
from uploader.cli.project import DESCRIPTION, TITLE, create_container
from uploader.cli.record_views import show_collection
from uploader.cli.runner import Session, on_figshare
from uploader.figshare.ids import Reference
from uploader.items import lists
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

_COLLECTION = click.argument("collection", metavar="COLLECTION", type=COLLECTION_ID)
_ITEMS = click.argument("items", metavar="ITEM...", nargs=-1, required=True, type=ITEM_ID)


@click.group("collection", cls=CommandGroup)
def collection() -> None:
    """List, show and create collections; add items to them or remove them.

    Both are given by number, address or DOI.
    """


@collection.command("create", cls=FigupCommand, epilog=ENVIRONMENT)
@TITLE
@DESCRIPTION
@common_options
def create(title: str, description: str | None, common: GlobalOptions) -> int:
    """Create a private collection and print its id.

    Each run creates another one, or finishes the one that an interrupted run of the same command left.
    """
    return create_container(common, "collections", title, description)


@collection.command("add", cls=FigupCommand, epilog=ENVIRONMENT)
@_COLLECTION
@_ITEMS
@common_options
def add(collection: Reference, items: tuple[Reference, ...], common: GlobalOptions) -> int:
    """Add items to a collection. Items that it already has are kept."""

    async def work(session: Session, api: Figshare) -> int:
        number, wanted = await _identified(api, collection, items)
        new = await lists.add_to_collection(api, number, wanted)
        session.console.event("collected", collection_id=number, added=new, items=wanted)
        there = len(set(wanted)) - len(new)
        before = f"; {format_count(there, 'item')} {'was' if there == 1 else 'were'} already in it" if there else ""
        session.console.result(f"Collection {number} has {format_count(len(new), 'new item')}{before}.")
        return 0

    return on_figshare(common, work)


@collection.command("remove", cls=FigupCommand, epilog=ENVIRONMENT)
@_COLLECTION
@_ITEMS
@common_options
def remove(collection: Reference, items: tuple[Reference, ...], common: GlobalOptions) -> int:
    """Remove items from a collection. The items themselves are kept."""

    async def work(session: Session, api: Figshare) -> int:
        number, wanted = await _identified(api, collection, items)
        have = await lists.list_collection(api, number)
        gone = [one for one in dict.fromkeys(wanted) if one in have]
        for one in gone:
            await api.items.remove_from_collection(number, one)
        session.console.event("uncollected", collection_id=number, removed=gone, items=wanted)
        session.console.result(f"{format_count(len(gone), 'item')} removed from collection {number}.")
        return 0

    return on_figshare(common, work)


async def _identified(api: Figshare, collection: Reference, items: Sequence[Reference]) -> tuple[int, list[int]]:
    from uploader.items.identify import identify

    return await identify(api, collection, "collection"), [await identify(api, one) for one in items]


collection.add_command(own_list_command("collection"))
collection.add_command(show_collection)
