"""Operations that let others see an item: reserve a DOI, create a private link, publish.

An item is published only on request, and only if it is complete.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

import msgspec

from uploader.errors import Facts, ItemNotFound, NotPublishable, PermissionDenied, RequestRejected, TokenRejected
from uploader.figshare.models import File, ItemDetail, PrivateLink
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.retry import poll
from uploader.items.reconcile import TIME_LIMIT, confirm
from uploader.items.service import ItemService
from uploader.text import printable
from uploader.units import format_count

REQUIRED_TO_PUBLISH = ("title", "description", "authors", "categories", "keywords", "type", "license")
"""Fields that Figshare requires to publish (observed; its response names one at a time)."""
_MAX_LISTED = 5
_VERSIONED = (
    "title", "description", "keywords", "license", "type", "references", "resource_doi", "resource_title",
    "related_materials", "funding", "custom_fields", "group_id", "handle", "is_metadata_record", "metadata_reason",
    "download_disabled",
)  # fmt: skip
"""Fields that are the same in a public version and in the draft that it was made of."""
_GIVEN_DATES = ("firstOnline", "publisherPublication", "publisherAcceptance")
"""Dates of the timeline that a user can set (documented)."""
_SET_BY_PUBLISHING = frozenset({"doi", "handle", "timeline"})
LATER_READS = (3.0, 12.0)
"""Seconds before each further read of a draft that seems unchanged: a server may answer with an old copy of its data.
Together as long as the effect of any request is searched for."""
_PUBLISHING = 3
"""Factor by which to look longer for the effect of publishing than of other requests: other clients allow a minute
(observed), and publishing twice cannot be undone.
"""
_IN_REVIEW = "pending"
_VERSION = re.compile(r"\.v\d+\Z")


async def unfinished_files(api: ItemService, item_id: int) -> list[File]:
    """Return the files whose upload was not completed."""
    return [file async for file in api.files(item_id) if file.status == "created" and not file.is_link_only]


def check_publishable(item: ItemDetail, unfinished: Sequence[File]) -> None:
    """Raise NotPublishable naming every missing field, or the `unfinished` files of the item."""
    absent = [*(name for name in REQUIRED_TO_PUBLISH if not getattr(item, name)), *item.lacking_fields]
    if absent:
        raise NotPublishable(
            f"item {item.id} cannot be published; missing: {', '.join(absent)}",
            hint="Add them to its description.",
            facts=Facts("lacks-fields", item_id=item.id),
        )
    if unfinished:
        names = ", ".join(f"{printable(file.name)} (file {file.id})" for file in unfinished[:_MAX_LISTED])
        names += " ..." if len(unfinished) > _MAX_LISTED else ""
        count = format_count(len(unfinished), "unfinished file")
        raise NotPublishable(
            f"item {item.id} has {count} that would not be published: {names}",
            hint="Finish their uploads, or remove them.",
            facts=Facts("unfinished-files", item_id=item.id),
        )


async def is_published(
    api: ItemService, item: ItemDetail, *, files: Collection[int] = (), time_limit: float = TIME_LIMIT
) -> bool | None:
    """Return whether the newest public version has the item's files and metadata; None if that cannot be known.

    It is known only for a public item without embargo (an embargo hides the files of a version), and not while changes
    are in review. Waits for a version that is not visible yet. A needless version is harmless, an unpublished change is
    not. So the draft must stay unchanged in repeated reads until any earlier change must be visible, and the version
    must have the `files` (ids) that the caller knows to be in the draft, whatever a listing shows. A replaced file has
    a new id.
    """
    known = await _is_in_version(api, item, files, time_limit)
    for pause in LATER_READS:
        if not known:
            break
        await api.clock.sleep(min(pause, max(time_limit, LATER_READS[0])))
        known = await _is_in_version(api, await api.items.detail(item.id), files, time_limit)
    return known


async def _is_in_version(api: ItemService, item: ItemDetail, needed: Collection[int], time_limit: float) -> bool | None:
    if not (item.is_public and item.version) or item.embargo is not None:
        return None

    async def read() -> tuple[ItemDetail, set[_FileKey]] | None:
        try:
            found = await api.items.public_detail(item.id, item.version)
            return found, await _file_keys(api.public_files(item.id, item.version), found.folders)
        except ItemNotFound:
            return None

    wait = functools.partial(api.wait, f"version {item.version} of item {item.id} is not visible yet")
    found = await poll(read, time_limit, api.clock, wait=wait)
    if found is None:
        return None
    public, files = found
    has_all = {file_id for file_id, _, _ in files}.issuperset(needed) and _metadata(public) == _metadata(item)
    if has_all and files == await _file_keys(api.files(item.id), item.folders):
        return True
    return None if item.curation_status == _IN_REVIEW else False


async def is_unchanged(api: ItemService, item: ItemDetail, digest: str) -> bool:
    """Return whether the draft has this digest each time that `is_published` would read it."""
    for pause in LATER_READS:
        if await draft_digest(api, item) != digest:
            return False
        await api.clock.sleep(pause)
        item = await api.items.detail(item.id)
    return await draft_digest(api, item) == digest


async def draft_digest(api: ItemService, item: ItemDetail) -> str:
    """Identify the files and metadata of a draft, without what publishing itself may set."""
    metadata = {name: value for name, value in _metadata(item).items() if name not in _SET_BY_PUBLISHING}
    content = [metadata, await _file_keys(api.files(item.id), item.folders)]
    return hashlib.blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=8).hexdigest()


_FileKey = tuple[int, str, int]
"""Id, path and size: the content of a file with an id never changes."""


async def _file_keys(files: AsyncIterator[File], folders: Mapping[int, str]) -> set[_FileKey]:
    return {(file.id, file.path_among(folders), file.size) async for file in files}


def _metadata(item: ItemDetail) -> dict[str, object]:
    """Return a version's metadata in a form that is comparable with its draft's. A version's DOI ends in .vN.

    Authors set again by name keep their ids (`describe.set_authors`), so one with another id is another person.
    """
    return {
        **{name: getattr(item, name) for name in _VERSIONED},
        "doi": _VERSION.sub("", item.doi),
        "authors": [(author.id, author.full_name, author.orcid) for author in item.authors],
        "categories": {category.id for category in item.categories},
        "embargo": item.embargo,
        "timeline": {name: item.timeline.get(name) for name in _GIVEN_DATES},
    }


def seconds_to_publish(time_limit: float) -> float:
    """Return the seconds to look for the effect of publishing; `time_limit` is the time for other requests."""
    return _PUBLISHING * time_limit


def was_published_since(item: ItemDetail, version: int, curation: str | None) -> bool:
    """Return whether the item was published, or submitted for review, since it had this version and curation status.

    A curation status of None is unknown. A review that ended since was requested before.
    """
    return item.version > version or (curation is not None and item.curation_status == _IN_REVIEW != curation)


def shows_publication(item: ItemDetail, before: ItemDetail) -> bool:
    """Return whether the item shows that it was published, or submitted for review, since it was as `before`."""
    became_public = item.is_public and not before.is_public
    return became_public or was_published_since(item, before.version, before.curation_status)


def shows_effect(item: ItemDetail, before: ItemDetail) -> bool:
    """Return whether the item shows every visible effect of an accepted request to publish.

    A review may go on, and an item under full embargo is published at its end (documented).
    """
    is_closed = item.embargo is not None and item.embargo.scope == "article"
    return is_closed or item.curation_status == _IN_REVIEW or shows_publication(item, before)


def unseen_effect(item: ItemDetail, before: ItemDetail) -> str:
    """Return a warning if Figshare took the request to publish an item without showing any effect of it, or ""."""
    if shows_effect(item, before):
        return ""
    return (
        f"Figshare accepted the request to publish item {item.id}, but does not show it as published or in review yet; "
        "look at its page later"
    )


async def publish(
    api: ItemService,
    item: ItemDetail,
    *,
    time_limit: float = TIME_LIMIT,
    on_turn: OnTurn | None = None,
    on_refused: Callable[[], Awaitable[None]] | None = None,
) -> ItemDetail:
    """Publish the item and return its new state. `on_turn` is called before each attempt, `on_refused` if Figshare
    refuses one and no earlier one was left without an answer: then nothing can have an effect later.

    `time_limit`: see `seconds_to_publish`, also for the effect of a request that Figshare accepted: if it does not show
    by then, the state without it is returned. An item under full embargo or in review stays closed.
    """
    action, seconds = f"publishing item {item.id}", seconds_to_publish(time_limit)
    unanswered = False

    async def read(shows: Callable[[ItemDetail, ItemDetail], bool]) -> ItemDetail | None:
        now = await api.items.detail(item.id)
        return now if shows(now, item) else None

    async def ask() -> ItemDetail:
        try:
            await api.items.publish(item.id, on_turn=on_turn)
        except (RequestRejected, PermissionDenied, TokenRejected):
            if on_refused is not None and not unanswered:
                await on_refused()
            raise
        wait = functools.partial(api.wait, f"{action}: accepted; checking whether it took effect")
        found = await poll(functools.partial(read, shows_effect), seconds, api.clock, wait=wait)
        return found or await api.items.detail(item.id)

    async def check() -> ItemDetail | None:
        nonlocal unanswered
        unanswered = True
        return await read(shows_publication)

    return await confirm(api, ask, check, action, time_limit=seconds)


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
