"""Import codemeta.json (CodeMeta 1 to 3: schema.org as JSON-LD). Pure.

CodeMeta 1 uses other names: `agents`, `title`, `tags`, `licenseId`, `codeRepositoryLink`.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from uploader.metadata.importers import jsonld
from uploader.metadata.importers.extract import Extracted, Findings, compact, embargo, full_name, text, unique

_TYPES = {
    "SoftwareSourceCode": "software", "SoftwareApplication": "software", "Code": "software", "Dataset": "dataset",
}  # fmt: skip
_RELATED = ("identifier", "codeRepository", "codeRepositoryLink", "referencePublication")


def extract(value: dict[str, Any], today: date) -> Extracted:
    """Extract metadata about the accompanying dataset."""
    found, graph = Findings(), jsonld.Graph.of(value)
    main = value if "@graph" not in value else _main(graph)
    identifiers = (jsonld.identifier(one) or "" for one in graph.values(main, *_RELATED))
    materials = [_material(part.strip()) for one in identifiers for part in one.split("; ")]
    grants = found.texts("funding", graph.values(main, "funding"), lambda one: text(one) or _name(one))
    grants = grants or found.texts("funder", graph.values(main, "funder"), lambda one: text(one) or _name(one))
    licenses = graph.values(main, "license") or graph.values(main, "licenseId")
    fields = compact(
        title=found.text(main, "name", "title"),
        description=main.get("description"),
        authors=found.authors(_people(graph, main), _author, is_organization=jsonld.is_organization),
        keywords=found.keywords(graph.values(main, "keywords") or graph.values(main, "tags"), jsonld.keyword),
        license=found.only("license", licenses, jsonld.license_name),
        type=_type(graph, main, found),
        related_materials=unique(materials, "identifier"),
        funding=grants,
        # The names in CodeMeta 3 and CodeMeta 2.
        embargo=embargo(text(main, "embargoEndDate", "embargoDate"), today),
    )
    found.contributors(graph.values(main, "contributor"))
    return found.extracted(fields)


def _type(graph: jsonld.Graph, main: dict[str, Any], found: Findings) -> str | None:
    """Return the item type of the first known `@type`; if none is known, the first one is reported."""
    names = [name.rpartition("/")[2] for one in graph.values(main, "@type", "type") if (name := text(one))]
    known = next((_TYPES[name] for name in names if name in _TYPES), None)
    if names and known is None:
        found.remark(f"@type: Figshare has no type {names[0]!r}; ignored")
    return known


def _main(graph: jsonld.Graph) -> dict[str, Any]:
    """Return the entity that a graph is about: the first of a type that can be an item."""
    typed = (one for one in graph.entities.values() for kind in graph.values(one, "@type") if text(kind) in _TYPES)
    return next(typed, {})


def _people(graph: jsonld.Graph, main: dict[str, Any]) -> list[Any]:
    """Return authors; of CodeMeta 1's agents those that must be cited, if any are marked so."""
    if people := graph.values(main, "author") or graph.values(main, "creator"):
        return people
    agents = graph.values(main, "agents")
    cited = [one for one in agents if isinstance(one, dict) and (one.get("mustBeCited") or one.get("mustbeCited"))]
    return cited or agents


def _name(value: Any) -> str | None:
    return text(value, "name", "identifier")


def _author(value: Any) -> dict[str, Any] | str | None:
    if not isinstance(value, dict):
        return text(value)
    name, of = text(value, "name", "alternateName"), jsonld.is_organization(value)
    parts = full_name(jsonld.joined(value, "givenName"), jsonld.joined(value, "familyName"), name, organization=of)
    return {**parts, **compact(orcid=jsonld.orcid(value))} if parts else None


def _material(identifier: str) -> dict[str, Any] | None:
    return {"identifier": identifier} if identifier else None
