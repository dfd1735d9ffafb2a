"""Parse ids of items, collections and projects as people give them: numbers, addresses of pages, DOIs. Pure.

Addresses are those of figshare.com, of institutions' portals, of the API and of a sandbox; hosts are not compared.
DOIs that Figshare mints end with the id, and possibly a version (observed: 10.6084/m9.figshare.1234567.v2,
10.6084/m9.figshare.c.1234567, 10.17633/rd.brunel.1234567.v1). Those of some institutions (observed:
10.26181/60112d78eeffe) and of journals do not: `uploader.items.identify` asks Figshare for them.
"""

from __future__ import annotations

import re
from typing import Literal, NewType, TypeAlias
from urllib.parse import unquote, urlsplit

from uploader.text import shorten

Kind: TypeAlias = Literal["item", "collection", "project"]
Doi = NewType("Doi", str)
"""A DOI without an id in it, as "10.26181/60112d78eeffe"."""
Reference: TypeAlias = int | Doi
"""A reference to an item or a collection: its id, or a DOI that Figshare must resolve."""

SEGMENTS: dict[Kind, str] = {"item": "articles", "collection": "collections", "project": "projects"}
"""Words for each kind in the paths of pages and of the API."""
_DOI = re.compile(r"(?:(?:https?://)?(?:(?:dx|www)\.)?doi\.org/|doi:?\s*)?(10\.\d{4,9}(?:\.\d+)*/\S+)", re.IGNORECASE)
_VERSION = re.compile(r"\.v(\d{1,6})$", re.IGNORECASE)
_DOI_OF_FIGSHARE = re.compile(r"figshare\.(c\.)?(\d+)(?:\.v\d+)?", re.IGNORECASE)
_DOI_OF_PORTAL = re.compile(r"\.(c\.)?(\d{5,})\.v\d+", re.IGNORECASE)
_MAX_DIGITS = 19
_WIDTH = 100
"""Maximum characters of the input shown in a message."""
_LONG = 5
"""Minimum digits of a number in an address that is an id, not a version or title."""


def parse_reference(text: str, kind: Kind = "item") -> Reference:
    """Return the id in a number, an address or a DOI, or a DOI without one. Raises ValueError."""
    doi = doi_in(text)
    if doi is not None and kind != "project" and _id_part(doi) is None:
        return Doi(doi)
    return parse_id(text, kind)


def parse_id(text: str, kind: Kind = "item") -> int:
    """Return the id in a number, an address or a DOI. Raises ValueError."""
    text = _bare(text)
    if _is_id(text):
        return int(text)
    shown = shorten(text, _WIDTH)
    if (doi := doi_in(text)) is not None:
        return _id_in_doi(doi, shown, kind)
    if "/" in text:
        return _id_in_address(text if "://" in text else f"https://{text}", shown, kind)
    known = (
        "its number or the address of its page"
        if kind == "project"
        else "its number, the address of its page or its DOI"
    )
    raise ValueError(f"{shown!r} is not {_article(kind)}: use {known}")


def parse_version(text: str) -> int | None:
    """Return the version of an item that an address or a DOI names; None if it names none."""
    if (doi := doi_in(text)) is not None:
        found = _VERSION.search(doi)
        return int(found[1]) if found else None
    text = unquote(_bare(text))
    try:
        path = urlsplit(text).path if "/" in text else ""
    except ValueError:
        return None
    found = re.search(r"/articles/(?:.*/)?\d{5,}/(?:versions/)?(\d{1,4})/?$", path)
    return int(found[1]) if found else None


def parse_portal(text: str) -> str:
    """Return the word of an institution's portal, as X in X.figshare.com, in lower case. Raises ValueError."""
    if not text or not all(one.isascii() and (one.isalnum() or one in "-_") for one in text):
        raise ValueError(f"invalid institution {shorten(text, _WIDTH)!r}; use its word, as X in X.figshare.com")
    return text.lower()


def is_doi(text: str) -> bool:
    """Return True for a DOI, with or without the resolver's address: it names what is published."""
    return doi_in(text) is not None


def same_doi(one: str, other: str) -> bool:
    """Return whether two DOIs are of the same record, regardless of versions."""
    return comparable_doi(one) == comparable_doi(other)


def comparable_doi(doi: str) -> str:
    """Return a key that is equal for all spellings and versions of a DOI."""
    return _VERSION.sub("", (doi_in(doi) or doi).lower())


def doi_in(text: str) -> str | None:
    """Return the DOI that a text consists of, without the resolver's address; None if it is something else.

    Characters that an address encodes (%28) are decoded.
    """
    found = _DOI.fullmatch(unquote(_bare(text)))
    return found[1] if found is not None and found[1].isprintable() else None


def _bare(text: str) -> str:
    """Return an id without what surrounds it in a text: blanks, <> and the punctuation of a sentence."""
    text = text.strip().rstrip(".,;")
    return text[1:-1].strip() if text.startswith("<") and text.endswith(">") else text


def _id_part(doi: str) -> re.Match[str] | None:
    """Match the id at the end of a DOI that Figshare minted; group 1 is set for a collection."""
    found = _DOI_OF_FIGSHARE.search(doi) or _DOI_OF_PORTAL.search(doi)
    return found if found is not None and found.end() == len(doi) and _is_id(found[2]) else None


def is_number(text: str) -> bool:
    """Return whether a text is a number no longer than an id can be."""
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS


def _is_id(text: str) -> bool:
    return is_number(text) and int(text) > 0


def _id_in_doi(doi: str, shown: str, kind: Kind) -> int:
    found = _id_part(doi)
    if found is None:
        raise ValueError(f"the DOI {shown} does not contain the {kind}'s number: use the address of its page")
    meant: Kind = "collection" if found[1] else "item"
    if meant != kind:
        raise ValueError(f"the DOI {shown} belongs to {_article(meant)}, not to {_article(kind)}")
    return int(found[2])


def _id_in_address(address: str, shown: str, kind: Kind) -> int:
    try:
        path = urlsplit(address).path
    except ValueError:
        path = ""
    # Version 3 of the API, and the pages for it, call them items.
    parts = [part for part in path.replace("/account/items/", "/account/articles/").split("/") if part]
    # An item may be addressed through its project or collection: the last of them counts.
    places = {parts.index(segment): known for known, segment in SEGMENTS.items() if segment in parts}
    if not places:
        if parts[:1] == ["s"]:
            raise ValueError(f"{shown} is a private link, which does not contain the {kind}'s number")
        if "files" in parts:
            raise ValueError(f"{shown} is the address of a file, which does not contain the {kind}'s number")
        raise ValueError(f"{shown} is not the address of {_article(kind)}")
    start = max(places)
    if places[start] != kind:
        raise ValueError(f"{shown} is the address of {_article(places[start])}, not of {_article(kind)}")
    numbers = [part for part in parts[start + 1 :] if _is_id(part)]
    if not numbers:
        raise ValueError(f"{shown} does not contain the {kind}'s number")
    # .../articles/dataset/Title/1234567/2: the title may be a number, and the last one is a version.
    return int(next((number for number in reversed(numbers) if len(number) >= _LONG), numbers[0]))


def _article(kind: Kind) -> str:
    return f"an {kind}" if kind == "item" else f"a {kind}"
