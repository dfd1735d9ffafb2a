"""Files of `figup stats`: reads lists of ids, writes tables and plots."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from uploader.catalog.rows import csv_header, csv_line, json_line
from uploader.cli.report_files import write_file
from uploader.errors import OutputExists, UsageError
from uploader.system import PATH_FAULTS, path_error
from uploader.text import printable

_MAX_SIZE = 64 * 2**20
"""Bytes of a list of ids."""


def read_ids(path: Path, kind: str) -> list[str]:
    """Return the ids in a file ("-": stdin): one a line, or in the column `id` of CSV or JSON Lines.

    Blocks. Raises UsageError, also for rows that say that they are of another kind, and what a file that cannot be read
    raises.
    """
    try:
        raw = sys.stdin.buffer.read(_MAX_SIZE + 1) if str(path) == "-" else path.read_bytes()
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{printable(str(path))} is not UTF-8 text") from None
    except PATH_FAULTS as fault:
        raise path_error(fault, str(path)) from None
    if len(raw) > _MAX_SIZE:
        raise UsageError(f"{printable(str(path))} is longer than {_MAX_SIZE // 2**20} MiB")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].lstrip().startswith("{"):
        found = [_id_in(line, number, path, kind) for number, line in enumerate(lines, start=1)]
    elif "id" in (header := next(csv.reader(lines[:1]), [])):
        rows = csv.DictReader(io.StringIO(text, newline=""))
        found = [(row["id"], row.get("record_type") or kind) for row in rows if row["id"]]
    elif len(header) > 1:
        raise UsageError(f"{printable(str(path))} has no column 'id'")
    else:
        return [line.strip() for line in lines]
    # The service counts nothing for the id of another kind, instead of reporting it.
    other = next(((text, of) for text, of in found if of != kind), None)
    if other is not None:
        message = f"{printable(str(path))}: {printable(other[0])} is {_one(printable(other[1]))}, not {_one(kind)}"
        raise UsageError(message, hint="Count one type at a time: --collection, --project, or none of them for items.")
    return [text for text, _ in found]


def _one(kind: str) -> str:
    return f"an {kind}" if kind in ("item", "author") else f"a {kind}"


def _id_in(line: str, number: int, path: Path, kind: str) -> tuple[str, str]:
    """Return the id in a line, and the type of record that a report says it has, else `kind`."""
    try:
        row = msgspec.json.decode(line)
        found = str(row["id"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise UsageError(f"{printable(str(path))}: line {number} is not a JSON object with an id") from None
    added = row.get("_figup")
    return found, str(added.get("record_type", kind)) if isinstance(added, dict) else kind


def check_output(path: Path, *, replace: bool) -> None:
    """Raise OutputExists for a file that must not be replaced, and UsageError for a missing folder. Blocks."""
    if path.is_file() and not replace:
        raise OutputExists(f"{printable(str(path))} exists")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {printable(str(path))}: the folder does not exist")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], *, replace: bool) -> None:
    """Write rows of the same columns as CSV or JSON Lines. Blocks. Raises UsageError, OutputExists."""
    if path.suffix.lower() == ".csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        body = csv_header(names) + b"".join(csv_line([row.get(name) for name in names]) for row in rows)
    else:
        body = b"".join(map(json_line, rows))
    write_bytes(path, body, replace=replace)


def write_bytes(path: Path, body: bytes, *, replace: bool) -> None:
    """Write a file, which is complete or not there. Blocks. Raises OutputExists, UsageError, StateDiskFull."""
    check_output(path, replace=replace)
    write_file(path, body)
