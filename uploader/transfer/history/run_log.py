"""The run history of a job: runs, throughput, retried errors. For reports only; the engine never reads it.

`history.jsonl` in the job's folder: one JSON object per line, appended about once a second. Readers skip torn and
invalid lines. Times within a run (`at`) are seconds since it began. Samples become rarer as their number grows
(`spacing`), so that a job of weeks has a history of a few hundred kB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from uploader.disk import Disk
from uploader.text import printable

NAME = "history.jsonl"
_MAX_DENSE_SAMPLES = 600
"""Number of samples at one spacing before the spacing is doubled."""


class Entry(msgspec.Struct, frozen=True, tag_field="e"):
    """Base of all lines."""


class RunBegan(Entry, frozen=True, tag="run"):
    """A process began to work on the job. `began` is ISO 8601, by this machine's clock; `version` is figup's.

    `term` is the number of its lease, higher than those of all runs before; 0 in logs of earlier versions.
    """

    began: str
    version: str
    host: str
    pid: int
    term: int = 0


class Sample(Entry, frozen=True, kw_only=True, tag="s"):
    """Progress. `sent`: bytes handed to the network in this run; `done`: bytes of the job that Figshare has."""

    at: float
    sent: int
    done: int
    files: int
    connections: int


class FileDone(Entry, frozen=True, tag="ok"):
    """A file was verified."""

    at: float
    file_id: int


class RetryEntry(Entry, frozen=True, tag="fault"):
    """A transient error occurred `times` times since the last such line, and was retried."""

    at: float
    reason: str
    times: int


class Restart(Entry, frozen=True, tag="restart"):
    """A file was sent again from its beginning."""

    at: float
    path: str
    reason: str


class FileError(Entry, frozen=True, tag="fail"):
    """A file could not be sent in this run."""

    at: float
    path: str | None
    code: str
    message: str


class WarningEntry(Entry, frozen=True, tag="warn"):
    """The user was warned."""

    at: float
    message: str


class RunEnded(Entry, frozen=True, tag="end"):
    """The run ended; a killed run has no such line.

    `code` and `message` are those of the error that ended it, None if everything was verified. `sent`: bytes that
    Figshare accepted in this run; 0 if not counted. `term`: as in `RunBegan`.
    """

    at: float
    code: str | None
    message: str | None
    sent: int
    term: int = 0


AnyEntry: TypeAlias = RunBegan | Sample | FileDone | RetryEntry | Restart | FileError | WarningEntry | RunEnded

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEntry)


def spacing(samples: int) -> float:
    """Seconds between samples after this number of samples: doubled at regular counts."""
    return float(2 ** (samples // _MAX_DENSE_SAMPLES))


def encode(entry: AnyEntry) -> bytes:
    """One line. Names in it that are not UTF-8 are escaped."""
    try:
        line = _encoder.encode(entry)
    except UnicodeEncodeError:
        texts = {name: value for name, value in msgspec.structs.asdict(entry).items() if isinstance(value, str)}
        line = _encoder.encode(msgspec.structs.replace(entry, **{name: printable(texts[name]) for name in texts}))
    return line + b"\n"


def append(folder: Path, lines: bytes, disk: Disk) -> None:
    """Add lines to the history in a job's folder. Raises StateDiskFull, StateUnusable."""
    disk.append(folder / NAME, lines)


def read(folder: Path, disk: Disk) -> Iterator[AnyEntry]:
    """Yield the entries of the run log in a job's folder, in order; none if the file does not exist."""
    for line in (disk.read(folder / NAME) or b"").split(b"\n"):
        try:
            yield _decoder.decode(line)
        except msgspec.MsgspecError:
            continue
