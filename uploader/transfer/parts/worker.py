"""Sending parts: one part with its retries, and the workers that take parts of all files from the queue."""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Protocol

from uploader.clock import Clock
from uploader.concurrency import Stopped
from uploader.errors import Facts, RequestRejected, ServerFailing, UploadFailing
from uploader.figshare.models import Part, Upload
from uploader.figshare.outcomes import PartFailed, PartLocked, UploadGone
from uploader.figshare.retry import Backoff, poll
from uploader.text import printable
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.options import MAX_CONNECTIONS
from uploader.transfer.parts.adaptive import AdaptiveConcurrency
from uploader.transfer.parts.connections import Connections, SourceWait
from uploader.transfer.parts.queue import FileSend, PartQueue
from uploader.transfer.parts.reader import PartReader
from uploader.transfer.run.deadline import DeadlinePolicy
from uploader.transfer.run.progress import ProgressTracker
from uploader.transfer.run.service import PartService
from uploader.transfer.run.stop import Stop
from uploader.transfer.run.throttle import Throttle


class SendingRun(Protocol):
    """The run that parts are sent for: that of a job, or of a member that only sends."""

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


_MAX_UNKNOWN = 1
"""Maximum number of times that a part may be refused as unknown although the upload exists."""
_OPEN_POLL = 0.25
"""Seconds between two looks whether a part that was taken may begin now."""
WORKERS = 4 * MAX_CONNECTIONS
"""Number of workers: more than connections, since parts in backoff use none."""


class Slot:
    """The connection of one part. It is released during backoff, and lent while the source does not answer.

    Each attempt counts in `progress.busy`, also while its connection is lent; `Connections.in_use` counts only those
    that are not lent, and `FileSend.held_up` the lent ones of a file and those in backoff.
    """

    def __init__(self, run: SendingRun, connections: Connections) -> None:
        self._run = run
        self._connections = connections
        self._held = False
        self._wait: SourceWait | None = None
        """The wait during which the connection may be lent."""
        self.backoff = run.new_backoff()

    async def take(self) -> None:
        """Wait for a connection. Raises Stopped."""
        with self._run.stop.interruptible():
            await self._connections.take()
            self._held = True

    def release(self) -> None:
        """Release the connection."""
        if self._wait is not None:
            # A read that hangs may outlast its attempt, and must not lend the connection of the next one.
            self._connections.waits.discard(self._wait)
        if self._held:
            self._held = False
            self._connections.release()

    @asynccontextmanager
    async def waiting(self, sending: FileSend, progress: Callable[[], int] = lambda: 0) -> AsyncIterator[None]:
        """Wait for the source of a file; lend the connection if that takes long without `progress`.

        A part whose connection was lent waits for one before it continues.
        """
        is_lent = False
        with ExitStack() as until_answered:

            def lend() -> None:
                nonlocal is_lent
                is_lent = True
                until_answered.enter_context(sending.held_up())
                self._connections.lent += 1
                until_answered.callback(self._answered)
                self.release()

            wait = SourceWait(since=self._run.clock.monotonic(), lend=lend, progress=progress, seen=progress())
            self._wait = wait
            self._connections.waits.add(wait)
            until_answered.callback(self._connections.waits.discard, wait)
            yield
        if is_lent:
            await self._connections.take(begun=True)
            self._held = True

    def _answered(self) -> None:
        self._connections.lent -= 1

    async def wait(self, reason: str, retry_after: float | None) -> None:
        """Wait without a connection, then take one. Raises ServerFailing, Stopped."""
        self.release()
        await self._run.wait_to_try_again(self.backoff, reason, retry_after=retry_after)
        await self.take()


class PartWorker:
    """Sends parts and retries transient failures."""

    def __init__(self, run: SendingRun, pace: AdaptiveConcurrency, queue: PartQueue, connections: Connections) -> None:
        self._run = run
        self._pace = pace
        self._queue = queue
        self._connections = connections
        self._last_accepted = -math.inf
        """When the server last accepted a part."""

    async def work(self) -> None:
        """One worker: takes a slot, then a part, until it is cancelled or the run stops."""
        while not self._run.stop.requested:
            # An idle worker holds no slot: one with a part to retry may need it.
            await self._queue.wait()
            turn = Slot(self._run, self._connections)
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
        waiting = functools.partial(slot.waiting, sending)
        async with waiting():
            source, digest = await sending.content()
        start = sending.run_start(part.start)
        # Another process may have sent it while the source did not answer.
        waited = await self._wait_until_open(sending)
        if waited or part.locked or sending.contested or self._queue.must_ask():
            part = await self._wait_unlocked(sending, part, slot)
        unknown: list[UploadGone] = []
        while not part.complete:
            reader = PartReader(source, digest, part, self._run.throttle, run_start=start, waiting=waiting)
            refused = False
            try:
                await self._attempt(sending, part, reader, slot)
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

    async def _wait_until_open(self, sending: FileSend) -> bool:
        """Wait until this process may begin a part that it has taken; False if it may at once.

        Raises Stopped if parts of the file are no longer to be begun here.
        """
        waited = False
        while not self._queue.is_open and not sending.stopped:
            waited = True
            with self._run.stop.interruptible():
                await self._run.clock.sleep(_OPEN_POLL)
        if sending.stopped:
            raise Stopped
        return waited

    def _rejected(self, sending: FileSend, part: Part, outcome: PartFailed) -> RequestRejected:
        hint, situation = outcome.advice or (None, RequestRejected.code)
        message = f"{self._label(sending, part)}: {outcome.reason}"
        return RequestRejected(message, hint=hint, path=sending.transfer.path, facts=Facts(situation))

    async def _attempt(self, sending: FileSend, part: Part, reader: PartReader, slot: Slot) -> None:
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
                sending.upload_url,
                part,
                reader.chunks,
                on_accepted=on_accepted,
                fresh_connection=slot.backoff.since is not None,
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
        """Return the upload.

        Raises UploadGone if repeated requests confirm that, if it was aborted, or if a part was refused as `unknown`
        repeatedly. Parts of an aborted upload are refused like locked ones, but carry no lock.
        """

        async def check() -> Upload | None:
            with suppress(UploadGone):
                return await self._run.api.upload(sending.upload_url)
            return None

        with self._run.stop.interruptible():
            upload = await poll(check, self._run.gone_after, self._run.clock)
            upload = upload or await self._run.api.upload(sending.upload_url)
        if len(unknown) > _MAX_UNKNOWN:
            raise unknown[-1]
        if upload.status == "aborted":
            raise UploadGone("Figshare aborted the upload")
        return upload

    async def _wait(self, sending: FileSend, part: Part, slot: Slot, outcome: PartFailed) -> None:
        """Wait before a retry. Raises ServerFailing, or UploadFailing if other parts were accepted meanwhile.

        Raises Stopped if the parts of the file are no longer to be sent here.
        """
        if sending.stopped:
            raise Stopped
        reason = f"{self._label(sending, part)}: {outcome.reason}"
        try:
            with sending.held_up():
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
