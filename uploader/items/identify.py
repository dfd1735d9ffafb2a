"""Find the id of an item or a collection by its DOI: the only place where user input becomes an id."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from uploader.errors import Facts, ItemNotFound, UsageError
from uploader.figshare.ids import Reference, same_doi
from uploader.figshare.item_api import CatalogedKind
from uploader.figshare.models import DoiRow

DoiKind: TypeAlias = Literal["item", "collection"]

_SEGMENT: dict[DoiKind, CatalogedKind] = {"item": "articles", "collection": "collections"}


class DoiSearch(Protocol):
    """Requests that find records by DOI."""

    async def with_doi(self, kind: CatalogedKind, doi: str, *, own: bool) -> list[DoiRow]:
        """Return the account's own records, or public ones, for a DOI; the result may include other records."""


class DoiService(Protocol):
    """A session with Figshare, as far as this module uses it."""

    @property
    def has_token(self) -> bool:
        """Whether the account's own records can be requested."""

    @property
    def items(self) -> DoiSearch:
        """Requests about items' metadata."""


async def identify(api: DoiService, reference: Reference, kind: DoiKind = "item") -> int:
    """Return the id of an item or a collection. Asks Figshare only for a DOI without an id in it.

    With a token the account's own records come first, drafts with a reserved DOI included. Raises ItemNotFound,
    UsageError if several records have the DOI, and what all requests raise.
    """
    if isinstance(reference, int):
        return reference
    for own in (True, False) if api.has_token else (False,):
        rows = await api.items.with_doi(_SEGMENT[kind], reference, own=own)
        found = sorted({row.id for row in rows if same_doi(row.doi, reference)})
        if len(found) > 1:
            ids = ", ".join(map(str, found))
            raise UsageError(f"several {kind}s have the DOI {reference}: {ids}", hint="Give the number of one.")
        if found:
            return found[0]
    raise ItemNotFound(
        f"Figshare has no {kind} with the DOI {reference}",
        hint="Check it, or give the number or the address of the page.",
        facts=Facts("unknown-doi"),
    )
