"""Links: addresses of files that stay where they are and are only referenced. Pure."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from uploader.errors import UsageError

_SCHEMES = ("http", "https", "ftp")


def checked_link(link: str) -> str:
    """What to call what the address leads to. Raises UsageError for what is no address, or gives a password away."""
    try:
        parts = urlsplit(link)
        host, secret = parts.hostname, parts.password
    except ValueError:
        host = secret = None
    if not host or parts.scheme not in _SCHEMES or not link.isprintable() or " " in link:
        raise UsageError(f"{ascii(link)[1:-1]}: is no address that can be linked", hint="Write https://host/path.")
    if secret is not None:
        raise UsageError("the address of a linked file has a password in it, which everybody could read on Figshare")
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or host
