"""Facts from Figshare that a report of the administration pages lacks: events of records, names of funders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from uploader.catalog.failures import Failures
from uploader.catalog.kept import ResponseCache
from uploader.catalog.report import values as v
from uploader.catalog.report.columns import Column, Entry
from uploader.catalog.statistics.counting import Counting
from uploader.errors import ItemNotFound, ProtocolViolation, RequestRejected, ServerFailing
from uploader.figshare.ids import Kind
from uploader.figshare.records import Record

_COUNTERS: Final = ("views", "downloads", "shares", "cites")
_OF_ONE_RECORD: Final = (ItemNotFound, ProtocolViolation, RequestRejected, ServerFailing)


class AdditionsService(Protocol):
    """The request needed; `uploader.figshare.records_api.Records` has it."""

    async def record(self, kind: Kind, number: int, *, public: bool, version: int | None = None) -> Record: ...


@dataclass(kw_only=True)
class Additions:
    """The facts that were read, by the ids of records; `failures` name what could not be read."""

    numbers: dict[int, dict[str, int | None]] = field(default_factory=dict)
    funding: dict[int, list[Any]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    _counting: Failures = field(default_factory=lambda: Failures(None), init=False)
    _reading: Failures = field(default_factory=lambda: Failures(None), init=False)

    def to(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the records with what was read."""
        for entry in entries:
            number = entry.raw.get("id", 0)
            added: dict[str, Any] = dict(self.numbers.get(number, {}))
            if (grants := self.funding.get(number)) is not None:
                added["funding_list"] = grants
            missing = "; ".join(filter(None, (entry.missing, self.failures.get(number))))
            yield replace(entry, full={**entry.raw, **added}, missing=missing)

    async def count(self, counting: Counting, number: int) -> None:
        """Read the events of a record, of all time. Raises the error if many in a row failed."""
        async with self._noting(number, self._counting):
            totals = await counting.totals("article", number)
            self.numbers[number] = {name: getattr(totals, name) for name in _COUNTERS}

    async def find_funders(self, source: AdditionsService, kept: ResponseCache, number: int) -> None:
        """Read the grants of a public record with their funders. Raises as `count` does."""

        async def grants(number: int) -> list[Any]:
            return list(v.entries((await source.record("item", number, public=True)).raw, "funding_list"))

        async with self._noting(number, self._reading):
            self.funding[number] = await kept.get(grants, number)

    @asynccontextmanager
    async def _noting(self, number: int, failures: Failures) -> AsyncIterator[None]:
        try:
            yield
        except _OF_ONE_RECORD as error:
            await failures.accept(error)
            self.failures[number] = "; ".join(filter(None, (self.failures.get(number), error.message)))
        else:
            failures.reset()


def public_ids(entries: Iterable[Entry]) -> Sequence[int]:
    """Return the ids of public records, each once."""
    return list(dict.fromkeys(entry.raw["id"] for entry in entries if v.flag(entry.raw.get("is_public")) is not False))


def _text(name: str, meaning: str, key: str | None = None) -> Column:
    return Column(name=name, meaning=meaning, read=lambda _, raw: v.text(raw.get(key or name)))


def _number(name: str, meaning: str) -> Column:
    return Column(name=name, meaning=meaning, read=lambda _, raw: v.number(raw.get(name)), kind="number")


COLUMNS: Final = (
    _text("status", "public, private or draft"),
    _text("private_link", "address of its private link"),
    _text("linked_address", "address that its file is a link to", "linked_file"),
    _text("embargo_title", "title of the embargo"),
    *(_number(name, f"{name} of all time") for name in _COUNTERS),
)
"""Columns that these records have beside those of other reports."""
