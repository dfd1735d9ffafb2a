"""One raw exchange: a request and its small answer. No retries, no rate limit, no interpretation of statuses."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
import anyio
from yarl import URL

from uploader.errors import TlsFailure
from uploader.figshare.content_coding import content_codings, decompress
from uploader.figshare.network import ConnectionUse, Network
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.retry import is_retryable
from uploader.figshare.urls import host_of

JSON_LIMIT = 32 * 1024 * 1024
ERROR_LIMIT = 64 * 1024
"""Maximum bytes of a body: more fails a successful response and truncates an error response."""

_RESPONSE_TIME_FACTOR = 5
"""Time limit for a whole response, as a multiple of the time allowed without receiving a byte."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """`url`, headers and body stay out of the repr."""

    method: str
    url: str = field(repr=False)
    redacted_url: str
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    attempt: int = 1
    fresh: bool = False
    """Open a new connection for this request."""
    on_turn: OnTurn | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return host_of(self.url)


@dataclass(frozen=True, kw_only=True)
class Response:
    """Header names are case-insensitive; `body` is complete for a success, else cut to ERROR_LIMIT.

    `undecoded` names the codings of a body that cannot be decompressed and therefore counts as empty.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    undecoded: str = ""

    @property
    def is_html(self) -> bool:
        """True if the body is HTML; observed content types are wrong in both directions."""
        return re.match(rb"\s*<", self.body) is not None


class ExchangeFailed(Exception):
    """No usable answer. `sent` is False if the request certainly did not reach the server.

    `reason` is one line without secrets. `permanent`: a retry would fail the same way. `stale`: an idle connection was
    closed without a response, as some proxies do without announcing it.
    """

    def __init__(self, reason: str, *, sent: bool, permanent: bool = False, stale: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.permanent = permanent
        self.stale = stale


Send = Callable[[Request], Awaitable[Response]]


def exchange_on(
    network: Network, session: aiohttp.ClientSession, *, connect_timeout: float, answer_timeout: float
) -> Send:
    """Return the raw exchange on one session, which raises ExchangeFailed and TlsFailure.

    They are raised outside of handlers: the library's errors show addresses and headers, even as a context. Once an
    idle connection was closed without a response, every request opens a new one.
    """
    keeps_connections = True
    timeout = aiohttp.ClientTimeout(
        total=None, connect=connect_timeout, sock_connect=connect_timeout, sock_read=answer_timeout
    )
    longest = connect_timeout + _RESPONSE_TIME_FACTOR * answer_timeout

    async def send(request: Request) -> Response:
        nonlocal keeps_connections
        tls = await network.tls(request.url)
        proxy = await network.proxy(request.url)
        chosen = session if keeps_connections and not request.fresh else network.fresh
        connection = ConnectionUse()
        try:
            with anyio.fail_after(longest):
                async with chosen.request(
                    request.method,
                    yarl_url(request.url),
                    data=request.body,
                    headers=request.headers,
                    allow_redirects=False,
                    proxy=proxy,
                    ssl=tls,
                    timeout=timeout,
                    middlewares=(without_connection_reuse,),
                    trace_request_ctx=connection,
                ) as response:
                    return await read_response(response, answer_timeout)
        except (aiohttp.ClientError, OSError, LostConnection) as fault:
            failure = failure_of(fault, request.host)
            if isinstance(fault, LostConnection) and connection.reused and isinstance(failure, ExchangeFailed):
                failure.stale, keeps_connections = True, False
        raise failure

    return send


class LostConnection(Exception):
    """An established connection broke."""


async def without_connection_reuse(
    request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
) -> aiohttp.ClientResponse:
    """Prevent aiohttp's own retries: retries are counted and paced elsewhere."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as fault:
        reason = _os_message(fault) if isinstance(fault, OSError) else None
    raise LostConnection(reason or "the connection was closed without a response")


async def read_response(
    response: aiohttp.ClientResponse, answer_timeout: float, *, longest: int | None = None
) -> Response:
    """Read a body within its limits; on return the connection is either reusable or closed.

    `longest` is the limit in bytes for a success, None for JSON_LIMIT. An unrequested compression is undone. Raises
    ExchangeFailed for a success that is too long; an error answer is cut instead.
    """
    success = 200 <= response.status < 300
    body = bytearray()
    limit = (longest or JSON_LIMIT) if success else ERROR_LIMIT
    with anyio.move_on_after(None if success else answer_timeout) as time_limit:
        try:
            async for block in response.content.iter_any():
                body += block
                if len(body) > limit:
                    break
        except (aiohttp.ClientError, OSError):
            if success:
                raise
            response.close()
    if time_limit.cancelled_caught or len(body) > limit:
        response.close()
    codings = content_codings(response.headers)
    plain = decompress(bytes(body), codings, limit) if codings else bytes(body)
    if success and max(len(body), len(plain or b"")) > limit:
        raise ExchangeFailed(f"its response is longer than {limit} bytes", sent=True, permanent=True)
    if plain is None:
        return Response(status=response.status, headers=response.headers, body=b"", undecoded=", ".join(codings))
    return Response(status=response.status, headers=response.headers, body=plain[:limit])


def yarl_url(url: str) -> URL:
    """Return the address exactly as given: a signature depends on its quoting."""
    return URL(url, encoded=url.isascii())


def failure_of(fault: BaseException, host: str) -> ExchangeFailed | TlsFailure:
    """Translate a network error without showing more of the URL than the host."""
    if isinstance(fault, aiohttp.ClientConnectorError):
        return _no_connection(fault, host)
    if isinstance(fault, aiohttp.ClientHttpProxyError):
        # 407 is a proxy that requires authentication, but some answer 401; 403 is one that may not connect there.
        permanent = 400 <= fault.status < 500 and not is_retryable(fault.status)
        return ExchangeFailed(f"the proxy answered {fault.status}", sent=False, permanent=permanent)
    if isinstance(fault, aiohttp.ConnectionTimeoutError):
        return ExchangeFailed("no connection in time", sent=False)
    if isinstance(fault, LostConnection):
        return ExchangeFailed(str(fault), sent=True)
    for kind, reason in _SENT:
        if isinstance(fault, kind):
            return ExchangeFailed(reason, sent=True)
    return ExchangeFailed(f"the connection broke ({_safe_message(fault)})", sent=True)


_SENT: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "no response in time"),
    (aiohttp.ClientPayloadError, "the response was cut off"),
    (aiohttp.ClientResponseError, "the response is not HTTP"),
)


def _no_connection(fault: aiohttp.ClientConnectorError, host: str) -> ExchangeFailed | TlsFailure:
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return _tls_failure(fault.certificate_error, fault.host)
    if isinstance(fault, aiohttp.ClientConnectorSSLError):
        return _tls_failure(fault.os_error, fault.host)
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        # A proxy's name is not reported as a ClientProxyConnectionError. An encoded host is not compared.
        if host.isascii() and fault.host != host:
            return ExchangeFailed(f"the name of the proxy {fault.host} cannot be resolved", sent=False)
        return ExchangeFailed("its name cannot be resolved", sent=False)
    if isinstance(fault, aiohttp.ClientProxyConnectionError):
        return ExchangeFailed(f"no connection to the proxy {fault.host}: {_safe_message(fault.os_error)}", sent=False)
    return ExchangeFailed(f"no connection: {_safe_message(fault.os_error)}", sent=False)


def _tls_failure(fault: BaseException, host: str) -> ExchangeFailed | TlsFailure:
    """Translate a TLS error: a connection cut during the handshake is transient, anything else is permanent."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return TlsFailure(f"{host}: its certificate cannot be trusted: {fault.verify_message}")
    if isinstance(fault, ssl.SSLError) and not isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        message = (fault.reason or "unknown reason").replace("_", " ").lower()
        return TlsFailure(f"{host}: no secure connection: {message}", hint="Check the address and its port.")
    return ExchangeFailed("the TLS handshake was interrupted", sent=False)


def _os_message(fault: OSError) -> str | None:
    """Return the system's message. aiohttp puts the whole URL into some ("Can not write request body for ...")."""
    if fault.strerror and "://" in fault.strerror:
        return os.strerror(fault.errno) if fault.errno else None
    return fault.strerror


def _safe_message(fault: BaseException) -> str:
    """Return the system's message, else the type's name: other texts may contain URLs."""
    words = (_os_message(fault) if isinstance(fault, OSError) else None) or type(fault).__name__
    # asyncio prefixes the socket's address: "Connect call failed ('127.0.0.1', 1)".
    return "refused" if "Connect call failed" in words else re.sub(r"[^\x20-\x7e]+", " ", words)
