"""The settings of a session with Figshare, and the aiohttp sessions, TLS and proxies they lead to."""

from __future__ import annotations

import os
import ssl
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import anyio.to_thread

from uploader._version import __version__
from uploader.errors import UsageError
from uploader.figshare import urls
from uploader.figshare.retry import RetryPolicy
from uploader.figshare.urls import check_endpoint

__all__ = ["Network", "Settings", "check_endpoint"]

_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Settings:
    """`endpoint` is the API address with its path (/v2). Times are seconds.

    `api_rate` is API requests a second (None: unlimited) with `api_burst` saved up. `answer_timeout`: no byte of an
    answer for so long. `stall_timeout`: a part's connection accepts nothing for so long. `visibility_timeout`: how
    long a 404 right after a 201 is waited out. `impersonate`: the id of the account to act for, as an institution's
    administrator may; None for one's own.
    """

    endpoint: str
    api_rate: float | None = 1.0
    api_burst: int = 20
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    connect_timeout: float = 30.0
    answer_timeout: float = 60.0
    stall_timeout: float = 60.0
    ca_file: Path | None = None
    insecure_http: bool = False
    visibility_timeout: float = 30.0
    impersonate: int | None = None


class Network:
    """aiohttp sessions that share TLS and proxy settings: `api`, and two that know no secret of ours, `upload`, and
    `upload_anew`, which makes a connection for each request.

    Neither keeps cookies, reads netrc, or bounds connections: the request budget and the layer above do that.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None
        self._proxies: dict[tuple[str, str], str | None] = {}
        self.api = _session(settings)
        self.upload = _session(settings)
        self.upload_fresh = _session(settings, anew=True)

    async def tls(self, url: str) -> ssl.SSLContext | bool:
        """What aiohttp wants as `ssl` for this address; loads the certificates on first use, off the loop."""
        if not url.startswith("https:"):
            return True
        if self._tls is None:
            self._tls = await anyio.to_thread.run_sync(_tls_context, self._settings.ca_file)
        return self._tls

    async def proxy(self, url: str) -> str | None:
        """The environment's proxy for this address, None to go straight; loopback always goes straight."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.hostname or "")
        if key not in self._proxies:
            self._proxies[key] = await anyio.to_thread.run_sync(_proxy_for, *key)
        return self._proxies[key]

    async def close(self) -> None:
        await self.api.close()
        await self.upload.close()
        await self.upload_fresh.close()


def _session(settings: Settings, *, anew: bool = False) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=anew),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": f"figup/{__version__}"},
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(
            total=None, connect=settings.connect_timeout, sock_connect=settings.connect_timeout
        ),
    )


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A verifying context; `ca_file`, else the first of the usual variables, replaces the system's authorities."""
    named = [(str(ca_file), "--ca-file")] if ca_file is not None else []
    named += [(value, name) for name in _CA_VARIABLES if (value := os.environ.get(name))]
    if not named:
        return ssl.create_default_context()
    place, origin = named[0]
    path = Path(place)
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=place)
        return ssl.create_default_context(cafile=place)
    except (OSError, ssl.SSLError) as fault:
        reason = fault.strerror or "no certificates in it"
        raise UsageError(f"{origin}: cannot use the certificates of {place}: {reason}", path=place) from None


def _proxy_for(scheme: str, host: str) -> str | None:
    """Raises UsageError for one that cannot be spoken to (socks5://, …)."""
    if urls.is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy:
        return None
    address = proxy if "://" in proxy else f"http://{proxy}"
    if not urls.is_address(address):
        # It may hold a password, and is not shown.
        raise UsageError(
            f"the environment's proxy for {scheme} is no http(s) address",
            hint=f"Set {scheme.upper()}_PROXY to http://host:port, or name {host} in NO_PROXY.",
        )
    return address
