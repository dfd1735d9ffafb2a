"""Sending parts: one part with its retries, and the workers that take parts of all files from the queue."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Protocol

import anyio
import anyio.to_thread
import xxhash

from uploader.clock import Clock
from uploader.concurrency import Stopped
from uploader.errors import Facts, RequestRejected, ServerFailing, UploadFailing
from uploader.figshare.models import Part, Upload
from uploader.figshare.outcomes import PartFailed, PartLocked, UploadGone
from uploader.figshare.part_body import Chunk
from uploader.figshare.retry import Backoff, poll
from uploader.sources.digest import Digest
from uploader.sources.source import Readable
from uploader.text import printable
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.options import MAX_CONNECTIONS
from uploader.transfer.parts.adaptive import AdaptiveConcurrency
from uploader.transfer.parts.queue import FileSend, PartQueue
from uploader.transfer.run.deadline import DeadlinePolicy
from uploader.transfer.run.progress import ProgressTracker
from uploader.transfer.run.service import PartService
from uploader.transfer.run.stop import Stop
from uploader.transfer.run.throttle import Throttle


class SendingRun(Protocol):
    """What sending parts needs of a run: that of a job, or of a member that only sends."""

    @property
    def api(self) -> PartService: ...
    @property
    def stop(self) -> Stop: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def throttle(self) -> Throttle: ...
    @property
    def progress(self) -> ProgressTracker: ...
    @property
    def deadline(self) -> DeadlinePolicy: ...
    @property
    def gone_after(self) -> float: ...

    def new_backoff(self) -> Backoff: ...

    async def wait_to_try_again(self, backoff: Backoff, reason: str, *, retry_after: float | None = None) -> None: ...

    def part_done(self, transfer: Transfer, part: Part, xxh3: int | None) -> None:
        """Record that the upload service has a part; `xxh3` is None if this run did not send it."""


READ_AHEAD = 1 << 20
"""Bytes that a thread reads at once: each switch to one and back costs as much as sending some 100 kB."""


class ReusableBuffer:
    """Memory for successive chunks, reused once no view of it is held, since allocation costs time."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def view(self, length: int) -> memoryview:
        """Return a writable view of this many bytes; memory is not reused while a view of it is held."""
        if len(self._memory) < length or not self._is_free():
            self._memory = bytearray(length)
        return memoryview(self._memory)[:length]

    def _is_free(self) -> bool:
        try:
            # Python refuses to resize memory with views; transports may hold views longer than documented.
            self._memory.append(0)
        except BufferError:
            return False
        del self._memory[-1]
        return True


class PartReader:
    """Streams one part of the source; `xxh3` is the hash of all its bytes, None until the last was read."""

    def __init__(
        self, source: Readable, digest: Digest | None, part: Part, throttle: Throttle, *, run_start: int
    ) -> None:
        """All parts from the offset `run_start` to this one are sent in this run."""
        self._source = source
        self._digest = digest
        self._run_start = run_start
        self._part = part
        self._throttle = throttle
        self._hasher = xxhash.xxh3_64()
        self._memory = ReusableBuffer()
        self._read_ahead = memoryview(b"")
        """Bytes that were read from storage and are to be sent next."""
        self.xxh3: int | None = None

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield the part's bytes. Raises SourceChanged or SourceUnreadable."""
        offset, end = self._part.start, self._part.end + 1
        digest = self._digest
        while offset < end:
            if digest is not None:
                await digest.wait_for_window(offset, self._run_start)
            block = await self._read(offset, min(self._throttle.chunk_size, end - offset))
            self._hasher.update(block)
            offset += len(block)
            if digest is not None:
                digest.advance(offset)
            await self._throttle.take(len(block))
            yield block
            del block
        self.xxh3 = self._hasher.intdigest()

    async def _read(self, offset: int, length: int) -> Chunk:
        """Read from the page cache if possible: the digest has usually read these bytes before.

        Where that cannot be done without blocking, a thread reads several chunks at a time.
        """
        if not self._read_ahead:
            buffer = self._memory.view(length)
            if count := self._source.read_into(offset, buffer):
                return buffer[:count]
            del buffer
            block = self._memory.view(min(READ_AHEAD, self._part.end + 1 - offset))
            await anyio.to_thread.run_sync(self._source.fill, offset, block)
            self._read_ahead = block
        chunk, self._read_ahead = self._read_ahead[:length], self._read_ahead[length:]
        return chunk


_MAX_UNKNOWN = 1
"""How often a part may be refused as unknown although the upload service knows its upload."""
WORKERS = 4 * MAX_CONNECTIONS
"""Number of workers: more than connections, since parts in backoff use none."""


class Slot:
    """A connection slot, released during backoff."""

    def __init__(self, run: SendingRun, slots: anyio.CapacityLimiter) -> None:
        self._run = run
        self._slots = slots
        self._held = False
        self.backoff = run.new_backoff()

    async def take(self) -> None:
        """Wait for a connection. Raises Stopped."""
        with self._run.stop.interruptible():
            await self._slots.acquire_on_behalf_of(self)
            self._held = True

    def release(self) -> None:
        """Release the connection."""
        if self._held:
            self._held = False
            self._slots.release_on_behalf_of(self)

    async def wait(self, reason: str, retry_after: float | None) -> None:
        """Wait without a connection, then take one. Raises ServerFailing, Stopped."""
        self.release()
        await self._run.wait_to_try_again(self.backoff, reason, retry_after=retry_after)
        await self.take()


class PartWorker:
    """Sends parts and retries transient failures."""

    def __init__(
        self, run: SendingRun, pace: AdaptiveConcurrency, queue: PartQueue, slots: anyio.CapacityLimiter
    ) -> None:
        """`slots` are the connections."""
        self._run = run
        self._pace = pace
        self._queue = queue
        self._slots = slots
        self._last_accepted = -math.inf
        """When the server last accepted a part."""

    async def work(self) -> None:
        """One worker: takes a slot, then a part, until it is cancelled or the run stops."""
        while not self._run.stop.requested:
            # An idle worker holds no slot: one with a part to retry may need it.
            await self._queue.wait()
            turn = Slot(self._run, self._slots)
            try:
                await turn.take()
                if (taken := self._queue.take()) is not None:
                    await self._send_taken(*taken, turn)
            except Stopped:
                return
            finally:
                turn.release()

    async def _send_taken(self, sending: FileSend, part: Part, slot: Slot) -> None:
        try:
            if not self._run.stop.requested:
                with sending.in_flight():
                    await self._send(sending, part, slot)
        finally:
            sending.done()

    async def _send(self, sending: FileSend, part: Part, slot: Slot) -> None:
        source, digest = await sending.content()
        start = sending.run_start(part.start)
        if part.locked or sending.contested:
            part = await self._wait_unlocked(sending, part, slot)
        unknown: list[UploadGone] = []
        while not part.complete:
            reader = PartReader(source, digest, part, self._run.throttle, run_start=start)
            refused = False
            try:
                await self._attempt(sending, part, reader, fresh_connection=slot.backoff.since is not None)
            except (PartLocked, UploadGone) as outcome:
                refused = True
                unknown += [outcome] if isinstance(outcome, UploadGone) else []
                await self._wait(sending, part, slot, PartFailed(outcome.reason))
            except PartFailed as outcome:
                if not outcome.transient:
                    raise self._rejected(sending, part, outcome) from None
                if outcome.congested:
                    self._pace.on_congestion()
                await self._wait(sending, part, slot, outcome)
            else:
                self._accept(sending, part, reader.xxh3)
                return
            # Our own failed attempt may have succeeded, or may still hold the part's lock.
            part = await self._wait_unlocked(sending, part, slot)
            if part.complete:
                self._accept(sending, part, reader.xxh3)
                return
            if refused:
                await self._check_upload(sending, unknown)
        self._accept(sending, part, None)

    def _rejected(self, sending: FileSend, part: Part, outcome: PartFailed) -> RequestRejected:
        hint, situation = outcome.advice or (None, RequestRejected.code)
        message = f"{self._label(sending, part)}: {outcome.reason}"
        return RequestRejected(message, hint=hint, path=sending.transfer.path, facts=Facts(situation))

    async def _attempt(self, sending: FileSend, part: Part, reader: PartReader, *, fresh_connection: bool) -> None:
        meter, progress = sending.meter, self._run.progress
        accepted = 0

        def on_accepted(count: int) -> None:
            nonlocal accepted
            accepted += count
            meter.add_in_flight(count)
            progress.accepted += count
            progress.in_flight += count
            progress.unsent -= count

        progress.busy += 1
        progress.unsent += part.size
        try:
            await self._run.api.send_part(
                sending.upload_url, part, reader.chunks, on_accepted=on_accepted, fresh_connection=fresh_connection
            )
        finally:
            progress.busy -= 1
            progress.in_flight -= accepted
            progress.unsent -= part.size - accepted
            meter.add_in_flight(-accepted)

    async def _wait_unlocked(self, sending: FileSend, part: Part, slot: Slot) -> Part:
        """Return the part as the server has it, once it is no longer locked."""
        while True:
            try:
                with self._run.stop.interruptible():
                    part = await self._run.api.part(sending.upload_url, part.no)
            except UploadGone:
                upload = await self._check_upload(sending)
                part = next((one for one in upload.parts if one.no == part.no), part)
            if part.complete or not part.locked:
                return part
            await self._wait(sending, part, slot, PartFailed("its lock is still held"))

    async def _check_upload(self, sending: FileSend, unknown: Sequence[UploadGone] = ()) -> Upload:
        """Return the upload. Raises UploadGone if later answers say so, too, if it was aborted, or if a part of it was
        refused as `unknown` repeatedly.

        The parts of an aborted one are refused like locked ones, but carry no lock.
        """

        async def look() -> Upload | None:
            with suppress(UploadGone):
                return await self._run.api.upload(sending.upload_url)
            return None

        with self._run.stop.interruptible():
            upload = await poll(look, self._run.gone_after, self._run.clock)
            upload = upload or await self._run.api.upload(sending.upload_url)
        if len(unknown) > _MAX_UNKNOWN:
            raise unknown[-1]
        if upload.status == "aborted":
            raise UploadGone("Figshare aborted the upload")
        return upload

    async def _wait(self, sending: FileSend, part: Part, slot: Slot, outcome: PartFailed) -> None:
        """Wait before a retry. Raises ServerFailing, or UploadFailing if other parts were accepted meanwhile."""
        reason = f"{self._label(sending, part)}: {outcome.reason}"
        try:
            with sending.retrying():
                await slot.wait(reason, outcome.retry_after)
        except ServerFailing as error:
            if slot.backoff.since is None or self._last_accepted <= slot.backoff.since:
                # API answers in the meantime are no evidence about the upload service.
                raise ServerFailing(error.message, path=error.path) from error
            raise UploadFailing(error.message, path=sending.transfer.path) from None
        self._queue.wake(sending.left)

    def _accept(self, sending: FileSend, part: Part, xxh3: int | None) -> None:
        self._last_accepted = self._run.clock.monotonic()
        sending.meter.part_done(part.size, sent=xxh3 is not None)
        self._run.part_done(sending.transfer, part, xxh3)

    @staticmethod
    def _label(sending: FileSend, part: Part) -> str:
        return f"{printable(sending.transfer.path)}, part {part.no}"
