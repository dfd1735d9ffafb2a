"""Import CITATION.cff (Citation File Format 1.x). Pure."""

from __future__ import annotations

from datetime import date
from typing import Any

from uploader.metadata.importers.extract import Extracted, Findings, as_list, compact, full_name, text, unique

_IMPLIED = {"type": "software"}
"""The default of `type` (schema of CFF 1.2.0; earlier versions were for software only)."""


def extract(value: dict[str, Any], _: date) -> Extracted:
    """Extract metadata about the accompanying dataset."""
    found = Findings()
    materials = [
        _material(text(value, "doi")),
        *(_material(text(one) or text(one, "value")) for one in as_list(value, "identifiers")),
        _material(text(value, "repository-code", "repository", "repository-artifact", "url")),
        *(
            _material(text(one) or text(one, "doi", "url"), text(one, "title"))
            for one in as_list(value, "preferred-citation")
        ),
    ]
    fields = compact(
        title=found.text(value, "title"),
        description=value.get("abstract"),
        authors=found.authors(as_list(value, "authors"), _author, is_organization=_is_organization),
        keywords=found.keywords(as_list(value, "keywords"), text),
        license=found.only("license", as_list(value, "license"), text) or text(value, "license-url"),
        type=text(value, "type"),
        related_materials=unique(materials, "identifier"),
    )
    return found.extracted(fields, implied={name: meant for name, meant in _IMPLIED.items() if name not in fields})


def _author(value: Any) -> dict[str, Any] | str | None:
    if not isinstance(value, dict):
        return text(value)
    parts = [text(value, key) for key in ("name-particle", "family-names", "name-suffix")]
    last, first = " ".join(part for part in parts if part), text(value, "given-names")
    single = text(value, "name") or (text(value, "alias") if not (first or last) else None)
    name = full_name(first, last, single, organization=True)
    return {**name, **compact(orcid=text(value, "orcid"))} if name else None


def _is_organization(value: Any) -> bool:
    """Return True for an entity, which has a `name`; a person has parts of one."""
    return text(value, "name") is not None


def _material(identifier: str | None, title: str | None = None) -> dict[str, Any] | None:
    return compact(identifier=identifier, title=title) if identifier else None
