"""The journal file: a job's append-only log, from which its state can be rebuilt.

Format 1: one line per event, `JSON SPACE CHECKSUM NEWLINE`. The checksum is the 64-bit xxh3 of the JSON, in 16 hex
digits, seeded with the checksum of the line before, so that a changed, lost or moved line is detected. The first line
holds the format version. The meaning of a job's events is in `lifecycle` and `state`; other journals, with a `decoder`
of their own, have other events.

A file beside the journal records its length and last checksum as of the last sync, and facts of the job that must
survive truncation. A shorter journal was truncated, which is damage; a torn line was merely never synced.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
import msgspec
import xxhash

from uploader.disk import Disk, as_resumable, is_at
from uploader.errors import FigupError, JournalDamaged, JournalNewer
from uploader.system import system_errors
from uploader.transfer.journal.events import AnyEvent, PublishIntended
from uploader.transfer.journal.sync_facts import KeptFile, OnRecord, SyncFacts, most_important

E = TypeVar("E", bound=msgspec.Struct)

FORMAT = 1
_SUM = 16
_LAST_SUM = re.compile(rb" ([0-9a-f]{16})\Z")
_SEED = 0
_SYNCED = re.compile(
    rb"(\d+) ([0-9a-f]{16})(?: (\d+))?(?: by (\d+))?"
    rb"(?: public (\d+) ([0-9a-f]{16}) ((?:[0-9a-f]{2})*))?((?: [brv]\d+@[0-9a-f]+)*)"
)
"""The record of a sync, before its own checksum: see `Synced`."""
_LETTERS = {OnRecord.BEGUN: b"b", OnRecord.REPLACED: b"r", OnRecord.VERIFIED: b"v"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}
_MOST_FILES = 1000
"""Maximum number of files in the record of a sync. A run has far fewer open at a time, but may replace more."""


class Header(msgspec.Struct, frozen=True):
    """The first line: the format version of the others."""

    figup_journal: int = msgspec.field(name="figup-journal")


_encoder = msgspec.json.Encoder()
EVENTS = msgspec.json.Decoder(AnyEvent)
"""Decodes the events of a job of transfers."""
_header_decoder = msgspec.json.Decoder(Header)


def encode_line(value: msgspec.Struct, seed: int) -> tuple[bytes, int]:
    """One line of the journal, and the seed for the next one."""
    body = _encoder.encode(value)
    checksum = xxhash.xxh3_64_intdigest(body, seed)
    return b"%b %016x\n" % (body, checksum), checksum


def encode(events: Iterable[msgspec.Struct]) -> tuple[bytes, int]:
    """Encode a whole journal; return it with the seed for the next line."""
    line, seed = encode_line(Header(FORMAT), _SEED)
    lines = [line]
    for event in events:
        line, seed = encode_line(event, seed)
        lines.append(line)
    return b"".join(lines), seed


class Synced(msgspec.Struct, frozen=True):
    """A journal as it was synced last: its length in bytes, the checksum of its last line, and what was kept then."""

    length: int
    checksum: int
    kept: SyncFacts = msgspec.field(default_factory=SyncFacts)


class Replay(msgspec.Struct, Generic[E], kw_only=True):
    """The result of reading a journal. `synced`: what it must contain at least; None if that is not known."""

    synced: Synced | None = None

    events: list[E] = []
    seed: int = _SEED
    length: int = 0
    """Bytes of the complete lines."""
    torn: bool = False
    """True if the last line is incomplete; it is not among the events."""
    damaged: list[int] = []
    """Numbers (from 1) of the lines with a wrong checksum."""

    @property
    def clean(self) -> bool:
        """True if lines can be appended to the file as it is."""
        return not self.torn and not self.damaged


def synced_path(journal: Path) -> Path:
    """Return the path of the record of the journal's last sync."""
    return journal.with_name(f"{journal.name}.synced")


def damaged_path(journal: Path) -> Path:
    """Return the path of the original of a damaged journal."""
    return journal.with_name(f"{journal.name}.damaged")


def recovered_path(journal: Path) -> Path:
    """Return the path of the original of a damaged journal whose possible losses have all been looked up."""
    return journal.with_name(f"{journal.name}.recovered")


def read_synced(journal: Path, disk: Disk) -> Synced | None:
    """Return the last sync on record, or None if that cannot be read.

    Call it before the journal is read, which may be growing.
    """
    try:
        line = disk.read(synced_path(journal)) or b""
    except FigupError:
        return None
    body = line[: -_SUM - 1]
    found = _SYNCED.fullmatch(body)
    if found is None or _checksum(line) != xxhash.xxh3_64_intdigest(body):
        return None
    length, checksum, item, account, version, published, curation, files = found.groups()
    kept = SyncFacts(
        item=None if item is None else int(item),
        account=None if account is None else int(account),
        publishing=None if version is None else _publishing(version, published, curation),
        files=dict(map(_kept_file, files.split())),
    )
    return Synced(int(length), int(checksum, 16), kept)


def _kept_file(word: bytes) -> tuple[int, KeptFile]:
    file_id, place = word[1:].split(b"@")
    return int(file_id), KeptFile(_KINDS[word[:1]], int(place, 16))


def _publishing(version: bytes, files: bytes, curation: bytes) -> PublishIntended:
    return PublishIntended(int(version), files.decode(), bytes.fromhex(curation.decode()).decode(errors="replace"))


def encode_synced(synced: Synced) -> bytes:
    """Encode the record of a sync."""
    body = b"%d %016x" % (synced.length, synced.checksum)
    kept = synced.kept
    if kept.item is not None:
        body += b" %d" % kept.item
    if kept.account is not None:
        body += b" by %d" % kept.account
    if (to := kept.publishing) is not None and to.curation is not None:
        body += b" public %d %b %b" % (to.version, to.files.encode(), to.curation.encode().hex().encode())
    body += b"".join(b" %b%d@%x" % (_LETTERS[file.kind], file_id, file.place) for file_id, file in kept.files.items())
    return b"%b %016x" % (body, xxhash.xxh3_64_intdigest(body))


def decode(data: bytes, synced: Synced | None = None) -> Replay[AnyEvent]:
    """Read the intact part of a journal. Raises JournalNewer; damage is reported in the result, not raised."""
    replay: Replay[AnyEvent] = Replay(synced=synced)
    scan(io.BytesIO(data), replay, replay.events.append, EVENTS)
    return replay


def scan(
    lines: Iterable[bytes], replay: Replay[E], take: Callable[[E], None], decoder: msgspec.json.Decoder[E]
) -> None:
    """Read a journal line by line, pass each event to `take`, and record the rest in `replay`.

    Raises what `decode` and `take` raise.
    """
    number = 0
    synced = replay.synced
    intact = synced is None
    for number, whole in enumerate(lines, start=1):
        if not whole.endswith(b"\n"):
            replay.torn = True
            break
        replay.length += len(whole)
        body, end = whole[: -_SUM - 2], whole[-_SUM - 2 :]
        wanted = xxhash.xxh3_64_intdigest(body, replay.seed)
        # Nearly always equal, and then it need not be parsed: there may be millions of lines.
        checksum = wanted if end == b" %016x\n" % wanted else _checksum(whole[:-1])
        if synced is not None and replay.length == synced.length:
            intact = checksum == synced.checksum
        if checksum != wanted:
            replay.damaged.append(number)
            # The next line was seeded with this line's true checksum: if that is readable, only this line is lost.
            replay.seed = replay.seed if checksum is None else checksum
            continue
        replay.seed = wanted
        if number == 1:
            _check_header(body)
            continue
        try:
            event = decoder.decode(body)
        except msgspec.MsgspecError:
            replay.damaged.append(number)
        else:
            take(event)
    if number == 0 or (number == 1 and replay.torn):
        replay.damaged.append(1)
    elif not intact and not replay.damaged:
        replay.damaged.append(number + (not replay.torn))


def _checksum(line: bytes) -> int | None:
    found = _LAST_SUM.search(line)
    return int(found[1], 16) if found is not None else None


def _check_header(body: bytes) -> None:
    try:
        header = _header_decoder.decode(body)
    except msgspec.MsgspecError:
        raise JournalDamaged("not a figup journal") from None
    if header.figup_journal > FORMAT:
        raise JournalNewer(f"the journal has format {header.figup_journal}; this figup supports up to {FORMAT}")


class Journal:
    """An open journal that events are appended to.

    `record` queues an event; `commit` makes all queued events durable. Part events are only queued and become durable
    in groups: losing the last few costs one request to the server.
    """

    def __init__(
        self,
        path: Path,
        disk: Disk,
        fd: int,
        seed: int,
        length: int,
        kept: SyncFacts | None = None,
    ) -> None:
        self.kept = kept or SyncFacts()
        """The job's facts for the record of the next sync, updated as the job changes."""
        self._path = path
        self._disk = disk
        self._fd = fd
        self._seed = seed
        self._length = length
        self._pending: list[bytes] = []
        self._broken: FigupError | None = None
        self._turn = anyio.Lock()

    @classmethod
    def create(cls, path: Path, events: Iterable[msgspec.Struct], disk: Disk, kept: SyncFacts | None = None) -> Journal:
        """Write a whole new journal in place of `path`, durably, and open it. Blocks."""
        data, seed = encode(events)
        disk.replace(path, data)
        journal = cls(path, disk, disk.open_append(path), seed, len(data), kept)
        journal._note_synced(seed, journal._to_keep())
        return journal

    @classmethod
    def reopen(cls, path: Path, replay: Replay[E], disk: Disk, kept: SyncFacts | None = None) -> Journal:
        """Open a journal that was read as `replay`, to append to it. Blocks.

        A torn or damaged journal is rewritten from what could be read; the original of a damaged one is kept beside it
        for diagnosis, an empty one of a journal that is gone.
        """
        if replay.clean:
            return cls(path, disk, disk.open_append(path), replay.seed, replay.length, kept)
        if replay.damaged:
            disk.replace(damaged_path(path), disk.read(path) or b"")
        return cls.create(path, replay.events, disk, kept)

    def record(self, event: msgspec.Struct) -> None:
        """Queue an event; it reaches the file with the next `commit`."""
        line, seed = encode_line(event, self._seed)
        self._pending.append(line)
        self._seed = seed  # last, so that a MemoryError before it leaves the checksum chain unchanged

    async def commit(self, *, record: bool = False) -> None:
        """Write the queued events durably. Raises StateDiskFull, StateLost or ResourcesExhausted.

        `record`: write the record of the last sync even if no event is queued. Events stay queued until they are
        written: without a thread to write them, a later call does.
        """
        # Shielded, so that cancellation by the host leaves no torn line.
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if self._broken is not None:
                    # Also for a caller with nothing to write: the failed batch may have contained its events.
                    # No line may follow one that was written in part: the next run repairs that first.
                    raise self._broken
                count, seed = len(self._pending), self._seed
                data = b"".join(self._pending)
                if data or record:
                    kept = self._to_keep()
                    with system_errors():
                        await anyio.to_thread.run_sync(self._write, data, seed, kept)
                    del self._pending[:count]

    def _to_keep(self) -> SyncFacts:
        return msgspec.structs.replace(self.kept, files=most_important(self.kept.files, _MOST_FILES))

    def _write(self, data: bytes, seed: int, kept: SyncFacts) -> None:
        try:
            with system_errors():
                with as_resumable():
                    self._disk.write(self._fd, data, self._path)
                    self._disk.sync(self._fd, self._path)
                self._length += len(data)
                self._note_synced(seed, kept)
        except FigupError as error:
            self._broken = error
            raise

    def _note_synced(self, seed: int, kept: SyncFacts) -> None:
        """Record the sync, not durably: after a power failure an outdated record does no harm.

        A process that took over the job has replaced the journal: the record belongs to that process.
        """
        with suppress(FigupError, OSError):
            if not is_at(self._path, self._fd):
                return
            self._disk.put(synced_path(self._path), encode_synced(Synced(self._length, seed, kept)))

    def close(self) -> None:
        """Close the file; queued events that were not committed are lost."""
        os.close(self._fd)
