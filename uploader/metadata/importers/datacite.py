"""Import DataCite JSON (schema 4, also as its API returns it). Pure."""

from __future__ import annotations

from datetime import date
from typing import Any

from uploader.metadata.importers.extract import Extracted, Findings, as_list, compact, embargo, full_name, text
from uploader.metadata.vocabulary import IDENTIFIER_TYPES, RELATIONS
from uploader.text import plain

_TYPES = {
    "audiovisual": "media", "book": "book", "bookchapter": "chapter", "collection": "dataset",
    "computationalnotebook": "software", "conferencepaper": "conference contribution",
    "conferenceproceeding": "conference contribution", "dataset": "dataset", "dissertation": "thesis",
    "event": "event", "image": "figure", "journalarticle": "journal contribution", "model": "model",
    "outputmanagementplan": "data management plan", "peerreview": "peer review", "physicalobject": "physical object",
    "preprint": "preprint", "report": "report", "service": "service", "software": "software", "sound": "media",
    "standard": "standard", "workflow": "workflow",
}  # fmt: skip
_RELATIONS = {plain(name): name for name in RELATIONS}
_IDENTIFIERS = {plain(name): name for name in IDENTIFIER_TYPES}
_ACCESS = {
    "openaccess": "open", "embargoedaccess": "embargoed", "restrictedaccess": "restricted", "closedaccess": "closed",
    "cabf2": "open", "cf1cf": "embargoed", "c16ec": "restricted", "c14cb": "closed",
}  # fmt: skip
"""Access rights, which are not licences: ends of info:eu-repo/semantics/... and of COAR's addresses."""


def extract(value: dict[str, Any], today: date) -> Extracted:
    """Extract metadata about the accompanying dataset. Its DOI is another publication's and not used for the item."""
    value, found = attributes(value), Findings()
    titles = [one for one in as_list(value, "titles") if not text(one, "titleType")] or as_list(value, "titles")
    abstracts = [one for one in as_list(value, "descriptions") if text(one, "descriptionType") == "Abstract"]
    every = (*abstracts, *as_list(value, "descriptions"))
    described = next((one for one in every if text(one) or text(one, "description")), None)
    for field, used in (("titles", next(iter(titles), None)), ("descriptions", described)):
        # Those in objects are found by their keys.
        others = [one for one in as_list(value, field) if isinstance(one, str) and one is not used]
        found.ignored(field, others, "Figshare takes one")
    materials = [_material(one, found) for one in as_list(value, "relatedIdentifiers")]
    embargo_ends = [day for one in as_list(value, "dates") if (day := _opening(one))]
    fields = compact(
        title=next((text(one) or found.text(one, "title") for one in titles), None),
        description=described.get("description") if isinstance(described, dict) else described,
        authors=found.authors(as_list(value, "creators"), _author, is_organization=_is_organization),
        keywords=found.keywords(as_list(value, "subjects"), lambda one: text(one) or text(one, "subject")),
        license=found.only("rightsList", [one for one in as_list(value, "rightsList") if not _access(one)], _license),
        type=found.kind("types", text(value, "types") or text(value.get("types"), "resourceTypeGeneral"), _TYPES),
        related_materials=[one for one in materials if one],
        funding=found.texts("fundingReferences", as_list(value, "fundingReferences"), _grant),
        embargo=embargo(max(embargo_ends, default=None), today),
    )
    found.contributors(as_list(value, "contributors"))
    return found.extracted(fields, access_restriction=_restriction(value, embargo_ends, "embargo" in fields))


def attributes(value: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata without the wrapper of DataCite's API."""
    data = value.get("data")
    inner = data.get("attributes") if isinstance(data, dict) else value.get("attributes")
    return inner if isinstance(inner, dict) else value


def _author(value: Any) -> dict[str, Any] | str | None:
    if not isinstance(value, dict):
        return text(value)
    of = _is_organization(value)
    name = full_name(text(value, "givenName"), text(value, "familyName"), text(value, "name"), organization=of)
    ids = [text(one, "nameIdentifier") for one in as_list(value, "nameIdentifiers") if _is_orcid(one)]
    return {**name, **compact(orcid=next(iter(ids), None))} if name else None


def _is_organization(value: Any) -> bool:
    return text(value, "nameType") == "Organizational"


def _is_orcid(value: Any) -> bool:
    scheme = text(value, "nameIdentifierScheme") or text(value, "nameIdentifier") or ""
    return "orcid" in scheme.lower()


def _access(value: Any) -> str | None:
    """Return the access right in this entry: open, embargoed, restricted or closed; else None."""
    names = (text(value, key) for key in ("rightsIdentifier", "rightsUri", "rightsURI", "rights"))
    embargo_ends = (plain(name.rpartition("/")[2]) for name in (*names, text(value)) if name)
    return next((_ACCESS[end] for end in embargo_ends if end in _ACCESS), None)


def _restriction(value: dict[str, Any], embargo_ends: list[str], is_embargoed: bool) -> str | None:
    """Return why access is restricted, unless a date makes it an embargo; else None."""
    access = {_access(one) for one in as_list(value, "rightsList")} - {None, "open"}
    if embargo_ends:
        access.discard("embargoed")
    return f"its rights say that access is {min(filter(None, access))}" if access and not is_embargoed else None


def _opening(value: Any) -> str | None:
    return text(value, "date") if text(value, "dateType") == "Available" else None


def _license(value: Any) -> str | None:
    return text(value, "rightsIdentifier", "rightsUri", "rightsURI", "rights") or text(value)


def _material(value: Any, found: Findings) -> dict[str, Any] | None:
    identifier = text(value) or text(value, "relatedIdentifier")
    if identifier is None:
        return None
    relation = text(value, "relationType")
    if relation is not None and plain(relation) not in _RELATIONS:
        found.unknown_relation(relation, identifier)
    return compact(
        identifier=identifier,
        identifier_type=_IDENTIFIERS.get(plain(text(value, "relatedIdentifierType") or "")),
        relation=_RELATIONS.get(plain(relation or "")),
    )


def _grant(value: Any) -> str | None:
    parts = [text(value, "funderName"), text(value, "awardNumber"), text(value, "awardTitle")]
    return ", ".join(part for part in parts if part) or None
