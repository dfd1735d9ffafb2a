"""Apply metadata to an item. Every step is idempotent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uploader.figshare.models import Author
from uploader.figshare.ratelimit import OnTurn
from uploader.items.payload import ItemPayload
from uploader.items.service import ItemService


async def describe(
    api: ItemService, item_id: int, spec: ItemPayload, *, title: str | None = None, on_turn: OnTurn | None = None
) -> None:
    """Set the item's metadata; fields that are not given keep their values. `on_turn` is called before each change."""
    fields = ({"title": title} if title is not None else {}) | spec.fields
    if fields:
        await api.items.update(item_id, fields, on_turn=on_turn)
    if spec.authors is not None:
        await set_authors(api, item_id, spec.authors, on_turn=on_turn)
    if spec.embargo is not None:
        await api.items.set_embargo(item_id, spec.embargo, on_turn=on_turn)


async def set_authors(
    api: ItemService, item_id: int, authors: Sequence[dict[str, Any]], *, on_turn: OnTurn | None = None
) -> None:
    """Replace the item's authors.

    An author whom the item has already, such as the owner of a new one, keeps their id, so that no second author of the
    same name is created.
    """
    have = await api.items.authors(item_id)
    known = [next(({"id": one.id} for one in have if is_same(body, one)), body) for body in authors]
    if known != [{"id": one.id} for one in have]:
        await api.items.set_authors(item_id, known, on_turn=on_turn)


def is_same(body: dict[str, Any], author: Author) -> bool:
    """Return True if `body` describes `author`. An author without an ORCID iD is not one who has an iD."""
    if body.get("id") is not None:
        return bool(body["id"] == author.id)
    if body.get("orcid_id"):
        return bool(body["orcid_id"] == author.orcid)
    name = body.get("name") or f"{body.get('first_name', '')} {body.get('last_name', '')}"
    return " ".join(str(name).split()).casefold() == " ".join(author.full_name.split()).casefold()
