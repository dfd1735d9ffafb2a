"""The requests that a job makes to Figshare, as a protocol. The client passes a `Figshare`, tests an in-memory fake.

Protocols only, no behavior. Errors are those of `uploader.errors` and `uploader.figshare.outcomes`. Any request may
raise TokenRejected, PermissionDenied, RequestRejected, NotFigshare, ProtocolViolation or TlsFailure.

Requests that read or delete are repeated internally; when the retry time is used up they raise Unreachable or
ServerFailing. Requests that create are repeated only while they certainly had no effect; otherwise they raise
AmbiguousAnswer, and the caller must look for the effect before it asks again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Protocol

from uploader.figshare.models import Account, File, Item, ItemRow, Part, Upload
from uploader.figshare.ratelimit import OnTurn
from uploader.items.service import Body, ItemRequests, ItemService


class JobItemRequests(ItemRequests, Protocol):
    """Requests about items, creating one included."""

    async def create(self, fields: Body, *, project: int | None = None, on_turn: OnTurn | None = None) -> int:
        """Create a draft and return its id. `on_turn` as for `initiate`. Raises AmbiguousAnswer, ProjectNotFound."""


class PartService(Protocol):
    """The upload service, which needs no token: an upload URL carries its own secret."""

    @property
    def answered(self) -> float:
        """When the API last answered properly (monotonic seconds)."""

    async def upload(self, upload_url: str) -> Upload:
        """Read the upload and its parts, which cover the file exactly. Raises UploadGone."""

    async def part(self, upload_url: str, no: int) -> Part:
        """One part as the upload service has it. Raises UploadGone."""

    async def send_part(
        self,
        upload_url: str,
        part: Part,
        chunks: Callable[[], AsyncIterator[bytes | memoryview]],
        *,
        on_accepted: Callable[[int], None] | None = None,
        fresh_connection: bool = False,
    ) -> None:
        """One attempt to send a part; returns once the upload service has all of it.

        `chunks()` yields exactly `part.size` bytes. `on_accepted` gets the bytes newly accepted by the other side.
        After any failure the part may be stored, or locked for a while: ask before sending it again. Raises PartLocked,
        UploadGone, PartFailed, TlsFailure, and what `chunks` raises.
        """


class Service(ItemService, PartService, Protocol):
    """A session with one Figshare as one account."""

    @property
    def items(self) -> JobItemRequests:
        """Requests about items' metadata."""

    # --- the session ----------------------------------------------------------------------------------------------

    @property
    def requests(self) -> int:
        """API requests so far, repeated ones included; parts do not count."""

    @property
    def idle(self) -> bool:
        """True if an API request could go out at once and none is waiting."""

    @property
    def waiting(self) -> int:
        """API requests that wait for the request budget."""

    @property
    def request_rate(self) -> float | None:
        """API requests per second that the budget allows; None for no limit."""

    def server_now(self) -> datetime:
        """Return the server's time, as far as known; aware, UTC."""

    # --- the account and its items --------------------------------------------------------------------------------

    async def account(self) -> Account:
        """Read the token's account. Raises TokenRejected."""

    async def item(self, item_id: int) -> Item:
        """Read an item. Raises ItemNotFound, also if the account may not read it."""

    def own_items(self) -> AsyncIterator[ItemRow]:
        """Every item of the account."""

    async def delete_item(self, item_id: int, *, on_turn: OnTurn | None = None) -> None:
        """Delete an unpublished item. Succeeds if it is already gone. `on_turn` as for `initiate`."""

    # --- files ----------------------------------------------------------------------------------------------------

    async def initiate(
        self,
        item_id: int,
        *,
        name: str,
        size: int,
        md5: str | None = None,
        folder: str | None = None,
        on_turn: OnTurn | None = None,
    ) -> int:
        """Create a file of `size` bytes; return its id.

        `on_turn` is called before each attempt, when the request budget allows it. Raises AmbiguousAnswer,
        ItemNotFound, and what `on_turn` raises.
        """

    async def link(self, item_id: int, link: str, *, on_turn: OnTurn | None = None) -> int:
        """Create a file that only refers to an address; return its id. Raises AmbiguousAnswer, ItemNotFound."""

    async def file(self, item_id: int, file_id: int, *, fresh: bool = False) -> File:
        """Read a file. Raises FileGone. `fresh`: it was just created; wait for it to become visible."""

    async def complete(self, item_id: int, file_id: int, *, on_turn: OnTurn | None = None) -> None:
        """Complete the upload. Raises AmbiguousAnswer, FileGone."""

    async def delete_file(self, item_id: int, file_id: int, *, on_turn: OnTurn | None = None) -> None:
        """Delete a file or an unfinished placeholder. Succeeds if it is already gone. `on_turn` as for `initiate`."""
