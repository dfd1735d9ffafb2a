"""Messages between the processes of one job, independent of the wire. Values only. A member describes itself (`Hello`),
the leader says what to send (`Orders`), and a member reports the results (`Entry`).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from uploader.figshare.models import Part

PartRange: TypeAlias = tuple[int, int, int]
"""A part: its number, and the offsets of its first and last byte."""


class Secret(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """Text that is not shown: the address of an upload permits writing to it."""

    value: str

    def __repr__(self) -> str:
        return "Secret(...)"


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """A member. `version` is that of its figup, "" if it cannot be asked. `beat` increases while it is alive; `term`
    and `seq` are of the orders that it follows now.

    `task` is its task of a batch system, "" for none. `share` is (I, N): it prefers the I-th of N shares of the bytes,
    counted from 0. `reported` is the length of its report in bytes. `ended`: it takes no more orders.
    """

    host: str
    machine: str
    pid: int
    version: str
    task: str = ""
    share: tuple[int, int] | None = None
    beat: int = 0
    term: int = 0
    seq: int = 0
    reported: int = 0
    ended: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of one file to send. `id` is unique in its leader's term, `file_id` the remote file.

    `size` and `mtime_ns` identify the version of the source. `digest`: compute the MD5 of the whole source, too.
    `contested`: another process may be sending these parts, so ask before sending one.
    """

    id: int
    file_id: int
    path: str
    size: int
    mtime_ns: int
    upload: Secret
    parts: tuple[PartRange, ...]
    digest: bool = False
    contested: bool = False


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How the job ended: `exit_status` 0, or the code and message of the error that ended it."""

    exit_status: int
    code: str = ""
    message: str = ""
    hint: str | None = None


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """All current orders of one member. One that is no longer listed is withdrawn: no further part of it is begun, and
    with `abort` none that is in flight is finished.

    `seq` increases with each change. `connections` may be used at a time, and `rate` bytes sent in a second; None for
    no limit.
    """

    seq: int
    orders: tuple[Order, ...] = ()
    connections: int = 0
    rate: float | None = None
    abort: bool = False
    end: End | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of `Orders`, for a worker of a pool. `number` increases with each change; 0: none were given yet."""

    number: int = 0
    connections: int = 0
    rate: float | None = None


class PartDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="part"):
    """The upload service has a part. `xxh3` is of the bytes sent; None if it had the part before."""

    term: int
    order: int
    file_id: int
    no: int
    xxh3: int | None = None


class PartsLeft(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="left"):
    """The parts of a withdrawn order that were not begun, and will not be."""

    term: int
    order: int
    parts: tuple[int, ...]


class FileHashed(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="md5"):
    """The MD5 of the source, all of which was read."""

    term: int
    order: int
    md5: str


class OrderFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="failed"):
    """The order cannot be carried out here. `code` is that of the error, or one of those below."""

    term: int
    order: int
    code: str
    message: str


class OrderOver(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="over"):
    """Nothing of the order is left to do."""

    term: int
    order: int


class Speed(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="speed"):
    """How fast this process sends, in bytes a second (None while unknown), and what it has sent of unfinished parts."""

    term: int
    rate: float | None
    in_flight: int


class LimitsApplied(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag="obeyed"):
    """The limits of these orders apply from now on."""

    term: int
    seq: int


Outcome: TypeAlias = PartDone | PartsLeft | FileHashed | OrderFailed | OrderOver
Entry: TypeAlias = Outcome | LimitsApplied | Speed

UPLOAD_GONE = "upload-gone"
"""Code of an `OrderFailed`: the upload service no longer has the upload."""
WORKER_LOST = "worker-lost"
"""Code of an `OrderFailed`: the worker, or the connection to its pool, was lost, whatever the order is."""


def range_of(part: Part) -> PartRange:
    """Return a part as it is in an order."""
    return part.no, part.start, part.end


def size_of(order: Order) -> int:
    """Bytes of an order's parts."""
    return sum(end - start + 1 for _, start, end in order.parts)
