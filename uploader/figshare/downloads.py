"""Download bytes of files: one range per request, following Figshare's redirects."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp

from uploader.errors import FileNotHeld, PermissionDenied, ProtocolViolation, RequestRejected, TokenRejected
from uploader.figshare.auth import Token
from uploader.figshare.content_coding import Decompressor, content_codings
from uploader.figshare.network import Network
from uploader.figshare.outcomes import FetchFailed, RangeIgnored
from uploader.figshare.responses import Peer, describe, is_firewall, transient_failure
from uploader.figshare.retry import is_retryable
from uploader.figshare.settings import Settings
from uploader.figshare.transport import (
    ExchangeFailed,
    LostConnection,
    Response,
    failure_of,
    read_response,
    without_connection_reuse,
    yarl_url,
)
from uploader.figshare.urls import check_upload_url, host_of

_HOPS = 5
"""Redirects followed for one request; Figshare needs one, to its storage (observed)."""

Sink = Callable[[int, bytes], Awaitable[None]]
"""Called with an offset in the file and the bytes from there."""


class _Compressed(Exception):
    """The response is a range of the compressed file, which cannot be used."""


class Tokens(Protocol):
    """The session with the API, as far as downloads need it: token and server's clock."""

    async def token(self) -> Token | None: ...
    async def renewed(self, used: Token) -> Token | None: ...
    def server_now(self) -> datetime: ...


class Downloads:
    """One attempt per call; retries are the caller's.

    The token goes to the endpoint's own host, and by https to the download host beside it (api.figshare.com has
    ndownloader.figshare.com), never to where they redirect.
    """

    def __init__(
        self,
        settings: Settings,
        endpoint: str,
        tokens: Tokens,
        network: Network,
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._tokens = tokens
        self._network = network

    async def fetch(self, url: str, *, start: int, end: int, size: int, sink: Sink, authorized: bool = False) -> None:
        """Fetch the bytes from `start` to `end` (exclusive) of a file of `size` bytes.

        `authorized`: the file is private, the token is sent; one that is refused is renewed, once. Where the server has
        no ranges, or compresses unasked, and `start` is 0, all bytes of the file are delivered. Otherwise raises
        RangeIgnored. Raises FetchFailed for a transient failure, after which the bytes delivered so far are valid;
        FileNotHeld, PermissionDenied, TokenRejected, RequestRejected, ProtocolViolation, TlsFailure.
        """
        try:
            token = await self._tokens.token() if authorized else None
            try:
                await self._fetch(url, start, end, size, sink, token)
            except (TokenRejected, PermissionDenied):
                renewed = await self._tokens.renewed(token) if token is not None else None
                if renewed is None:
                    raise
                await self._fetch(url, start, end, size, sink, renewed)
        except (aiohttp.ClientError, OSError, LostConnection) as fault:
            failure = failure_of(fault, host_of(url))
        except ExchangeFailed as fault:
            failure = fault
        else:
            return
        if isinstance(failure, ExchangeFailed):
            raise FetchFailed(f"{host_of(url)}: {failure.reason}", network=True)
        raise failure

    async def _fetch(self, url: str, start: int, end: int, size: int, sink: Sink, token: Token | None) -> None:
        try:
            await self._follow(url, start, end, size, sink, token, {"Range": f"bytes={start}-{end - 1}"})
        except _Compressed:
            if start > 0:
                raise RangeIgnored(f"{host_of(url)} compresses ranges") from None
        else:
            return
        try:
            await self._follow(url, 0, size, size, sink, token, {})
        except _Compressed:
            raise ProtocolViolation(
                f"{host_of(url)} sent a compressed range although the whole file was requested"
            ) from None

    async def _follow(
        self,
        url: str,
        start: int,
        end: int,
        size: int,
        sink: Sink,
        token: Token | None,
        asked: Mapping[str, str],
    ) -> None:
        timeout = aiohttp.ClientTimeout(
            total=None,
            connect=self._settings.connect_timeout,
            sock_connect=self._settings.connect_timeout,
            sock_read=self._settings.answer_timeout,
        )
        for hop in range(_HOPS + 1):
            url = self._usable(url)
            headers = dict(asked)
            if hop == 0 and token is not None and self._may_have_token(url):
                headers["Authorization"] = f"token {token.reveal()}"
            async with self._network.upload.get(
                yarl_url(url),
                headers=headers,
                allow_redirects=False,
                proxy=await self._network.proxy(url),
                ssl=await self._network.tls(url),
                timeout=timeout,
                middlewares=(without_connection_reuse,),
            ) as response:
                if response.status not in (301, 302, 303, 307, 308):
                    await self._take(response, url, start, end, size, sink)
                    return
                location = response.headers.get("Location", "")
            try:
                url = urljoin(url, location)
            except ValueError:
                raise ProtocolViolation(f"{host_of(url)} redirects a download to an invalid address") from None
        raise ProtocolViolation(f"{host_of(url)} redirects a download endlessly")

    async def _take(
        self, response: aiohttp.ClientResponse, url: str, start: int, end: int, size: int, sink: Sink
    ) -> None:
        if response.status not in (200, 206) or "x-amzn-waf-action" in response.headers:
            raise self._refusal(await read_response(response, self._settings.answer_timeout), url)
        codings = content_codings(response.headers)
        if codings and response.status == 206:
            raise _Compressed
        if response.status == 200:
            if start > 0:
                raise RangeIgnored(f"{host_of(url)} does not support ranges")
            if not codings:
                _check_whole(response, size, url)
            end = size
        else:
            _check_range(response.headers.get("Content-Range", ""), start, size, url)
        offset = start
        async for data in _plain(response.content.iter_any(), codings, host_of(url)):
            room = end - offset
            if len(data) > room:
                raise ProtocolViolation(f"{host_of(url)} sent more bytes than the file has")
            await sink(offset, data)
            offset += len(data)
        if offset < end:
            raise FetchFailed(f"{host_of(url)}: the response was cut off", network=True)

    def _refusal(self, answer: Response, url: str) -> Exception:
        """Return the error, or FetchFailed, for a response without the file."""
        host = host_of(url)
        peer = Peer(host=host, name="the download service", is_api=False, identified=True)
        if is_firewall(answer) or answer.status == 202:
            # Observed: an empty 202 with x-amzn-waf-action, or a 403 with a page, mostly for cloud addresses.
            return FetchFailed(f"a firewall in front of Figshare ({host}) turned the request away")
        if is_retryable(answer.status) or answer.status >= 500:
            failure = transient_failure(answer, peer, self._tokens.server_now())
            return FetchFailed(failure.reason, retry_after=failure.retry_after)
        words = describe(answer, peer)
        if answer.status == 401:
            return TokenRejected(f"the token is not accepted: {words}")
        if answer.status == 403:
            return PermissionDenied(f"this file may not be downloaded: {words}")
        if answer.status in (404, 410):
            return FileNotHeld(f"Figshare no longer has this file: {words}")
        return RequestRejected(f"the download was refused: {words}")

    def _usable(self, url: str) -> str:
        try:
            return check_upload_url(url, endpoint=self._endpoint, insecure_http=self._settings.insecure_http)
        except ProtocolViolation as fault:
            raise ProtocolViolation(fault.message.replace("upload address", "download address")) from None

    def _may_have_token(self, url: str) -> bool:
        target, api = urlsplit(url), urlsplit(self._endpoint)
        if (target.scheme, target.netloc) == (api.scheme, api.netloc):
            return True
        domain = (api.hostname or "").removeprefix("api.")
        return target.scheme == "https" and target.port is None and target.hostname == f"ndownloader.{domain}"


async def _plain(blocks: AsyncIterable[bytes], codings: list[str], host: str) -> AsyncIterator[bytes]:
    """Yield the bytes of a body without its codings: some proxies compress although "identity" was requested."""
    if not codings:
        async for block in blocks:
            yield block
        return
    try:
        stream = Decompressor(codings)
    except ValueError:
        raise ProtocolViolation(
            f"{host} sent bytes compressed with {', '.join(codings)}, which was not asked for"
        ) from None
    async for block in blocks:
        try:
            for data in stream.feed(block):
                yield data
        except ValueError:
            raise FetchFailed(f"{host} sent damaged compressed bytes") from None


def _check_whole(response: aiohttp.ClientResponse, size: int, url: str) -> None:
    if response.content_length not in (None, size) and "html" in response.headers.get("Content-Type", ""):
        raise FetchFailed(f"{host_of(url)} answered with a web page instead of the file")
    _check_size(response.content_length, size, url)


def _check_size(length: int | None, size: int, url: str) -> None:
    """Private downloads may come without Content-Length (observed)."""
    if length is not None and length != size:
        raise ProtocolViolation(f"{host_of(url)} sent {length} bytes where Figshare lists {size}")


def _check_range(content_range: str, start: int, size: int, url: str) -> None:
    found = re.fullmatch(r"\s*bytes (\d+)-\d+/(\d+|\*)\s*", content_range)
    if found is None or int(found[1]) != start:
        raise ProtocolViolation(f"{host_of(url)} sent a different range than requested")
    if found[2] != "*":
        _check_size(int(found[2]), size, url)
