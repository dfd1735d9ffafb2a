"""Figshare's fixed vocabulary: item types, standard licences, relations, identifier types, and their aliases.

Categories, groups and an institution's licences are requested instead (`resolve`). Sources: the official API
description (ArticleCreate, RelatedMaterial, item_type) and the public list of licences.
"""

from __future__ import annotations

import re
from typing import Final

from uploader.text import plain

ITEM_TYPE_IDS: Final[dict[str, int]] = {
    "figure": 1, "media": 2, "dataset": 3, "poster": 5, "journal contribution": 6, "presentation": 7, "thesis": 8,
    "software": 9, "online resource": 11, "preprint": 12, "book": 13, "conference contribution": 14, "chapter": 15,
    "peer review": 16, "educational resource": 17, "report": 18, "standard": 19, "composition": 20, "funding": 21,
    "physical object": 22, "data management plan": 23, "workflow": 24, "monograph": 25, "performance": 26, "event": 27,
    "service": 28, "model": 29,
}  # fmt: skip
"""Ids of the item types, as filters and lists (`item_type`, `defined_type`) have them."""

ITEM_TYPES: Final = tuple(ITEM_TYPE_IDS)
"""Values of `defined_type`; an institution may allow fewer."""

ITEM_TYPE_ALIASES: Final = {
    "paper": "journal contribution", "article": "journal contribution", "journal article": "journal contribution",
    "code": "software", "data": "dataset", "fileset": "dataset", "image": "figure", "video": "media", "audio": "media",
    "book chapter": "chapter", "dissertation": "thesis", "slides": "presentation",
}  # fmt: skip

LICENSES: Final = {
    "CC BY 4.0": 1, "CC0": 2, "MIT": 3, "GPL": 4, "GPL 2.0+": 5, "GPL 3.0+": 6, "Apache 2.0": 7,
}  # fmt: skip
"""Licences of every account, with their ids; `/account/licenses` also has those of an institution."""

DEFAULT_LICENSE: Final = "CC BY 4.0"
"""The licence of a new item (observed)."""

LICENSE_ALIASES: Final = {
    "CC-BY-4.0": "CC BY 4.0", "CC BY": "CC BY 4.0", "Creative Commons Attribution 4.0 International": "CC BY 4.0",
    "CC0-1.0": "CC0", "CC0 1.0 Universal": "CC0", "MIT License": "MIT",
    "GPL-2.0-or-later": "GPL 2.0+", "GPL-3.0-or-later": "GPL 3.0+",
    "Apache-2.0": "Apache 2.0", "Apache License 2.0": "Apache 2.0",
}  # fmt: skip
"""Other names of the same licences, mainly SPDX."""

_LICENSE_ADDRESSES: Final = {
    "creativecommons.org/licenses/by/4.0": "CC BY 4.0", "creativecommons.org/publicdomain/zero/1.0": "CC0",
    "opensource.org/licenses/mit": "MIT", "opensource.org/license/mit": "MIT",
    "apache.org/licenses/license-2.0": "Apache 2.0", "opensource.org/licenses/apache-2.0": "Apache 2.0",
    "opensource.org/license/apache-2-0": "Apache 2.0",
}  # fmt: skip
_FIGSHARE_ADDRESSES: Final = {
    "gnu.org/copyleft/gpl": "GPL", "gnu.org/licenses/gpl": "GPL", "gnu.org/licenses/gpl-2.0": "GPL 2.0+",
    "gnu.org/licenses/old-licenses/gpl-2.0": "GPL 2.0+", "gnu.org/licenses/gpl-3.0": "GPL 3.0+",
}  # fmt: skip
"""Addresses that Figshare gives for its licences; elsewhere they may mean another one, such as GPL 3.0 alone."""
_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/licenses/(by[a-z-]*)/(\d\.\d)")

RELATIONS: Final = (
    "IsCitedBy", "Cites", "IsSupplementTo", "IsSupplementedBy", "IsContinuedBy", "Continues", "Describes",
    "IsDescribedBy", "HasMetadata", "IsMetadataFor", "HasVersion", "IsVersionOf", "IsNewVersionOf",
    "IsPreviousVersionOf", "IsPartOf", "HasPart", "IsPublishedIn", "IsReferencedBy", "References", "IsDocumentedBy",
    "Documents", "IsCompiledBy", "Compiles", "IsVariantFormOf", "IsOriginalFormOf", "IsIdenticalTo", "IsReviewedBy",
    "Reviews", "IsDerivedFrom", "IsSourceOf", "IsRequiredBy", "Requires", "IsObsoletedBy", "Obsoletes",
)  # fmt: skip

DEFAULT_RELATION: Final = "References"
"""The relation of a related material, unless given."""

IDENTIFIER_TYPES: Final = (
    "ARK", "arXiv", "bibcode", "DOI", "EAN13", "EISSN", "Handle", "IGSN", "ISBN", "ISSN", "ISTC", "LISSN", "LSID",
    "PMID", "PURL", "UPC", "URL", "URN", "w3id",
)  # fmt: skip


def own_license(name: str) -> str | None:
    """Return Figshare's name of a standard licence given by name, in any spelling, or address; None for any other."""
    known = {plain(one): one for one in LICENSES}
    known |= {plain(one): meant for one, meant in LICENSE_ALIASES.items()}
    key = plain(name.rpartition("spdx.org/licenses/")[2].removesuffix(".html"))
    return known.get(key) or _LICENSE_ADDRESSES.get(_license_address(name))


def license_at(address: str) -> str | None:
    """Return the name of the licence that Figshare gives this address, None if it is unknown."""
    plain_address = _license_address(address)
    found = own_license(address) or _FIGSHARE_ADDRESSES.get(plain_address)
    if found is None and (parts := _CREATIVE_COMMONS.fullmatch(plain_address)) is not None:
        found = f"CC {parts[1].upper()} {parts[2]}"
    return found


def _license_address(text: str) -> str:
    """Return an address without what differs between spellings of the same one."""
    return re.sub(r"^https?://(www\.)?|(/legalcode)?(\.[a-z]{2})?(\.html|\.txt)?/?$", "", text.strip().lower())
