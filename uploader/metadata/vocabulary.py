"""Figshare's fixed words: item types, its own licences, relations and identifier types, and what else they are called.

Categories, groups and an institution's licences are asked for instead (`names`). Sources: the official API description
(ArticleCreate, RelatedMaterial, item_type) and the public list of licences.
"""

from __future__ import annotations

from typing import Final

ITEM_TYPES: Final = (
    "figure", "media", "dataset", "poster", "journal contribution", "presentation", "thesis", "software",
    "online resource", "preprint", "book", "conference contribution", "chapter", "peer review", "educational resource",
    "report", "standard", "composition", "funding", "physical object", "data management plan", "workflow", "monograph",
    "performance", "event", "service", "model",
)  # fmt: skip
"""What `defined_type` may be; an institution may allow fewer."""

ITEM_TYPE_ALIASES: Final = {
    "paper": "journal contribution", "article": "journal contribution", "journal article": "journal contribution",
    "code": "software", "data": "dataset", "fileset": "dataset", "image": "figure", "video": "media", "audio": "media",
    "book chapter": "chapter", "dissertation": "thesis", "slides": "presentation",
}  # fmt: skip

LICENSES: Final = {
    "CC BY 4.0": 1, "CC0": 2, "MIT": 3, "GPL": 4, "GPL 2.0+": 5, "GPL 3.0+": 6, "Apache 2.0": 7,
}  # fmt: skip
"""The licences that every account has, with their ids; `/account/licenses` has those of an institution too."""

DEFAULT_LICENSE: Final = "CC BY 4.0"
"""The licence of a new item of which nobody says one (observed)."""

LICENSE_ALIASES: Final = {
    "CC-BY-4.0": "CC BY 4.0", "CC BY": "CC BY 4.0", "Creative Commons Attribution 4.0 International": "CC BY 4.0",
    "CC0-1.0": "CC0", "CC0 1.0 Universal": "CC0", "MIT License": "MIT",
    "GPL-2.0-or-later": "GPL 2.0+", "GPL-3.0-or-later": "GPL 3.0+",
    "Apache-2.0": "Apache 2.0", "Apache License 2.0": "Apache 2.0",
}  # fmt: skip
"""What others call them, SPDX above all, where it is the same licence."""

RELATIONS: Final = (
    "IsCitedBy", "Cites", "IsSupplementTo", "IsSupplementedBy", "IsContinuedBy", "Continues", "Describes",
    "IsDescribedBy", "HasMetadata", "IsMetadataFor", "HasVersion", "IsVersionOf", "IsNewVersionOf",
    "IsPreviousVersionOf", "IsPartOf", "HasPart", "IsPublishedIn", "IsReferencedBy", "References", "IsDocumentedBy",
    "Documents", "IsCompiledBy", "Compiles", "IsVariantFormOf", "IsOriginalFormOf", "IsIdenticalTo", "IsReviewedBy",
    "Reviews", "IsDerivedFrom", "IsSourceOf", "IsRequiredBy", "Requires", "IsObsoletedBy", "Obsoletes",
)  # fmt: skip

DEFAULT_RELATION: Final = "References"
"""What a related material is to the item where nobody says it."""

IDENTIFIER_TYPES: Final = (
    "ARK", "arXiv", "bibcode", "DOI", "EAN13", "EISSN", "Handle", "IGSN", "ISBN", "ISSN", "ISTC", "LISSN", "LSID",
    "PMID", "PURL", "UPC", "URL", "URN", "w3id",
)  # fmt: skip
