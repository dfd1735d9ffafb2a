"""Read works as Crossref's API returns them. Pure."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from uploader.metadata.importers.extract import Extracted, Findings, as_list, compact, full_name, text
from uploader.metadata.markdown import unescaped
from uploader.records.publications import day, lines_of, plain_title, published

_TYPES = {
    "journalarticle": "journal contribution", "postedcontent": "preprint", "bookchapter": "chapter",
    "booksection": "chapter", "bookpart": "chapter", "book": "book", "editedbook": "book", "referencebook": "book",
    "monograph": "monograph", "proceedingsarticle": "conference contribution",
    "proceedings": "conference contribution", "dataset": "dataset", "dissertation": "thesis", "report": "report",
    "reportcomponent": "report", "peerreview": "peer review", "standard": "standard", "grant": "funding",
}  # fmt: skip
_HTML = {
    "title": "h4", "italic": "i", "bold": "b", "list-item": "li", "disp-quote": "blockquote", "underline": "u",
    "monospace": "code", "break": "br", "list": "ul",
}  # fmt: skip
"""JATS elements and the HTML for them; others have the same name, or only their content is kept."""
_TAG = re.compile(r"<(/?)(?:jats:)?([\w-]+)([^<>]*)>")
_NOT_OPEN = ("tdm", "stm-asf")
"""Licences for machines, not for readers."""


def extract(value: dict[str, Any], _: date) -> Extracted:
    """Extract the metadata of a work."""
    value = work(value)
    found, doi, title = Findings(), text(value, "DOI"), _title(value)
    licenses = [one for one in as_list(value, "license") if text(one, "content-version") not in _NOT_OPEN]
    online, printed = _date(value, "published-online"), _date(value, "published-print")
    general = [(name, _date(value, name)) for name in ("published", "issued")]
    fields = compact(
        title=title,
        description=html_of_jats(lines_of(value, "abstract")),
        authors=found.authors(as_list(value, "author"), _author, is_organization=_is_organization),
        keywords=found.keywords(as_list(value, "subject"), text),
        license=found.only("license", licenses, lambda one: text(one, "URL")),
        type=found.kind("type", text(value, "type"), _TYPES),
        funding=[grant for one in as_list(value, "funder") for grant in _grants(one)],
        timeline=compact(
            first_online=day(found, [("published-online", online)]),
            publisher_publication=day(found, [("published-print", printed), *general]),
            publisher_acceptance=day(found, [("accepted", _date(value, "accepted"))]),
        ),
        **published(doi, title, text(value, "URL")),
    )
    return found.extracted(fields)


def work(value: dict[str, Any]) -> dict[str, Any]:
    """Return the work without the wrapper of an answer about one work."""
    inner = value.get("message")
    return inner if isinstance(inner, dict) and "DOI" in inner else value


def _title(value: dict[str, Any]) -> str | None:
    title, subtitle = (plain_title(text(next(iter(as_list(value, key)), None))) for key in ("title", "subtitle"))
    return f"{title}: {subtitle}" if title and subtitle else title


def _author(value: Any) -> dict[str, Any] | str | None:
    if not isinstance(value, dict):
        return text(value)
    last = " ".join(part for key in ("family", "suffix") if (part := text(value, key)))
    single = text(value, "name")
    name = full_name(text(value, "given"), last, single, organization=single is not None)
    return {**name, **compact(orcid=text(value, "ORCID"))} if name else None


def _is_organization(value: Any) -> bool:
    return text(value, "name") is not None


def _grants(funder: Any) -> list[str]:
    name = text(funder, "name")
    awards = [award for one in as_list(funder, "award") if (award := text(one))]
    return [", ".join(filter(None, (name, award))) for award in awards] or ([name] if name else [])


def _date(value: dict[str, Any], key: str) -> str | None:
    """Return a date in parts as text: 2024-05-17, 2024-05 or 2024."""
    found = value.get(key)
    parts = as_list(found, "date-parts")[:1] if isinstance(found, dict) else []
    numbers = parts[0] if parts and isinstance(parts[0], list) else []
    digits = [part for one in numbers if (part := text(one)) is not None and part.isdecimal()]
    return "-".join(part.zfill(2) for part in digits) or None


def html_of_jats(abstract: str) -> str:
    """Return an abstract in JATS, or in HTML, as HTML; the heading "Abstract" is dropped."""
    abstract = unescaped(abstract)
    abstract = re.sub(r"<(?:jats:)?title>\s*abstract\s*</(?:jats:)?title>", "", abstract, flags=re.IGNORECASE)
    return _TAG.sub(_tag, abstract).strip()


def _tag(found: re.Match[str]) -> str:
    name = found[2]
    if name == "ext-link":
        address = re.search(r'xlink:href="([^"]*)"', found[3])
        return f'<a href="{address[1]}">' if address else "</a>" if found[1] else "<a>"
    return f"<{found[1]}{_HTML.get(name, name)}{'/' if found[3].endswith('/') else ''}>"
