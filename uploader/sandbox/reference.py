"""Figshare's fixed lists as far as the sandbox needs them, and the sandbox's one account."""

from __future__ import annotations

from typing import Any, Final

LICENSES: Final[dict[int, dict[str, Any]]] = {
    value: {"value": value, "name": name, "url": url}
    for value, name, url in (
        (1, "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
        (2, "CC0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        (3, "MIT", "https://opensource.org/licenses/MIT"),
        (4, "GPL", "https://www.gnu.org/copyleft/gpl.html"),
        (5, "GPL 2.0+", "https://www.gnu.org/licenses/gpl-2.0.html"),
        (6, "GPL 3.0+", "https://www.gnu.org/licenses/gpl-3.0.html"),
        (7, "Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0.html"),
    )
}

ITEM_TYPES: Final[dict[str, int]] = {
    "figure": 1, "media": 2, "dataset": 3, "poster": 5, "journal contribution": 6, "presentation": 7, "thesis": 8,
    "software": 9, "online resource": 11, "preprint": 12, "book": 13, "conference contribution": 14, "chapter": 15,
    "peer review": 16, "educational resource": 17, "report": 18, "standard": 19, "composition": 20, "funding": 21,
    "physical object": 22, "data management plan": 23, "workflow": 24, "monograph": 25, "performance": 26,
    "event": 27, "service": 28, "model": 29,
}  # fmt: skip

CATEGORIES: Final[dict[int, dict[str, Any]]] = {
    number: {
        "id": number, "title": title, "parent_id": parent, "path": path, "source_id": source, "taxonomy_id": 100,
        "is_selectable": selectable, "has_children": not selectable,
    }
    for number, title, parent, path, source, selectable in (
        (24130, "Biological sciences", 0, "/24130", "31", False),
        (24397, "Zoology", 24130, "/24130/24397", "3109", False),
        (24418, "Animal physiological ecology", 24397, "/24130/24397/24418", "310907", True),
        (24421, "Animal systematics and taxonomy", 24397, "/24130/24397/24421", "310910", True),
        (26857, "Information and computing sciences", 0, "/26857", "46", False),
        (27121, "Data management and data science", 26857, "/26857/27121", "4605", False),
        (27124, "Data engineering and data science", 27121, "/26857/27121/27124", "460501", True),
        (27127, "Data quality", 27121, "/26857/27121/27127", "460504", True),
    )
}  # fmt: skip
"""A few of the real ones: a number that is not here may not be set, as one that an account may not use."""

ACCOUNT_ID: Final = 2000001
OWNER_NAME: Final = ("Sandbox Owner", "Sandbox", "Owner", "")
"""Full name, first name, last name, ORCID of the account's owner."""
