"""Check all records of a file with Figshare before the first item is created: names, ids, custom fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uploader.errors import MetadataInvalid
from uploader.items.payload import ItemPayload
from uploader.items.service import Lookup
from uploader.metadata.description import Description, resolve
from uploader.metadata.load import Loaded
from uploader.metadata.problems import Problem, invalid
from uploader.metadata.resolve import Resolver
from uploader.records.formats import RecordFile
from uploader.records.model import Record


@dataclass(frozen=True, kw_only=True)
class CheckedRecord:
    """A record whose names exist on Figshare. `payload` has all fields but the title, which is the record's."""

    record: Record
    payload: ItemPayload


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The records of a file in their order; those with problems are missing."""

    path: Path
    records: list[CheckedRecord]
    problems: list[Problem]
    remarks: list[str]

    def raise_problems(self) -> None:
        """Raise MetadataInvalid with all problems, if there are any."""
        if self.problems:
            raise invalid(str(self.path), self.problems)


async def check(file: RecordFile, lookup: Lookup) -> Checked:
    """Resolve every name of every record: lists are requested once. Creates nothing. Problems are returned.

    They include those of `file`.
    """
    names = Resolver(lookup=lookup)
    records: list[CheckedRecord] = []
    problems = list(file.problems)
    remarks: dict[str, None] = {}
    for record in file.records:
        part = Loaded(source="", kind="figup", metadata=record.metadata)
        try:
            found = await resolve(Description((part,)), names, publish=False)
        except MetadataInvalid as error:
            problems += [_problem(one, record.line, file.unit) for one in error.causes or (error,)]
            continue
        remarks.update(dict.fromkeys(found.remarks))
        records.append(CheckedRecord(record=record, payload=found.spec))
    return Checked(path=file.path, records=records, problems=problems, remarks=list(remarks))


def _problem(error: BaseException, line: int, unit: str) -> Problem:
    message = error.message if isinstance(error, MetadataInvalid) else str(error)
    return Problem(message=message, line=line, unit=unit)
