"""Normalize identifiers, addresses and dates. Pure; each function raises ValueError."""

from __future__ import annotations

import re
from datetime import date, datetime
from urllib.parse import urlsplit

from uploader.figshare.ids import doi_in, is_doi

_ORCID = re.compile(r"(?:https?://(?:www\.)?orcid\.org/|orcid:)?(\d{4}-?\d{4}-?\d{4}-?\d{3}[\dXx])/?", re.IGNORECASE)
_GIT_HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org"}
_GIT_SSH = re.compile(r"(?:git\+)?(?:ssh://)?(?:git@)([\w.-]+)(?::(?!\d+/)|:\d+/|/)(\S+)")
_GIT_SHORT = re.compile(r"(github|gitlab|bitbucket):([\w.-]+/[\w.-]+)")


def orcid(text: str) -> str:
    """Return an ORCID iD as 0000-0002-1825-0097, given so or as an address; the check digit is verified."""
    found = _ORCID.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"invalid ORCID iD {text!r}; use e.g. 0000-0002-1825-0097")
    digits = found[1].replace("-", "").upper()
    total = 0
    for digit in digits[:-1]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    if digits[-1] != ("X" if check == 10 else str(check)):
        raise ValueError(f"invalid ORCID iD {text!r}: wrong check digit")
    return "-".join(digits[i : i + 4] for i in range(0, 16, 4))


def doi(text: str) -> str:
    """Return a DOI as 10.1234/abc, given so, as doi:10.1234/abc or as an address."""
    found = doi_in(text)
    if found is None:
        raise ValueError(f"invalid DOI {text!r}; use e.g. 10.6084/m9.figshare.1407024")
    return found


def web_spelling(text: str) -> str:
    """Return the web address of a repository's address (`git+https://`, `git@host:path`, `github:a/b`).

    Also takes one in angle brackets, and one without https:// that begins with www. Others are returned unchanged.
    """
    text = text.strip().removeprefix("<").removesuffix(">").strip()
    if short := _GIT_SHORT.fullmatch(text):
        return f"https://{_GIT_HOSTS[short[1]]}/{short[2]}"
    if ssh := _GIT_SSH.fullmatch(text):
        return f"https://{ssh[1]}/{ssh[2]}"
    text = re.sub(
        r"^(?:git\+(?=https?://)|(?:git\+)?git://)", lambda found: "https://" if "://" in found[0] else "", text
    )
    return f"https://{text}" if text.lower().startswith("www.") else text


def address(text: str) -> str:
    """Return a web address; a DOI becomes https://doi.org/..., a repository's address that of its page."""
    text = web_spelling(text)
    if not text.lower().startswith(("http://", "https://")) and is_doi(text):
        return f"https://doi.org/{doi(text)}"
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"invalid web address {text!r}; use e.g. https://example.org")
    if re.search(r"\s", text):
        raise ValueError(f"invalid web address {text!r}; write a space as %20")
    return text


def email(text: str) -> str:
    """Return an email address; only its form is checked."""
    if not re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", text.strip()):
        raise ValueError(f"invalid email address {text!r}")
    return text.strip()


def day(text: str) -> str:
    """Return a date as 2024-05-17; a time is dropped."""
    return date_of(text).isoformat()


def date_of(text: str) -> date:
    """Parse a date; a time is dropped."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.strip()).date()
    except ValueError:
        raise ValueError(f"invalid date {text!r}; use e.g. 2024-05-17") from None
