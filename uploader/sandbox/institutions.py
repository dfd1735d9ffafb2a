"""The institutions and their groups. The first is the one of the accounts here; the others only have public records.

All are fictitious. The others, and the further groups of the first, are there once records were seeded.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

from uploader.sandbox.reference_data import GROUPS, INSTITUTION, TOP_GROUP, group


@dataclass(frozen=True, slots=True, kw_only=True)
class Institution:
    """An institution. `string_id` names it in addresses; its pages are at `portal`, "" for the sandbox's own.

    `groups` maps ids to names and parents; the top group has the parent 0.
    """

    id: int
    name: str
    string_id: str
    portal: str
    groups: dict[int, tuple[str, int]]

    @property
    def domain(self) -> str | None:
        """The host of the portal, None for the sandbox's own."""
        return self.portal.removeprefix("https://") or None


_FACULTIES: Final = ("Arts", "Engineering", "Law", "Medicine")
_SCHOOLS: Final = ("History", "Physics", "Ethics")


def _tree(top: int, name: str, above: int = 0) -> dict[int, tuple[str, int]]:
    """Return a group with a tree of two levels below it: four faculties of three schools each."""
    found = {top: (name, above)}
    for number, faculty in enumerate(_FACULTIES):
        parent = top + 10 * (number + 1)
        found[parent] = (f"Faculty of {faculty}", top)
        found |= {parent + 1 + place: (f"{school}, {faculty}", parent) for place, school in enumerate(_SCHOOLS)}
    return found


_OWN: Final = {number: (one["name"], one["parent_id"]) for number, one in GROUPS.items()}

INSTITUTIONS: Final = (
    Institution(
        id=INSTITUTION["id"], name=INSTITUTION["name"], string_id="sandbox", portal="",
        groups=_OWN | _tree(2110, "Colleges", TOP_GROUP),
    ),
    Institution(
        id=2300, name="Harbour Institute of Technology", string_id="harbour", portal="https://data.harbour.example",
        groups=_tree(2310, "Harbour Institute of Technology"),
    ),
    Institution(
        id=2400, name="University of the Fells", string_id="fells", portal="https://fells.figshare.invalid",
        groups=_tree(2410, "University of the Fells"),
    ),
    Institution(
        id=2500, name="Национальный архив наблюдений", string_id="archive", portal="https://archive.example",
        groups=_tree(2510, "Национальный архив наблюдений"),
    ),
)  # fmt: skip
OWN: Final = INSTITUTIONS[0]
_UNSEEN: Final = frozenset({2153})
"""Groups of the first institution that are hidden from its administrator; items can still be in them."""


@functools.cache
def _by_group() -> dict[int, Institution]:
    return {number: one for one in INSTITUTIONS for number in one.groups}


def institution_of(number: int | None) -> Institution:
    """Return the institution that a group belongs to; for no group that of the accounts here."""
    return _by_group().get(number or 0, OWN)


def seen_groups(*, seeded: bool) -> list[dict[str, Any]]:
    """Return the groups of the first institution as the API shows them; without seeded records only three."""
    if not seeded:
        return list(GROUPS.values())
    return [group(number, *one) for number, one in OWN.groups.items() if number not in _UNSEEN]


def subgroups(top: int) -> set[int]:
    """Return a group of the first institution and all those below it."""
    found = {top}
    while below := {number for number, (_, parent) in OWN.groups.items() if parent in found} - found:
        found |= below
    return found
