"""The Figshare client: one method per request or listing, typed results, errors of `uploader.errors` or outcomes.

This module defines the requests and the meaning of their statuses; `pipeline` sends, paces and retries them.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from uploader.clock import Clock
from uploader.figshare import models, parts, urls
from uploader.figshare.decode import NotJson
from uploader.figshare.item_api import CreatedKind, Items
from uploader.figshare.middleware import AnyToken
from uploader.figshare.network import Network
from uploader.figshare.outcomes import AmbiguousAnswer, FileGone, UploadGone
from uploader.figshare.part_upload import PartUploader
from uploader.figshare.pipeline import Pipeline, read_pages
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.responses import (
    ResponseSpec,
    about_item,
    about_part_of_item,
    done_spec,
    ignore_missing,
    list_spec,
    object_spec,
)
from uploader.figshare.retry import Backoff
from uploader.figshare.settings import RetryPolicy, Settings
from uploader.figshare.stall import StallDetector
from uploader.figshare.transport import Response
from uploader.figshare.urls import check_endpoint
from uploader.redaction import add_upload_address

if TYPE_CHECKING:
    from uploader.figshare.accounts_api import Accounts
    from uploader.figshare.downloads import Downloads
    from uploader.figshare.records_api import Records


class Figshare:
    """A session with one Figshare as one account. An async context manager; create it inside a running event loop.

    GET and DELETE are retried until the retry time is used up, then raise Unreachable or ServerFailing. Creating
    requests are retried only if they certainly had no effect, else raise AmbiguousAnswer. Any API call may raise
    TokenRejected, PermissionDenied, RequestRejected, NotFigshare, ProtocolViolation or TlsFailure. `on_retry` gets the
    reason and the delay in seconds before each wait. Without a token only public things can be read.
    """

    def __init__(
        self,
        settings: Settings,
        token: AnyToken | None,
        *,
        clock: Clock | None = None,
        on_retry: Callable[[str, float], None] | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._endpoint = check_endpoint(settings.endpoint, insecure_http=settings.insecure_http)
        self._network = Network(settings)
        self._calls = Pipeline(self._endpoint, settings, token, self._network, self._clock, on_retry)
        self.has_token = token is not None
        self.items = Items(self._calls, functools.partial(_created, endpoint=self._endpoint))
        """Requests on items' metadata, projects and collections."""
        self._watch = StallDetector(settings.stall_timeout, max(settings.stall_timeout, settings.answer_timeout))
        self._sender = PartUploader(settings, self._network, self._watch, self._clock, self._calls.server_now)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self._watch.close()
        await self._network.close()

    # Imported when they are used, which an upload never does.

    @functools.cached_property
    def records(self) -> Records:
        """Requests that read lists, searches and single records."""
        from uploader.figshare.records_api import Records

        return Records(self._calls)

    @functools.cached_property
    def accounts(self) -> Accounts:
        """Requests about an institution's accounts, for its administrators."""
        from uploader.figshare.accounts_api import Accounts

        return Accounts(self._calls)

    @functools.cached_property
    def downloads(self) -> Downloads:
        """Bytes of files."""
        from uploader.figshare.downloads import Downloads

        return Downloads(self._settings, self._endpoint, self._calls, self._network)

    @property
    def endpoint(self) -> str:
        """The address of the API, normalized."""
        return self._endpoint

    @property
    def requests(self) -> int:
        """API requests made so far, including retries, excluding parts."""
        return self._calls.requests

    @property
    def idle(self) -> bool:
        """True if an API request could be sent at once and none is waiting."""
        return self._calls.idle

    @property
    def waiting(self) -> int:
        """API requests that wait for the request budget."""
        return self._calls.waiting

    @property
    def request_rate(self) -> float | None:
        """API requests per second that the budget allows; None for no limit."""
        return self._calls.rate

    @property
    def request_burst(self) -> int:
        """API requests that the budget allows at once, before its rate applies."""
        return self._calls.burst

    @property
    def answered(self) -> float:
        """When the API last responded properly (monotonic seconds)."""
        return self._calls.answered

    def server_now(self) -> datetime:
        """Return the local time corrected by the API's last Date header; aware, UTC."""
        return self._calls.server_now()

    @property
    def clock(self) -> Clock:
        """The clock used by `wait`."""
        return self._clock

    async def wait(self, reason: str, delay: float) -> None:
        """Report the reason and the delay (seconds), then wait."""
        await self._calls.wait(reason, delay)

    # --- the account and its items ------------------------------------------------------------------------------

    async def account(self) -> models.Account:
        """Return the token's account. Raises TokenRejected for any refusal of the token."""
        reader = object_spec(models.Account, "the account", checks_token=True)
        return await self._calls.api("GET", "/account", reader)

    async def item(self, item_id: int) -> models.Item:
        """Return an item. Raises ItemNotFound (documented: also if the account may not read it)."""
        return await self._calls.api(
            "GET", f"/account/articles/{item_id}", object_spec(models.Item, **about_item(item_id))
        )

    def own_items(self) -> AsyncIterator[models.ItemRow]:
        """Yield every item of the account, in Figshare's order, fetched page by page."""
        reader = list_spec(models.ItemRow, "the list of items")
        return read_pages(lambda query: self._calls.api("GET", f"/account/articles?{query}", reader), reader.resource)

    async def delete_item(self, item_id: int, *, on_turn: OnTurn | None = None) -> None:
        """Delete an unpublished item; succeeds if it does not exist. `on_turn` as for `initiate`.

        Raises PermissionDenied or RequestRejected for a published one.
        """
        reader = done_spec("the item", on_not_found=ignore_missing)
        await self._calls.api("DELETE", f"/account/articles/{item_id}", reader, on_turn=on_turn)

    # --- files --------------------------------------------------------------------------------------------------

    def files(self, item_id: int) -> AsyncIterator[models.File]:
        """Yield every file of the item, including unfinished ones. Raises ItemNotFound."""
        reader = list_spec(models.File, **about_part_of_item(item_id, "the files"))
        return read_pages(
            lambda query: self._calls.part_of_item("GET", item_id, f"/files?{query}", reader), reader.resource
        )

    async def public_item(self, item_id: int, version: int | None = None) -> models.Item:
        """Return a published item, the newest version if `version` is None. Raises ItemNotFound."""
        reader = object_spec(models.Item, **about_item(item_id, public=True))
        return await self._calls.api("GET", _public_path(item_id, version), reader)

    def public_files(self, item_id: int, version: int | None = None) -> AsyncIterator[models.File]:
        """Yield every file of a published item. Raises ItemNotFound."""
        reader = list_spec(models.File, **about_item(item_id, public=True))
        path = f"{_public_path(item_id, version)}/files"
        return read_pages(lambda query: self._calls.api("GET", f"{path}?{query}", reader), reader.resource)

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
        """Create a file of `size` bytes; return its id. `on_turn` is called before each attempt, in its turn.

        Raises AmbiguousAnswer, ItemNotFound, RequestRejected (also over quota), and what `on_turn` raises.
        Observed: name and size suffice; the answer is 201 with only a location.
        """
        body: dict[str, str | int] = {"name": name, "size": size}
        if md5 is not None:
            body["md5"] = md5
        if folder is not None:
            body["folder_path"] = folder
        return await self._new_file(item_id, body, on_turn)

    async def link(self, item_id: int, link: str, *, on_turn: OnTurn | None = None) -> int:
        """Create a file that only refers to an address; return its id. `on_turn` as for `initiate`.

        Raises AmbiguousAnswer, ItemNotFound, RequestRejected.
        """
        return await self._new_file(item_id, {"link": link}, on_turn)

    async def _new_file(self, item_id: int, body: dict[str, str | int], on_turn: OnTurn | None) -> int:
        created = _created("files", endpoint=self._endpoint)
        reader = ResponseSpec(parse=created, accepts="anything", **about_item(item_id))
        path = f"/account/articles/{item_id}/files"
        return await self._calls.api("POST", path, reader, body=body, creating=True, on_turn=on_turn)

    async def file(self, item_id: int, file_id: int, *, fresh: bool = False) -> models.File:
        """Return a file. Raises FileGone. `fresh`: it was just created, so a 404 is retried for a while.

        Observed: a file was not found right after the 201 that announced it.
        """
        reader = object_spec(models.File, "the file", on_not_found=_file_gone(item_id, file_id))
        path = f"/account/articles/{item_id}/files/{file_id}"
        limit = self._settings.visibility_timeout if fresh else 0.0
        wait = Backoff(RetryPolicy(first_delay=0.25, max_delay=5.0, elapsed_cap=limit), self._clock.random)
        while True:
            try:
                return await self._calls.api("GET", path, reader)
            except FileGone:
                delay = wait.next_delay(None, self._clock.monotonic()) if fresh else None
                if delay is None:
                    raise
            await self._calls.wait("the new file is not visible yet", delay)

    async def complete(self, item_id: int, file_id: int, *, on_turn: OnTurn | None = None) -> None:
        """Declare all parts sent. `on_turn` as for `initiate`. Raises AmbiguousAnswer, FileGone, RequestRejected.

        Observed: 202 with an HTML body; the integrity check follows and shows only in later reads of the file.
        """
        reader = ResponseSpec(
            resource="the file", parse=_accepted, on_not_found=_file_gone(item_id, file_id), accepts="anything"
        )
        path = f"/account/articles/{item_id}/files/{file_id}"
        await self._calls.api("POST", path, reader, creating=True, on_turn=on_turn)

    async def delete_file(self, item_id: int, file_id: int, *, on_turn: OnTurn | None = None) -> None:
        """Delete a file or an unfinished placeholder; succeeds if it does not exist. `on_turn` as for `initiate`."""
        reader = done_spec("the file", on_not_found=ignore_missing)
        path = f"/account/articles/{item_id}/files/{file_id}"
        await self._calls.api("DELETE", path, reader, on_turn=on_turn)

    # --- the upload service -------------------------------------------------------------------------------------

    async def upload(self, upload_url: str) -> models.Upload:
        """Return the upload and all its parts, validated. Raises UploadGone, ProtocolViolation."""
        url = self._check_upload_url(upload_url)
        reader = ResponseSpec(
            resource="the upload", parse=lambda answer: parts.parse_upload(answer.body), on_not_found=_upload_gone
        )
        return await self._calls.upload("GET", url, urls.redacted(url), reader)

    async def part(self, upload_url: str, no: int) -> models.Part:
        """Return one part as the upload service has it. Raises UploadGone, ProtocolViolation."""
        url = self._check_upload_url(upload_url)
        reader = ResponseSpec(
            resource="the part", parse=lambda answer: parts.parse_part(answer.body), on_not_found=_upload_gone
        )
        return await self._calls.upload("GET", urls.part_url(url, no), urls.redacted(url, no), reader)

    async def send_part(
        self,
        upload_url: str,
        part: models.Part,
        chunks: Callable[[], AsyncIterator[bytes | memoryview]],
        *,
        on_accepted: Callable[[int], None] | None = None,
        fresh_connection: bool = False,
    ) -> None:
        """Make one attempt to send a part; return once the upload service has answered 200 to all of it.

        `fresh_connection`: do not reuse an idle connection; some proxies (observed: tinyproxy) close theirs after each
        answer without announcing it.

        `chunks()` yields exactly `part.size` bytes; a chunk must not change until the call returns, since the transport
        may still hold it. `on_accepted` gets the bytes newly accepted by the other side, on success `part.size` in
        all. Raises PartLocked, UploadGone, PartFailed, TlsFailure, and what `chunks` raises.
        """
        await self._sender.send(
            self._check_upload_url(upload_url), part, chunks, on_accepted, fresh_connection=fresh_connection
        )

    def _check_upload_url(self, upload_url: str) -> str:
        add_upload_address(upload_url)
        return urls.check_upload_url(upload_url, endpoint=self._endpoint, insecure_http=self._settings.insecure_http)


def _public_path(item_id: int, version: int | None) -> str:
    return f"/articles/{item_id}" + (f"/versions/{version}" if version is not None else "")


def _created(kind: CreatedKind, *, endpoint: str) -> Callable[[Response], int]:
    """Return a function that reads the id from a 201: entity_id, else the body's location, else the Location header."""

    def read(answer: Response) -> int:
        created = models.parse_created(answer.body)
        found = created.entity_id
        for place in (created.location, answer.headers.get("Location", "")):
            if found is None and place:
                found = urls.id_in_location(place, base=endpoint, kind=kind)
        if found is None:
            raise AmbiguousAnswer(f"Figshare answered {answer.status} without an id")
        return found

    return read


def _accepted(answer: Response) -> None:
    """Accept 202 with any body (observed: HTML); a page with 200 is a gateway's."""
    if answer.status == 200 and answer.is_html:
        raise NotJson("a web page")


def _file_gone(item_id: int, file_id: int) -> Callable[[], NoReturn]:
    def missing() -> NoReturn:
        raise FileGone(f"Figshare has no file {file_id} in item {item_id}")

    return missing


def _upload_gone() -> NoReturn:
    raise UploadGone("the upload service does not know this upload or part")
