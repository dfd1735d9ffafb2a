"""Change the lists of an item outside a job: authors, keywords, categories; and the items of a collection.

Changes are idempotent; after a lost response the effect is looked up before the request is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from uploader.errors import Conflict, Facts, ItemNotFound, PermissionDenied, RequestRejected, UsageError
from uploader.figshare.models import MAX_BATCH, Author, ItemDetail
from uploader.figshare.retry import poll
from uploader.items.describe import is_same
from uploader.items.reconcile import TIME_LIMIT, confirm
from uploader.text import did_you_mean, plain, plausibly_same

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare


_ATTEMPTS = 3
"""Attempts to set a list that another client sets at the same time."""
_LOOK_AGAIN = 2.0
"""Seconds until a list that was set is read again: a client that read it before sets it about a second later."""


class MatchedAuthor(msgspec.Struct, frozen=True, kw_only=True):
    """An author `given` with an ORCID iD whom Figshare knows by another name."""

    given: str
    id: int
    full_name: str


async def add_authors(
    api: Figshare, item: ItemDetail, authors: Sequence[dict[str, Any]]
) -> tuple[list[Author], list[MatchedAuthor]]:
    """Add authors to the item; return all of its authors, and those of the given ones with another name on Figshare.

    Authors that the item has already are not added again. Raises UsageError if an ORCID iD clearly belongs to another
    person.
    """
    have = await api.items.authors(item.id)
    known = {one.orcid: one for one in have if one.orcid}
    for orcid in {_orcid_of(body) for body in authors} - {"", *known}:
        known |= {one.orcid: one for one in await _authors_with_orcid(api, orcid) if one.orcid == orcid}
    matched = _match_author(authors, known, item.id)
    wanted = [{"id": known[orcid].id} if (orcid := _orcid_of(body)) in known else body for body in authors]
    new = [one for one in wanted if not any(is_same(one, author) for author in have)]
    if not new:
        return have, matched

    def added(now: Sequence[Author]) -> list[Author]:
        earlier = {author.id for author in have}
        return [one for one in now if one.id not in earlier and any(is_same(body, one) for body in new)]

    async def add() -> bool:
        await api.items.add_authors(item.id, new)
        return True

    async def check() -> bool | None:
        there = await api.items.authors(item.id)
        return all(any(is_same(body, one) for one in there) for body in new) or None

    await confirm(api, add, check, f"adding authors to item {item.id}")
    now = await api.items.authors(item.id)
    try:
        return now, _match_author(authors, {one.orcid: one for one in now if one.orcid}, item.id)
    except UsageError:
        # The earlier search did not find them.
        for one in added(now):
            await api.items.remove_author(item.id, one.id)
        raise


async def _authors_with_orcid(api: Figshare, orcid: str) -> list[Author]:
    """Return the authors that Figshare finds for an ORCID iD; none if this account may not search."""
    try:
        return await api.items.authors_with(orcid)
    except (PermissionDenied, RequestRejected):
        return []


def _match_author(authors: Sequence[dict[str, Any]], known: Mapping[str, Author], item_id: int) -> list[MatchedAuthor]:
    """Return the authors with another name on Figshare. Raises UsageError for clearly different names."""
    found = []
    for body in authors:
        orcid, given = _orcid_of(body), _name_of(body)
        author = known.get(orcid)
        if author is None or plain(given) == plain(author.full_name):
            continue
        if not plausibly_same(given, author.full_name):
            raise UsageError(
                f"{given}: the ORCID iD {orcid} belongs to {author.full_name}, author {author.id} on Figshare",
                hint=f"Compare the ORCID iDs. If it is the same person, add author {author.id} by that id.",
                facts=Facts("another-author", item_id=item_id, author_id=author.id),
            )
        found.append(MatchedAuthor(given=given, id=author.id, full_name=author.full_name))
    return found


def _orcid_of(body: Mapping[str, Any]) -> str:
    """Return the ORCID iD, "" for an author given by id or without one."""
    return "" if body.get("id") is not None else str(body.get("orcid_id") or "")


def _name_of(body: Mapping[str, Any]) -> str:
    return str(body.get("name") or f"{body.get('first_name', '')} {body.get('last_name', '')}".strip())


async def remove_authors(api: Figshare, item: ItemDetail, wanted: Sequence[str]) -> list[Author]:
    """Remove authors by id, ORCID iD or name; return the remaining ones. Raises UsageError for unknown ones."""
    have = await api.items.authors(item.id)
    removed = [_author_of(one, have, item.id) for one in wanted]
    for author in removed:
        await api.items.remove_author(item.id, author.id)
    return [one for one in have if one not in removed]


def _author_of(wanted: str, authors: list[Author], item_id: int) -> Author:
    for author in authors:
        if wanted in (str(author.id), author.orcid) or plain(wanted) == plain(author.full_name):
            return author
    names = [one.full_name for one in authors]
    raise UsageError(
        f"item {item_id} has no author {wanted!r}",
        hint=did_you_mean(wanted, names, f"Authors: {', '.join(names)}." if names else None),
    )


async def change_keywords(
    api: Figshare, item: ItemDetail, *, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> list[str]:
    """Add and remove keywords; return the item's. Raises UsageError if the item does not have one to remove.

    Figshare only accepts the whole list. If another client sets it at the same time, or up to `_LOOK_AGAIN` later, it
    is set again with both changes. Raises Conflict if the change is undone again and again.
    """
    for word in remove:
        if word not in item.keywords:
            hint = did_you_mean(word, item.keywords, f"Tags: {', '.join(item.keywords)}." if item.keywords else None)
            raise UsageError(f"item {item.id} has no tag {word!r}", hint=hint)

    def changed(keywords: Sequence[str]) -> list[str]:
        return [word for word in dict.fromkeys((*keywords, *add)) if word not in remove]

    now = list(item.keywords)
    if changed(now) == now:
        return now

    async def check() -> list[str] | None:
        nonlocal now
        now = list((await api.items.detail(item.id)).keywords)
        there = {plain(word) for word in now}  # Figshare may write a keyword in its own way
        is_done = there.issuperset(map(plain, add)) and not any(word in remove for word in now)
        return now if is_done else None

    for _ in range(_ATTEMPTS):
        await api.items.update(item.id, {"keywords": changed(now)})
        if await poll(check, TIME_LIMIT, api.clock) is None:
            continue
        await api.clock.sleep(_LOOK_AGAIN)
        if await poll(check, TIME_LIMIT, api.clock) is not None:
            return now
    raise Conflict(f"the tags of item {item.id} were changed each time: another client sets them, too")


async def add_categories(api: Figshare, item: ItemDetail, ids: Sequence[int]) -> None:
    """Add categories to the item."""
    have = {one.id for one in item.categories}
    new = [one for one in dict.fromkeys(ids) if one not in have]
    if not new:
        return

    async def add() -> bool:
        await api.items.add_categories(item.id, new)
        return True

    async def check() -> bool | None:
        there = {one.id for one in (await api.items.detail(item.id)).categories}
        return there.issuperset(new) or None

    await confirm(api, add, check, f"adding categories to item {item.id}")


async def remove_categories(api: Figshare, item: ItemDetail, wanted: Sequence[str]) -> None:
    """Remove categories by id or title. Raises UsageError for one that the item does not have."""
    removed = []
    for one in wanted:
        found = [c.id for c in item.categories if one == str(c.id) or plain(one) == plain(c.title)]
        if not found:
            titles = [c.title for c in item.categories]
            hint = did_you_mean(one, titles, f"Categories: {', '.join(titles)}." if titles else None)
            raise UsageError(f"item {item.id} has no category {one!r}", hint=hint)
        removed += found
    for category in removed:
        await api.items.remove_category(item.id, category)


# --- collections ------------------------------------------------------------------------------------------------------


async def list_collection(api: Figshare, collection: int) -> set[int]:
    """Return the ids of all items in a collection. Raises ItemNotFound."""
    return {row.id async for row in api.items.collection_items(collection)}


async def add_to_collection(api: Figshare, collection: int, items: Sequence[int]) -> list[int]:
    """Add items to a collection; return those that were added. Raises ItemNotFound naming the missing ones."""
    have = await list_collection(api, collection)
    new = [one for one in dict.fromkeys(items) if one not in have]
    for start in range(0, len(new), MAX_BATCH):
        block = new[start : start + MAX_BATCH]

        async def add(block: list[int] = block) -> bool:
            await api.items.add_to_collection(collection, block)
            return True

        async def check(block: list[int] = block) -> bool | None:
            return set(block) <= await list_collection(api, collection) or None

        try:
            await confirm(api, add, check, f"adding to collection {collection}")
        except ItemNotFound as error:
            raise await _missing_of(api, collection, block) or error from None
    return new


async def _missing_of(api: Figshare, collection: int, items: Sequence[int]) -> ItemNotFound | None:
    """Return the error that names the items that do not exist, None if all do.

    Figshare only reports that something is missing. Raises ItemNotFound if the collection is missing.
    """
    await list_collection(api, collection)
    missing = [str(one) for one in items if not await api.items.exists(one)]
    if not missing:
        return None
    many = "s" if len(missing) > 1 else ""
    return ItemNotFound(
        f"item{many} {', '.join(missing)} for collection {collection} not found, or not visible to this account"
    )
