"""Import ro-crate-metadata.json (RO-Crate 1.0 to 1.2): the root dataset of a flat JSON-LD graph. Pure.

Source: the RO-Crate specification. The metadata descriptor, an entity named like the file, is `about` the root dataset.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from uploader.metadata.importers import jsonld
from uploader.metadata.importers.extract import Extracted, Findings, compact, full_name, text, unique

_DESCRIPTOR = re.compile(r"(.*[/-])?ro-crate-metadata\.json(ld)?")
_RELATED = {"identifier": None, "citation": None, "isBasedOn": "IsDerivedFrom", "isPartOf": "IsPartOf"}
"""Properties with related materials, and their relation; None for the usual one."""


def extract(value: dict[str, Any], _: date) -> Extracted:
    """Extract metadata about the root dataset."""
    graph = jsonld.Graph.of(value)
    found = Findings()
    root = _root(graph, found)
    people, keywords = (_own_or_main(graph, root, keys, found) for keys in (("author", "creator"), ("keywords",)))
    materials = [_material(one, relation) for key, relation in _RELATED.items() for one in graph.values(root, key)]
    fields = compact(
        title=found.text(root, "name", "headline"),
        description="\n\n".join(one for one in graph.values(root, "description") if isinstance(one, str)),
        authors=found.authors(people, _author, is_organization=jsonld.is_organization),
        keywords=found.keywords(keywords, jsonld.keyword),
        license=found.only("license", graph.values(root, "license"), jsonld.license_name),
        type="dataset" if root else None,
        related_materials=unique(materials, "identifier"),
        funding=found.texts("funding", _grants(graph, root), _name),
    )
    found.contributors(graph.values(root, "contributor"))
    return found.extracted(fields)


def _root(graph: jsonld.Graph, found: Findings) -> dict[str, Any]:
    """Return the root dataset; empty, with a remark, if the file names none."""
    descriptors = [one for name, one in graph.entities.items() if _DESCRIPTOR.fullmatch(name)]
    for descriptor in descriptors:
        root = next(iter(graph.values(descriptor, "about")), None)
        if isinstance(root, dict) and root.keys() - {"@id"}:
            return root
    missing = "@graph: has no entity ro-crate-metadata.json" if not descriptors else "about: names no entity"
    found.remark(f"{missing}, so that the root dataset is unknown")
    return {}


def _own_or_main(graph: jsonld.Graph, root: dict[str, Any], keys: Sequence[str], found: Findings) -> list[Any]:
    """Return the values of the first of these properties that the dataset has, else its main entity (a workflow)."""
    for entity in (root, *graph.values(root, "mainEntity")):
        for key in keys:
            if values := graph.values(entity, key):
                if entity is not root:
                    found.remark(f"{key}: taken from the main entity, {text(entity, '@id')}")
                return values
    return []


def _grants(graph: jsonld.Graph, root: dict[str, Any]) -> list[Any]:
    """Return grants with their funders, else funders."""
    grants = []
    for grant in graph.values(root, "funding"):
        funder = next((_name(one) for one in graph.values(grant, "funder", "funding")), None)
        parts = (funder, text(grant, "identifier"), text(grant, "name")) if isinstance(grant, dict) else (text(grant),)
        grants.append(", ".join(part for part in parts if part) or grant)
    return grants or graph.values(root, "funder")


def _name(value: Any) -> str | None:
    return text(value) or text(value, "name", "legalName", "identifier", "@id")


def _author(value: Any) -> dict[str, Any] | str | None:
    if not isinstance(value, dict):
        return text(value)
    name = full_name(
        jsonld.joined(value, "givenName"),
        jsonld.joined(value, "familyName"),
        text(value, "name", "alternateName"),
        organization=jsonld.is_organization(value),
    )
    return {**name, **compact(orcid=jsonld.orcid(value))} if name else None


def _material(value: Any, relation: str | None) -> dict[str, Any] | None:
    """Return a related material. An identifier that is an entity may have its value or its address."""
    names = [text(value), *(text(value, key) for key in ("value", "url", "identifier", "@id"))]
    name = next((one for one in names if one and not one.startswith(("#", "_:", "./"))), None)
    if name is None:
        return None
    return compact(identifier=name, relation=relation, title=text(value, "name") if relation != "IsPartOf" else None)
