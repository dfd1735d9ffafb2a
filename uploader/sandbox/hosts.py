"""The Host headers that a sandbox accepts, as a defense against DNS rebinding.

A web page can make its own name resolve to 127.0.0.1; the browser then sends that name as Host, and treats the
sandbox's responses as the page's own. Loopback names, addresses that the sandbox listens on and the hosts of its public
URLs cannot be abused this way.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from uploader.sandbox.settings import Settings


def host_name(header: str) -> str | None:
    """Return the host of a Host header in lower case, without its port and brackets; None if it is malformed."""
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    well_formed = parts.hostname is not None and parts.netloc == header and parts.username is None
    return (parts.hostname or "").rstrip(".") if well_formed else None


def is_loopback(host: str) -> bool:
    """Return whether this is localhost, a name below it, 127.0.0.0/8 or ::1."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_served(headers: Iterable[str], settings: Settings) -> bool:
    """Return whether a request with these Host headers is for this sandbox. One without the header (HTTP/1.0) is not
    from a browser.
    """
    return all(_is_own(host_name(header), settings) for header in headers)


def _is_own(host: str | None, settings: Settings) -> bool:
    if host is None:
        return False
    public = (settings.public_url, settings.public_upload_url)
    if is_loopback(host) or host in {host_name(urlsplit(url).netloc) for url in public if url}:
        return True
    return _is_listening_address(host, settings.host.lower())


def _is_listening_address(host: str, listening: str) -> bool:
    """Return whether the sandbox listens there. One on all addresses (0.0.0.0, ::) accepts any address, but no name."""
    try:
        everywhere = ip_address(listening).is_unspecified
        ip_address(host)
    except ValueError:
        return host == listening
    return everywhere or host == listening
