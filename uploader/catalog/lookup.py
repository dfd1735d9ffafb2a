"""Find one item, collection or project by number, DOI or address: the public version, or the account's own copy.

The account's own copy has more fields and may be newer; it is read if there is a token and the account may see it.
Everything else is read as everyone sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

from uploader.errors import ItemNotFound, PermissionDenied
from uploader.figshare.client import Figshare
from uploader.figshare.ids import Kind, Reference
from uploader.figshare.records import Record
from uploader.items.identify import identify


@dataclass(frozen=True, kw_only=True)
class Found:
    """A record in full; `public` is False for the account's own copy."""

    record: Record
    public: bool


async def find(
    api: Figshare, kind: Kind, reference: Reference, *, version: int | None = None, public: bool = False
) -> Found:
    """Return a record. `version` is a public version; `public`: not the account's own copy. Raises ItemNotFound."""
    if isinstance(reference, int) or kind == "project":
        number = int(reference)
    else:
        number = await identify(api, reference, kind)
    if api.has_token and not public and version is None:
        try:
            return Found(record=await api.records.record(kind, number, public=False), public=False)
        except (ItemNotFound, PermissionDenied) as refusal:
            try:
                return Found(record=await api.records.record(kind, number, public=True), public=True)
            except ItemNotFound:
                raise refusal from None
    return Found(record=await api.records.record(kind, number, public=True, version=version), public=True)
