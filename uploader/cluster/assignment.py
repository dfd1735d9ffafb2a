"""One order of a member: send its parts, and compute the MD5 of the source if requested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from uploader.clock import Clock
from uploader.cluster.messages import UPLOAD_GONE, Entry, FileHashed, Order, OrderFailed, OrderOver, PartDone, PartsLeft
from uploader.concurrency import Stopped, in_thread, unwrap_group
from uploader.errors import FigupError, ServerFailing, SourceChanged
from uploader.figshare.models import Part
from uploader.figshare.outcomes import UploadGone
from uploader.figshare.retry import Backoff
from uploader.figshare.settings import RetryPolicy
from uploader.items.reconcile import GONE_AFTER
from uploader.sources.digest import Digest
from uploader.sources.source import FileStamp, Source, stat_source
from uploader.text import printable
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.notices import Listener, Retrying
from uploader.transfer.parts.queue import Content, FileSend, PartQueue
from uploader.transfer.run.deadline import DeadlinePolicy
from uploader.transfer.run.progress import ProgressTracker
from uploader.transfer.run.service import PartService
from uploader.transfer.run.stop import Stop
from uploader.transfer.run.throttle import Throttle


@dataclass(kw_only=True)
class MemberRun:
    """Implements `uploader.transfer.parts.worker.SendingRun` for a member.

    `on_part` is called with each part that the upload service has: the index of its transfer, the part, its xxh3.
    """

    api: PartService
    stop: Stop
    clock: Clock
    retry: RetryPolicy
    notify: Listener
    throttle: Throttle
    progress: ProgressTracker
    on_part: Callable[[int, Part, int | None], None]
    deadline: DeadlinePolicy
    gone_after: float = GONE_AFTER

    def part_done(self, transfer: Transfer, part: Part, xxh3: int | None) -> None:
        """Report a part."""
        self.on_part(transfer.index, part, xxh3)

    def new_backoff(self) -> Backoff:
        """Make the pauses of one operation, capped by the retry timeout."""
        return Backoff(self.retry, self.clock.random)

    async def wait_to_try_again(self, backoff: Backoff, reason: str, *, retry_after: float | None = None) -> None:
        """Report `reason`, then wait. Raises ServerFailing when the retry time is used up, and Stopped."""
        delay = backoff.next_delay(retry_after, self.clock.monotonic())
        if delay is None:
            raise ServerFailing(f"{reason}; given up after retrying for some time")
        self.notify(Retrying(reason, delay))
        with self.stop.interruptible():
            await self.clock.sleep(delay)


class Assignment:
    """An order in progress. `index` is unique in the process, `term` that of the leader."""

    def __init__(self, order: Order, term: int, index: int, run: MemberRun, queue: PartQueue) -> None:
        self.order = order
        self.term = term
        self.withdrawn = False
        self._numbers = [number for number, _, _ in order.parts]
        self._contested = order.contested
        self.finished = anyio.Event()
        """Set once nothing of the order is in progress."""
        self._run = run
        self._queue = queue
        self._transfer = Transfer(
            index=index, source=order.path, name="", size=order.size, mtime_ns=order.mtime_ns, inode=0
        )
        self._sending: FileSend | None = None
        self._source: Source | None = None
        self._tasks: TaskGroup
        self._md5: str | None = None
        self._hashed = anyio.Event()

    def contest(self) -> None:
        """From now on, ask before sending a part: others may be sending it."""
        self._contested = True
        if self._sending is not None:
            self._sending.contested = True

    def withdraw(self, *, abort: bool = False) -> list[Entry]:
        """Begin no further part, and report which ones are left; `abort`: do not finish those in flight either."""
        left: list[Entry] = []
        if not self.withdrawn:
            waiting = [part.no for part in self._sending.waiting] if self._sending is not None else self._numbers
            left.append(PartsLeft(term=self.term, order=self.order.id, parts=tuple(waiting)))
        self.withdrawn = True
        if self._sending is not None:
            self._sending.stop()
            if abort:
                self._sending.abort()
        return left

    def part_done(self, part: Part, xxh3: int | None) -> PartDone:
        """Return the report of a part."""
        order = self.order
        return PartDone(term=self.term, order=order.id, file_id=order.file_id, no=part.no, xxh3=xxh3)

    async def carry_out(self) -> list[Entry]:
        """Send the missing parts; return what to report at the end."""
        term, order = self.term, self.order.id
        ended: list[Entry] = []
        try:
            md5 = await self._carry_out()
        except Stopped:
            pass
        except UploadGone as gone:
            ended.append(OrderFailed(term=term, order=order, code=UPLOAD_GONE, message=gone.reason))
        except FigupError as error:
            ended.append(OrderFailed(term=term, order=order, code=error.code, message=error.message))
        else:
            if md5 is not None:
                ended.append(FileHashed(term=term, order=order, md5=md5))
        return [*ended, OrderOver(term=term, order=order)]

    async def _carry_out(self) -> str | None:
        """Send the missing parts; return the MD5 of the source if requested.

        Raises UploadGone, Stopped, and errors that concern this order only.
        """
        try:
            with unwrap_group():
                async with anyio.create_task_group() as self._tasks:
                    await self._send()
                    self._tasks.cancel_scope.cancel()
        finally:
            if self._sending is not None:
                await self._sending.cancel()
            if self._source is not None:
                self._source.close()
            self.finished.set()
        return self._md5

    async def _send(self) -> None:
        order, run = self.order, self._run
        with run.stop.interruptible():
            upload = await run.api.upload(order.upload.value)
        if self.withdrawn:
            raise Stopped
        wanted = set(self._numbers)
        parts = [part for part in upload.parts if part.no in wanted]
        if upload.status == "aborted" or len(parts) < len(wanted):
            raise UploadGone("Figshare aborted the upload")
        for part in parts:
            if part.complete:
                run.part_done(self._transfer, part, None)
        missing = sorted((part for part in parts if not part.complete), key=lambda part: part.locked)
        meter = run.progress.file(self._transfer)
        self._sending = sending = FileSend(self._transfer, meter, order.upload.value, self._open, missing)
        sending.contested = self._contested
        self._queue.offer(sending)
        await sending.drain()
        if sending.error is not None:
            raise sending.error
        if sending.stopped or run.stop.requested:
            raise Stopped
        if order.digest:
            _, digest = await sending.content()
            if digest is not None:
                digest.all_sent()
                await self._hashed.wait()
        self._compare(await in_thread(stat_source, order.path))
        if order.digest and self._source is not None and await in_thread(self._source.changed_since_open):
            # Its mtime was restored: the MD5 may be that of a mix of two versions. The leader reads the file itself.
            self._md5 = None

    async def _open(self) -> Content:
        self._source = await in_thread(Source, self.order.path)
        self._compare(self._source.snapshot)
        if not self.order.digest:
            return self._source, None
        digest = Digest(self._source)
        self._tasks.start_soon(self._hash, digest)
        return self._source, digest

    async def _hash(self, digest: Digest) -> None:
        self._md5 = await digest.run()
        self._hashed.set()

    def _compare(self, stamp: FileStamp) -> None:
        """Raise SourceChanged if it is not the leader's version. Inodes and ctimes are not compared: they may differ
        between hosts.
        """
        if (stamp.size, stamp.mtime_ns) != (self.order.size, self.order.mtime_ns):
            raise SourceChanged(
                f"{printable(self.order.path)}: has another size or time on this host than when its upload began",
                path=self.order.path,
            )
