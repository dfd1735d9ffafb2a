"""Requests that read what Figshare holds: pages of lists and searches, single records, authors, institutions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal
from urllib.parse import urlencode

from uploader.errors import ProtocolViolation, RequestRejected
from uploader.figshare import models
from uploader.figshare.decode import as_text
from uploader.figshare.ids import SEGMENTS, Kind
from uploader.figshare.models import PAGE
from uploader.figshare.outcomes import PageLimitReached
from uploader.figshare.pipeline import Pipeline
from uploader.figshare.records import AuthorRecord, Institution, Listing, Page, Record, VersionRecord
from uploader.figshare.responses import list_spec, not_found, record_not_found, record_spec, rows_spec
from uploader.text import printable

Criteria = Mapping[str, str | int]
"""Filters and order of a list, as the API names them."""
_PAGE_REFUSED = (400, 422)
"""Statuses for a page beyond the limit (observed: 422 PageLimitExceededException; 400 in the oldest documentation)."""
_MAX_DESCRIBED = 60
"""Characters of a title in a message."""
_MAX_INSTITUTIONS = 200
"""Maximum pages of the list of institutions to read: its page size is unknown."""


class Records:
    """Requests that read. Any may raise PermissionDenied, RequestRejected, and what all requests raise."""

    def __init__(self, calls: Pipeline) -> None:
        self._calls = calls

    # --- lists -------------------------------------------------------------------------------------------------------

    async def page(self, listing: Listing, criteria: Criteria, *, page: int, size: int = PAGE) -> Page:
        """Return one page of a list, counted from 1. Raises PageLimitReached if Figshare does not list that far."""
        if listing.paging == "whole" and page > 1:
            return Page(rows=[])
        asked = {**criteria, **_paging(listing, page, size)}
        spec = rows_spec(
            Record,
            listing.resource,
            public=listing.public,
            on_not_found=not_found(f"Figshare does not find {listing.resource}"),
        )
        try:
            if listing.method == "POST":
                rows, others = await self._calls.api("POST", listing.path, spec, body=asked)
            else:
                path = f"{listing.path}?{urlencode(asked)}" if asked else listing.path
                rows, others = await self._calls.api("GET", path, spec)
            return Page(rows=rows, unusable=tuple(map(_described, others)))
        except RequestRejected as refusal:
            raise _limit_or(refusal, page) from None

    async def authors(self, criteria: Mapping[str, object], *, page: int, size: int = PAGE) -> list[AuthorRecord]:
        """Return one page of a search for authors. `criteria` as documented for PrivateAuthorsSearch.

        Raises PageLimitReached.
        """
        spec = list_spec(AuthorRecord, "the search for authors")
        body = {**criteria, "page": page, "page_size": size}
        try:
            return await self._calls.api("POST", "/account/authors/search", spec, body=body)
        except RequestRejected as refusal:
            raise _limit_or(refusal, page) from None

    async def institutions(self) -> AsyncIterator[Institution]:
        """Yield every institution with a portal; no token is needed. Source: /altmetric/institutions, paged by offset.

        Undocumented: the size of a page. The list ends with an empty page, or one that repeats what is known.
        """
        seen: set[int] = set()
        for _ in range(_MAX_INSTITUTIONS):
            spec = list_spec(Institution, "the list of institutions", public=True)
            path = "/altmetric/institutions" + (f"?offset={len(seen)}" if seen else "")
            new = [one for one in await self._calls.api("GET", path, spec) if one.id not in seen]
            if not new:
                return
            seen.update(one.id for one in new)
            for one in new:
                yield one
        raise ProtocolViolation(f"the list of institutions has more than {len(seen)} rows")

    async def categories(self) -> list[models.Category]:
        """Return the categories that everyone can use; no token is needed."""
        spec = list_spec(models.Category, "the list of categories", public=True)
        return await self._calls.api("GET", "/categories", spec)

    async def licenses(self) -> list[models.License]:
        """Return the licences that everyone can use; no token is needed."""
        return await self._calls.api("GET", "/licenses", list_spec(models.License, "the list of licences", public=True))

    # --- single records ----------------------------------------------------------------------------------------------

    async def record(self, kind: Kind, number: int, *, public: bool, version: int | None = None) -> Record:
        """Return an item, collection or project in full: the public version or the account's own copy. Raises
        ItemNotFound.

        `version` is a public version, None for the newest; projects have none.
        """
        path = f"{'' if public else '/account'}/{SEGMENTS[kind]}/{number}"
        path += "" if version is None else f"/versions/{version}"
        which = f"{kind} {number}" + ("" if version is None else f", version {version}")
        spec = record_spec(Record, which, public=public, on_not_found=record_not_found(which, public=public))
        return await self._calls.api("GET", path, spec)

    async def review(self, number: int) -> Record:
        """Return a review with its item, under "item". Raises ItemNotFound."""
        path, which = f"/account/institution/review/{number}", f"review {number}"
        spec = record_spec(Record, which, on_not_found=record_not_found(which, public=False))
        return await self._calls.api("GET", path, spec)

    async def account(self, number: int) -> Record:
        """Return an account of the institution in full. Raises ItemNotFound."""
        path, which = f"/account/institution/accounts/{number}", f"account {number}"
        spec = record_spec(Record, which, on_not_found=record_not_found(which, public=False))
        return await self._calls.api("GET", path, spec)

    async def usage(self, account: int, *, own: bool) -> Record:
        """Return an account with what it uses. `own`: it is the token's, which cannot impersonate itself (observed)."""
        path, which = "/account" if own else f"/account?impersonate={account}", f"account {account}"
        spec = record_spec(Record, which, on_not_found=record_not_found(which, public=False))
        return await self._calls.api("GET", path, spec)

    async def versions(self, kind: Literal["item", "collection"], number: int) -> list[VersionRecord]:
        """Return the public versions, oldest first; none if all were unpublished (observed). Raises ItemNotFound."""
        spec = list_spec(
            VersionRecord, f"the versions of {kind} {number}", public=True,
            on_not_found=record_not_found(f"{kind} {number}", public=True),
        )  # fmt: skip
        found = await self._calls.api("GET", f"/{SEGMENTS[kind]}/{number}/versions", spec)
        return sorted(found, key=lambda one: one.version)


def _limit_or(refusal: RequestRejected, page: int) -> Exception:
    """Return what the refusal of a page means: that it is too far, or that the request is wrong."""
    if page > 1 and refusal.status in _PAGE_REFUSED:
        return PageLimitReached(refusal.message)
    return refusal


def _described(row: Any) -> str:
    """Describe a row without a valid id."""
    if not isinstance(row, Mapping):
        return "a row that is not an object"
    names = (as_text(row.get(name)) for name in ("title", "name", "full_name", "email", "doi", "url"))
    return printable(next(filter(None, names), "a row without a title")[:_MAX_DESCRIBED])


def _paging(listing: Listing, page: int, size: int) -> Criteria:
    if listing.paging == "whole":
        return {}
    if listing.paging == "offset":
        return {"limit": size, "offset": (page - 1) * size}
    return {"page": page, "page_size": size}
