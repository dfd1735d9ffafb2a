"""The wire of files: `team/<member>/` in the job's folder, for processes that share the state directory.

    hello           the member about itself; replaced
    orders-TERM     what the leader of this term wants of it; replaced. 0600, since it has addresses of uploads
    report          outcomes of the orders; only appended to, each line with a chained checksum

Each file has one writer, also while two leaders overlap, and readers poll. Nothing is synced: what is lost is asked
from the upload service.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import xxhash

from uploader.cluster.messages import Entry, Hello, Orders
from uploader.cluster.wire import LeaderSign
from uploader.concurrency import in_thread
from uploader.disk import Disk, as_resumable, map_os_errors
from uploader.errors import FigupError, StateLost
from uploader.text import printable
from uploader.transfer.store.lease import Leases, holder_exists

log = logging.getLogger("uploader.cluster.files")

FOLDER = "team"
HELLO, REPORT = "hello", "report"
_ORDERS = "orders-"
_SUM = 16
_GONE_HINT = "If the job was not removed on purpose, look whether the state directory is mounted."

_entries = msgspec.json.Decoder(Entry)


def encode_entries(entries: Iterable[Entry], seed: int) -> tuple[bytes, int]:
    """Encode lines of a report, as in a journal: JSON, a space, its xxh3 seeded with that of the line before."""
    lines = []
    for entry in entries:
        body = msgspec.json.encode(entry)
        seed = xxhash.xxh3_64_intdigest(body, seed)
        lines.append(b"%b %016x\n" % (body, seed))
    return b"".join(lines), seed


class ReportReader:
    """Reads the intact part of a report; a line that is incomplete or not visible yet is read again later."""

    def __init__(self) -> None:
        self.length = 0
        """Bytes read so far."""
        self._seed = 0

    def read(self, data: bytes) -> list[Entry]:
        """Return the entries in `data`, the bytes of the report from `length` on."""
        found: list[Entry] = []
        for line in data.splitlines(keepends=True):
            body = line[: -_SUM - 2]
            checksum = xxhash.xxh3_64_intdigest(body, self._seed)
            if line[-_SUM - 2 :] != b" %016x\n" % checksum:
                break
            try:
                found.append(_entries.decode(body))
            except msgspec.MsgspecError:
                break
            self._seed = checksum
            self.length += len(line)
        return found


def read_hellos(folder: Path, disk: Disk) -> dict[str, Hello]:
    """Read what the members of the job in `folder` say about themselves. Blocks. Unreadable ones are omitted."""
    found: dict[str, Hello] = {}
    for path in _subfolders(folder / FOLDER):
        try:
            content = disk.read(path / HELLO)
            if content is not None:
                found[path.name] = msgspec.json.decode(content, type=Hello)
        except (FigupError, msgspec.MsgspecError):
            continue
    return found


def _subfolders(folder: Path) -> list[Path]:
    with map_os_errors(folder):
        try:
            return sorted(path for path in folder.iterdir() if path.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []


class LeaderFiles:
    """The leader's end, in the folder of a job whose lease has the number `term`."""

    def __init__(self, folder: Path, disk: Disk, term: int, is_held: Callable[[], bool] = lambda: True) -> None:
        """`is_held` returns whether this process still holds the lease, and blocks."""
        self._folder = folder
        self._disk = disk
        self._term = term
        self._is_held = is_held
        self._readers: dict[str, ReportReader] = {}

    async def members(self) -> Mapping[str, Hello]:
        return await in_thread(as_resumable()(read_hellos), self._folder, self._disk)

    async def give(self, member: str, orders: Orders) -> None:
        path = self._folder / FOLDER / member / f"{_ORDERS}{self._term}"
        await in_thread(self._put_if_member, path, msgspec.json.encode(orders))

    @as_resumable()
    def _put_if_member(self, path: Path, data: bytes) -> None:
        with _unless_removed(path.parent):  # by its member, which has left
            self._disk.put(path, data)

    async def reports(self) -> list[tuple[str, Entry]]:
        return await in_thread(self._read_reports)

    @as_resumable()
    def _read_reports(self) -> list[tuple[str, Entry]]:
        found: list[tuple[str, Entry]] = []
        for path in _subfolders(self._folder / FOLDER):
            reader = self._readers.setdefault(path.name, ReportReader())
            try:
                data = self._disk.read_from(path / REPORT, reader.length)
            except FigupError as error:  # of a network file system, while another host removes the folder
                log.info("cannot read a report: %s", error)
                continue
            found += [(path.name, entry) for entry in reader.read(data)]
        return found

    async def has_earlier_orders(self) -> bool:
        return await in_thread(self._has_earlier_orders)

    @as_resumable()
    def _has_earlier_orders(self) -> bool:
        found = (term for path in _subfolders(self._folder / FOLDER) for term, _ in _orders_in(path))
        return any(term < self._term for term in found)

    def reported(self, member: str) -> int:
        reader = self._readers.get(member)
        return reader.length if reader is not None else 0

    async def forget(self, member: str) -> None:
        self._readers.pop(member, None)
        await in_thread(self._remove, self._folder / FOLDER / member)

    def _remove(self, folder: Path) -> None:
        # A leader that was suspended must not remove what the next one has to read.
        if self._is_held():
            shutil.rmtree(folder, ignore_errors=True)

    async def close(self, gone: Iterable[str]) -> None:
        """Remove the orders of earlier leaders, and all of the members that are `gone`. Raises StateLost."""
        await in_thread(self._clean, frozenset(gone))

    @as_resumable()
    def _clean(self, gone: frozenset[str]) -> None:
        for path in _subfolders(self._folder / FOLDER):
            if path.name in gone:
                shutil.rmtree(path, ignore_errors=True)
                continue
            for term, orders in _orders_in(path):
                if term < self._term:
                    with map_os_errors(orders):
                        orders.unlink(missing_ok=True)


class MemberFiles:
    """A member's end, in the folder of a job."""

    def __init__(self, folder: Path, disk: Disk, *, host: str, pid: int) -> None:
        """Choose a name that no other member has."""
        self.name = f"{re.sub('[^A-Za-z0-9.-]', '_', host)}-{pid}-{secrets.token_hex(4)}"
        self._job = folder
        self._folder = folder / FOLDER / self.name
        self._disk = disk
        self._seed = self._length = 0
        self._joined = False

    async def hello(self, hello: Hello) -> None:
        await in_thread(self._write_hello, hello)

    def _write_hello(self, hello: Hello) -> None:
        try:
            self._put_hello(hello)
        except FigupError:
            if self._folder.exists():
                raise
            self._put_hello(hello)  # it was removed meanwhile

    def _put_hello(self, hello: Hello) -> None:
        if not self._folder.exists():
            if self._joined and not self._job.exists():
                # Not only its own folder was removed. Before, a member may come earlier than the first leader.
                raise StateLost(f"the folder of this job is gone: {printable(str(self._job))}", hint=_GONE_HINT)
            # New, or removed by a leader that considered this member dead: the report begins again, too.
            self._disk.make_folder(self._folder)
            self._seed = self._length = 0
        data = msgspec.json.encode(msgspec.structs.replace(hello, reported=self._length))
        with as_resumable():
            self._disk.put(self._folder / HELLO, data)
        self._joined = True

    async def orders(self) -> tuple[int, Orders] | None:
        return await in_thread(self._read_orders)

    def _read_orders(self) -> tuple[int, Orders] | None:
        for term, path in sorted(_orders_in(self._folder), reverse=True):
            content = self._disk.read(path)
            if content is not None:
                return term, msgspec.json.decode(content, type=Orders)
        return None

    async def report(self, entries: list[Entry]) -> None:
        await in_thread(self._append, entries)

    @as_resumable()
    def _append(self, entries: list[Entry]) -> None:
        with _unless_removed(self._folder):  # by a leader that considered this member dead
            data, self._seed = encode_entries(entries, self._seed)
            self._disk.append(self._folder / REPORT, data)
            self._length += len(data)

    async def leader(self) -> LeaderSign | None:
        return await in_thread(self._look_at_leader)

    def _look_at_leader(self) -> LeaderSign | None:
        found = Leases(self._job, self._disk).newest()
        if found is None:
            return None
        lease = found.lease
        ended = lease is not None and (lease.ended or holder_exists(lease, self._job) is False)
        return LeaderSign(term=found.number, content=found.content, ended=ended)

    async def close(self) -> None:
        """Remove the member's folder: the job has ended. Raises nothing."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, self._folder, True)


@contextmanager
def _unless_removed(folder: Path) -> Iterator[None]:
    """Raise what is raised inside, unless another process has removed the folder."""
    try:
        yield
    except FigupError:
        if folder.exists():
            raise


def _orders_in(folder: Path) -> list[tuple[int, Path]]:
    """Return the orders for a member with the terms of their leaders."""
    with map_os_errors(folder):
        try:
            names = [path.name for path in folder.iterdir()]
        except FileNotFoundError:
            return []
    return [
        (int(name.removeprefix(_ORDERS)), folder / name)
        for name in names
        if name.startswith(_ORDERS) and name.removeprefix(_ORDERS).isdecimal()
    ]
