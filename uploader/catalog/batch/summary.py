"""Count the records of a report by state, licence, embargo, link, funder and category. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from uploader.catalog.report import values as v
from uploader.catalog.report.columns import Entry
from uploader.catalog.report.values import Raw

_SCHEME = re.compile(r"https?://(www\.)?")
RANKED: Final = {
    "states": "States", "types": "Types", "licences": "Licences", "categories": "Categories", "funders": "Funders",
    "grants": "Grants", "groups": "Groups",
}  # fmt: skip
"""The attributes that are counted by value, with a label for each."""


@dataclass(kw_only=True)
class Summary:
    """Counts of records. `linked_to_publication` records have the DOI of a publication; `publications` is the number of
    these.

    `counts` has, for each name in `RANKED`, how many records have a value; `views` and `downloads` their events. A
    record has several categories, funders and grants. `counted` is the number of records with events.
    """

    records: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    embargoed_files: int = 0
    embargoed_wholly: int = 0
    metadata_only: int = 0
    linked: int = 0
    linked_to_publication: int = 0
    publications: int = 0
    counted: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in RANKED})
    views: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in RANKED})
    downloads: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in RANKED})

    def ranked(self, name: str, most: int | None = None) -> list[tuple[str, int]]:
        """Return the values of a kind with their numbers of records, the most frequent first."""
        pairs = sorted(self.counts[name].items(), key=lambda pair: (-pair[1], pair[0]))
        return pairs[:most]

    def most_viewed(self, name: str, most: int) -> list[tuple[str, int]]:
        """Return the values of a kind with the views of their records, the most viewed first."""
        return sorted(self.views[name].items(), key=lambda pair: (-pair[1], pair[0]))[:most]

    def views_a_record(self, name: str, value: str) -> float:
        """Return the views of the records with a value, by record."""
        return self.views[name][value] / self.counts[name][value]

    def most_viewed_each(self, name: str, most: int) -> list[tuple[str, float]]:
        """Return the values of a kind with the views by record, the greatest first."""
        pairs = ((value, self.views_a_record(name, value)) for value in self.counts[name])
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:most]

    @property
    def linked_share(self) -> float:
        """The share of records that have the DOI of a publication, from 0 to 1."""
        return self.linked_to_publication / self.records if self.records else 0.0

    def facts(self) -> list[tuple[str, int]]:
        """Return the numbers that are not by name, with their labels."""
        return [
            ("Records", self.records),
            *((f"Status {name}", count) for name, count in sorted(self.statuses.items())),
            ("Embargoed files", self.embargoed_files),
            ("Embargoed wholly", self.embargoed_wholly),
            ("Metadata only", self.metadata_only),
            ("Linked file", self.linked),
            (f"Linked to a publication ({self.linked_share:.0%})", self.linked_to_publication),
            ("Different publications", self.publications),
        ]

    def events(self) -> list[tuple[str, int]]:
        """Return views and downloads of all records, empty if they were not counted."""
        if not self.counted:
            return []
        states = (self.views["states"], self.downloads["states"])
        return [("Views", states[0].total()), ("Downloads", states[1].total())]


def summarize(entries: Iterable[Entry]) -> Summary:
    """Return the summary of records."""
    summary = Summary()
    publications: set[str] = set()
    for entry in entries:
        _add(summary, entry.raw, publications)
    summary.publications = len(publications)
    return summary


def _add(summary: Summary, raw: Raw, publications: set[str]) -> None:
    summary.records += 1
    if (status := v.text(raw.get("status"))) is not None:
        summary.statuses[status] += 1
    if v.flag(raw.get("is_embargoed")):
        whole = v.text(raw.get("embargo_type")) != "file"
        summary.embargoed_wholly += whole
        summary.embargoed_files += not whole
    summary.metadata_only += bool(v.flag(raw.get("is_metadata_record")))
    summary.linked += bool(v.flag(raw.get("has_linked_file")))
    if (doi := v.text(raw.get("resource_doi"))) is not None:
        summary.linked_to_publication += 1
        publications.add(doi.lower())
    views, downloads = (v.number(raw.get(name)) for name in ("views", "downloads"))
    summary.counted += views is not None
    for name in RANKED:
        for value in dict.fromkeys(_values(name, raw)):
            summary.counts[name][value] += 1
            summary.views[name][value] += int(views or 0)
            summary.downloads[name][value] += int(downloads or 0)


def _values(name: str, raw: Raw) -> Sequence[str]:
    """Return the values of a record that are counted under this name."""
    match name:
        case "states":
            return (v.state(raw),)
        case "types":
            found = v.text(raw.get("defined_type_name"))
        case "licences":
            address = v.text(v.part(raw, "license", "url")) or ""
            found = v.text(v.part(raw, "license", "name")) or _SCHEME.sub("", address) or None
        case "groups":
            found = v.text(raw.get("group_id"))
        case "categories":
            return v.texts(raw, "categories", "title")
        case "funders":
            return v.texts(raw, "funding_list", "funder_name")
        case _:
            return v.texts(raw, "funding_list", "title")
    return (found,) if found is not None else ()
