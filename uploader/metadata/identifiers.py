"""Identifiers and dates as they have to be written: ORCID, DOI, addresses, days. Pure; each raises ValueError."""

from __future__ import annotations

import re
from datetime import date, datetime
from urllib.parse import urlsplit

from uploader.metadata.model import Author

_ORCID = re.compile(r"(?:https?://(?:www\.)?orcid\.org/|orcid:)?(\d{4}-?\d{4}-?\d{4}-?\d{3}[\dXx])/?", re.IGNORECASE)
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?(10\.\d{4,9}(?:\.\d+)*/\S+)", re.IGNORECASE)


_WITH_ORCID = re.compile(r"(.+?)[\s,(<]+((?:https?://orcid\.org/)?\d{4}-\d{4}-\d{4}-\d{3}[\dXx])[)>]?")


def orcid(text: str) -> str:
    """An ORCID iD as 0000-0002-1825-0097, from that form or an address of it; its check digit is checked."""
    found = _ORCID.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no ORCID iD; one looks like 0000-0002-1825-0097")
    digits = found[1].replace("-", "").upper()
    total = 0
    for digit in digits[:-1]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    if digits[-1] != ("X" if check == 10 else str(check)):
        raise ValueError(f"{text!r} is mistyped: the last digit of an ORCID iD does not fit the others")
    return "-".join(digits[i : i + 4] for i in range(0, 16, 4))


def doi(text: str) -> str:
    """A DOI as 10.1234/abc, from that form, doi:… or an address of it."""
    found = _DOI.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no DOI; one looks like 10.6084/m9.figshare.1407024")
    return found[1]


def is_doi(text: str) -> bool:
    """True for what `doi` takes."""
    return _DOI.fullmatch(text.strip()) is not None


def address(text: str) -> str:
    """A web address; a DOI becomes https://doi.org/…"""
    text = text.strip()
    if not text.lower().startswith(("http://", "https://")) and is_doi(text):
        return f"https://doi.org/{doi(text)}"
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{text!r} is no web address; one begins with https://")
    if re.search(r"\s", text):
        raise ValueError(f"{text!r} is no web address: there is a blank in it, which is written %20")
    return text


def email(text: str) -> str:
    """An e-mail address, as far as its form tells."""
    if not re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", text.strip()):
        raise ValueError(f"{text!r} is no e-mail address")
    return text.strip()


def day(text: str) -> str:
    """A day as 2024-05-17; a time after it is left out."""
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.strip()).date().isoformat()
    except ValueError:
        raise ValueError(f"{text!r} is no date; one looks like 2024-05-17") from None


def person(text: str) -> Author:
    """An author of one line: `Jane Doe`, `Doe, Jane`, or either with an ORCID iD behind it. Raises ValueError."""
    words = " ".join(text.split())
    found = _WITH_ORCID.fullmatch(words)
    name, iri = (found[1], found[2]) if found else (words, None)
    checked = orcid(iri) if iri else None
    first, last = first_and_last(name)
    return Author(first_name=first, last_name=last, orcid=checked) if first else Author(name=name, orcid=checked)


def first_and_last(name: str) -> tuple[str, str]:
    """The two parts of `Doe, Jane`; the first is "" for a name that is not written so."""
    last, _, first = (part.strip() for part in name.partition(","))
    return (first, last) if first and last else ("", name)
