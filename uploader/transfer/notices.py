"""The events that a running job reports to progress bars, JSON Lines or a host program. Values only.

Each encodes to one JSON object with its name under `event`. Sizes are bytes, durations seconds.
"""

from __future__ import annotations

import re
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import msgspec

from uploader.errors import Facts

_PREFIX = re.compile(r"^/(?:.*, part \d+|.*?): (?=\S)")


class Notice(msgspec.Struct, frozen=True, tag_field="event"):
    """Base of all events."""


class JobStarted(Notice, frozen=True, kw_only=True, tag="job"):
    """The job was opened.

    `resumed`: it continues an earlier run. `title` is that of the item to create, None for an existing item.
    `files_done` of the files, with `bytes_done` bytes, were verified by earlier runs.
    """

    job: str
    resumed: bool
    files: int
    bytes_total: int
    title: str | None = None
    files_done: int = 0
    bytes_done: int = 0


class Joined(Notice, frozen=True, kw_only=True, tag="joined"):
    """This process sends parts for the `leader`, another process that works on the job; None if that is not known."""

    job: str
    leader: str | None


class JobUpdated(Notice, frozen=True, kw_only=True, tag="renewed"):
    """The repeated command added or dropped files; the numbers of both."""

    job: str
    added: int
    dropped: int


class ItemKnown(Notice, frozen=True, kw_only=True, tag="item"):
    """The item that receives the files. `created`: by this run."""

    item_id: int
    item_url: str
    created: bool


class Skipped(Notice, frozen=True, tag="skipped"):
    """A path that was selected, directly or in a folder, is not compared: see `SkipReport`."""

    path: str
    reason: str


class Described(Notice, frozen=True, tag="item-described"):
    """The item's metadata was set. `fields` are those of the API."""

    item_id: int
    fields: tuple[str, ...]


class FinalStepCompleted(Notice, frozen=True, tag="concluded"):
    """A requested final step completed.

    `step`: `reserve_doi`, `private_link` or `publish`; `value` is the DOI, the link, or `public`, `embargoed` or
    `review`.
    """

    step: str
    value: str


class FileStarted(Notice, frozen=True, kw_only=True, tag="file"):
    """The upload of a file started, or continues: `parts_found` parts with `bytes_found` bytes are on the server."""

    path: str
    name: str
    file_id: int
    size: int
    parts_total: int
    parts_found: int
    bytes_found: int


class ActiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file in progress: `bytes_done` of `size` bytes are on the server or in flight."""

    path: str
    name: str
    size: int
    bytes_done: int
    waiting: bool
    """True when everything is sent and Figshare's checksum is pending."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Another process that sends parts of the job, as the process that works on the job sees it.

    `task` is its task of a batch system, such as "slurm 123_4", "" for none. `rate` is in bytes per second, None before
    it sent anything; `silent` are the seconds since its last sign of life.
    """

    host: str
    pid: int
    task: str = ""
    bytes_sent: int = 0
    rate: float | None = None
    silent: float = 0.0


class Progress(Notice, frozen=True, kw_only=True, tag="progress"):
    """The progress of the whole job, several times a second.

    `rate` is the recent rate in bytes per second, None before anything was sent. `bytes_sent` were handed to the
    network in this run, repeated ones included. `request_rate` is set while the run waits for the budget of API
    requests rather than for bytes: requests per second. Of `requests_total` that the files need, `requests_left` are
    left; both are estimates. `files_failed` have failed in this run. `members` are the other processes that send
    parts of the job.
    """

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    rate: float | None
    connections: int
    active: tuple[ActiveFile, ...]
    bytes_sent: int = 0
    request_rate: float | None = None
    requests_left: int = 0
    requests_total: int = 0
    files_failed: int = 0
    members: tuple[Member, ...] = ()


class ReadProgress(Notice, frozen=True, kw_only=True, tag="reading"):
    """The progress of reading a file to compute its MD5 only, every now and then if it takes long."""

    path: str
    bytes_done: int
    bytes_total: int


class FileSent(Notice, frozen=True, tag="sent"):
    """Figshare has every byte of the file and is computing its checksum."""

    path: str
    file_id: int


class FileVerified(Notice, frozen=True, kw_only=True, tag="verified"):
    """Figshare's MD5 equals the source's."""

    path: str
    file_id: int
    md5: str


class LinkConfirmed(Notice, frozen=True, tag="linked"):
    """The item has the link as it was given."""

    path: str
    file_id: int


class FileRestarted(Notice, frozen=True, tag="restarted"):
    """The file is sent again from the start, for this reason."""

    path: str
    reason: str


class Retrying(Notice, frozen=True, tag="retry"):
    """A transient failure; the next attempt is in `delay` seconds."""

    reason: str
    delay: float


class Warned(Notice, frozen=True, kw_only=True, tag="warning"):
    """A warning for the user; the job continues."""

    message: str
    hint: str | None = None
    facts: Facts = Facts()


class LimitChanged(Notice, frozen=True, tag="limit"):
    """The rate limit is now `rate` bytes per second; None for no limit."""

    rate: float | None


class FileFailed(Notice, frozen=True, kw_only=True, tag="error"):
    """A file failed; the others continue. `code` is that of the error: see `uploader.FigupError`."""

    code: str
    message: str
    hint: str | None
    path: str | None
    facts: Facts = Facts()


class Delivery:
    """Deliver notices to a listener until it raises; then keep the error, call `on_error` and deliver nothing more."""

    def __init__(self, listener: Listener | None, on_error: Callable[[], None]) -> None:
        self.error: Exception | CancelledError | None = None
        self._listener = listener
        self._on_error = on_error

    def __call__(self, notice: AnyNotice) -> None:
        if self._listener is None or self.error is not None:
            return
        try:
            self._listener(notice)
        # CancelledError: of a future that the listener waited for; the run itself was not cancelled.
        except (Exception, CancelledError) as error:  # noqa: BLE001 - must not end the run between two steps
            self.error = error
            self._on_error()


@contextmanager
def delivering(listener: Listener | None, on_error: Callable[[], None]) -> Iterator[Listener]:
    """Deliver notices to `listener`; if it raises, call `on_error`, and raise that error at the end of the block."""
    delivery = Delivery(listener, on_error)
    try:
        yield delivery
    except Exception as error:
        if delivery.error is None:
            raise
        raise delivery.error from error
    if delivery.error is not None:
        raise delivery.error


def retry_cause(reason: str) -> str:
    """Return the reason of a retry without the file and part that it begins with: many share one cause."""
    return _PREFIX.sub("", reason)


AnyNotice: TypeAlias = (
    JobStarted
    | Joined
    | JobUpdated
    | ItemKnown
    | Skipped
    | Described
    | FinalStepCompleted
    | FileStarted
    | Progress
    | ReadProgress
    | FileSent
    | FileVerified
    | LinkConfirmed
    | FileRestarted
    | Retrying
    | Warned
    | LimitChanged
    | FileFailed
)
Listener: TypeAlias = Callable[[AnyNotice], None]
"""Called on the event loop with each notice as it happens; must return quickly. See `uploader.Client` if it raises."""


def report_reading(on_read: Listener, path: str) -> Callable[[int, int], None]:
    """Return a callback that reports the reading of a file."""
    return lambda done, total: on_read(ReadProgress(path=path, bytes_done=done, bytes_total=total))
