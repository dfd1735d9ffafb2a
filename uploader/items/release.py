"""Operations that let others see an item: reserve a DOI, create a private link, publish.

An item is published only on request, and only if it is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from uploader.errors import Facts, NotPublishable
from uploader.figshare.models import ItemDetail, PrivateLink
from uploader.figshare.ratelimit import OnTurn
from uploader.items.reconcile import TIME_LIMIT, confirm
from uploader.items.service import ItemService
from uploader.units import format_count

REQUIRED_TO_PUBLISH = ("title", "description", "authors", "categories", "keywords", "type", "license")
"""Fields that Figshare requires to publish (observed; its response names one at a time)."""
_MAX_LISTED = 5


async def unfinished_files(api: ItemService, item_id: int) -> list[str]:
    """Return the names of the files whose upload was not completed."""
    return [file.name async for file in api.files(item_id) if file.status == "created" and not file.is_link_only]


def check_publishable(item: ItemDetail, unfinished: Sequence[str]) -> None:
    """Raise NotPublishable naming every missing field, or the `unfinished` files of the item."""
    absent = [*(name for name in REQUIRED_TO_PUBLISH if not getattr(item, name)), *item.lacking_fields]
    if absent:
        raise NotPublishable(
            f"item {item.id} cannot be published; missing: {', '.join(absent)}",
            hint="Add them to its description.",
            facts=Facts("lacks-fields", item_id=item.id),
        )
    if unfinished:
        names = ", ".join(unfinished[:_MAX_LISTED]) + (" ..." if len(unfinished) > _MAX_LISTED else "")
        count = format_count(len(unfinished), "unfinished file")
        raise NotPublishable(
            f"item {item.id} has {count} that would not be published: {names}",
            hint="Finish their uploads, or remove them.",
            facts=Facts("unfinished-files"),
        )


async def publish(
    api: ItemService, item: ItemDetail, *, time_limit: float = TIME_LIMIT, on_turn: OnTurn | None = None
) -> ItemDetail:
    """Publish the item and return its new state. `on_turn` is called before each attempt.

    An item under full embargo or in review stays closed.
    """

    async def ask() -> ItemDetail:
        await api.items.publish(item.id, on_turn=on_turn)
        return await api.items.detail(item.id)

    async def check() -> ItemDetail | None:
        now = await api.items.detail(item.id)
        done = now.version > item.version or (now.is_public and not item.is_public)
        return now if done or now.curation_status != item.curation_status else None

    return await confirm(api, ask, check, f"publishing item {item.id}", time_limit=time_limit)


def visibility(item: ItemDetail) -> str:
    """Return the result of publishing: `public`, `embargoed` (opens later) or `review` (waits for a curator)."""
    if item.is_public or item.status == "public":
        return "public"
    return "embargoed" if item.embargo is not None and item.embargo.scope == "article" else "review"


async def reserve_doi(api: ItemService, item: ItemDetail, *, on_turn: OnTurn | None = None) -> str:
    """Return the item's DOI; reserve one if it has none. `on_turn` is called before each attempt."""
    return item.doi or await api.items.reserve_doi(item.id, on_turn=on_turn)


async def private_link(
    api: ItemService,
    item_id: int,
    *,
    expires: str | None = None,
    renew: bool = False,
    time_limit: float = TIME_LIMIT,
    on_turn: OnTurn | None = None,
) -> str:
    """Return the address of the item's private link; create one if it has none, or with `renew`.

    `expires` applies to a new link; `on_turn` is called before each attempt to create it. A new link replaces the old
    one, whose address stops working.
    """
    before = await api.items.private_links(item_id)
    if not renew and (found := _active_url(before)):
        return found
    old = {link.id for link in before}

    async def check() -> str | None:
        return _active_url([link for link in await api.items.private_links(item_id) if link.id not in old])

    return await confirm(
        api,
        lambda: api.items.create_private_link(item_id, expires=expires, on_turn=on_turn),
        check,
        f"creating a private link to item {item_id}",
        time_limit=time_limit,
    )


def _active_url(links: list[PrivateLink]) -> str | None:
    return next((link.url for link in links if link.active and link.url), None)
