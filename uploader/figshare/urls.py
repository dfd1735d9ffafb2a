"""URLs: which ones are allowed, and how to show them without secrets."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from uploader.errors import InsecureEndpoint, ProtocolViolation, UsageError
from uploader.figshare.decode import MAX_ID

PUBLIC_ENDPOINT = "https://api.figshare.com/v2"
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\\]")


def check_endpoint(url: str, *, insecure_http: bool = False) -> str:
    """Return the API address normalized: scheme and host in lower case, path without trailing slash.

    Raises UsageError, or InsecureEndpoint for plain http to anything but loopback unless `insecure_http`.
    """
    parts = _split(url.strip())
    if parts is None:
        raise UsageError("the endpoint is not an http(s) address", hint="Figshare's is https://api.figshare.com/v2.")
    if parts.username is not None or parts.password is not None:
        raise UsageError("the endpoint must not contain a user name or password")
    if parts.query or parts.fragment:
        raise UsageError(f"the endpoint must not contain a query or fragment: {_origin(parts)}{parts.path}")
    if parts.scheme == "http" and not (is_loopback(parts.hostname or "") or insecure_http):
        raise InsecureEndpoint(
            f"plain http to {parts.hostname} would send the token in the clear", hint="Use https:// instead."
        )
    return f"{_origin(parts)}{parts.path.rstrip('/')}"


def check_upload_url(url: str, *, endpoint: str, insecure_http: bool = False) -> str:
    """Return an upload address as given if it may be used. Raises ProtocolViolation, which never shows it.

    A host other than the API's is normal. A response must not point the client into its own network, so literal private
    addresses are rejected unless the API itself has one.
    """
    parts = _split(url)
    if parts is None or parts.username is not None or parts.password is not None or parts.fragment:
        raise ProtocolViolation("Figshare gave an invalid upload address")
    host = parts.hostname or ""
    api_host = urlsplit(endpoint).hostname or ""
    if not is_loopback(api_host) and host != api_host and _is_inside(host):
        raise ProtocolViolation(f"Figshare gave an upload address inside a private network ({host})")
    if parts.scheme == "http" and not (is_loopback(host) or insecure_http):
        raise ProtocolViolation(f"Figshare gave an upload address with plain http ({host})")
    return url


def is_address(url: str) -> bool:
    """Return whether this is an absolute http(s) address with a host that can be looked up."""
    return _split(url) is not None


def part_url(upload_url: str, no: int) -> str:
    """Return the address of one part; a query of the upload address is kept."""
    parts = urlsplit(upload_url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{no}").geturl()


def redacted(upload_url: str, no: int | None = None) -> str:
    """Return an upload address as it may be shown: its host, never its secret."""
    return f"{urlsplit(upload_url).hostname}/upload/…" + ("" if no is None else f" part {no}")


def host_of(url: str) -> str:
    """Return the host of an absolute address, "?" if it has none."""
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def host_of_location(location: str, *, base: str) -> str:
    """Return the host that a Location, perhaps a relative one, points to; "?" if malformed."""
    try:
        return host_of(urljoin(base, location))
    except ValueError:
        return "?"


def id_in_location(location: str, *, base: str, kind: str) -> int | None:
    """Return the number after `kind` ("articles", "files") at the end of a Location, or None.

    Only the number counts: the location may be relative (documented) and its host is never visited.
    """
    try:
        path = unquote(urlsplit(urljoin(base + "/", location)).path)
    except ValueError:
        return None
    found = re.search(rf"/{kind}/([0-9]{{1,19}})/?$", path)
    number = int(found.group(1)) if found else 0
    return number if 1 <= number <= MAX_ID else None


def is_loopback(host: str) -> bool:
    """Return whether this is localhost, 127.0.0.0/8 or ::1; no name is resolved."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_on_this_host(url: str) -> bool:
    """Return whether an address is one of this host itself, such as a sandbox's, which needs no limit of requests."""
    return is_loopback(urlsplit(url).hostname or "")


def _is_inside(host: str) -> bool:
    if is_loopback(host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # Resolvers read "127.1" and "0x7f.1" as numbers; an honest name never ends in one.
        return re.fullmatch(r"(0[xX][0-9a-fA-F]*|[0-9]+)", host.rstrip(".").rpartition(".")[2]) is not None
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global or address.is_multicast


def _split(url: str) -> SplitResult | None:
    if _UNPRINTABLE.search(url):
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")  # as the resolver will: "a..b" and overlong names are none
    except ValueError:
        return None
    return parts if valid else None


def _origin(parts: SplitResult) -> str:
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if parts.port is None else f":{parts.port}")
