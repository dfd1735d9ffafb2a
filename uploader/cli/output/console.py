"""The console: what a command says. Results and the summary go to stdout, remarks and errors to stderr; with `--json`,
JSON Lines go to stdout, and the last of them is always the summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from uploader.cli.errors import Failure
from uploader.cli.output.writer import RED, Mark, OutputThread
from uploader.errors import ExitStatus
from uploader.redaction import has_secret, redact_values

_ERROR = Mark("figup:", RED)
MAX_REPORTED = 30
"""Of several failures at once, how many a person is told one by one; a program is told all."""


@dataclass(kw_only=True)
class Summary:
    """The last line of `--json`. Sizes are bytes; what is not known, or does not apply, is None."""

    job: str | None = None
    item_id: int | None = None
    item_url: str | None = None
    doi: str | None = None
    private_link: str | None = None
    published: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, Any] | None = None
    """Of a comparison: how many files, and bytes, are the same, different and so on."""
    manifest: str | None = None
    manifest_remote: str | None = None
    bytes_sent: int = 0
    bytes_total: int = 0
    seconds: float = 0.0
    exit_status: int = ExitStatus.OK


def json_line(event: str, fields: dict[str, Any]) -> str:
    """One event. Plain ASCII, whatever the names of files are made of."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"event": event, "time": time, **fields})
    return json.dumps(redact_values(json.loads(line))) if has_secret(line) else line


class Console:
    """Says things; never blocks its caller."""

    def __init__(self, *, json: bool, quiet: bool, color: bool = True) -> None:
        self.json = json
        self.quiet = quiet
        self.output = OutputThread(color=color)
        self._reported: set[tuple[str, str, str | None]] = set()
        self._ended = False

    def event(self, event: str, **fields: Any) -> None:
        """For a program: only with `--json`."""
        if self.json and not self._ended:
            self.output.out(json_line(event, fields))

    def result(self, text: str, mark: Mark | None = None) -> None:
        """Write requested output for a person to stdout, unless `--json` is given."""
        if not self.json:
            self.output.out(text, mark)

    def note(self, text: str) -> None:
        """For a person, on stderr: good to know. Not with `--quiet`."""
        if not self.quiet:
            self.output.err(f"figup: {text}")

    def failure(self, failure: Failure) -> None:
        """For both, once: what went wrong."""
        if self._is_new(failure):
            self.event("error", **failure.fields())
            self.output.err(failure.line(), _ERROR)

    def report_failures(self, failures: Sequence[Failure]) -> None:
        """For both: all that went wrong at once, each as `failure` does; a person is told how many more there are."""
        new = [failure for failure in failures if self._is_new(failure)]
        for failure in new:
            self.event("error", **failure.fields())
        for failure in new[:MAX_REPORTED]:
            self.output.err(failure.line(), _ERROR)
        if len(new) > MAX_REPORTED:
            self.output.err(f"figup: and {len(new) - MAX_REPORTED} more like these; --json tells all of them")

    def _is_new(self, failure: Failure) -> bool:
        key = (failure.code, failure.message, failure.path)
        known = key in self._reported
        self._reported.add(key)
        return not known

    def summary(self, summary: Summary) -> None:
        """For a program: the last line; nothing else comes after it."""
        self.event("summary", **asdict(summary))
        self._ended = True
