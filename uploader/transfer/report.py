"""Reports of jobs, file by file, for programs, the summary and JSON alike. Values only."""

from __future__ import annotations

import msgspec

from uploader.errors import Conflict, Facts, FigupError, ItemNotFound, Md5Pending, ProjectNotFound
from uploader.transfer.journal.lifecycle import State, Transfer

_STATUS = {State.VERIFIED: "verified", State.COMPLETED: "sent", State.FAILED: "failed", State.CANCELLED: "cancelled"}


def status_of(state: State, *, link: bool = False) -> str:
    """Return the status that a user sees for this state: see `FileReport`."""
    if link and state is State.VERIFIED:
        return "linked"
    return _STATUS.get(state, "unfinished")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error as a value: see `FigupError`. From the journal alone, hint and exit status are not known (None)."""

    code: str
    message: str
    hint: str | None = None
    exit_status: int | None = None
    facts: Facts = Facts()

    @classmethod
    def of(cls, error: FigupError) -> Problem:
        """Return an error as a value."""
        return cls(
            code=error.code,
            message=error.message,
            hint=error.hint,
            exit_status=error.exit_status,
            facts=error.facts,
        )


class SkipReport(msgspec.Struct, frozen=True):
    """A selected path that is not sent: see `uploader.sources.models.Reason`."""

    path: str
    reason: str


class FileReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One file of a job.

    `path` is the source's, or the address of a link; `folder` and `name` are the remote ones, `folder` "" for none.
    `status`: `verified`; `linked` (the address is in the item); `sent` (complete, Figshare's checksum is pending);
    `unfinished`; `failed`; `cancelled`.
    `md5` is the source's, None until computed to the end; `remote_md5` is Figshare's, None until verified.
    `parts_total` is None until the server was asked; `parts_done` of them are on the server. `parts_found` were there
    when this run asked first, and `parts_sent` were sent by it; both are 0 in a report that is not about one run.
    `members` is the number of sources in an archive, whose `path` is the folder that they are in; None for a file.
    `found`: the item held this very file before, and nothing was sent. `verified_at`: when (ISO 8601, UTC), None where
    that is not recorded. `error`: why it failed. `replaced`: ids of the item's files that it replaced.
    """

    path: str
    folder: str = ""
    name: str
    size: int
    status: str
    file_id: int | None = None
    md5: str | None = None
    remote_md5: str | None = None
    parts_total: int | None = None
    parts_done: int = 0
    parts_found: int = 0
    parts_sent: int = 0
    found: bool = False
    verified_at: str | None = None
    error: Problem | None = None
    replaced: tuple[int, ...] = ()
    members: int | None = None

    @classmethod
    def of(cls, transfer: Transfer) -> FileReport:
        """Return the report of a file from the journal."""
        error = transfer.error
        return cls(
            path=transfer.path,
            folder=transfer.folder,
            name=transfer.name,
            size=transfer.size,
            status=status_of(transfer.state, link=transfer.link),
            file_id=transfer.file_id,
            md5=transfer.md5,
            remote_md5=transfer.md5 if transfer.state is State.VERIFIED else None,
            parts_total=transfer.parts_total,
            parts_done=transfer.parts_done,
            found=transfer.foreign,
            error=Problem(code=error.code, message=error.message) if error is not None else None,
            replaced=transfer.replaced,
            members=transfer.archive.members if transfer.archive is not None else None,
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job. `bytes_sent` were sent by this run and accepted; `exit_status` is that of the command.

    `private_link` and `published` (`public`, `embargoed`, `review`) are set if requested, the last only if it was these
    files that were published; `public_url` is then the public page. `doi` is set if it was reserved or published.
    `manifest` and `manifest_remote` are paths of lists of MD5s, None unless
    everything is verified: by the sources' paths, for `md5sum -c`, and by the files' names in the item.
    `manifest_members` is one of the members of archives by their names there, for `md5sum -c` after unpacking.
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
    public_url: str | None = None
    private_link: str | None = None
    published: str | None = None
    skipped: tuple[SkipReport, ...] = ()
    manifest: str | None = None
    manifest_remote: str | None = None
    manifest_members: str | None = None

    def ended_by(self, error: FigupError) -> Report:
        """Return the report of a run that ended with this error: without the item or project all files failed, else a
        verified one that the error is about is no longer what was verified.
        """
        all_failed = isinstance(error, ItemNotFound | ProjectNotFound)
        if not all_failed and (error.path is None or not isinstance(error, Conflict | Md5Pending)):
            return self
        problem, status = Problem.of(error), "sent" if isinstance(error, Md5Pending) else "failed"

        def failed(file: FileReport) -> FileReport:
            if all_failed:
                return msgspec.structs.replace(file, status=status, error=problem)
            if file.path != error.path or file.status not in ("verified", "linked"):
                return file
            return msgspec.structs.replace(file, status=status, error=problem, remote_md5=None, verified_at=None)

        return msgspec.structs.replace(self, files=tuple(map(failed, self.files)))


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `Client.cancel`: ids of the remote files that were removed, and of complete ones that were kept.

    `again`: the job had been cancelled before, and nothing was left to do. `item_empty`: the job created the item, and
    it holds no file now.
    """

    job: str
    item_id: int | None
    item_url: str | None
    removed: tuple[int, ...]
    kept: tuple[int, ...]
    again: bool = False
    item_empty: bool = False


class RunFailed(FigupError):
    """A job's run ended before everything was done; `report` has the results so far.

    `error` ended the run: an error of the whole job, that of its only file, or SomeFilesFailed. Code, exit status,
    message, hint, path and causes are those of `error`.
    """

    def __init__(self, error: FigupError, report: Report) -> None:
        super().__init__(error.message, hint=error.hint, path=error.path, causes=error.causes, facts=error.facts)
        self.args = (error, report)
        self.code = error.code
        self.exit_status = error.exit_status
        self.error = error
        self.report = report
