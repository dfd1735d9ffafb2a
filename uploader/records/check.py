"""Check all records of a file with Figshare before the first item is created: names, ids, custom fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio.lowlevel
import msgspec

from uploader.concurrency import in_batches, in_thread
from uploader.errors import FigupError, MetadataInvalid
from uploader.figshare.models import CustomField
from uploader.items.checks import required_fields
from uploader.items.payload import ItemPayload
from uploader.items.release import REQUIRED_TO_PUBLISH
from uploader.items.service import Lookup
from uploader.metadata.description import Description, resolve
from uploader.metadata.load import Loaded
from uploader.metadata.model import Metadata
from uploader.metadata.problems import Problem, invalid
from uploader.metadata.resolve import Resolver, UnknownName, Unresolvable
from uploader.records.formats import RecordFile
from uploader.records.model import Record

T = TypeVar("T")
_BY_DEFAULT = frozenset({"authors", "license", "type"})
"""Required fields that a new item has anyway."""


@dataclass(frozen=True, kw_only=True)
class CheckedRecord:
    """A record whose names exist on Figshare. `payload` has all fields but the title, which is the record's."""

    record: Record
    payload: ItemPayload


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Findings in the records of a file.

    `lacking` has the fields that are required to publish, with the number of records without them. `remarks` are lines
    for the user.
    """

    path: Path
    problems: list[Problem]
    lacking: dict[str, int]
    remarks: list[str]
    defaults: MetadataInvalid | None = None
    """Problems of the file of defaults."""

    def raise_problems(self) -> None:
        """Raise MetadataInvalid with all problems, those of the defaults first, if there are any."""
        if self.defaults is not None:
            raise self.defaults
        if self.problems:
            raise invalid(str(self.path), self.problems, situation="records-format")


async def check(
    file: RecordFile,
    lookup: Lookup,
    *,
    publish: bool = False,
    take: Callable[[Sequence[CheckedRecord]], None] | None = None,
) -> Checked:
    """Resolve every name of every record. Creates nothing. Problems are returned, those of `file` included.

    Each list is requested once, and each grant and author is looked up once. `publish`: a record that lacks what is
    required to publish has a problem. `take` gets the records without problems, in their order, some at a time, in a
    thread. Raises what requests raise.
    """
    return await _Check(file=file, names=_Names(lookup=lookup), publish=publish, take=take).run()


@dataclass(kw_only=True)
class _Check:
    file: RecordFile
    names: _Names
    publish: bool
    take: Callable[[Sequence[CheckedRecord]], None] | None
    problems: list[Problem] = field(default_factory=list)
    lacking: Counter[str] = field(default_factory=Counter)
    remarks: dict[str, None] = field(default_factory=dict)

    async def run(self) -> Checked:
        self.problems += self.file.problems
        wrong = await self._defaults()
        known = {_bare(one) for one in _each(wrong)}
        async for some in in_batches(self.file.records):
            valid: list[CheckedRecord] = []
            for record in some:
                await anyio.lowlevel.checkpoint()
                valid += await self._record(record, known)
            if self.take is not None:
                await in_thread(self.take, valid)
        return Checked(
            path=self.file.path, problems=self.problems, lacking=dict(self.lacking), remarks=list(self.remarks),
            defaults=wrong,
        )  # fmt: skip

    async def _defaults(self) -> MetadataInvalid | None:
        """Return the problems of the defaults, which are not those of every record."""
        if self.file.defaults is None:
            return None
        try:
            await resolve(Description((self.file.defaults,)), self.names, publish=False)
        except MetadataInvalid as error:
            return error
        return None

    async def _record(self, record: Record, known: set[str]) -> Iterable[CheckedRecord]:
        """Return the record if it has no problem."""
        if self.file.is_harvested:
            record = await self._with_known_license(record)
        part = Loaded(source="", kind="figup", metadata=record.metadata)
        try:
            found = await resolve(Description((part,)), self.names, publish=False)
        except MetadataInvalid as error:
            new = (one for one in _each(error) if _bare(one) not in known)
            self.problems += [self._problem(record, one) for one in new]
            return ()
        self.remarks.update(dict.fromkeys(one.removeprefix(": ") for one in found.remarks))
        absent = [*missing_fields(record.metadata), *await self.names.missing_fields(found.spec)]
        self.lacking.update(absent)
        if absent and self.publish:
            message = f"lacks what is required to publish: {', '.join(absent)}"
            self.problems.append(Problem(message=message, line=record.line, unit=self.file.unit))
            return ()
        return (CheckedRecord(record=record, payload=found.spec),)

    async def _with_known_license(self, record: Record) -> Record:
        """Return the record with the licence of the defaults in place of a publisher's that Figshare does not have."""
        own, default = record.metadata.license, self.file.default_license
        if own is None or default is None:
            return record
        try:
            await self.names.license(own)
        except (UnknownName, Unresolvable):
            self.remarks[f"license: Figshare does not have {own!r}; that of the defaults, {default}, is used"] = None
            return msgspec.structs.replace(record, metadata=msgspec.structs.replace(record.metadata, license=default))
        return record

    def _problem(self, record: Record, error: FigupError) -> Problem:
        name, hint = error.field if isinstance(error, MetadataInvalid) else "", error.hint
        if name == "license" and self.file.is_harvested:
            hint = "Give a licence in the defaults: it takes the place of those that Figshare does not have."
        return Problem(
            message=_bare(error), field=name, line=record.line, unit=self.file.unit,
            hint=hint, situation=error.facts.situation,
        )  # fmt: skip


def _bare(error: FigupError) -> str:
    """Return a message without its file, line and field."""
    name = error.field if isinstance(error, MetadataInvalid) else ""
    return error.message.rpartition(f"{name}: ")[2] if name else error.message


def missing_fields(metadata: Metadata) -> list[str]:
    """Return the fields that are required to publish, that a new item does not have anyway, and that are not set."""
    present = metadata.present_fields()
    return [name for name in REQUIRED_TO_PUBLISH if name not in present and name not in _BY_DEFAULT]


def _each(error: FigupError | None) -> Iterable[FigupError]:
    return () if error is None else error.causes or (error,)


@dataclass(kw_only=True)
class _Names(Resolver):
    """Looks up each name once, however many records have it, and remembers those that are unknown."""

    _results: dict[tuple[str, object], object] = field(default_factory=dict)

    async def _once(self, kind: str, name: object, ask: Callable[[], Awaitable[T]]) -> T:
        key = (kind, name)
        if key not in self._results:
            try:
                self._results[key] = await ask()
            except (UnknownName, Unresolvable) as error:
                self._results[key] = error
        found = self._results[key]
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found  # type: ignore[return-value]

    async def category(self, name: str | int) -> int:
        return await self._once("category", name, lambda: super(_Names, self).category(name))

    async def license(self, wanted: str | int) -> int:
        return await self._once("license", wanted, lambda: super(_Names, self).license(wanted))

    async def group(self, name: str | int) -> int:
        return await self._once("group", name, lambda: super(_Names, self).group(name))

    async def author(self, author_id: int) -> int:
        return await self._once("author", author_id, lambda: super(_Names, self).author(author_id))

    async def grant(self, name: str | int) -> str | int:
        return await self._once("grant", name, lambda: super(_Names, self).grant(name))

    async def custom_fields(self, group: int | None, needed: Iterable[str]) -> list[CustomField]:
        names = frozenset(needed)
        return await self._once("fields", (group, names), lambda: super(_Names, self).custom_fields(group, names))

    async def missing_fields(self, spec: ItemPayload) -> list[str]:
        """Return the custom fields that are required in the item's group and have no value."""
        group = spec.fields.get("group_id")
        required = await self._once("required", group, lambda: required_fields(self.lookup, group))
        filled = {one["name"] for one in spec.fields.get("custom_fields_list", ()) if one["value"]}
        return [name for name in required if name not in filled]
