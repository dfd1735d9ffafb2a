"""What a running job tells whoever watches it: progress bars, JSON Lines, a host program. Values only.

Each notice encodes to one JSON object with its name under `event`. Sizes are bytes, durations seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import msgspec

_WHERE = re.compile(r"^/(?:.*, part \d+|.*?): (?=\S)")


class Notice(msgspec.Struct, frozen=True, tag_field="event"):
    """Base of all notices."""


class JobStarted(Notice, frozen=True, tag="job"):
    """The job is open. `resumed`: an earlier run of it is being continued. `title` is of the item to be created.

    `files_done` of the files, with `bytes_done`, were verified by earlier runs.
    """

    job: str
    resumed: bool
    files: int
    bytes_total: int
    title: str | None = None
    files_done: int = 0
    bytes_done: int = 0


class JobUpdated(Notice, frozen=True, tag="renewed"):
    """The same command, run again, names so many files for the first time, and does not name so many any more."""

    job: str
    added: int
    dropped: int


class ItemKnown(Notice, frozen=True, tag="item"):
    """The item that the files go to."""

    item_id: int
    item_url: str
    created: bool


class Skipped(Notice, frozen=True, tag="skipped"):
    """Something that was named, or is in a folder that was, is not compared: see `SkipReport`."""

    path: str
    reason: str


class Described(Notice, frozen=True, tag="item-described"):
    """The item says what it is to say. `fields` are those of the API that were set."""

    item_id: int
    fields: tuple[str, ...]


class FinalStepCompleted(Notice, frozen=True, tag="concluded"):
    """What was wished for the end is done. `step`: `reserve_doi`, `private_link` or `publish`; `value` is the DOI, the
    link, or `public`, `embargoed` or `review`."""

    step: str
    value: str


class FileStarted(Notice, frozen=True, tag="file"):
    """The server was asked about a file: so much of it was already there."""

    path: str
    name: str
    file_id: int
    size: int
    parts_total: int
    parts_found: int
    bytes_found: int


class ActiveFile(msgspec.Struct, frozen=True):
    """A file on its way: `bytes_done` of `size` are with Figshare or under way there."""

    path: str
    name: str
    size: int
    bytes_done: int
    waiting: bool
    """True when all is sent and Figshare's checksum is awaited."""


class Progress(Notice, frozen=True, tag="progress"):
    """Now and then: how far the whole job is. `rate` is bytes a second, lately; None before anything was sent.

    `bytes_sent` were handed to the network in this run, those that had to be sent again included.
    """

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    rate: float | None
    connections: int
    active: tuple[ActiveFile, ...]
    bytes_sent: int = 0


class Reading(Notice, frozen=True, tag="reading"):
    """Now and then, while a file is read for its MD5 alone and that takes some time: how far it is."""

    path: str
    bytes_done: int
    bytes_total: int


class FileSent(Notice, frozen=True, tag="sent"):
    """Figshare has every byte of the file; now it computes its checksum."""

    path: str
    file_id: int


class FileVerified(Notice, frozen=True, tag="verified"):
    """Figshare's MD5 equals the source's."""

    path: str
    file_id: int
    md5: str


class LinkConfirmed(Notice, frozen=True, tag="linked"):
    """The item shows the address as it was given."""

    path: str
    file_id: int


class FileRestarted(Notice, frozen=True, tag="restarted"):
    """The file is sent again from its beginning, for this reason."""

    path: str
    reason: str


class Retrying(Notice, frozen=True, tag="retry"):
    """Something passing went wrong; it is tried again in `delay` seconds."""

    reason: str
    delay: float


class Warned(Notice, frozen=True, tag="warning"):
    """Something that the user should know of, and that does not stop the job."""

    message: str


class LimitChanged(Notice, frozen=True, tag="limit"):
    """From now on so many bytes a second may go out; None for as many as can."""

    rate: float | None


class FileFailed(Notice, frozen=True, tag="error"):
    """A file could not be sent; the others go on."""

    code: str
    message: str
    hint: str | None
    path: str | None


def retry_cause(reason: str) -> str:
    """The reason of a retry without the file, and the part of it, that it begins with: many meet the same one."""
    return _WHERE.sub("", reason)


AnyNotice: TypeAlias = (
    JobStarted
    | JobUpdated
    | ItemKnown
    | Skipped
    | Described
    | FinalStepCompleted
    | FileStarted
    | Progress
    | Reading
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
"""Called on the event loop with each notice as it happens; it must be quick and must not raise."""


def reading(tell: Listener, path: str) -> Callable[[int, int], None]:
    """Has whoever listens told how far the reading of a file is."""
    return lambda done, total: tell(Reading(path, done, total))
