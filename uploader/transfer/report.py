"""The report: what became of a job, file by file, for the caller, the human summary and the JSON one alike."""

from __future__ import annotations

import msgspec

from uploader.errors import Facts, FigupError
from uploader.transfer.journal.lifecycle import State

_STATUS = {State.VERIFIED: "verified", State.COMPLETED: "sent", State.FAILED: "failed", State.CANCELLED: "cancelled"}


def status_of(state: State, *, link: bool = False) -> str:
    """What a user is told of a transfer in this state: see `FileReport`."""
    if link and state is State.VERIFIED:
        return "linked"
    return _STATUS.get(state, "unfinished")


class Problem(msgspec.Struct, frozen=True):
    """An error as it is told: see `FigupError`."""

    code: str
    message: str
    hint: str | None
    exit_status: int
    facts: Facts = Facts()

    @classmethod
    def of(cls, error: FigupError) -> Problem:
        """The problem that an error tells."""
        return cls(error.code, error.message, error.hint, error.exit_status, error.facts)


class SkipReport(msgspec.Struct, frozen=True):
    """Something that was found and is not sent: see `uploader.sources.models.Reason`."""

    path: str
    reason: str


class FileReport(msgspec.Struct, frozen=True):
    """One file. `md5` is the source's, None if it was not computed to the end; `folder` is the remote one.

    `status`: `verified`; `linked` (it stays where it is); `sent` (complete, Figshare's checksum still out);
    `unfinished`; `failed`; `cancelled`.
    `parts_found` of `parts_total` were with Figshare when this run asked first; `parts_sent` were sent by this run.
    `replaced`: ids of the item's files whose place this one took, removed by any run of the job.
    """

    path: str
    name: str
    file_id: int | None
    size: int
    md5: str | None
    status: str
    remote_md5: str | None = None
    parts_total: int | None = None
    parts_found: int = 0
    parts_sent: int = 0
    error: Problem | None = None
    folder: str = ""
    replaced: tuple[int, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """One run of a job. `bytes_sent` counts what this run sent and Figshare took; `exit_status` is the command's.

    `doi`, `private_link` and `published` (`public`, `embargoed`, `review`) are there where they were asked for, the
    last where it is all these files that were published.
    `manifest` and `manifest_remote` are paths of lists of MD5s, None unless all is verified: by the sources' paths, for
    `md5sum -c`, and by what the files are called in the item, for `figup verify ITEM --checksums`.
    """

    job: str
    item_id: int | None
    item_url: str | None
    files: tuple[FileReport, ...]
    bytes_sent: int
    bytes_total: int
    seconds: float
    exit_status: int
    api_requests: int = 0
    doi: str | None = None
    private_link: str | None = None
    published: str | None = None
    skipped: tuple[SkipReport, ...] = ()
    manifest: str | None = None
    manifest_remote: str | None = None


class RunFailed(FigupError):
    """A job's run ended before everything was done; `report` tells what was done all the same.

    `error` is what ended the run: one that concerns the whole job, or that of its only file, or SomeFilesFailed. Code,
    exit status, message, hint, path and causes are those of `error`.
    """

    def __init__(self, error: FigupError, report: Report) -> None:
        super().__init__(error.message, hint=error.hint, path=error.path, causes=error.causes, facts=error.facts)
        self.args = (error, report)
        self.code = error.code
        self.exit_status = error.exit_status
        self.error = error
        self.report = report
