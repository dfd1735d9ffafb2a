"""Sending parts: one part with its retries, and the workers that take parts of all files from the queue."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
import xxhash

from uploader.errors import Refused
from uploader.figshare.outcomes import PartLocked, PartNotTaken, UploadGone
from uploader.figshare.retry import Backoff
from uploader.figshare.wire import Part
from uploader.transfer import events as ev
from uploader.transfer.pace import ConnectionPace
from uploader.transfer.queue import PartQueue, Sending
from uploader.transfer.run import JobRun
from uploader.transfer.source import shown
from uploader.transfer.throttle import Throttle


class PartReader:
    """Streams one part out of the source; `xxh3` is the hash of all its bytes, None until the last was handed out."""

    def __init__(self, sending: Sending, part: Part, throttle: Throttle) -> None:
        self._sending = sending
        self._part = part
        self._throttle = throttle
        self._hasher = xxhash.xxh3_64()
        self.xxh3: int | None = None

    async def chunks(self) -> AsyncIterator[memoryview]:
        """The part's bytes. Raises SourceChanged or SourceUnreadable."""
        offset, end = self._part.start, self._part.end + 1
        digest = self._sending.digest
        while offset < end:
            await digest.room(offset)
            block = await anyio.to_thread.run_sync(self._read, offset, min(self._throttle.grain, end - offset))
            offset += len(block)
            digest.sending(offset)
            await self._throttle.take(len(block))
            yield block
        self.xxh3 = self._hasher.intdigest()

    def _read(self, offset: int, length: int) -> memoryview:
        data = self._sending.source.read(offset, length)
        self._hasher.update(data)
        return memoryview(data)


class PartSender:
    """Sends single parts, and tries again what may pass."""

    def __init__(self, run: JobRun, pace: ConnectionPace) -> None:
        self._run = run
        self._pace = pace

    async def work(self, queue: PartQueue, slots: anyio.CapacityLimiter) -> None:
        """One worker: takes a slot, then a part, until it is cancelled or the run is to stop."""
        while not self._run.stop.asked:
            async with slots:
                sending, part = await queue.take()
                try:
                    if not self._run.stop.asked:
                        with sending.flight():
                            await self._send(sending, part)
                finally:
                    sending.landed()

    async def _send(self, sending: Sending, part: Part) -> None:
        backoff = self._run.new_backoff()
        if part.locked:
            part = await self._unlocked(sending, part, backoff)
        while not part.complete:
            reader = PartReader(sending, part, self._run.throttle)
            refused = False
            try:
                await self._attempt(sending, part, reader)
            except PartLocked as outcome:
                refused = True
                await self._wait(sending, part, backoff, PartNotTaken(outcome.reason))
            except PartNotTaken as outcome:
                if not outcome.passing:
                    raise Refused(
                        f"{self._named(sending, part)}: {outcome.reason}", path=sending.transfer.path
                    ) from None
                if outcome.crowded:
                    self._pace.trouble()
                await self._wait(sending, part, backoff, outcome)
            else:
                self._took(sending, part, reader.xxh3)
                return
            # Our own broken attempt may have gone through, or may still hold the part's lock.
            part = await self._unlocked(sending, part, backoff)
            if part.complete:
                self._took(sending, part, reader.xxh3)
                return
            if refused:
                await self._see_that_it_lives(sending)
        self._took(sending, part, None)

    async def _attempt(self, sending: Sending, part: Part, reader: PartReader) -> None:
        meter = sending.meter
        accepted = 0

        def on_accepted(count: int) -> None:
            nonlocal accepted
            accepted += count
            meter.moved(count)
            self._run.meter.accepted += count

        self._run.meter.busy += 1
        try:
            await self._run.api.send_part(sending.upload_url, part, reader.chunks, on_accepted=on_accepted)
        finally:
            self._run.meter.busy -= 1
            meter.moved(-accepted)

    async def _unlocked(self, sending: Sending, part: Part, backoff: Backoff) -> Part:
        """The part as the server has it, once it is not locked any more."""
        while True:
            with self._run.stop.ends():
                part = await self._run.api.part(sending.upload_url, part.no)
            if part.complete or not part.locked:
                return part
            await self._wait(sending, part, backoff, PartNotTaken("its lock is still held"))

    async def _see_that_it_lives(self, sending: Sending) -> None:
        """Raise UploadGone where the upload was aborted: its parts are refused as locked ones are, and bear no lock."""
        upload = await self._run.api.upload(sending.upload_url)
        if upload.status == "aborted":
            raise UploadGone("Figshare aborted the upload")

    async def _wait(self, sending: Sending, part: Part, backoff: Backoff, outcome: PartNotTaken) -> None:
        reason = f"{self._named(sending, part)}: {outcome.reason}"
        await self._run.wait_to_try_again(backoff, reason, retry_after=outcome.retry_after)

    def _took(self, sending: Sending, part: Part, xxh3: int | None) -> None:
        sending.meter.arrived(part.size, sent=xxh3 is not None)
        if xxh3 is not None:
            self._run.record(ev.PartSent(sending.transfer.index, part.no, xxh3))

    @staticmethod
    def _named(sending: Sending, part: Part) -> str:
        return f"{shown(sending.transfer.path)}, part {part.no}"
