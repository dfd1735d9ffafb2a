"""The journal: a job's append-only log, from which everything can be rebuilt.

Format 1: one line an event, `JSON SPACE CHECKSUM NEWLINE`. The checksum is the 64-bit xxh3 of the JSON, in 16 hex
digits, seeded with the checksum of the line before, so that a line changed, lost or moved is noticed. The first line
holds the format's number. Nothing here knows what events mean; `lifecycle` does.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import xxhash

from uploader.disk import Disk, as_resumable
from uploader.errors import FigupError, JournalDamaged, JournalNewer
from uploader.transfer.journal.events import AnyEvent

FORMAT = 1
_SUM = 16
_SEED = 0


class Header(msgspec.Struct, frozen=True):
    """The first line: which format the others have."""

    figup_journal: int = msgspec.field(name="figup-journal")


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)
_header_decoder = msgspec.json.Decoder(Header)


def encode_line(value: AnyEvent | Header, seed: int) -> tuple[bytes, int]:
    """One line of the journal, and the seed for the next one."""
    body = _encoder.encode(value)
    checksum = xxhash.xxh3_64_intdigest(body, seed)
    return b"%b %016x\n" % (body, checksum), checksum


def encode(events: Iterable[AnyEvent]) -> tuple[bytes, int]:
    """Encode a whole journal; return it with the seed for the next line."""
    line, seed = encode_line(Header(FORMAT), _SEED)
    lines = [line]
    for event in events:
        line, seed = encode_line(event, seed)
        lines.append(line)
    return b"".join(lines), seed


@dataclass
class Replay:
    """What a journal's bytes say."""

    events: list[AnyEvent] = field(default_factory=list)
    seed: int = _SEED
    torn: bool = False
    """The last line was cut off in the middle of being written; it is not among the events."""
    damaged: list[int] = field(default_factory=list)
    """Numbers (from 1) of the lines that are not what was written."""

    @property
    def clean(self) -> bool:
        """True when lines can be appended to the file as it is."""
        return not self.torn and not self.damaged


def decode(data: bytes) -> Replay:
    """Read a journal as far as it can be trusted. Raises JournalNewer; damage is reported in the result, not raised."""
    replay = Replay()
    scan(io.BytesIO(data), replay, replay.events.append)
    return replay


def scan(lines: Iterable[bytes], replay: Replay, take: Callable[[AnyEvent], None]) -> None:
    """Read a journal line by line, hand each event to `take`, and note in `replay` what else is to be known.

    Raises as `decode` does, and what `take` raises.
    """
    number = 0
    for number, whole in enumerate(lines, start=1):
        if not whole.endswith(b"\n"):
            replay.torn = True
            break
        line = whole[:-1]
        body, checksum = line[: -_SUM - 1], _checksum(line)
        if checksum is None or xxhash.xxh3_64_intdigest(body, replay.seed) != checksum:
            replay.damaged.append(number)
            # The next line was seeded with this line's true checksum: where that still stands, only this line is lost.
            replay.seed = replay.seed if checksum is None else checksum
            continue
        replay.seed = checksum
        if number == 1:
            _check_header(body)
            continue
        try:
            event = _decoder.decode(body)
        except msgspec.MsgspecError:
            replay.damaged.append(number)
        else:
            take(event)
    if number == 0 or (number == 1 and replay.torn):
        replay.damaged.append(1)


def _checksum(line: bytes) -> int | None:
    digits = line[-_SUM:]
    if len(line) <= _SUM or line[-_SUM - 1 : -_SUM] != b" " or not digits.isalnum():
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


def _check_header(body: bytes) -> None:
    try:
        header = _header_decoder.decode(body)
    except msgspec.MsgspecError:
        raise JournalDamaged("this is not a journal of figup") from None
    if header.figup_journal > FORMAT:
        raise JournalNewer(f"the journal has format {header.figup_journal}, this figup knows up to {FORMAT}")


class Journal:
    """An open journal that events are appended to.

    `record` hands an event over; `commit` makes all that was recorded durable. Part events are recorded alone and
    become durable in groups: losing the last few costs a question to the server, nothing else.
    """

    def __init__(self, path: Path, disk: Disk, fd: int, seed: int) -> None:
        self._path = path
        self._disk = disk
        self._fd = fd
        self._seed = seed
        self._pending: list[bytes] = []
        self._broken: FigupError | None = None
        self._turn = anyio.Lock()

    @classmethod
    def create(cls, path: Path, events: Iterable[AnyEvent], disk: Disk) -> Journal:
        """Write a whole new journal in place of `path`, durably, and open it. Blocks."""
        data, seed = encode(events)
        disk.replace(path, data)
        return cls(path, disk, disk.open_append(path), seed)

    @classmethod
    def reopen(cls, path: Path, replay: Replay, disk: Disk) -> Journal:
        """Open a journal that was read as `replay`, to append to it. Blocks.

        One that is torn or damaged is written anew from what could be read; of a damaged one the original is kept
        beside it, for whoever wants to know what happened.
        """
        if replay.clean:
            return cls(path, disk, disk.open_append(path), replay.seed)
        if replay.damaged:
            original = disk.read(path)
            if original is not None:
                disk.replace(path.with_name(f"{path.name}.damaged"), original)
        return cls.create(path, replay.events, disk)

    def record(self, event: AnyEvent) -> None:
        """Hand an event over; it reaches the file with the next `commit`."""
        line, self._seed = encode_line(event, self._seed)
        self._pending.append(line)

    async def commit(self) -> None:
        """Write what was recorded, durably. Raises StateDiskFull or StateLost."""
        # Shielded: a line half written because the host cancelled us would be a torn journal for no reason.
        with anyio.CancelScope(shield=True):
            async with self._turn:
                data = b"".join(self._pending)
                self._pending.clear()
                if self._broken is not None:
                    # Also for whoever has nothing to write: the batch that failed may have had its lines in it.
                    # After a line that was written in part, no other can follow: the next run begins by mending that.
                    raise self._broken
                if data:
                    await anyio.to_thread.run_sync(self._write, data)

    def _write(self, data: bytes) -> None:
        try:
            with as_resumable():
                self._disk.write(self._fd, data, self._path)
                self._disk.sync(self._fd, self._path)
        except FigupError as error:
            self._broken = error
            raise

    def close(self) -> None:
        """Close the file; what was recorded and not committed is lost."""
        os.close(self._fd)
