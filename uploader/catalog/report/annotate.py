"""Annotate the records of a report: names of groups and owners, numbers, the author that matched. Pure.

Records that do not belong in the table are left out and counted; a group or owner without a name keeps its number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from uploader.catalog.report import values as v
from uploader.catalog.report.columns import Entry
from uploader.catalog.report.values import Cell, Raw
from uploader.figshare.records import RowKind
from uploader.text import words

COUNTERS = ("views", "downloads", "shares", "cites")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The selection of a report's records and facts for a table.

    `states` None: all. `versions`: a row for each public version. `author`, `orcid` and `author_ids` are those of a
    report on an author; `strict`: not by the name alone. `scope`: the portal whose numbers are shown.
    """

    states: frozenset[str] | None = None
    versions: bool = False
    emails: bool = True
    author: str | None = None
    orcid: str | None = None
    author_ids: frozenset[int] = frozenset()
    strict: bool = False
    scope: str | None = None


@dataclass(kw_only=True)
class Findings:
    """Findings while a table was made, for people. All but `versions` and `custom_names` are counts by name.

    `candidates` are authors of the wanted name, by id: the name, and in how many records.
    """

    records: int = 0
    versions: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    unnamed: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    uncounted: int = 0
    candidates: dict[int, tuple[str, int]] = field(default_factory=dict)
    custom_names: set[str] = field(default_factory=set)


class Annotator:
    """Chooses the rows of one table and adds to them. `groups` and `accounts` are rows of the institution's lists."""

    def __init__(self, choice: Choice, *, groups: Iterable[Raw] = (), accounts: Iterable[Raw] = ()) -> None:
        self._choice = choice
        self._groups: dict[int | float, Raw] = {int(one["id"]): one for one in groups}
        self._accounts: dict[int | float, Raw] = {int(one["id"]): one for one in accounts}
        self._matching = Matching(choice) if choice.author or choice.orcid else None

    def learn(self, entries: Iterable[Entry]) -> None:
        """Learn which author ids belong to the ORCID iD, before the records are matched."""
        if self._matching is not None:
            for entry in entries:
                self._matching.learn(entry.raw)

    def rows(self, entries: Iterable[Entry], findings: Findings) -> Iterator[Entry]:
        """Yield the rows of the table, and note in `findings` what was found."""
        for entry in entries:
            findings.records += 1
            match = self._match(entry, findings)
            if match is None:
                continue
            findings.custom_names.update(v.custom_fields(entry.raw))
            added = self._people(entry, findings) | match
            yield replace(self._without_email(entry), added=added | self._numbers(entry, findings))
            for version in entry.versions if self._choice.versions else ():
                findings.versions += 1
                findings.custom_names.update(v.custom_fields(version))
                yield replace(entry, full=version, numbers=None, counted=None, countries={}, versions=(), items=(),
                              added=added)  # fmt: skip

    def names(self) -> dict[RowKind, list[Entry]]:
        """Return the rows of the institution's lists, with what is known beyond them."""
        groups = [
            Entry(kind="group", row=one, full=None, added={"group_path": " / ".join(self._path(int(number)))})
            for number, one in self._groups.items()
        ]
        accounts = [Entry(kind="account", row=one, full=None) for one in self._accounts.values()]
        emails = [replace(self._without_email(one), added=self._people(one, Findings())) for one in accounts]
        return {"group": groups, "account": emails}

    def _match(self, entry: Entry, findings: Findings) -> dict[str, Cell] | None:
        """Return the match of a record that belongs in the table, None for any other record."""
        states, reason = self._choice.states, ""
        if states is not None and entry.full is not None and (state := v.state(entry.raw)) not in states:
            reason = state
        elif self._matching is not None and entry.full is not None:
            found = self._matching.match(entry.raw, findings.candidates)
            if isinstance(found, Mapping):
                return found
            reason = found
        if reason:
            findings.excluded[reason] += 1
            return None
        return {}

    def _people(self, entry: Entry, findings: Findings) -> dict[str, Cell]:
        raw, added = entry.raw, dict[str, Cell]()
        if entry.kind == "account":
            return {"email": v.text(raw.get("email"))} if self._choice.emails else {}
        if self._groups and (group := v.number(raw.get("group_id"))):
            path = self._path(int(group))
            findings.unnamed["group"] += not path
            if path:
                added |= {"group": path[-1], "group_path": " / ".join(path), "parent_group": path[-2:][0]}
        if self._accounts and (owner := v.number(raw.get("account_id"))):
            account = self._accounts.get(owner)
            findings.unnamed["owner"] += account is None
            added["owner_name"] = _name(account)
            added["owner_email"] = v.text((account or {}).get("email")) if self._choice.emails else None
        if self._accounts and (reviewer := v.number(raw.get("assigned_to"))):
            added["reviewer"] = _name(self._accounts.get(reviewer))
        return added

    def _path(self, group: int) -> list[str]:
        """Return the names of the groups from the top group to this one, empty if it is not known."""
        path: list[str] = []
        seen: set[int] = set()
        while (one := self._groups.get(group)) is not None and group not in seen:
            seen.add(group)
            path.insert(0, v.text(one.get("name")) or str(group))
            group = int(v.number(one.get("parent_id")) or 0)
        return path

    def _numbers(self, entry: Entry, findings: Findings) -> dict[str, Cell]:
        if entry.numbers is None or entry.counted is None:
            findings.uncounted += 1
            return {}
        counts = {name: v.number(entry.numbers.get(name)) for name in COUNTERS}
        for name, count in counts.items():
            if count is not None:
                findings.sums[name] += int(count)
        as_of = f"{datetime.fromtimestamp(entry.counted, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {
            **counts, "stats_scope": self._choice.scope or "everywhere",
            "stats_since": v.text(entry.numbers.get("since")), "stats_as_of": as_of,
        }  # fmt: skip

    def _without_email(self, entry: Entry) -> Entry:
        if entry.kind != "account" or self._choice.emails:
            return entry
        hidden = [None if one is None else {name: one[name] for name in one if name != "email"}
                  for one in (entry.row, entry.full)]  # fmt: skip
        return replace(entry, row=hidden[0] or {}, full=hidden[1])


class Matching:
    """Matches records with the wanted author: by ORCID iD, by author id, or by name alone."""

    def __init__(self, choice: Choice) -> None:
        self._orcid, self._strict = choice.orcid, choice.strict
        self._chosen = choice.author_ids
        self._ids = set(choice.author_ids)
        self._words = frozenset(words(choice.author or ""))

    def learn(self, record: Raw) -> None:
        """Add the ids of authors that have the ORCID iD."""
        self._ids.update(
            int(number)
            for one in _authors(record)
            if self._orcid and one.get("orcid_id") == self._orcid and (number := v.number(one.get("id"))) is not None
        )

    def match(self, record: Raw, candidates: dict[int, tuple[str, int]]) -> dict[str, Cell] | str:
        """Return the match, or the reason why there is none. Counts authors of the name in `candidates`."""
        other = False
        found: dict[str, Mapping[str, object]] = {}
        for one in _authors(record):
            orcid, number = v.text(one.get("orcid_id")), v.number(one.get("id"))
            named = bool(self._words) and self._words.issubset(words(v.text(one.get("full_name")) or ""))
            if self._orcid and orcid == self._orcid:
                found.setdefault("orcid", one)
            elif number in self._ids:
                found.setdefault("author_id", one)
            elif named and self._orcid and orcid:
                other = True
            elif named and not self._chosen:
                found.setdefault("name", one)
            if named and number is not None:
                name, count = candidates.get(int(number), (v.text(one.get("full_name")) or "", 0))
                candidates[int(number)] = name, count + 1
        for by in ("orcid", "author_id", "name"):
            if by in found and not (by == "name" and self._strict):
                name = v.authors({"authors": [found[by]]})[0]
                return {"matched_by": by, "matched_author": name}
        if "name" in found:
            return "matched by name alone"
        return "of a namesake with another ORCID iD" if other else "of other authors"


def _authors(record: Raw) -> list[Mapping[str, object]]:
    return [one for one in v.entries(record, "authors") if isinstance(one, Mapping)]


def _name(account: Raw | None) -> str | None:
    if account is None:
        return None
    return " ".join(filter(None, (v.text(account.get(key)) for key in ("first_name", "last_name")))) or None
