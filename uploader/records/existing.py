"""What exists: before a job changes anything, and whether it still does at the end of a run.

One listing of the account's own items, and one of the institution's: a job of thousands of records needs no search for
each record. Only what concerns the job is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from uploader.catalog.pager import Gap, check_complete
from uploader.catalog.reading import Reading
from uploader.catalog.report.values import state
from uploader.errors import ItemNotFound, PermissionDenied, ProtocolViolation, RequestRejected, ServerFailing
from uploader.figshare.ids import comparable_doi
from uploader.figshare.records import INSTITUTION_ITEMS, Listing, Record, own_list, search_of
from uploader.figshare.retry import poll
from uploader.items.mark import bears_mark
from uploader.items.reconcile import SETTLE_TIMEOUT
from uploader.records.journal import ExistingRead
from uploader.records.plan import Planned

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

LISTING_AGE: Final = 60.0
"""Seconds for which the listing at the beginning of a run counts."""
Owner: TypeAlias = Literal["own", "institution"]
_VISIBLE: Final = {"draft": "", "unpublished": "", "embargoed-item": "embargoed"}
"""Words for these states of an item in a job's report; all other states are "public"."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """An item that exists. `owner`: the account, or another one of its institution.

    `published`: public, embargoed, or "" for a draft; None if unknown: its row in a list does not say. `modified` is
    ISO 8601, "" if not stated.
    """

    id: int
    url: str
    doi: str
    owner: Owner
    published: str | None = None
    modified: str = ""

    def read_before(self, before: ExistingRead | None) -> Row | None:
        """Return the row as an earlier run completed it, None if the item may have changed since.

        Nothing may have changed an item whose embargo ended.
        """
        if before is None or not self.modified or (before.id, before.modified) != (self.id, self.modified):
            return None
        return replace(self, published=before.published) if before.published != "embargoed" else None


@dataclass(kw_only=True)
class Existing:
    """The existing items. `own` are the ids of the account's own items; the others are by DOI, and by the mark in the
    title.
    """

    own: set[int] = field(default_factory=set)
    by_doi: dict[str, list[Row]] = field(default_factory=dict)
    marked: dict[str, list[int]] = field(default_factory=dict)
    """The items with a mark; a repeated request makes several."""
    records: dict[int, str] = field(default_factory=dict)
    """The keys of records of the file by the items that the job has for them, as far as they have one of the DOIs."""
    moved: dict[str, int] = field(default_factory=dict)
    """Items that have the DOI of a record now, by its key, if the job updated another one for it."""

    def with_mark(self, mark: str) -> int | None:
        """Return the first item with a mark; None without one."""
        return min(self.marked.get(mark, ()), default=None)

    def with_doi(self, record: Planned) -> list[Row]:
        """Return the items that have, or belong to a publication that has, a DOI of the record; own ones first.

        Those that the job has for other records of the file are left out: a publication may have several.
        """
        return [row for row in self.all_with_doi(record) if self.records.get(row.id, record.key) == record.key]

    def all_with_doi(self, record: Planned) -> list[Row]:
        """Return the same, including those that the job has for other records of the file."""
        found = {row.id: row for doi in record.dois for row in self.by_doi.get(comparable_doi(doi), ())}
        return sorted(found.values(), key=lambda row: (row.owner != "own", row.id))

    def other_record(self, record: Planned) -> str | None:
        """Return the key of another record of the file whose item has a DOI of this one."""
        keys = (self.records.get(row.id, record.key) for row in self.all_with_doi(record))
        return next((key for key in keys if key != record.key), None)


async def find_existing(
    api: Figshare,
    dois: Set[str],
    marks: Collection[str],
    *,
    institution: int | None,
    elsewhere: bool,
    warn: Callable[[str], None],
) -> Existing:
    """List what has one of these (comparable) DOIs or marks.

    `elsewhere`: also among the items of the `institution`, for its administrators with drafts, for others what is
    public. `warn` gets a message about lists that Figshare cuts off.
    """
    found = Existing()

    def add(row: Record, owner: Owner) -> None:
        for doi in {comparable_doi(row.doi), comparable_doi(row.resource_doi)} & dois:
            modified = row.modified.isoformat() if row.modified is not None else ""
            seen = Row(id=row.id, url=row.url, doi=row.doi, owner=owner, modified=modified)
            found.by_doi.setdefault(doi, []).append(seen)

    async for row in _rows(api, own_list("item"), {}, warn):
        found.own.add(row.id)
        add(row, "own")
        for mark in marks:
            if bears_mark(row.title, [mark]):
                found.marked.setdefault(mark, []).append(row.id)
    if elsewhere and institution is not None and dois:
        async for row in _of_institution(api, institution, warn):
            if row.id not in found.own:
                add(row, "institution")
    return found


async def with_state(api: Figshare, row: Row) -> Row:
    """Add whether the item is published, which only its record shows: a date proves nothing."""
    for public in (False, True):  # an item of another account may be visible to its administrators alone
        try:
            record = await api.records.record("item", row.id, public=public)
        except (ItemNotFound, PermissionDenied, ProtocolViolation, RequestRejected):
            continue
        except ServerFailing:  # it was asked again for the whole retry time
            break
        return replace(row, published=_VISIBLE.get(state(record.raw), "public"))
    return row


async def _of_institution(api: Figshare, institution: int, warn: Callable[[str], None]) -> AsyncIterator[Record]:
    try:
        async for row in _rows(api, INSTITUTION_ITEMS, {}, warn):
            yield row
    except PermissionDenied:  # no administrator
        async for row in _rows(api, search_of("item"), {"institution": institution}, warn):
            yield row


async def _rows(
    api: Figshare, listing: Listing, criteria: dict[str, str | int], warn: Callable[[str], None]
) -> AsyncIterator[Record]:
    reading = Reading(api.records, listing, criteria)
    async for row in reading.rows():
        yield row
    for gap in reading.gaps:
        warn(_incomplete(listing, gap))


def _incomplete(listing: Listing, gap: Gap) -> str:
    return f"{listing.resource} is not complete, so that duplicates may be missed: {gap.message}"


async def items_with_mark(api: Figshare, marks: Collection[str]) -> list[Record]:
    """Return the account's own items with one of these marks.

    Raises RecordsMissing if an incomplete list has none: they may be in the missing part.
    """
    reading = Reading(api.records, own_list("item"))
    found = [row async for row in reading.rows() if bears_mark(row.title, marks)]
    if not found:
        check_complete(reading.gaps)
    return found


async def gone_items(api: Figshare, ids: Collection[int]) -> set[int]:
    """Return which of these items of the account no longer exist, by one listing; none if that is not complete.

    What it does not have is read: an item that was just created may show late.
    """
    reading = Reading(api.records, own_list("item"))
    gone = set(ids) - {row.id async for row in reading.rows()}
    if reading.gaps or not gone:
        return set()

    async def check() -> bool | None:
        for item_id in list(gone):
            try:
                await api.items.detail(item_id)
            except ItemNotFound:
                continue
            except PermissionDenied:  # it exists, and is another account's now; or the token has expired
                await api.account()
            gone.discard(item_id)
        return not gone or None

    await poll(check, SETTLE_TIMEOUT, api.clock)
    return gone
