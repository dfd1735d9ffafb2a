"""The full report of a job over all its runs, for documentation: what was sent where, when and how.

Built from the job's folder alone: facts from the journal, measurements from the run history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from uploader._version import __version__
from uploader.transfer.history import run_log
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.state import JobState
from uploader.transfer.report import FileReport, SkipReport
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import JobSummary, summary_of

FORMAT = 1
"""Format version of the JSON report; a higher one changes the meaning of a name."""
_KILLED = "killed"
_RUNNING = "running"


class RunEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One process's work on the job. `outcome`: `verified`, the code of the error that ended it, `killed` if nothing
    was recorded, or `running`. `sent` (bytes handed to the network) and `seconds` (its length) are as far as is known.

    `samples`: (seconds since it began, bytes handed to the network until then).
    """

    began: str
    ended: str
    seconds: float
    outcome: str
    message: str | None
    version: str
    host: str
    pid: int
    sent: int
    samples: tuple[tuple[float, int], ...]


class RetrySummary(msgspec.Struct, frozen=True, kw_only=True):
    """A retried transient error: count, first and last time."""

    reason: str
    times: int
    first: str
    last: str


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident of one file (its path) or of the job (None): `kind` is `restarted`, `failed` or `warning`."""

    at: str
    kind: str
    path: str | None
    message: str


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """The requested metadata: `mark` is its fingerprint, `fields` are the API names of its fields, `values` what they
    were set to. `done`: applied.
    """

    mark: str
    fields: tuple[str, ...]
    done: bool
    values: dict[str, Any] = {}


class JobReport(JobSummary, frozen=True, kw_only=True):
    """A job over all its runs. Times are ISO 8601 in UTC; `seconds` is the time worked, without pauses between runs.

    `figup_report` is the format. `made` and `made_by`: when, and by which figup, this was put together. `planned` and
    `version`: when the job was begun, and by which. `counts`: files by status. `bytes_total` are those of all `files`;
    `bytes_sent`: handed to the network, repeated ones included. `published_at`, `published_version`: when it was
    published, and as which version. `account`: for whom the job acted, None for the token's own. `project`: where the
    item was created, None for no project. `final_steps`: those requested.
    """

    figup_report: int
    made: str
    made_by: str
    planned: str
    version: str
    endpoint: str
    bytes_sent: int
    seconds: float
    counts: dict[str, int]
    skipped: tuple[SkipReport, ...]
    runs: tuple[RunEntry, ...]
    faults: tuple[RetrySummary, ...]
    incidents: tuple[Incident, ...]
    published_at: str | None = None
    published_version: int | None = None
    account: int | None = None
    description: Described | None = None
    project: int | None = None
    final_steps: tuple[str, ...] = ()


def build_report(states: JobStore, job: str) -> JobReport:
    """Build the report of a job. Blocks. Raises JobNotFound, and what reading the journal raises."""
    state = states.read(job)
    summary = summary_of(states, job, state)
    past = _History(run_log.read(states.folder(job), states.disk), at_work=summary.holder is not None)
    files = tuple(_file(transfer, past.verified) for transfer in state.reported)
    known = msgspec.structs.asdict(summary)
    known |= {"files": files, "bytes_total": sum(file.size for file in files)}
    published = state.publication is not None
    return JobReport(
        **known,
        figup_report=FORMAT,
        made=_iso(datetime.now(UTC)),
        made_by=__version__,
        planned=state.plan.created,
        version=state.plan.version,
        bytes_sent=sum(run.sent for run in past.runs),
        seconds=round(sum(run.seconds for run in past.runs), 2),
        counts=dict(Counter(file.status for file in files)),
        skipped=tuple(SkipReport(path, reason) for path, reason in state.skipped.items()),
        runs=tuple(past.runs),
        faults=tuple(sorted(past.faults.values(), key=lambda f: -f.times)),
        incidents=tuple(past.incidents),
        published_at=state.published_at if published else None,
        published_version=state.published_version if published else None,
        account=state.plan.account,
        description=_description(state),
        project=state.plan.project,
        final_steps=state.final_steps.steps,
    )


def _description(state: JobState) -> Described | None:
    given = state.description
    return (
        Described(
            mark=given.mark,
            fields=given.payload.present_fields,
            done=given.mark == state.described,
            values=given.payload.values,
        )
        if given is not None
        else None
    )


def _file(transfer: Transfer, verified: dict[int, str]) -> FileReport:
    at = verified.get(transfer.file_id or 0) if transfer.state is State.VERIFIED else None
    return msgspec.structs.replace(FileReport.of(transfer), verified_at=at)


class _History:
    """The runs of a job, collected from its log. `verified`: verification times by file id."""

    def __init__(self, entries: Iterable[run_log.AnyEntry], *, at_work: bool) -> None:
        self.runs: list[RunEntry] = []
        self.faults: dict[str, RetrySummary] = {}
        self.incidents: list[Incident] = []
        self.verified: dict[int, str] = {}
        self._run: run_log.RunBegan | None = None
        self._term = 0
        self._began = datetime.now(UTC)
        self._samples: list[tuple[float, int]] = []
        self._last = 0.0
        for entry in entries:
            if not self._is_late(entry):
                self._add(entry)
        self._close(_RUNNING if at_work else _KILLED, None)

    def _add(self, entry: run_log.AnyEntry) -> None:
        if isinstance(entry, run_log.RunBegan):
            self._close(_KILLED, None)
            self._run, self._began, self._term = entry, datetime.fromisoformat(entry.began), entry.term
            return
        self._last = entry.at
        at = _iso(self._began + timedelta(seconds=entry.at))
        match entry:
            case run_log.Sample():
                self._samples.append((entry.at, entry.sent))
            case run_log.FileDone():
                self.verified[entry.file_id] = at
            case run_log.RetryEntry():
                known = self.faults.get(entry.reason, RetrySummary(reason=entry.reason, times=0, first=at, last=at))
                self.faults[entry.reason] = RetrySummary(
                    reason=entry.reason, times=known.times + entry.times, first=known.first, last=at
                )
            case run_log.Restart():
                self.incidents.append(Incident(at=at, kind="restarted", path=entry.path, message=entry.reason))
            case run_log.FileError():
                self.incidents.append(Incident(at=at, kind="failed", path=entry.path, message=entry.message))
            case run_log.WarningEntry():
                self.incidents.append(Incident(at=at, kind="warning", path=None, message=entry.message))
            case run_log.RunEnded():
                if not self._samples or self._samples[-1][1] < entry.sent:
                    self._samples.append((entry.at, entry.sent))
                self._close(entry.code or "verified", entry.message)

    def _is_late(self, entry: run_log.AnyEntry) -> bool:
        """Return True if this line is from a process that had already lost the job to a later run."""
        return isinstance(entry, run_log.RunBegan | run_log.RunEnded) and 0 < entry.term < self._term

    def _close(self, outcome: str, message: str | None) -> None:
        """Finish the run being read."""
        run, self._run = self._run, None
        if run is None:
            return
        ended = _iso(self._began + timedelta(seconds=self._last))
        sent = self._samples[-1][1] if self._samples else 0
        samples = ((0.0, 0), *self._samples)
        self.runs.append(
            RunEntry(
                began=_iso(self._began),
                ended=ended,
                seconds=self._last,
                outcome=outcome,
                message=message,
                version=run.version,
                host=run.host,
                pid=run.pid,
                sent=sent,
                samples=samples,
            )
        )
        self._samples, self._last = [], 0.0


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
