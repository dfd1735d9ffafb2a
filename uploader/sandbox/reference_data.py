"""Figshare's fixed lists needed by the sandbox, and the sandbox's institution."""

from __future__ import annotations

from typing import Any, Final

_LICENSES: Final = (
    (1, "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    (2, "CC0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    (3, "MIT", "https://opensource.org/licenses/MIT"),
    (4, "GPL", "https://www.gnu.org/copyleft/gpl.html"),
    (5, "GPL 2.0+", "https://www.gnu.org/licenses/gpl-2.0.html"),
    (6, "GPL 3.0+", "https://www.gnu.org/licenses/gpl-3.0.html"),
    (7, "Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0.html"),
)
_LICENSES_OF_INSTITUTION: Final = ((12, "CC BY-NC-ND 4.0", "https://creativecommons.org/licenses/by-nc-nd/4.0/"),)


def licenses(*, institution: bool) -> dict[int, dict[str, Any]]:
    """Return the licences by number; those of an institution are only for its accounts."""
    known = _LICENSES + (_LICENSES_OF_INSTITUTION if institution else ())
    return {value: {"value": value, "name": name, "url": url} for value, name, url in known}


ITEM_TYPES: Final[dict[str, int]] = {
    "figure": 1, "media": 2, "dataset": 3, "poster": 5, "journal contribution": 6, "presentation": 7, "thesis": 8,
    "software": 9, "online resource": 11, "preprint": 12, "book": 13, "conference contribution": 14, "chapter": 15,
    "peer review": 16, "educational resource": 17, "report": 18, "standard": 19, "composition": 20, "funding": 21,
    "physical object": 22, "data management plan": 23, "workflow": 24, "monograph": 25, "performance": 26,
    "event": 27, "service": 28, "model": 29,
}  # fmt: skip


RELATIONS: Final = (
    "IsCitedBy", "Cites", "IsSupplementTo", "IsSupplementedBy", "IsContinuedBy", "Continues", "Describes",
    "IsDescribedBy", "HasMetadata", "IsMetadataFor", "HasVersion", "IsVersionOf", "IsNewVersionOf",
    "IsPreviousVersionOf", "IsPartOf", "HasPart", "IsPublishedIn", "IsReferencedBy", "References", "IsDocumentedBy",
    "Documents", "IsCompiledBy", "Compiles", "IsVariantFormOf", "IsOriginalFormOf", "IsIdenticalTo", "IsReviewedBy",
    "Reviews", "IsDerivedFrom", "IsSourceOf", "IsRequiredBy", "Requires", "IsObsoletedBy", "Obsoletes",
)  # fmt: skip
"""Possible relations of a related material to an item."""

IDENTIFIER_TYPES: Final = (
    "ARK", "arXiv", "bibcode", "DOI", "EAN13", "EISSN", "Handle", "IGSN", "ISBN", "ISSN", "ISTC", "LISSN", "LSID",
    "PMID", "PURL", "UPC", "URL", "URN", "w3id",
)  # fmt: skip
"""Types of identifiers of related materials."""

FUNDINGS: Final[dict[int, dict[str, Any]]] = {
    number: {
        "id": number, "title": title, "grant_code": code, "funder_name": funder, "is_user_defined": 0,
        "url": f"https://app.dimensions.ai/details/grant/grant.{number}",
    }
    for number, title, code, funder in (
        (3000001, "Reproducible pipelines for marine imaging", "SBX-101", "Sandbox Research Council"),
        (3000002, "Long-term storage of field recordings", "SBX-102", "Sandbox Research Council"),
        (3000003, "Open data in the humanities", "OD-7", "Foundation for Open Sandboxes"),
    )
}  # fmt: skip
"""Grants found by the funding search. They are fictitious."""

INSTITUTION: Final[dict[str, Any]] = {"id": 2000, "name": "Sandbox University", "domain": "sandbox.invalid"}

TOP_GROUP: Final = 2100
"""The group of accounts without another one."""


def group(number: int, name: str, parent: int) -> dict[str, Any]:
    """Return a group as the API shows it to an administrator."""
    return {
        "id": number, "name": name, "resource_id": "", "parent_id": parent, "association_criteria": "",
        "upload_access": "All Users",
    }  # fmt: skip


GROUPS: Final[dict[int, dict[str, Any]]] = {
    number: group(number, name, parent)
    for number, name, parent in (
        (TOP_GROUP, INSTITUTION["name"], 0), (2101, "Faculty of Science", TOP_GROUP), (2102, "Library", TOP_GROUP)
    )
}  # fmt: skip
"""The institution's groups."""

ROLES: Final[dict[int, dict[str, Any]]] = {
    number: {"id": number, "name": name, "category": "group", "description": description}
    for number, name, description in (
        (1, "Curator", "Comments on reviews of the group"),
        (2, "Administrator", "Administers the group and its accounts"),
        (7, "User", "Uploads to the group"),
        (9, "Reviewer", "Decides on reviews of the group"),
    )
}
"""Roles in a group; the documentation names those of 1 and 7; the others are invented."""

ADMINISTRATOR, USER = 2, 7

EMBARGO_OPTIONS: Final[dict[int, dict[str, Any]]] = {
    2201: {"id": 2201, "type": "logged_in", "ip_name": ""},
    2202: {"id": 2202, "type": "ip_range", "ip_name": "Campus"},
    2203: {"id": 2203, "type": "administrator", "ip_name": ""},
}
"""The institution's options for exemptions from an embargo."""
