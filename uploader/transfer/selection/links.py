"""Links: addresses of files that stay where they are and are only referenced. Pure."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from uploader.errors import UsageError

_DOUBT = (
    "Figshare's own page allows one link in an item, and no files beside it; whether it takes more from a "
    "program is not known: Figshare may refuse some of it, and the rest is sent all the same"
)
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


def doubt(links: int, files: int) -> str | None:
    """What to say beforehand of an item that is to hold so many links and files; None where nothing speaks against it.

    Observed is the page alone; what the API does is not known.
    """
    return _DOUBT if links > 1 or (links and files) else None
