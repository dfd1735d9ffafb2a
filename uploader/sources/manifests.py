"""Manifests: tables of files and their remote names, in CSV, JSON or YAML. Pure."""

from __future__ import annotations

import difflib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from uploader.errors import UsageError
from uploader.sources.lists import as_utf8, decoded
from uploader.sources.tables import read_rows

FIELDS = ("path", "name", "folder", "md5")
_YAML_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
_MAX_DEPTH = 60
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
    kind = {"csv": "csv", "tsv": "csv", "json": "json", "yaml": "yaml", "yml": "yaml"}.get(suffix)
    if kind is None:
        raise UsageError(f"{path}: a manifest's name ends with .csv, .tsv, .json, .yaml or .yml")
    return kind


def parse_manifest(data: bytes, kind: str, origin: str) -> Iterator[tuple[str, Row | UsageError]]:
    """Return each file or problem of a manifest with its location ("origin: line 3", "origin: entry 3").

    Raises UsageError if it cannot be read as a manifest.
    """
    entries = _csv_entries(data, origin) if kind == "csv" else _listed(_loaded(data, kind, origin), origin)
    empty = True
    for where, entry in entries:
        empty = False
        for found in (entry,) if isinstance(entry, UsageError) else _EntryReader(where).found(entry):
            yield where, found
    if empty:
        raise UsageError(f"{origin}: contains no file")


Entries = Iterator[tuple[str, Mapping[Any, Any] | UsageError]]


def _csv_entries(data: bytes, origin: str) -> Entries:
    header: list[str] = []
    for line, cells in read_rows(io.BytesIO(data), origin):
        where = f"{origin}: line {line}"
        if isinstance(cells, UsageError):
            yield where, cells
        elif not header:
            header = [column.strip().lower() for column in cells]
            yield from _header_mistakes(header, where)
            if "path" not in header:
                return
        elif len(cells) > len(header):
            yield where, UsageError(f"{where}: has {len(cells)} columns, but the header has {len(header)}")
        else:
            yield where, _row_of_cells(header, cells, where)


def _header_mistakes(header: Sequence[str], where: str) -> Iterator[tuple[str, UsageError]]:
    yield from ((where, _no_field(column, where)) for column in header if column and column not in FIELDS)
    for column in FIELDS:
        numbers = [str(number) for number, name in enumerate(header, start=1) if name == column]
        if len(numbers) > 1:
            yield where, UsageError(f"{where}: columns {' and '.join(numbers)} are both called {column!r}")
    if "path" not in header:
        yield where, UsageError(f"{where}: has no column for the path", hint=f"Columns are {', '.join(FIELDS)}.")


def _row_of_cells(header: Sequence[str], cells: Sequence[str], where: str) -> Mapping[Any, Any] | UsageError:
    """Return the fields of a row; an error if an unnamed column, as spreadsheets leave behind, has a value."""
    row: dict[str, str] = {}
    for number, (column, cell) in enumerate(zip(header, cells, strict=False), start=1):
        if column in FIELDS:
            row.setdefault(column, cell)
        elif not column and cell.strip():
            return UsageError(f"{where}: column {number} has no name in the header, but contains {cell!r}")
    return row


def _loaded(data: bytes, kind: str, origin: str) -> Any:
    text = decoded(as_utf8(data, origin), origin, "Save it as UTF-8.")
    if kind == "json":
        try:
            return json.loads(text, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{origin}: is not JSON: {error}") from None
    import yaml

    safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml.parse(text, Loader=safe), origin)
        return yaml.load(text, Loader=_text_loader(safe))  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{origin}: is not YAML: {' '.join(str(error).split())}") from None


def _check_depth(events: Iterator[Any], origin: str) -> None:
    """Raise UsageError for YAML that is nested too deeply: the loader in C would overflow its stack."""
    from yaml import CollectionEndEvent, CollectionStartEvent

    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise UsageError(f"{origin}: is nested too deeply")


def _text_loader(safe: Any) -> Any:
    """Return a safe loader that reads every scalar as text: 010 is not a number, `no` not a boolean."""

    def construct_mapping(loader: Any, node: Any, deep: bool = False) -> Any:
        _without_duplicates([(key.value, value) for key, value in node.value if isinstance(key.value, str)])
        return safe.construct_mapping(loader, node, deep=deep)

    resolvers = {
        letter: [(tag, pattern) for tag, pattern in found if tag in _YAML_TAGS]
        for letter, found in safe.yaml_implicit_resolvers.items()
    }
    return type("TextLoader", (safe,), {"yaml_implicit_resolvers": resolvers, "construct_mapping": construct_mapping})


def _without_duplicates(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the fields. Raises ValueError for a duplicate field."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


def _listed(value: Any, origin: str) -> Entries:
    entries = value.get("files") if isinstance(value, Mapping) else value
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise UsageError(f"{origin}: neither a list of files nor a list under `files`")
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
    """Reads one entry and collects its problems."""

    where: str
    problems: list[UsageError] = field(default_factory=list)

    def found(self, entry: Mapping[Any, Any]) -> Sequence[Row | UsageError]:
        """Return the file, or its problem."""
        self.problems += [_no_field(name, self.where) for name in entry if name not in FIELDS]
        before = len(self.problems)
        path = self._text(entry, "path")
        if not path and len(self.problems) == before:
            self._add_problem("path missing")
        row = Row(path=path, name=self._name(entry), folder=self._folder(entry), md5=self._md5(entry))
        return self.problems or [row]

    def _add_problem(self, message: str, hint: str | None = None) -> None:
        self.problems.append(UsageError(f"{self.where}: {message}", hint=hint))

    def _text(self, entry: Mapping[Any, Any], name: str) -> str:
        value = entry.get(name)
        if value is None:
            return ""
        if isinstance(value, bool | float) or not isinstance(value, str | int):
            self._add_problem(f"{name} is {value!r}; it must be a text", "Put it in quotes.")
            return ""
        return str(value)

    def _name(self, entry: Mapping[Any, Any]) -> str | None:
        name = self._text(entry, "name")
        if "/" in name or "\0" in name or name in (".", ".."):
            self._add_problem(f"invalid file name {name!r}", "Put the folder into the field `folder`.")
        return name or None

    def _folder(self, entry: Mapping[Any, Any]) -> str:
        text = self._text(entry, "folder")
        # As spreadsheets write it: blanks around names, and backslashes in folders.
        inner = text.strip().replace("\\", "/").strip("/")
        pieces = [piece.strip() for piece in inner.split("/")] if inner else []
        if any(piece in ("", ".", "..") for piece in pieces) or "\0" in text:
            self._add_problem(f"invalid folder {text!r}", 'Write it as "a/b".')
        return "/".join(pieces)

    def _md5(self, entry: Mapping[Any, Any]) -> str | None:
        md5 = self._text(entry, "md5").strip().lower()
        if md5 and not _MD5.fullmatch(md5):
            self._add_problem(f"invalid MD5 {md5!r}; use 32 hexadecimal digits")
        return md5 or None
