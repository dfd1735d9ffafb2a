"""Files of `figup stats`: lists of ids that are read, tables and plots that are written."""

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


def read_ids(path: Path) -> list[str]:
    """Return the ids in a file ("-": stdin): one a line, or in the column `id` of CSV or JSON Lines.

    Blocks. Raises UsageError, and what a file that cannot be read raises.
    """
    try:
        raw = sys.stdin.buffer.read(_MAX_SIZE) if str(path) == "-" else path.read_bytes()[:_MAX_SIZE]
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{printable(str(path))} is not UTF-8 text") from None
    except PATH_FAULTS as fault:
        raise path_error(fault, str(path)) from None
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].lstrip().startswith("{"):
        return [_id_in(line, number, path) for number, line in enumerate(lines, start=1)]
    header = next(csv.reader(lines[:1]), [])
    if "id" in header:
        return [row["id"] for row in csv.DictReader(io.StringIO(text, newline="")) if row["id"]]
    if len(header) > 1:
        raise UsageError(f"{printable(str(path))} has no column 'id'")
    return [line.strip() for line in lines]


def _id_in(line: str, number: int, path: Path) -> str:
    try:
        return str(msgspec.json.decode(line)["id"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise UsageError(f"{printable(str(path))}: line {number} is not a JSON object with an id") from None


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
