"""Names of people, as they are written on one line. Pure."""

from __future__ import annotations

import re

from uploader.catalog.metadata import identifiers
from uploader.catalog.metadata.model import Author

_WITH_ORCID = re.compile(r"(.+?)[\s,(<]+((?:https?://orcid\.org/)?\d{4}-\d{4}-\d{4}-\d{3}[\dXx])[)>]?")


def person(text: str) -> Author:
    """An author of one line: `Jane Doe`, `Doe, Jane`, or either with an ORCID iD behind it. Raises ValueError."""
    words = " ".join(text.split())
    found = _WITH_ORCID.fullmatch(words)
    name, orcid = (found[1], found[2]) if found else (words, None)
    checked = identifiers.orcid(orcid) if orcid else None
    first, last = first_and_last(name)
    return Author(first_name=first, last_name=last, orcid=checked) if first else Author(name=name, orcid=checked)


def first_and_last(name: str) -> tuple[str, str]:
    """The two parts of `Doe, Jane`; the first is "" for a name that is not written so."""
    last, _, first = (part.strip() for part in name.partition(","))
    return (first, last) if first and last else ("", name)
