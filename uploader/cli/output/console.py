"""The console: all output of a command. Results and the summary go to stdout, notes and errors to stderr. With
`--json`, JSON Lines go to stdout; the last one is always the summary.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from uploader.cli.errors import MAX_LENGTH, Failure
from uploader.cli.hints import NOTHING, Repeated
from uploader.cli.output.writer import RED, Mark, OutputThread
from uploader.errors import ExitStatus
from uploader.redaction import has_secret, redact_values
from uploader.system import in_batch_job
from uploader.text import shorten

_ROWS_AT_ONCE = 100
_ERROR = Mark("figup:", RED)
MAX_REPORTED = 30
"""How many of several simultaneous failures are printed; `--json` has all."""


class Summary(msgspec.Struct, kw_only=True):
    """The last line of `--json`. Sizes are bytes; None means unknown or not applicable."""

    job: str | None = None
    item_id: int | None = None
    item_url: str | None = None
    doi: str | None = None
    public_url: str | None = None
    private_link: str | None = None
    published: str | None = None
    files: Sequence[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    totals: dict[str, Any] | None = None
    """For a comparison: number of files and bytes by status."""
    records: dict[str, Any] | None = None
    """For a list or a search: how many were found and written, whether they are all, and what was checked."""
    manifest: str | None = None
    manifest_remote: str | None = None
    manifest_members: str | None = None
    bytes_sent: int = 0
    bytes_total: int = 0
    seconds: float = 0.0
    exit_status: int = ExitStatus.OK


def json_line(event: str, fields: Mapping[str, Any]) -> str:
    """Format one event as a line of ASCII."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _dump({"event": event, "time": time, **fields})


def json_parts(event: str, fields: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Format an event and its `files` as a line of ASCII, in parts: there may be a hundred thousand rows."""
    yield json_line(event, fields).removesuffix("}") + ', "files": ['
    parts: list[str] = []
    for number, row in enumerate(rows):
        parts.append((", " if number else "") + _dump(row))
        if len(parts) == _ROWS_AT_ONCE:
            yield "".join(parts)
            parts.clear()
    yield "".join(parts) + "]}"


def _dump(value: Mapping[str, Any]) -> str:
    text = json.dumps(value)
    return json.dumps(redact_values(json.loads(text))) if has_secret(text) else text


def place_in_batch_job() -> str:
    """Return host and task of a batch job whose log stderr is, as "n1 Slurm:70_3"; "" elsewhere."""
    if not in_batch_job() or (sys.stderr is not None and sys.stderr.isatty()):
        return ""  # nothing about schedulers is imported
    from uploader.cluster.scheduler import batch_job

    job = batch_job(os.environ)
    return f"{socket.gethostname()} {job.scheduler}:{job.id}" if job is not None else ""


class Console:
    """Writes output; never blocks the caller."""

    def __init__(self, *, json: bool, quiet: bool, color: bool = True, repeated: Repeated = NOTHING) -> None:
        self.repeated = repeated
        """Options that commands in hints repeat."""
        self.json = json
        self.quiet = quiet
        self.output = OutputThread(color=color)
        self._reported: set[tuple[str, str, str | None]] = set()
        self._ended = False
        self._place = place_in_batch_job()
        self.showed_address = False
        """True once a result or a note had the address of a page."""

    def event(self, event: str, **fields: Any) -> None:
        """Write an event; only with `--json`."""
        if self.json and not self._ended:
            self.output.out(json_line(event, fields))

    def event_with_files(self, event: str, files: Iterable[Mapping[str, Any]], **fields: Any) -> None:
        """Write an event with many files; only with `--json`. The rows are read while it is written."""
        if self.json and not self._ended:
            self.output.out_parts(json_parts(event, fields, files))

    def result(self, text: str, mark: Mark | None = None) -> None:
        """Write a result to stdout; not with `--json`."""
        if not self.json:
            self.showed_address |= "http://" in text or "https://" in text
            self.output.out(text, mark)

    def note(self, text: str) -> None:
        """Write a note to stderr; not with `--quiet`."""
        self.showed_address |= "http://" in text
        if not self.quiet:
            self.output.err(f"{self._stamp()}figup: {shorten(text, MAX_LENGTH)}")

    def ended(self, summary: Summary) -> None:
        """In the log of a batch job, write how the command ended, as the last line; not with `--quiet`."""
        if self._place:
            words = {"job": summary.job, "item": summary.item_id, "bytes_sent": summary.bytes_sent}
            words |= {"bytes_total": summary.bytes_total, "seconds": f"{summary.seconds:.1f}"}
            known = " ".join(f"{name}={value}" for name, value in words.items() if value is not None)
            self.note(f"ended: exit_status={int(summary.exit_status)} {known}")

    def _stamp(self) -> str:
        """Return time, host and task for a line in the log of a batch job, "" elsewhere."""
        return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self._place} " if self._place else ""

    def failure(self, failure: Failure) -> None:
        """Report an error to stderr and as an event, once."""
        self.report_failures([failure])

    def report_failures(self, failures: Sequence[Failure]) -> None:
        """Report several errors like `failure`; on stderr only the first ones and the number of the others."""
        new = [failure for failure in failures if self._is_new(failure)]
        for failure in new:
            self.event("error", **failure.fields())
        for failure in new[:MAX_REPORTED]:
            self.output.err(f"{self._stamp()}{failure.line()}", _ERROR if not self._place else None)
        if len(new) > MAX_REPORTED:
            self.output.err(f"figup: and {len(new) - MAX_REPORTED} more like these; --json has all")

    def _is_new(self, failure: Failure) -> bool:
        key = (failure.code, failure.message, failure.path)
        known = key in self._reported
        self._reported.add(key)
        return not known

    def summary(self, summary: Summary) -> None:
        """Write the summary event, the last line; later events are dropped."""
        fields = {name: getattr(summary, name) for name in summary.__struct_fields__}
        self.event_with_files("summary", fields.pop("files"), **fields)
        self._ended = True
