"""`figup collection`: create collections, add items to them and remove them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from uploader.cli.options import COLLECTION_ID, ENVIRONMENT, ITEM_ID, FigupCommand, GlobalOptions, common_options
from uploader.cli.project import DESCRIPTION, TITLE, create_container
from uploader.cli.runner import Session, on_figshare
from uploader.items import lists
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

_COLLECTION = click.argument("collection", metavar="COLLECTION", type=COLLECTION_ID)
_ITEMS = click.argument("items", metavar="ITEM...", nargs=-1, required=True, type=ITEM_ID)


@click.group("collection")
def collection() -> None:
    """Create collections; add items to them or remove them. Both are given by number, address or DOI."""


@collection.command("create", cls=FigupCommand, epilog=ENVIRONMENT)
@TITLE
@DESCRIPTION
@common_options
def create(title: str, description: str | None, common: GlobalOptions) -> int:
    """Create a private collection and print its id. Each run creates another one."""
    return create_container(common, "collections", title, description)


@collection.command("add", cls=FigupCommand, epilog=ENVIRONMENT)
@_COLLECTION
@_ITEMS
@common_options
def add(collection: int, items: tuple[int, ...], common: GlobalOptions) -> int:
    """Add items to a collection. Items that it already has are kept."""

    async def work(session: Session, api: Figshare) -> int:
        new = await lists.add_to_collection(api, collection, items)
        session.console.event("collected", collection_id=collection, added=new, items=list(items))
        there = len(set(items)) - len(new)
        before = f"; {format_count(there, 'item')} had been there" if there else ""
        session.console.result(f"Collection {collection} has {format_count(len(new), 'new item')}{before}.")
        return 0

    return on_figshare(common, work)


@collection.command("remove", cls=FigupCommand, epilog=ENVIRONMENT)
@_COLLECTION
@_ITEMS
@common_options
def remove(collection: int, items: tuple[int, ...], common: GlobalOptions) -> int:
    """Remove items from a collection. The items themselves are kept."""

    async def work(session: Session, api: Figshare) -> int:
        have = await lists.list_collection(api, collection)
        gone = [one for one in dict.fromkeys(items) if one in have]
        for one in gone:
            await api.items.remove_from_collection(collection, one)
        session.console.event("uncollected", collection_id=collection, removed=gone, items=list(items))
        session.console.result(f"{format_count(len(gone), 'item')} taken out of collection {collection}.")
        return 0

    return on_figshare(common, work)
