"""What lets others see an item: a reserved DOI, a private link, an embargo lifted, publishing. Publishing is never done
unless it was asked for, and only where the item is whole."""

from __future__ import annotations

from uploader.errors import NotPublishable
from uploader.figshare.models import ItemDetail, PrivateLink
from uploader.items.reconcile import PATIENCE, confirm
from uploader.items.service import ItemService
from uploader.units import format_count

REQUIRED_TO_PUBLISH = ("title", "description", "authors", "categories", "keywords", "type", "license")
"""What Figshare wants before it publishes (observed; its own answer names one at a time)."""
_MOST_NAMED = 5


async def check_publishable(api: ItemService, item: ItemDetail) -> None:
    """Return when nothing is known that is missing. Raises NotPublishable, naming all that is."""
    lacking = [*(name for name in REQUIRED_TO_PUBLISH if not getattr(item, name)), *item.lacking_fields]
    if lacking:
        raise NotPublishable(
            f"item {item.id} cannot be published yet; it has no {', '.join(lacking)}",
            hint=f"`figup item update {item.id} --metadata FILE` adds them.",
        )
    unfinished = [file.name async for file in api.files(item.id) if file.status == "created" and not file.is_link_only]
    if unfinished:
        names = ", ".join(unfinished[:_MOST_NAMED]) + (" ..." if len(unfinished) > _MOST_NAMED else "")
        count = format_count(len(unfinished), "unfinished file")
        raise NotPublishable(
            f"item {item.id} has {count}, which would not be published: {names}",
            hint="Finish their uploads (`figup resume`), or remove them.",
        )


async def publish(api: ItemService, item: ItemDetail, *, patience: float = PATIENCE) -> ItemDetail:
    """Publish the item as it is; how it is then. A whole item under embargo, or one that is reviewed, stays closed."""

    async def ask() -> ItemDetail:
        await api.items.publish(item.id)
        return await api.items.detail(item.id)

    async def look() -> ItemDetail | None:
        now = await api.items.detail(item.id)
        done = now.version > item.version or (now.is_public and not item.is_public)
        return now if done or now.curation_status != item.curation_status else None

    return await confirm(api, ask, look, f"publishing item {item.id}", patience=patience)


def visibility(item: ItemDetail) -> str:
    """What became of publishing an item: `public`, `embargoed` (it opens later), or `review` (people look at it)."""
    if item.is_public or item.status == "public":
        return "public"
    return "embargoed" if item.embargo is not None and item.embargo.scope == "article" else "review"


async def reserve_doi(api: ItemService, item: ItemDetail) -> str:
    """The item's DOI, reserved now where it has none."""
    return item.doi or await api.items.reserve_doi(item.id)


async def private_link(
    api: ItemService, item_id: int, *, expires: str | None = None, renew: bool = False, patience: float = PATIENCE
) -> str:
    """The address of the item's private link: the one it has, or a new one where it has none, or with `renew`.

    `expires` is for a new one. A new one takes the place of the old, whose address then is dead.
    """
    before = await api.items.private_links(item_id)
    if not renew and (found := _usable(before)):
        return found
    old = {link.id for link in before}

    async def look() -> str | None:
        return _usable([link for link in await api.items.private_links(item_id) if link.id not in old])

    return await confirm(
        api,
        lambda: api.items.create_private_link(item_id, expires=expires),
        look,
        f"making a private link to item {item_id}",
        patience=patience,
    )


def _usable(links: list[PrivateLink]) -> str | None:
    return next((link.url for link in links if link.active and link.url), None)
