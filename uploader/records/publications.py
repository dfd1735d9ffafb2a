"""Functions shared by the formats for publications of all services. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from uploader.figshare.ids import doi_in
from uploader.metadata.importers.extract import Findings, as_list, compact

_TAG = re.compile(r"</?[a-z][\w:-]*(?:\s[^<>]*)?/?>", re.IGNORECASE)
_INLINE_TAG = re.compile(
    r"</?(?:jats:)?(?:i|b|em|strong|sub|sup|u|sc|scp|p|span|italic|bold)(?:\s[^<>]*)?/?>", re.IGNORECASE
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d(?:T.*)?")
_PARTIAL = re.compile(r"\d{4}(?:-\d\d?)?")


def plain_title(title: str | None) -> str | None:
    """Return a title without the elements and entities that services leave in it, which some escape twice."""
    if title is None:
        return None
    text = html.unescape(html.unescape(_TAG.sub("", title)))
    return " ".join(_INLINE_TAG.sub("", text).split()) or None


def lines_of(value: dict[str, Any], key: str) -> str:
    """Return a text of several lines; of a list of texts, one below the other. Anything else is left unread."""
    found = dict.get(value, key)
    if isinstance(found, str) or (isinstance(found, list) and all(isinstance(one, str) for one in found)):
        return "\n\n".join(as_list(value, key))
    return ""


def day(found: Findings, dates: Iterable[tuple[str, str | None]]) -> str | None:
    """Return the first of these named dates that is a whole day.

    A year or month is not made into a day: Figshare has days only, and the first of January would be invented.
    """
    partial = None
    for name, text in dates:
        if text is not None and _DAY.fullmatch(text):
            return text[:10]
        if text is not None and _PARTIAL.fullmatch(text):
            partial = partial or name
    if partial is not None:
        found.remark(f"{partial} is only a year or a month, not a day; left out")
    return None


def published(doi: str | None, title: str | None, *addresses: str | None) -> dict[str, Any]:
    """Return the fields that identify a publication: its DOI, its address, and itself as the publication to link to."""
    name = doi_in(doi) if doi is not None else None
    if doi is None or name is None:
        return compact(doi=doi, link=next(filter(None, addresses), None))
    link = doi if doi.lower().startswith("http") else f"https://doi.org/{name}"
    itself = {"identifier": doi, "identifier_type": "DOI", "relation": "IsIdenticalTo", "is_linkout": True}
    return {"doi": doi, "link": link, "related_materials": [compact(**itself, title=title)]}
