"""Manifests: tables of what is to be sent under which name, in CSV, JSON or YAML. Pure."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from uploader.errors import UsageError

FIELDS = ("path", "name", "folder", "md5")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_WHERE = {"csv": "line", "json": "entry", "yaml": "entry"}


@dataclass(frozen=True, slots=True)
class Row:
    """One file. `name` None: that of the path. `folder` is "a/b", "" for none; `md5` is lower-case hex."""

    path: str
    name: str | None = None
    folder: str = ""
    md5: str | None = None


def kind_of(path: str) -> str:
    """csv, json or yaml, by the name's ending. Raises UsageError."""
    ending = path.rpartition(".")[2].lower()
    kind = {"csv": "csv", "json": "json", "yaml": "yaml", "yml": "yaml"}.get(ending)
    if kind is None:
        raise UsageError(f"{path}: a manifest's name ends with .csv, .json, .yaml or .yml")
    return kind


def parse_manifest(data: bytes, kind: str, origin: str) -> list[Row]:
    """The files of a manifest, in its order. Raises UsageError naming `origin` and the line or entry."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{origin}: is not UTF-8 (byte {error.start})") from None
    entries = _csv_entries(text, origin) if kind == "csv" else _listed(_loaded(text, kind, origin), origin)
    rows = [_row(entry, f"{origin}: {_WHERE[kind]} {number}") for number, entry in entries]
    if not rows:
        raise UsageError(f"{origin}: names no file")
    return rows


def _csv_entries(text: str, origin: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text.partition("\n")[0], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    # Quotes are doubled within quotes in every dialect that spreadsheets write; the sniffer sees one line alone.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter, strict=True)
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        for cells in reader:
            where = f"{origin}: line {reader.line_num}"
            if len(cells) > len(header):
                raise UsageError(f"{where}: has {len(cells)} columns, and the first line names {len(header)}")
            if any(cell.strip() for cell in cells):
                yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise UsageError(f"{origin}: line {reader.line_num}: {error}") from None


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


def _listed(value: Any, origin: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    entries = value.get("files") if isinstance(value, Mapping) else value
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise UsageError(f"{origin}: is no list of files, and has none under `files`")
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, str):
            entry = {"path": entry}
        if not isinstance(entry, Mapping):
            raise UsageError(f"{origin}: entry {number}: is neither a path nor fields with values")
        yield number, entry


def _row(entry: Mapping[Any, Any], where: str) -> Row:
    for field in entry:
        if field not in FIELDS:
            near = difflib.get_close_matches(str(field), FIELDS, n=1)
            raise UsageError(
                f"{where}: there is no field {str(field)!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Fields are {', '.join(FIELDS)}.",
            )
    path = _text(entry, "path", where)
    if not path:
        raise UsageError(f"{where}: names no path")
    name = _text(entry, "name", where) or None
    if name is not None and ("/" in name or "\0" in name or name in (".", "..")):
        raise UsageError(f"{where}: {name!r} is no name for a file", hint="A folder goes into the field `folder`.")
    md5 = _text(entry, "md5", where).lower() or None
    if md5 is not None and not _MD5.fullmatch(md5):
        raise UsageError(f"{where}: {md5!r} is no MD5 (32 hexadecimal digits)")
    return Row(path, name, _folder(_text(entry, "folder", where), where), md5)


def _text(entry: Mapping[Any, Any], field: str, where: str) -> str:
    value = entry.get(field)
    if value is None:
        return ""
    if isinstance(value, bool | float) or not isinstance(value, str | int):
        raise UsageError(f"{where}: {field} is {value!r}, and must be a text", hint="Put it in quotes.")
    return str(value)


def _folder(text: str, where: str) -> str:
    pieces = text.strip("/").split("/") if text.strip("/") else []
    if any(piece in ("", ".", "..") for piece in pieces) or "\0" in text:
        raise UsageError(f"{where}: {text!r} is no folder", hint='Write it as "a/b".')
    return "/".join(pieces)
