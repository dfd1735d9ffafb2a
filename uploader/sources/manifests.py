"""Manifests: tables of what is to be sent under which name, in CSV, JSON or YAML. Pure."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from uploader.errors import UsageError

FIELDS = ("path", "name", "folder", "md5")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One file. `name` None: that of the path. `folder` is "a/b", "" for none; `md5` is lower-case hex."""

    path: str
    name: str | None = None
    folder: str = ""
    md5: str | None = None


def kind_of(path: str) -> str:
    """csv, json or yaml, by the name's ending. Raises UsageError."""
    suffix = path.rpartition(".")[2].lower()
    kind = {"csv": "csv", "json": "json", "yaml": "yaml", "yml": "yaml"}.get(suffix)
    if kind is None:
        raise UsageError(f"{path}: a manifest's name ends with .csv, .json, .yaml or .yml")
    return kind


def parse_manifest(data: bytes, kind: str, origin: str) -> Iterator[tuple[str, Row | UsageError]]:
    """Where each file of a manifest is named ("origin: line 3", "origin: entry 3"), and the file, or a mistake in it.

    Raises UsageError for what cannot be read as a manifest at all.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{origin}: is not UTF-8 (byte {error.start})") from None
    entries = _csv_entries(text, origin) if kind == "csv" else _listed(_loaded(text, kind, origin), origin)
    empty = True
    for where, entry in entries:
        empty = False
        for found in (entry,) if isinstance(entry, UsageError) else _EntryReader(where).found(entry):
            yield where, found
    if empty:
        raise UsageError(f"{origin}: names no file")


Entries = Iterator[tuple[str, Mapping[Any, Any] | UsageError]]


def _csv_entries(text: str, origin: str) -> Entries:
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text.partition("\n")[0], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    # Quotes are doubled within quotes in every dialect that spreadsheets write; the sniffer sees one line alone.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter, strict=True)
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        where = f"{origin}: line 1"
        unknown = [column for column in header if column not in FIELDS]
        yield from ((where, _no_field(column, where)) for column in unknown)
        if header and "path" not in header:
            yield where, UsageError(f"{where}: has no column for the path", hint=f"Columns are {', '.join(FIELDS)}.")
            return
        for cells in reader:
            where = f"{origin}: line {reader.line_num}"
            if len(cells) > len(header):
                message = f"{where}: has {len(cells)} columns, and the first line names {len(header)}"
                yield where, UsageError(message)
            elif any(cell.strip() for cell in cells):
                values = zip(header, cells, strict=False)
                yield where, {column: cell for column, cell in values if column in FIELDS}
    except csv.Error as error:
        where = f"{origin}: line {reader.line_num}"
        yield where, UsageError(f"{where}: {error}")


def _loaded(text: str, kind: str, origin: str) -> Any:
    if kind == "json":
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UsageError(f"{origin}: is not JSON: {error}") from None
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe ones
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{origin}: is not YAML: {' '.join(str(error).split())}") from None


def _listed(value: Any, origin: str) -> Entries:
    entries = value.get("files") if isinstance(value, Mapping) else value
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise UsageError(f"{origin}: not a list of files, and no list under `files`")
    for number, entry in enumerate(entries, start=1):
        where = f"{origin}: entry {number}"
        if isinstance(entry, str):
            yield where, {"path": entry}
        elif isinstance(entry, Mapping):
            yield where, entry
        else:
            yield where, UsageError(f"{where}: is neither a path nor fields with values")


def _no_field(name: object, where: str) -> UsageError:
    near = difflib.get_close_matches(str(name), FIELDS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Fields are {', '.join(FIELDS)}."
    return UsageError(f"{where}: unknown field {str(name)!r}", hint=hint)


@dataclass
class _EntryReader:
    """One entry while it is read: every mistake in it is noted."""

    where: str
    problems: list[UsageError] = field(default_factory=list)

    def found(self, entry: Mapping[Any, Any]) -> Sequence[Row | UsageError]:
        """Return the file, or its problem."""
        self.problems += [_no_field(name, self.where) for name in entry if name not in FIELDS]
        before = len(self.problems)
        path = self._text(entry, "path")
        if not path and len(self.problems) == before:
            self._add_problem("names no path")
        row = Row(path=path, name=self._name(entry), folder=self._folder(entry), md5=self._md5(entry))
        return self.problems or [row]

    def _add_problem(self, message: str, hint: str | None = None) -> None:
        self.problems.append(UsageError(f"{self.where}: {message}", hint=hint))

    def _text(self, entry: Mapping[Any, Any], name: str) -> str:
        value = entry.get(name)
        if value is None:
            return ""
        if isinstance(value, bool | float) or not isinstance(value, str | int):
            self._add_problem(f"{name} is {value!r}, and must be a text", "Put it in quotes.")
            return ""
        return str(value)

    def _name(self, entry: Mapping[Any, Any]) -> str | None:
        name = self._text(entry, "name")
        if "/" in name or "\0" in name or name in (".", ".."):
            self._add_problem(f"invalid file name {name!r}", "A folder goes into the field `folder`.")
        return name or None

    def _folder(self, entry: Mapping[Any, Any]) -> str:
        text = self._text(entry, "folder")
        pieces = text.strip("/").split("/") if text.strip("/") else []
        if any(piece in ("", ".", "..") for piece in pieces) or "\0" in text:
            self._add_problem(f"invalid folder {text!r}", 'Write it as "a/b".')
        return "/".join(pieces)

    def _md5(self, entry: Mapping[Any, Any]) -> str | None:
        md5 = self._text(entry, "md5").lower()
        if md5 and not _MD5.fullmatch(md5):
            self._add_problem(f"invalid MD5 {md5!r}; use 32 hexadecimal digits")
        return md5 or None
