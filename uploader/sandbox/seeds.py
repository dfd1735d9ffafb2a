"""The seeded records, by number: ordinary ones, and some with observed oddities. Pure.

The same seed gives the same records. Names, institutions and findings are fictitious.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from uploader.sandbox import categories
from uploader.sandbox.institutions import INSTITUTIONS, OWN, Institution
from uploader.sandbox.numbers import mixed

FIRST_ITEM: Final = 31_000_001
FIRST_AUTHOR: Final = 12_000_001
FIRST_ACCOUNT: Final = 2_100_001
NAMESAKES: Final = 6
"""How many of the first authors are called Jane Doe; every second has an ORCID iD."""
_BEGIN, _END = 1_325_376_000, 1_767_225_600  # 2012-01-01, 2026-01-01
_TOGETHER: Final = 8
"""Number of consecutive records that occasionally share one second of publication."""
_FOREVER: Final = None

_FIRST: Final = ("Ann", "Bo", "Chidi", "Dana", "Émile", "Fatima", "Grace", "Hiro", "Ines", "Jürgen", "Олена", "Li")
_LAST: Final = ("Bee", "Okafor", "Smith", "Novák", "García", "Tanaka", "O'Neil", "Müller", "Шевченко", "Wang", "Diallo")
_THINGS: Final = ("beavers", "glaciers", "reefs", "dialects", "enzymes", "bridges", "galaxies", "archives", "soils")
_WAYS: Final = ("Counting", "Modelling", "Mapping", "Notes on", "A survey of", "Measurements of", "Images of")
_PLACES: Final = ("in rivers", "at sea", "in Scotland", "since 1882", "by night", "under pressure", "in cities")
_TYPES: Final = ("dataset", "dataset", "dataset", "figure", "software", "journal contribution", "thesis", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A record. `metadata` has the fields of items.body that differ from the defaults; `authors` are numbers.

    `state` is public, draft, pending (in review), withdrawn, or hidden (wholly embargoed). `published` is seconds since
    the epoch, 0 for public without a date, None for never. `account` is a number, 0 the owner, None of another
    institution. `files` are sizes; `link` one link instead.
    """

    id: int
    state: str
    metadata: dict[str, Any]
    authors: Sequence[int]
    published: int | None
    created: int
    versions: int
    account: int | None
    files: tuple[int, ...] = ()
    link: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Odd:
    """An odd item, by its differences from an ordinary one."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    state: str = "public"
    undated: bool = False
    authors: int = 0
    """Number of authors; 0: as many as usual."""


_LONG: Final = "The river was measured every day. " * 589
ODD: Final = (
    _Odd(metadata={"title": "Public without a date"}, undated=True),
    _Odd(metadata={"title": ".RData", "doi": ""}),
    _Odd(metadata={"title": "In a journal", "doi": "10.1371/journal.pone.0123456.s001", "handle": "10779/DRO/DU:123"}),
    _Odd(metadata={"title": "<i>Castor fiber</i> &amp; the <b>dam</b><sub>2</sub>"}),
    _Odd(metadata={"title": "Of two\nlines"}),
    _Odd(metadata={"title": "=1+1"}),
    _Odd(metadata={"title": "+SUM(A1:A9)"}),
    _Odd(metadata={"title": "-2+3"}),
    _Odd(metadata={"title": "@echo off"}),
    _Odd(metadata={"title": '=HYPERLINK("https://example.org","x")', "tags": ["=1", "a|b", "c; d, e"]}),
    _Odd(metadata={"title": "Control \x01\x0b\x1f characters", "custom_fields": {"Note": "a\x00b\x08c"}}),
    _Odd(metadata={"title": "Beyond the plane \U0001f9ab\U00020bb7 \u2028 and \u2029 \u00a0 \ufeff"}),
    _Odd(metadata={"title": "Very long", "description": _LONG[:20_000]}),
    _Odd(metadata={"title": "Long field", "custom_fields": {"Methods": "m" * 40_000}}),
    _Odd(metadata={"title": "Old", "timeline": {"publisherPublication": "1882-06-05", "firstOnline": "1899-12-31"},
                   "custom_fields": {"Date collected": "1882-06-05", "Recorded on": "1899-12-31"}}),
    _Odd(metadata={"title": "Поле", "custom_fields": {"Досвід": "так", "Where, exactly?": "here", "Ends...": "x:y"}}),
    _Odd(metadata={"title": "Colliding names", "custom_fields": {
        "Issue": "7", "Language": ["en", "de"], "links": "none", "email": "a@example.org", "test": "", "title": "no",
        "Site ": "North", "site": "South", "Empty": []}}),
    _Odd(metadata={"title": "Many hands"}, authors=300),
    _Odd(metadata={"title": "Nobody known"}, authors=1),
    _Odd(metadata={"title": "Without a description", "description": ""}),
    _Odd(metadata={"title": "Catalogue record", "is_metadata_record": True, "metadata_reason": "Kept elsewhere"}),
    _Odd(metadata={"title": "Embargoed files", "embargo": {
        "until": 4102444800, "type": "file", "title": "Later", "reason": "Patent", "options": []}}),
    _Odd(metadata={"title": "Files never", "embargo": {
        "until": _FOREVER, "type": "file", "title": "", "reason": "Consent", "options": []}}),
    _Odd(metadata={"title": "Embargoed wholly", "embargo": {
        "until": 4102444800, "type": "article", "title": "", "reason": "", "options": []}}, state="hidden"),
    _Odd(metadata={"title": "Taken back"}, state="withdrawn"),
    _Odd(metadata={"title": "Still a draft"}, state="draft"),
    _Odd(metadata={"title": "Before review"}, state="pending"),
    _Odd(metadata={"title": "Funded by hand", "funding_list": [
        {"id": 5000001, "title": "A grant, typed", "grant_code": "", "funder_name": None, "is_user_defined": 1}]}),
)  # fmt: skip
"""The first seeded items, in this order; all are the owner's."""


def item(number: int, seed: int, count: int, accounts: int) -> Seed:
    """Return the item with this number (from 0) of `count`, owned by one of the `accounts`."""
    odd = ODD[number] if number < len(ODD) else _Odd()
    key = mixed(seed, number)
    state = odd.state if number < len(ODD) else _STATES.get(number % 100, "public")
    own = number < len(ODD) or key % 10 < 6
    institution = OWN if own else INSTITUTIONS[1 + key // 10 % 3]
    item_id = FIRST_ITEM + number
    published = _published(number, count)
    metadata = _metadata(key, item_id, institution, number) | dict(odd.metadata)
    if number % 100 == 5 and number >= len(ODD):
        metadata["embargo"] = {"until": 4102444800, "type": "file", "title": "", "reason": "", "options": []}
    people = odd.authors or 1 + key // 7 % 4
    account = (0 if number < len(ODD) or number % 50 == 0 else 1 + key // 11 % accounts) if own else None
    link = number % 100 == 6
    return Seed(
        id=item_id, state=state, metadata=metadata,
        authors=tuple((key // 13 + 17 * place) % (accounts + NAMESAKES) for place in range(people)),
        published=0 if odd.undated else None if state in {"draft", "pending", "hidden"} else published,
        created=published - 3600 * (1 + key % 200),
        versions=0 if state in {"draft", "pending"} else 1 + (key % 10 == 0),
        account=account, files=() if link or "is_metadata_record" in metadata else (1 + key % 10**7,), link=link,
    )  # fmt: skip


_STATES: Final = {1: "draft", 2: "pending", 3: "withdrawn", 4: "hidden"}


def _published(number: int, count: int) -> int:
    """Spread the dates over fourteen years, ascending; at times several records in one second."""
    place = number - number % _TOGETHER if number // _TOGETHER % 10 == 3 else number
    return _BEGIN + (_END - _BEGIN) * place // count


def _metadata(key: int, item_id: int, institution: Institution, number: int) -> dict[str, Any]:
    thing, way, where = _one(_THINGS, key), _one(_WAYS, key >> 8), _one(_PLACES, key >> 16)
    selectable = _selectable()
    groups = sorted(institution.groups)
    title = f"{way} {thing} {where}"
    return {
        "title": title,
        "description": f"<p>{title}: series {number}.</p>\n<p>For <b>tests</b>,\u00a0with &amp; without care.</p>" * 2,
        "tags": [thing, where.split()[-1], f"series {number % 40}"],
        "categories": [selectable[key % len(selectable)]],
        "defined_type": _one(_TYPES, key >> 24),
        "license": 1 + (key >> 32) % 7,
        "doi": f"10.5072/FK2.{institution.string_id}.{item_id}",
        "group_id": groups[(key >> 36) % len(groups)],
        "custom_fields": {"Site": ["North"], "Instrument": f"No. {key % 50}"} if key % 3 == 0 else {},
        "references": [f"https://example.org/{item_id}"] if key % 5 == 0 else [],
        "resource_doi": f"10.1234/paper.{key % 9999}" if key % 4 == 0 else None,
        "resource_title": "A paper" if key % 4 == 0 else None,
    }  # fmt: skip


@functools.cache
def _selectable() -> tuple[int, ...]:
    return tuple(number for number, one in categories.categories().items() if one["is_selectable"])


def author(number: int) -> dict[str, Any]:
    """Return an author as the API shows it. The first ones are namesakes."""
    key = mixed(number)
    first, last = ("Jane", "Doe") if number < NAMESAKES else (_one(_FIRST, key), _one(_LAST, key >> 8))
    if number >= NAMESAKES and key % 4:
        last = f"{last}-{_one(_LAST, key >> 12)}"
    full = f"{first} {last}"
    return {
        "id": FIRST_AUTHOR + number, "full_name": full, "first_name": first, "last_name": last,
        "is_active": number >= NAMESAKES, "url_name": full.replace(" ", "_"),
        "orcid_id": orcid(number) if number % 2 == 0 else "",
    }  # fmt: skip


def orcid(number: int) -> str:
    """Return an ORCID iD with a valid check digit (ISO 7064 11,2), from the range that ORCID uses."""
    digits = f"{15_000_000 + number:015d}"
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    text = digits + ("X" if check == 10 else str(check))
    return "-".join(text[place : place + 4] for place in range(0, 16, 4))


def _one(choices: Sequence[str], key: int) -> str:
    return choices[key % len(choices)]
