"""The requests that operations on items make, as protocols that `uploader.figshare.client.Figshare` satisfies.

Protocols only, no behavior. The methods' contracts are those of `uploader.figshare.client` and `.item_api`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from uploader.clock import Clock
from uploader.figshare.models import (
    Author,
    Category,
    CustomField,
    File,
    Grant,
    Group,
    ItemDetail,
    License,
    PrivateLink,
    Project,
)
from uploader.figshare.ratelimit import OnTurn

Body = Mapping[str, object]


class Lookup(Protocol):
    """Requests that read what metadata may refer to. Each may raise PermissionDenied and RequestRejected."""

    async def categories(self) -> list[Category]:
        """Return the categories of the account's institution; not all are selectable."""

    async def licenses(self) -> list[License]:
        """Return Figshare's licences and those of the account's institution."""

    async def groups(self) -> list[Group]:
        """Return the institution's groups. Raises PermissionDenied for an account that administers none."""

    async def institution(self) -> int | None:
        """Return the id of the account's institution, None without one."""

    async def custom_fields(self, group: int | None = None) -> list[CustomField]:
        """Return the custom fields of a group, None for the account's own."""

    async def has_author(self, author_id: int) -> bool:
        """Return True if there is an author with this id."""

    async def grants(self, text: str) -> list[Grant]:
        """Return the grants found by a search."""

    async def project(self, project_id: int) -> Project:
        """Return the project. Raises ProjectNotFound."""

    async def detail(self, item_id: int) -> ItemDetail:
        """Return the item with its metadata. Raises ItemNotFound."""


class ItemRequests(Lookup, Protocol):
    """Requests about one item. Each may raise ItemNotFound, PermissionDenied and RequestRejected.

    Requests that read or set something are repeated internally; they raise Unreachable or ServerFailing when the retry
    time is used up. Those that create something raise AmbiguousAnswer if they may have had their effect.
    """

    async def public_detail(self, item_id: int, version: int) -> ItemDetail:
        """Return a published version of the item, which may become visible some time after publishing."""

    async def update(self, item_id: int, fields: Body, *, on_turn: OnTurn | None = None) -> None:
        """Set these fields; others keep their values. `on_turn` is called before each attempt."""

    async def authors(self, item_id: int) -> list[Author]:
        """Return the item's authors, in order."""

    async def set_authors(self, item_id: int, authors: Sequence[Body], *, on_turn: OnTurn | None = None) -> None:
        """Replace the item's authors. `on_turn` as for `update`."""

    async def set_embargo(self, item_id: int, embargo: Body, *, on_turn: OnTurn | None = None) -> None:
        """Replace the item's embargo. `on_turn` as for `update`."""

    async def publish(self, item_id: int, *, on_turn: OnTurn | None = None) -> None:
        """Publish the item as a new version. `on_turn` as for `update`. Raises AmbiguousAnswer."""

    async def reserve_doi(self, item_id: int, *, on_turn: OnTurn | None = None) -> str:
        """Return the item's DOI; repeated requests return the same one. `on_turn` as for `update`."""

    async def private_links(self, item_id: int) -> list[PrivateLink]:
        """Return all private links, expired ones included."""

    async def create_private_link(
        self, item_id: int, *, expires: str | None = None, on_turn: OnTurn | None = None
    ) -> str:
        """Return the address of a new link, which replaces an older one. `on_turn` as for `update`.

        Raises AmbiguousAnswer.
        """


class ItemService(Protocol):
    """A session with Figshare, as far as operations on items use it."""

    @property
    def items(self) -> ItemRequests:
        """Requests about items' metadata."""

    @property
    def clock(self) -> Clock:
        """The clock that `wait` goes by."""

    def server_now(self) -> datetime:
        """Return the present time by the server's clock."""

    def files(self, item_id: int) -> AsyncIterator[File]:
        """Return every file of the item, unfinished ones included. Raises ItemNotFound."""

    def public_files(self, item_id: int, version: int | None = None) -> AsyncIterator[File]:
        """Return every file of a published version, None for the newest. Raises ItemNotFound."""

    async def wait(self, reason: str, delay: float) -> None:
        """Report `reason`, then wait `delay` seconds."""
