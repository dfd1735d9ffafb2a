"""The aiohttp sessions of one connection to Figshare, their TLS context and their proxies."""

from __future__ import annotations

import os
import ssl
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import anyio.to_thread
import msgspec

from uploader._version import __version__
from uploader.errors import UsageError
from uploader.figshare import urls
from uploader.figshare.answer_head import MAX_HEADERS, MAX_LINE, Connector
from uploader.figshare.settings import Settings
from uploader.redaction import add_credentials
from uploader.system import PATH_FAULTS, transient_error

_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class ConnectionUse(msgspec.Struct):
    """Facts about the connection of one request, passed as its `trace_request_ctx`."""

    reused: bool = False


class Network:
    """aiohttp sessions that share TLS and proxy settings: `api` for the API, `upload` for the upload service, and
    `fresh`, which opens a new connection for each request.

    None of them keeps cookies, reads netrc or limits connections; limits are those of the request budget and the
    caller.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None
        self._proxies: dict[tuple[str, str], str | None] = {}
        self.api = _session(settings)
        self.upload = _session(settings)
        self.fresh = _session(settings, fresh_connections=True)

    async def tls(self, url: str) -> ssl.SSLContext | bool:
        """Return the `ssl` argument of aiohttp for this address; load the certificates on first use, in a thread."""
        if not url.startswith("https:"):
            return True
        if self._tls is None:
            self._tls = await anyio.to_thread.run_sync(_tls_context, self._settings.ca_file)
        return self._tls

    async def proxy(self, url: str) -> str | None:
        """Return the environment's proxy for this address, None for a direct connection (always for loopback)."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.hostname or "")
        if key not in self._proxies:
            self._proxies[key] = await anyio.to_thread.run_sync(_proxy_for, *key)
        return self._proxies[key]

    async def close(self) -> None:
        await self.api.close()
        await self.upload.close()
        await self.fresh.close()


def _session(settings: Settings, *, fresh_connections: bool = False) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=Connector(
            limit=0,
            force_close=fresh_connections,
            local_addr=(settings.bind, 0) if settings.bind is not None else None,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": f"figup/{__version__}"},
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        max_headers=MAX_HEADERS,
        trace_configs=[_noting_reuse()],
        timeout=aiohttp.ClientTimeout(
            total=None, connect=settings.connect_timeout, sock_connect=settings.connect_timeout
        ),
    )


def _noting_reuse() -> aiohttp.TraceConfig:
    async def note(_: aiohttp.ClientSession, context: Any, __: object) -> None:
        if isinstance(context.trace_request_ctx, ConnectionUse):
            context.trace_request_ctx.reused = True

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(note)
    return config


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a verifying context; `ca_file`, else the first variable that is set, replaces the system's authorities."""
    candidates = [(str(ca_file), "certificate file")] if ca_file is not None else []
    candidates += [(value, name) for name in _CA_VARIABLES if (value := os.environ.get(name))]
    if not candidates:
        return ssl.create_default_context()
    location, origin = candidates[0]
    path = Path(location)
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=location)
        return ssl.create_default_context(cafile=location)
    except PATH_FAULTS as fault:
        if (transient := transient_error(fault, location)) is not None:
            raise transient from None
        reason = (fault.strerror if isinstance(fault, OSError) else str(fault)) or "no certificates in it"
        raise UsageError(f"{origin}: cannot use the certificates of {location}: {reason}", path=location) from None


def _proxy_for(scheme: str, host: str) -> str | None:
    """Return the proxy's address, None for none. Raises UsageError for an unsupported one (socks5://, …)."""
    if urls.is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy:
        return None
    address = proxy if "://" in proxy else f"http://{proxy}"
    if not urls.is_address(address):
        # Not shown: it may contain a password.
        raise UsageError(
            f"the environment's proxy for {scheme} is not an http(s) address",
            hint=f"Set {scheme.upper()}_PROXY to http://host:port, or name {host} in NO_PROXY.",
        )
    parts = urlsplit(address)
    try:
        # As they are sent: HTTP's basic authentication knows no other characters (RFC 7617; aiohttp).
        unquote(f"{parts.username}:{parts.password}").encode("latin-1")
    except UnicodeEncodeError:
        raise UsageError(
            f"the user name or password of the environment's proxy for {scheme} has a character that cannot be sent",
            hint="Use only printable Latin-1 characters.",
        ) from None
    add_credentials(unquote(parts.username or ""), unquote(parts.password or ""))
    return address
