"""Import codemeta.json (CodeMeta 2 and 3: schema.org as JSON-LD). Pure."""

from __future__ import annotations

from datetime import date
from typing import Any

from uploader.metadata.importers.extract import Extracted, as_list, compact, embargo, full_name, text, unique

_TYPES = {"SoftwareSourceCode": "software", "SoftwareApplication": "software", "Dataset": "dataset"}


def extract(value: dict[str, Any], today: date) -> Extracted:
    """Extract metadata about the accompanying dataset."""
    people = as_list(value, "author") or as_list(value, "creator")
    related = ("identifier", "codeRepository", "referencePublication")
    materials = [_material(_id(one)) for key in related for one in as_list(value, key)]
    grants = [text(one) or text(one, "name", "identifier") for one in as_list(value, "funding")]
    grants += [text(one) or text(one, "name") for one in as_list(value, "funder")] if not grants else []
    fields = compact(
        title=text(value, "name"),
        description=value.get("description"),
        authors=[author for one in people if (author := _author(one))],
        keywords=_keywords(value),
        license=next((_id(one) for one in as_list(value, "license")), None),
        type=_TYPES.get(text(value, "@type", "type") or ""),
        related_materials=unique(materials, "identifier"),
        funding=[grant for grant in grants if grant],
        # The names in CodeMeta 3 and CodeMeta 2.
        embargo=embargo(text(value, "embargoEndDate", "embargoDate"), today),
    )
    return Extracted(fields=fields)


def _id(value: Any) -> str | None:
    """Return an identifier, whatever it is wrapped in."""
    return text(value) or text(value, "@id", "id", "value", "identifier", "url", "name")


def _keywords(value: dict[str, Any]) -> list[str]:
    words = as_list(value, "keywords")
    if len(words) == 1 and isinstance(words[0], str):
        return [word.strip() for word in words[0].split(",") if word.strip()]
    return [word for one in words if (word := text(one) or text(one, "name"))]


def _author(value: Any) -> dict[str, Any] | str | None:
    if not isinstance(value, dict):
        return text(value)
    of = text(value, "@type", "type") == "Organization"
    parts = full_name(text(value, "givenName"), text(value, "familyName"), text(value, "name"), organisation=of)
    number = text(value, "@id", "id") or ""
    return {**parts, **compact(orcid=number if "orcid.org/" in number else None)} if parts else None


def _material(identifier: str | None) -> dict[str, Any] | None:
    return {"identifier": identifier} if identifier is not None else None
