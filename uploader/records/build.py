"""Turn the fields of entries into records, and collect every problem, remark and unused field of a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from uploader.figshare.ids import parse_id
from uploader.metadata import identifiers
from uploader.metadata.cursor import Context
from uploader.metadata.load import Loaded, root_field
from uploader.metadata.model import Metadata
from uploader.metadata.parse import Document
from uploader.metadata.problems import Problem
from uploader.metadata.schema import Validator
from uploader.records.model import ItemKey, Record
from uploader.records.packed import Packed

_NEEDED: dict[ItemKey | None, str] = {
    None: "a record needs a doi or an id, by which it is found again",
    "doi": "a record needs the doi of its item",
    "id": "a record needs the id of its item: its number on Figshare, or the address of its page",
}
_DISPENSABLE = frozenset({"keywords", "type", "references", "related_materials", "funding", "timeline"})
"""Fields of a service's records whose invalid values are left out with a remark: the user cannot correct them."""

_NO_AUTHORS = "authors: none; the item keeps the account's owner as its author"
_INDEX = re.compile(r"\[[0-9]+\]")


@dataclass(kw_only=True)
class Builder:
    """Builds the records of one file.

    `unit` is what counts their places. `metadata_only`: they get no link. `key`: they are about items that exist, which
    they name by this, and need no other field.
    """

    unit: str
    defaults: Loaded | None
    metadata_only: bool
    key: ItemKey | None
    entries: int = 0
    """Records in the file, invalid ones included."""
    records: Packed[Record] = field(default_factory=lambda: Packed(Record))
    problems: list[Problem] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)
    _lines: dict[str, int] = field(default_factory=dict)
    _remarks: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The place of the first record with a remark, and the number of others."""

    def add(self, line: int, fields: dict[str, Any], validator: Validator, *, harvested: bool = False) -> None:
        """Add a record with these fields of metadata files, and `id` and `link`; or its problems.

        `harvested`: the fields are those of a service, as it writes them.
        """
        found: list[Problem] = []
        fields = dict(fields)
        for name in ("id", "link"):
            if isinstance(value := fields.get(name), dict | list):
                kind = "a list" if isinstance(value, list) else "an object"
                found.append(Problem(message=f"expected a text or a number, found {kind}", field=name))
                del fields[name]
        source_id, link = _text(fields.pop("id", None)), _text(fields.pop("link", None))
        own = self._validated(line, fields, validator, found, harvested=harvested)
        record = self._record(line, own, source_id, link, found)
        self.fail(line, found)
        if record is not None and not found:
            self.records.append(record)
            if self.key is None and not record.metadata.authors:
                self.remark(line, [_NO_AUTHORS])

    def reported(self) -> list[Problem]:
        """Return the problems; one that all records have, such as a missing column, only once."""
        counts = Counter((one.field, one.message) for one in self.problems)
        shared = {key: None for key, count in counts.items() if count == self.entries > 1}
        whole = [Problem(field=place, message=f"{text} (in all {self.entries} records)") for place, text in shared]
        return whole + [one for one in self.problems if (one.field, one.message) not in shared]

    def fail(self, line: int, problems: Iterable[Problem]) -> None:
        """Add the problems of an entry."""
        self.problems += [msgspec.structs.replace(one, line=line, unit=self.unit) for one in problems]

    def remark(self, line: int, texts: Iterable[str]) -> None:
        """Add remarks on an entry."""
        for text in texts:
            first, others = self._remarks.get(text, (line, -1))
            self._remarks[text] = first, others + 1

    def remarks(self) -> list[str]:
        """Return each remark once, with the place of its first record and the number of others."""
        return [f"{_place(self.unit, *where)}: {text}" for text, where in self._remarks.items()]

    def _record(self, line: int, own: Metadata, source_id: str, link: str, problems: list[Problem]) -> Record | None:
        metadata = self._with_defaults(own)
        if metadata.title is None and self.key is None and not _concerns(problems, "title"):
            problems.append(Problem(message="a record needs a title", field="title"))
        address = self._address(link, problems)
        metadata = self._without_files(metadata, own.metadata_only, address, problems)
        key = self._key(source_id, own.doi, line, problems)
        if key is None:
            return None
        return Record(
            key=key,
            source_id=source_id,
            line=line,
            metadata=metadata,
            link=address if metadata.metadata_only is None else None,
        )

    def _validated(
        self, line: int, fields: dict[str, Any], validator: Validator, problems: list[Problem], *, harvested: bool
    ) -> Metadata:
        context = Context(document=Document(source="", value=fields))
        metadata = validator.metadata(context)
        for one in context.problems:
            if harvested and root_field(one) in _DISPENSABLE:
                self.remark(line, [f"{_INDEX.sub('', one.field)}: {one.message}; left out"])
            else:
                problems.append(one)
        self.remark(line, (_without_place(one) for one in (*context.remarks, *context.unverified)))
        return metadata

    def _with_defaults(self, own: Metadata) -> Metadata:
        if self.defaults is None:
            return own
        common = self.defaults.metadata
        merged = own.overriding(common)
        return msgspec.structs.replace(merged, custom_fields={**common.custom_fields, **own.custom_fields})

    def _address(self, link: str, problems: list[Problem]) -> str | None:
        try:
            return identifiers.address(link) if link else None
        except ValueError as error:
            problems.append(Problem(message=str(error), field="link"))
            return None

    def _without_files(
        self, metadata: Metadata, own_reason: str | None, link: str | None, problems: list[Problem]
    ) -> Metadata:
        """Return the metadata with the reason why the item has no files, if it is to have none."""
        if self.metadata_only:
            reason = metadata.metadata_only or (f"Available at {link}" if link else "The files are kept elsewhere")
            return msgspec.structs.replace(metadata, metadata_only=reason)
        if link is not None and own_reason is not None:
            problems.append(Problem(message="has a link, so it cannot be metadata-only", field="metadata_only"))
        if link is not None:
            return msgspec.structs.replace(metadata, metadata_only=None)
        if metadata.metadata_only is None and self.key is None and not _concerns(problems, "link", "doi"):
            message = "a record needs the address of its file (link), or the reason why it has none (metadata_only)"
            problems.append(Problem(message=message))
        return metadata

    def _key(self, source_id: str, doi: str | None, line: int, problems: list[Problem]) -> str | None:
        """Return the key of the record: DOIs are equal in any case."""
        dois = doi.lower() if doi else ""
        key = {"doi": dois, "id": _item_number(source_id), None: dois or source_id}[self.key]
        if not key:
            if not _concerns(problems, "doi"):
                problems.append(Problem(message=_NEEDED[self.key], field=self.key or ""))
            return None
        first = self._lines.setdefault(key, line)
        if first != line:
            problems.append(Problem(message=f"{key} is in {self.unit} {first} already"))
        return key


def _item_number(text: str) -> str:
    """Return the number of the item that a text names, "" if it names none."""
    try:
        return str(parse_id(text))
    except ValueError:
        return ""


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _concerns(problems: Iterable[Problem], *names: str) -> bool:
    return any(root_field(one) in names for one in problems)


def _without_place(problem: Problem) -> str:
    text = f"{root_field(problem)}: {problem.message}"
    return f"{text}. {problem.hint}" if problem.hint else text


def _place(unit: str, first: int, others: int) -> str:
    return f"{unit} {first}{f' and {others} more' if others else ''}"
