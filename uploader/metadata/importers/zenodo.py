"""Import .zenodo.json: the metadata of a deposit, as Zenodo's API documents them. Pure."""

from __future__ import annotations

from datetime import date
from typing import Any

from uploader.metadata.importers.extract import Extracted, Findings, as_list, compact, embargo, full_name, text
from uploader.metadata.importers.tracking import mark_read
from uploader.metadata.vocabulary import RELATIONS
from uploader.text import plain

_TYPES = {
    "dataset": "dataset", "image": "figure", "lesson": "educational resource", "physicalobject": "physical object",
    "poster": "poster", "presentation": "presentation", "publication": "journal contribution", "software": "software",
    "video": "media", "workflow": "workflow",
}  # fmt: skip
_PUBLICATIONS = {
    "article": "journal contribution", "book": "book", "conferencepaper": "conference contribution",
    "datamanagementplan": "data management plan", "peerreview": "peer review", "preprint": "preprint",
    "report": "report", "section": "chapter", "softwaredocumentation": "software", "technicalnote": "report",
    "thesis": "thesis", "workingpaper": "preprint",
}  # fmt: skip
_STRICTNESS = {"open": 0, "embargoed": 1, "restricted": 2, "closed": 3}
_UNKNOWN = 4
"""For any other word: it is unknown who has access."""
_RELATIONS = {plain(name): name for name in RELATIONS}
_FUNDERS = {
    "100000001": "National Science Foundation", "100000002": "National Institutes of Health",
    "100004440": "Wellcome Trust", "501100000780": "European Commission", "501100000923": "Australian Research Council",
    "501100000925": "National Health and Medical Research Council", "501100001602": "Science Foundation Ireland",
    "501100001659": "Deutsche Forschungsgemeinschaft", "501100001711": "Schweizerischer Nationalfonds",
    "501100001871": "Fundação para a Ciência e a Tecnologia", "501100002428": "Austrian Science Fund",
    "501100003246": "Nederlandse Organisatie voor Wetenschappelijk Onderzoek",
}  # fmt: skip
"""Funders by the number in their DOI, 10.13039/NUMBER, which begins a grant's id (Crossref's registry)."""


def extract(value: dict[str, Any], today: date) -> Extracted:
    """Extract metadata about the deposit, whose DOI is another publication's and not used for the item."""
    record, inner = value, value.get("metadata")
    value = inner if isinstance(inner, dict) else value
    found = Findings()
    access, opening = _access(record, value)
    words = found.keywords(as_list(value, "keywords"), text)
    words += found.texts("subjects", as_list(value, "subjects"), lambda one: text(one, "term"))
    fields = compact(
        title=found.text(value, "title"),
        description=value.get("description"),
        authors=found.authors(as_list(value, "creators"), _author, is_organization=_is_organization),
        keywords=words,
        license=found.only("license", as_list(value, "license") or as_list(value, "rights"), _license),
        type=_type(value, found),
        references=found.texts("references", as_list(value, "references"), text),
        related_materials=[
            one
            for number, related in enumerate(as_list(value, "related_identifiers"), start=1)
            if (one := _material(related, number, found)) is not None
        ],
        funding=found.texts("grants", as_list(value, "grants"), _grant),
        embargo=embargo(opening, today),
    )
    found.contributors(as_list(value, "contributors"))
    closed = access != "open" and not (access == "embargoed" and opening)
    return found.extracted(fields, access_restriction=f"access_right is {access}" if closed else None)


def _access(record: dict[str, Any], deposit: dict[str, Any]) -> tuple[str, str | None]:
    """Return the access right and the end of an embargo: the stricter of Zenodo's and InvenioRDM's."""
    right = plain((text(deposit, "access_right") or "open").rpartition("/")[2]).removesuffix("access")
    zenodo = right, text(deposit, "embargo_date") if right == "embargoed" else None
    return max(_record_access(record), zenodo, key=lambda one: (_STRICTNESS.get(one[0], _UNKNOWN), one[1] or ""))


def _record_access(record: dict[str, Any]) -> tuple[str, str | None]:
    """Return the same as InvenioRDM has them, beside the metadata."""
    access = record.get("access")
    lock = access.get("embargo") if isinstance(access, dict) else None
    if isinstance(lock, dict) and lock.get("active") is True:
        mark_read(access)
        return "embargoed", text(lock, "until")
    rights = {text(access), text(access, "record"), text(access, "files")} - {None, "public", "open"}
    return min(filter(None, rights), default="open"), None


def _type(value: dict[str, Any], found: Findings) -> str | None:
    kind = text(value, "upload_type")
    detail = text(value, "publication_type") if kind == "publication" else None
    if detail is None:
        return found.kind("upload_type", kind, _TYPES)
    if (special := _PUBLICATIONS.get(plain(detail))) is None:
        found.remark(f"publication_type: Figshare has no type {detail!r}; {_TYPES['publication']!r} is used")
    return special or _TYPES["publication"]


def _license(value: Any) -> str | None:
    return text(value) or text(value, "id", "spdx_id", "key", "name")  # also as GitHub's API describes one


def _author(value: Any) -> dict[str, Any] | str | None:
    if not isinstance(value, dict):
        return text(value)
    person = _person(value)
    first, last = text(person, "given_name"), text(person, "family_name")
    name = full_name(first, last, text(person, "name"), organization=_is_organization(value))
    named = (text(one, "identifier") for one in as_list(person, "identifiers") if text(one, "scheme") == "orcid")
    return {**name, **compact(orcid=text(person, "orcid") or next(named, None))} if name else None


def _person(value: dict[str, Any]) -> dict[str, Any]:
    """Return the names of a creator, which InvenioRDM nests."""
    nested = value.get("person_or_org")
    return nested if isinstance(nested, dict) else value


def _is_organization(value: Any) -> bool:
    kind = text(_person(value), "type") if isinstance(value, dict) else None
    return plain(kind or "") in ("organization", "organizational")


def _material(value: Any, number: int, found: Findings) -> dict[str, Any] | None:
    identifier = text(value) or text(value, "identifier")
    if identifier is None:
        found.remark(f"related_identifiers[{number}]: has no identifier; ignored")
        return None
    relation = text(value, "relation")
    if relation is not None and plain(relation) not in _RELATIONS:
        found.unknown_relation(relation, identifier)
    return compact(identifier=identifier, relation=_RELATIONS.get(plain(relation or "")))


def _grant(value: Any) -> str | None:
    """Return a grant as text. Its id is the number of the award, with the funder's DOI before it ("::")."""
    funder, _, award = (text(value) or text(value, "id") or "").rpartition("::")
    name = _FUNDERS.get(funder.removeprefix("10.13039/"), funder) or _FUNDERS["501100000780"]  # the default of Zenodo
    parts = (name, award, text(value, "title", "acronym")) if award else ()
    return ", ".join(part for part in parts if part) or None
