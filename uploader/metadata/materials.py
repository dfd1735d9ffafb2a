"""Identifiers of related materials: their kind and form. Pure.

Figshare validates them when an item is created, and rejects the whole item for one. Kinds without a well-known form
(bibcode, IGSN, ISTC) must only contain no spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from uploader.figshare.ids import is_doi
from uploader.metadata import identifiers

_SHAPES: dict[str, tuple[str, str]] = {
    "arXiv": (
        r"(?:https?://arxiv\.org/abs/|arxiv:\s*)?((?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d+)?)",
        "2401.00001",
    ),
    "Handle": (r"(?:https?://hdl\.handle\.net/|hdl:\s*)?([\da-z.-]+/\S+)", "10261/12345"),
    "PMID": (r"(?:https?://pubmed\.ncbi\.nlm\.nih\.gov/|pmid:\s*)?(\d{1,9})/?", "30351857"),
    "ARK": (r"((?:https?://\S+/)?ark:/?[\da-z]{5,}/\S+)", "ark:/12148/btv1b8449691v"),
    "LSID": (r"(urn:lsid:[^:\s]+:[^:\s]+:[^:\s]+(?::[^:\s]+)?)", "urn:lsid:zoobank.org:pub:CDC8D258"),
    "URN": (r"(urn:[\da-z][\da-z-]*:\S+)", "urn:nbn:de:101:1-201102033592"),
    "bibcode": (r"(\S+)", "1974AJ.....79..819H"),
    "IGSN": (r"(\S+)", "ICDP5054EX05001"),
    "ISTC": (r"(\S+)", "A02-2009-000004BE-A"),
}
"""Kind -> its form, with the identifier itself in a group, and an example."""
_NUMBERS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "ISBN": (r"(?:isbn(?:-?1[03])?[:\s]\s*)?(97[89][\d\s-]{10,}|[\d\s-]{9,}[\dx])", (13, 10), "978-3-16-148410-0"),
    "ISSN": (r"(?:e?issn[:\s]\s*)?(\d{4}-?\d{3}[\dx])", (8,), "2049-3630"),
    "EAN13": (r"([\d\s-]+)", (13,), "4006381333931"),
    "UPC": (r"([\d\s-]+)", (12,), "036000291452"),
}
"""Kind -> its form, the allowed numbers of digits, and an example; the last digit is a check digit."""
_LIKE_ISSN = {"ISSN", "EISSN", "LISSN"}
_ADDRESSES = {"URL", "PURL", "w3id"}
_BY_PREFIX = (
    ("arXiv", r"arxiv:|https?://arxiv\.org/abs/"), ("LSID", r"urn:lsid:"), ("URN", r"urn:"), ("ARK", r"ark:"),
    ("Handle", r"hdl:|https?://hdl\.handle\.net/"), ("ISBN", r"isbn"), ("ISSN", r"issn"), ("PMID", r"pmid:"),
    ("URL", r"https?://"),
)  # fmt: skip


def kind_of(text: str) -> str | None:
    """Infer the kind of an identifier from its form; None if the form is ambiguous."""
    if is_doi(text):
        return "DOI"
    text = identifiers.web_spelling(text)
    return next((kind for kind, prefix in _BY_PREFIX if re.match(prefix, text, re.IGNORECASE)), None)


def checked(text: str, kind: str) -> str:
    """Return an identifier of this kind in Figshare's form, without a prefix for the kind. Raises ValueError."""
    if kind == "DOI":
        return identifiers.doi(text)
    if kind in _ADDRESSES:
        return identifiers.address(text)
    if kind in _LIKE_ISSN:
        return _number(text, kind, *_NUMBERS["ISSN"])
    if kind in _NUMBERS:
        return _number(text, kind, *_NUMBERS[kind])
    shape, example = _SHAPES[kind]
    found = re.fullmatch(shape, text.strip(), re.IGNORECASE | re.ASCII)
    if found is None:
        raise ValueError(f"invalid {kind} {text!r}; use e.g. {example}")
    return found[1]


def _number(text: str, kind: str, shape: str, lengths: tuple[int, ...], example: str) -> str:
    found = re.fullmatch(shape, text.strip(), re.IGNORECASE | re.ASCII)
    digits = re.sub(r"[\s-]", "", found[1]).upper() if found is not None else ""
    if found is None or len(digits) not in lengths:
        raise ValueError(f"invalid {kind} {text!r}; use e.g. {example}")
    if not _CHECKS[len(digits)](digits):
        raise ValueError(f"invalid {kind} {text!r}: wrong check digit")
    return found[1].strip()


def _modulo_11(digits: str) -> bool:
    """Check ISBN-10 and ISSN: digits weighted by their position from the right; X is ten."""
    values = [10 if digit == "X" else int(digit) for digit in digits]
    return sum(weight * value for weight, value in enumerate(reversed(values), start=1)) % 11 == 0


def _modulo_10(digits: str) -> bool:
    """Check ISBN-13, EAN and UPC: every other digit, from the last but one, counts three times."""
    if not digits.isdecimal():
        return False
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits))) % 10 == 0


_CHECKS: dict[int, Callable[[str], bool]] = {8: _modulo_11, 10: _modulo_11, 12: _modulo_10, 13: _modulo_10}
