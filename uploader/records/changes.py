"""Detect whether others changed an item since the job left it, which must then not be removed. Pure."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Set
from datetime import datetime, timedelta

import msgspec

from uploader.figshare.models import ItemDetail
from uploader.figshare.settings import Settings
from uploader.items import release
from uploader.items.payload import ItemPayload
from uploader.records import journal as ev

_RENEWED_AFTER = timedelta(seconds=10)
"""A change whose requests were waited for or repeated for this long is recorded again."""
_SLACK = _RENEWED_AFTER + timedelta(seconds=Settings.answer_timeout)
"""Maximum time between the recorded beginning of a change and its effect: its last request begins before the record is
renewed, and takes effect before its answer is given up.
"""
_RELATED = {"references", "related_materials", "resource_doi"}
_SET_BY: Mapping[str, Set[str]] = {
    "description": {"description"}, "keywords": {"keywords"}, "categories": {"categories"}, "references": _RELATED,
    "related_materials": _RELATED, "funding": {"funding_list"}, "custom_fields": {"custom_fields_list"},
    "handle": {"handle"},
}  # fmt: skip
"""Fields that a new item has only if it was created with one of these fields of requests."""


def seen_of(item: ItemDetail) -> ev.Seen:
    """Return the record of an item that shows later whether it was changed."""
    content = [
        *(item.title, item.description, [one.id for one in item.authors], [one.id for one in item.categories]),
        *(item.keywords, item.license, item.type, item.references, item.related_materials, item.funding),
        *(item.custom_fields, item.group_id, item.timeline, item.embargo, item.doi, item.handle, item.metadata_reason),
        [(file.id, file.name, file.size, file.download_url) for file in item.files],
    ]
    digest = hashlib.blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=8).hexdigest()
    visibility = release.visibility(item)
    is_published = visibility == "public" or (visibility == "embargoed" and item.status != "draft")
    return ev.Seen(
        url=item.public_url if visibility == "public" else item.url,
        doi=item.doi,
        modified=item.modified.isoformat() if item.modified is not None else "",
        content=digest,
        published=visibility if is_published else "",
    )


def must_be_recorded_again(begun: str, now: datetime) -> bool:
    """Return whether a change, "" for none, began so long ago that its time must be recorded again."""
    return bool(begun) and now - datetime.fromisoformat(begun) > _RENEWED_AFTER


def is_as_the_job_left_it(record: ev.RecordState, item: ItemDetail) -> bool:
    """Return whether only the job changed an item, as far as its content and times show.

    A change that was interrupted, and may have had its effect in part, is recognized by its time, as for an item that
    the job only created.
    """
    if record.seen is not None and seen_of(item) == record.seen:
        return True
    if record.seen is None and record.described is None and not record.changing:
        return not was_changed(item)
    if not record.changing or item.modified is None:
        return False
    return item.modified - datetime.fromisoformat(record.changing) <= _SLACK


def was_changed(item: ItemDetail) -> bool:
    """Return whether an item was changed after its creation, as far as its times show."""
    return item.modified is not None and item.created is not None and item.modified - item.created > _SLACK


def was_edited(item: ItemDetail, created_with: ItemPayload) -> bool:
    """Return whether others edited a new item, as far as its content shows. Markup and order are ignored, since
    Figshare may change them.
    """
    fields, item_fields = created_with.fields, msgspec.structs.asdict(item)
    if any(item_fields[name] and not fields.keys() & names for name, names in _SET_BY.items()):
        return True
    as_set = (fields.get("description", ""), fields.get("keywords", ()), fields.get("categories", ()))
    as_seen = (item.description, item.keywords, [one.id for one in item.categories])
    return _comparable(*as_set) != _comparable(*as_seen)


def _comparable(description: str, keywords: Iterable[str], categories: Iterable[int]) -> tuple[object, ...]:
    letters = "".join(html.unescape(re.sub(r"<[^<>]*>", "", description)).split())
    return letters, {word.casefold() for word in keywords}, set(categories)
