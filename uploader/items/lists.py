"""What is done to an item and its description outside a job: created, updated, given authors, keywords, categories,
collected. Each comes to the same when it is done twice, and after a lost answer Figshare is asked first."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from uploader.errors import ItemNotFound, PermissionDenied, RequestRejected, UsageError
from uploader.figshare.client import Figshare
from uploader.figshare.item_api import MAX_BATCH
from uploader.figshare.models import Author, ItemDetail
from uploader.items.describe import is_same
from uploader.items.payload import ItemPayload
from uploader.items.reconcile import confirm
from uploader.text import did_you_mean, plain, plausibly_same

_CLOCK_SLACK = timedelta(seconds=2)
_PAGE = 1000


async def create(
    api: Figshare, title: str, spec: ItemPayload, *, project: int | None = None
) -> tuple[int, ItemPayload]:
    """A new draft; its id, and what of its description is still to be said with `describe`."""
    since = api.server_now() - _CLOCK_SLACK
    known = {row.id async for row in api.own_items() if row.title == title}

    async def look() -> int | None:
        rows = [row async for row in api.own_items() if row.title == title and not row.published]
        new = [r.id for r in rows if r.id not in known and r.created is not None and r.created >= since]
        return min(new, default=None)

    said = spec.creation_fields(in_project=project is not None)
    ask = functools.partial(api.items.create, {"title": title, **said}, project=project)
    item_id = await confirm(api, ask, look, "creating the item")
    rest = {name: value for name, value in spec.fields.items() if name not in said}
    return item_id, msgspec.structs.replace(spec, fields=rest)


# --- lists --------------------------------------------------------------------------------------------------------


class MatchedAuthor(msgspec.Struct, frozen=True):
    """Somebody who was `given` by one name and an ORCID iD, and whom Figshare knows by another name."""

    given: str
    id: int
    full_name: str


async def add_authors(
    api: Figshare, item: ItemDetail, authors: Sequence[dict[str, Any]]
) -> tuple[list[Author], list[MatchedAuthor]]:
    """The item's authors after these were put behind those that it has, and who of these has another name there.

    Who is there already is not added again. Raises UsageError where an ORCID iD is plainly somebody else's.
    """
    have = await api.items.authors(item.id)
    known = {one.orcid: one for one in have if one.orcid}
    for orcid in {_orcid_of(body) for body in authors} - {"", *known}:
        known |= {one.orcid: one for one in await _known_by(api, orcid) if one.orcid == orcid}
    recognized = _match_author(authors, known, item.id)
    wanted = [{"id": known[orcid].id} if (orcid := _orcid_of(body)) in known else body for body in authors]
    new = [one for one in wanted if not any(is_same(one, author) for author in have)]
    if not new:
        return have, recognized
    await api.items.set_authors(item.id, [*({"id": one.id} for one in have), *new])
    now = await api.items.authors(item.id)
    try:
        return now, _match_author(authors, {one.orcid: one for one in now if one.orcid}, item.id)
    except UsageError:
        # The search had not told of them.
        for one in now:
            if one.id not in {author.id for author in have}:
                await api.items.remove_author(item.id, one.id)
        raise


async def _known_by(api: Figshare, orcid: str) -> list[Author]:
    """Whom Figshare takes the iD for; nobody where this account may not ask."""
    try:
        return await api.items.authors_with(orcid)
    except (PermissionDenied, RequestRejected):
        return []


def _match_author(authors: Sequence[dict[str, Any]], known: Mapping[str, Author], item_id: int) -> list[MatchedAuthor]:
    """Those who have another name there. Raises UsageError where that is plainly the name of somebody else."""
    found = []
    for body in authors:
        orcid, given = _orcid_of(body), _name_of(body)
        author = known.get(orcid)
        if author is None or plain(given) == plain(author.full_name):
            continue
        if not plausibly_same(given, author.full_name):
            raise UsageError(
                f"{given}: the ORCID iD {orcid} is that of {author.full_name}, author {author.id} on Figshare",
                hint="Check the iD. If it is the same person all the same: "
                f"figup item authors add {item_id} {author.id}",
            )
        found.append(MatchedAuthor(given, author.id, author.full_name))
    return found


def _orcid_of(body: Mapping[str, Any]) -> str:
    """ "" for one who was given by id, or without an iD."""
    return "" if body.get("id") is not None else str(body.get("orcid_id") or "")


def _name_of(body: Mapping[str, Any]) -> str:
    return str(body.get("name") or f"{body.get('first_name', '')} {body.get('last_name', '')}".strip())


async def remove_authors(api: Figshare, item: ItemDetail, wanted: Sequence[str]) -> list[Author]:
    """The item's authors after those with these ids, ORCID iDs or names were removed. Raises UsageError."""
    have = await api.items.authors(item.id)
    gone = [_author_of(one, have, item.id) for one in wanted]
    for author in gone:
        await api.items.remove_author(item.id, author.id)
    return [one for one in have if one not in gone]


def _author_of(wanted: str, authors: list[Author], item_id: int) -> Author:
    for author in authors:
        if wanted in (str(author.id), author.orcid) or plain(wanted) == plain(author.full_name):
            return author
    names = [one.full_name for one in authors]
    raise UsageError(
        f"item {item_id} has no author {wanted!r}",
        hint=did_you_mean(wanted, names, f"It has: {', '.join(names)}." if names else None),
    )


async def change_keywords(
    api: Figshare, item: ItemDetail, *, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> list[str]:
    """The item's keywords after this. Raises UsageError for one to be removed that it does not have."""
    for word in remove:
        if word not in item.keywords:
            hint = did_you_mean(word, item.keywords, f"It has: {', '.join(item.keywords)}." if item.keywords else None)
            raise UsageError(f"item {item.id} has no keyword {word!r}", hint=hint)
    words = [word for word in dict.fromkeys((*item.keywords, *add)) if word not in remove]
    if words != list(item.keywords):
        await api.items.update(item.id, {"keywords": words})
    return words


async def add_categories(api: Figshare, item: ItemDetail, ids: Sequence[int]) -> None:
    """Put categories behind those that the item has."""
    have = [one.id for one in item.categories]
    wanted = list(dict.fromkeys((*have, *ids)))
    if wanted != have:
        await api.items.update(item.id, {"categories": wanted})


async def remove_categories(api: Figshare, item: ItemDetail, wanted: Sequence[str]) -> None:
    """Remove categories by id or title. Raises UsageError for one that the item does not have."""
    gone = []
    for one in wanted:
        found = [c.id for c in item.categories if one == str(c.id) or plain(one) == plain(c.title)]
        if not found:
            titles = [c.title for c in item.categories]
            hint = did_you_mean(one, titles, f"It has: {', '.join(titles)}." if titles else None)
            raise UsageError(f"item {item.id} has no category {one!r}", hint=hint)
        gone += found
    for category in gone:
        await api.items.remove_category(item.id, category)


# --- collections --------------------------------------------------------------------------------------------------


async def list_collection(api: Figshare, collection: int) -> set[int]:
    """Ids of all items in a collection. Raises ItemNotFound."""
    ids: set[int] = set()
    page = 1
    while True:
        found = await api.items.list_collection(collection, page=page, page_size=_PAGE)
        ids.update(found)
        if len(found) < _PAGE:
            return ids
        page += 1


async def add_to_collection(api: Figshare, collection: int, items: Sequence[int]) -> list[int]:
    """Add items to a collection; returns those that were not in it. Raises ItemNotFound, naming what there is not."""
    have = await list_collection(api, collection)
    new = [one for one in dict.fromkeys(items) if one not in have]
    for start in range(0, len(new), MAX_BATCH):
        block = new[start : start + MAX_BATCH]

        async def add(block: list[int] = block) -> bool:
            await api.items.add_to_collection(collection, block)
            return True

        async def look(block: list[int] = block) -> bool | None:
            return set(block) <= await list_collection(api, collection) or None

        try:
            await confirm(api, add, look, f"adding to collection {collection}")
        except ItemNotFound as error:
            raise await _missing_of(api, collection, block) or error from None
    return new


async def _missing_of(api: Figshare, collection: int, items: Sequence[int]) -> ItemNotFound | None:
    """Which of these items there are not, after Figshare has said no more than that something is missing; None where
    all are there. Raises ItemNotFound where the collection is not there (any more)."""
    await api.items.list_collection(collection, page=1, page_size=1)
    missing = [str(one) for one in items if not await api.items.exists(one)]
    if not missing:
        return None
    many = "s" if len(missing) > 1 else ""
    return ItemNotFound(
        f"Figshare has no item{many} {', '.join(missing)} for collection {collection}, or this account may not see "
        f"{'them' if many else 'it'}"
    )
