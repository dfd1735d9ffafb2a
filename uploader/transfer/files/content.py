"""The content of one transfer in one run: its source and MD5, checked to be of one version."""

from __future__ import annotations

import base64
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import anyio
import xxhash
from anyio.abc import TaskGroup

from uploader.concurrency import close_in_background, in_own_thread
from uploader.errors import FigupError, SourceChanged, SourceNotFound
from uploader.figshare.models import File, Part
from uploader.sources.archive.reader import ArchiveSource
from uploader.sources.archive.sums import Sums
from uploader.sources.digest import SAVE_BYTES, Digest
from uploader.sources.md5 import Checkpoint, can_save, is_state_of, shows_changes
from uploader.sources.source import PUT_BACK, FileStamp, InOrder, Readable
from uploader.text import printable
from uploader.transfer.compare import Expected, Match, classify
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import UNFINISHED, State, Transfer
from uploader.transfer.notices import report_reading
from uploader.transfer.run.context import JobRun
from uploader.transfer.source_check import as_expected, check_source, matches_record, recorded_parts

log = logging.getLogger("uploader.transfer.content")
T = TypeVar("T")


@contextmanager
def _report_missing() -> Iterator[None]:
    """Report a missing source that existed when it was planned."""
    try:
        yield
    except SourceNotFound as error:
        raise error.with_context(hint=PUT_BACK, situation="put-back") from error


def _may_keep(source: Readable) -> bool:
    """Return whether checkpoints of a digest are worth keeping, and can be trusted later. Blocks."""
    return source.snapshot.size >= SAVE_BYTES and shows_changes(source.snapshot) and source.is_as_planned()


def changed_since_checked(run: JobRun, transfers: Sequence[Transfer]) -> list[Transfer]:
    """Return the verified transfers whose sources changed since this run found them to be what was verified. Blocks.

    One that no longer exists, or whose storage does not answer, did not change.
    """

    def has_changed(transfer: Transfer) -> bool:
        try:
            stamp = run.archives.stamp(transfer)
        except SourceChanged:
            return True
        except FigupError:
            return False
        confirmed = run.confirmed.get(transfer.index)
        return stamp != confirmed if confirmed is not None else not matches_record(transfer, stamp)

    return [transfer for transfer in transfers if not transfer.link and has_changed(transfer)]


class SourceSession:
    """Opens the source when needed; `release` closes it temporarily, `close` permanently, once no task uses it."""

    def __init__(self, run: JobRun, transfer: Transfer, tasks: TaskGroup) -> None:
        """Prepare a session; its digest runs as one of `tasks`."""
        self.parts: Sequence[Part] = ()
        """The upload's parts once known; those with a recorded hash are compared with the source."""
        self.suspect = False
        """True if the source may differ from the version that parts were sent from."""
        self.known_md5: str | None = None
        """The MD5 once computed in this run."""
        self._is_as_planned = True
        """False if the source was seen with another size, time or inode than the journal has."""
        self._run = run
        self._transfer = transfer
        self._tasks = tasks
        self._source: Readable | None = None
        self._stamp: FileStamp | None = None
        """The state in which this run first opened the source."""
        self._has_slot = False
        self._needs_slot = True
        self._digest: Digest | None = None
        self._hashed = anyio.Event()
        self._sums: Sums | None = None
        """The members' sums of an archive that was released after the digest had read it to its end."""
        self._may_continue = True
        """True while the digest may continue from an earlier checkpoint."""
        self._continued = False
        """True if the digest continues from one."""

    def close(self) -> None:
        """Release the source permanently."""
        self.release()
        self._digest = self._sums = None

    def release(self) -> None:
        """Release the source until it is needed again; no digest may be running."""
        if self._source is not None:
            if isinstance(self._source, ArchiveSource) and self._hashed.is_set():
                self._sums = self._source.sums
            close_in_background(self._source.detach())
            self._source = None
        if self._has_slot:
            self._has_slot = False
            self._run.open_sources.release()
        self._needs_slot = True

    def forget_md5(self) -> None:
        """Forget the MD5, so that the next request computes it again."""
        self._digest, self.known_md5, self._hashed, self._sums = None, None, anyio.Event(), None

    def accept(self, md5: str) -> None:
        """Take over the MD5 that another process computed while it sent the file, unless it is computed here, too."""
        if self._digest is None:
            self.known_md5 = md5
            self._run.record(ev.SourceHashed(self._transfer.index, md5))

    async def check(self) -> None:
        """Check that the source is unchanged. Raises SourceChanged, SourceNotFound, SourceUnreadable."""
        if self._source is None:
            await self._compare_with_plan(await self._examine(self._run.archives.stamp))

    async def _examine(self, examine: Callable[[Transfer], T]) -> T:
        """Examine the source. An archive of which nothing was sent is planned again if a member has changed."""
        with _report_missing():
            async with self._run.source_slots.hold():
                try:
                    return await in_own_thread(examine, self._transfer)
                except SourceChanged:
                    if self._is_begun:
                        raise
                await self._replace(await in_own_thread(self._run.archives.renewed, self._transfer))
                return await in_own_thread(examine, self._transfer)

    @property
    def _is_begun(self) -> bool:
        return self._transfer.file_id is not None or self._transfer.state is not State.PLANNED

    async def _replace(self, event: ev.SourceReplaced) -> None:
        planned = self._transfer.size
        await self._run.commit(event)
        self._run.progress.replaced(self._transfer, planned)

    async def source(self) -> Readable:
        """Open the source, once. Raises what `check` raises, and Stopped."""
        if not self._has_slot and self._needs_slot:
            with self._run.stop.interruptible():
                await self._run.open_sources.acquire()
                self._has_slot = True
        if self._source is None:
            self._source = await self._examine(self._run.archives.open)
            await self._compare_with_plan(self._source.snapshot)
            if isinstance(self._source, ArchiveSource):
                self._reuse_sums(self._source)
            # A change made while the source was released must be noticed.
            self._stamp = self._source.snapshot = self._stamp or self._source.snapshot
        return self._source

    def _reuse_sums(self, source: ArchiveSource) -> None:
        """Tell an archive that is opened again what the digest has learned; forget the MD5 if it may have changed."""
        if self._sums is not None and source.snapshot == self._stamp:
            source.sums = self._sums
        elif self._digest is not None:
            # At its end, the digest would not learn the sums of this version.
            self.forget_md5()
            self._stamp = None

    async def check_at_end(self) -> None:
        """Raise SourceChanged if the source differs from what was verified."""
        run = self._run
        stamp = await check_source(
            self._transfer,
            run.archives,
            run.notify,
            self._stamp,
            limiter=run.rereading,
            source_slots=run.source_slots,
            reread=run.options.reread,
        )
        run.confirmed.pop(self._transfer.index, None)
        if not matches_record(self._transfer, stamp):
            run.confirmed[self._transfer.index] = stamp

    async def digest(self, *, paced: bool) -> Digest:
        """Return the digest and start it if needed; `paced`: beside the sending, not ahead of it."""
        if self._digest is None:
            source = await self.source()
            keeping = await in_own_thread(_may_keep, source)
            reader, checkpoint = await self._reader(source, self._checkpoint(source.snapshot) if keeping else None)
            self._continued = checkpoint is not None
            self._log_checkpoint(source, checkpoint, keeping=keeping)
            self._digest = Digest(
                reader,
                recorded=recorded_parts(self._transfer, self.parts),
                paced=paced,
                on_read=None if paced else report_reading(self._run.notify, source.path),
                checkpoint=checkpoint,
                on_checkpoint=functools.partial(self._keep, source.snapshot) if keeping else None,
            )
            self._tasks.start_soon(self._hash, self._digest)
        return self._digest

    async def _reader(self, source: Readable, checkpoint: Checkpoint | None) -> tuple[InOrder, Checkpoint | None]:
        """Return the reader for the digest, and the checkpoint where it begins; None if that is damaged."""
        if checkpoint is not None:
            with suppress(ValueError):
                return await in_own_thread(source.in_order, checkpoint.reader), checkpoint
        return await in_own_thread(source.in_order), None

    @property
    def is_unread(self) -> bool:
        """True if nothing has to be compared with the source, so that another process may read it instead."""
        recorded = (self._transfer.parts.xxh3(part.no) is not None for part in self.parts)
        return self._source is None and not self.suspect and not any(recorded)

    async def open_by_worker(self) -> tuple[Readable, Digest]:
        """Open the source for a part that has a connection: connections are few and must not wait for other sources."""
        self._needs_slot = False
        return await self.open_to_send()

    async def open_to_send(self) -> tuple[Readable, Digest]:
        """Open the source and start its digest, beside the sending. Raises what `source` raises."""
        source = await self.source()  # first: opened again, it may have changed, so that the digest starts again
        digest = await self.digest(paced=True)
        if self.suspect:
            # An earlier run may have sent parts of another version: compare before sending more.
            with self._run.stop.interruptible():
                await digest.wait_recorded()
        return source, digest

    async def md5(self) -> str:
        """Return the MD5 of the source as it was sent, after checking that it is one version throughout.

        Raises ChecksumWrong if it is not the MD5 that the user expects.
        """
        if self.known_md5 is not None and self._source is None:
            return as_expected(self._transfer, self.known_md5)
        source = await self.source()
        digest = await self.digest(paced=False)
        digest.all_sent()
        with self._run.stop.interruptible():
            await self._hashed.wait()
        while await in_own_thread(source.changed_since_open):
            # Touched, or changed with its mtime restored: only the content shows. Compare all of it with what was sent.
            close_in_background(source.detach())
            self._source = source = await in_own_thread(self._run.archives.open, self._transfer)
            self._stamp = source.snapshot
            with self._run.stop.interruptible():
                on_read = report_reading(self._run.notify, source.path)
                recorded = recorded_parts(self._transfer, self.parts)
                rereading = await Digest(source.in_order(), recorded=recorded, paced=False, on_read=on_read).run()
            if rereading != self.known_md5:
                raise SourceChanged(f"{printable(source.path)}: changed while it was being sent", path=source.path)
        if self.known_md5 is None:
            raise RuntimeError("the digest ended without a result")
        if self.known_md5 != (self._transfer.expected or self.known_md5) and self._continued:
            return await self.md5_from_start()
        return as_expected(self._transfer, self.known_md5)

    async def may_have_sent(self, file: File) -> bool:
        """Return whether a complete file, of the recorded size and in this place, may have been sent by the job.

        It was if it equals the source, or, if a changed source must be sent again, the source's earlier version, which
        is then replaced. Any other file belongs to someone else and is not replaced. Raises what `md5` raises.
        """
        is_restarted = self._run.options.restart_changed
        try:
            expected = Expected(size=self._transfer.size, md5=await self.md5())
        except SourceChanged:
            if not is_restarted:
                raise
            return True
        finally:
            self.release()
        return classify(file, expected) is Match.SAME or (is_restarted and not self._is_as_planned)

    def _checkpoint(self, stamp: FileStamp) -> Checkpoint | None:
        """Return the last checkpoint of an earlier digest of this version of the source, or None."""
        kept = self._transfer.kept
        if kept is None or self.suspect or not self._may_continue or self._run.options.reread or not can_save():
            return None
        recorded = (kept.size, kept.mtime_ns, kept.ctime_ns, kept.inode)
        if recorded != (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode):
            return None
        if kept.machine == self._machine and kept.device != stamp.device:
            return None
        with suppress(ValueError):
            state = base64.b64decode(kept.state, validate=True)
            reader = base64.b64decode(kept.reader, validate=True)
            is_complete = bool(reader) == (self._transfer.archive is not None)
            if is_complete and is_state_of(state, kept.position) and kept.position <= stamp.size:
                return Checkpoint(position=kept.position, state=state, reader=reader)
        return None

    def _log_checkpoint(self, source: Readable, checkpoint: Checkpoint | None, *, keeping: bool) -> None:
        path = printable(self._transfer.path)
        if checkpoint is not None:
            log.info("%s: its MD5 is continued at byte %d", path, checkpoint.position)
        elif not keeping and source.snapshot.size >= SAVE_BYTES:
            reason = "it was changed a moment ago, or its file system does not record every change"
            log.info("%s: the state of its MD5 is not kept (%s): it is read again after a kill", path, reason)

    @property
    def _machine(self) -> str:
        return xxhash.xxh3_64_hexdigest(self._run.lock.machine.encode())

    def _keep(self, stamp: FileStamp, checkpoint: Checkpoint) -> None:
        """Record a checkpoint with the next group of events."""
        if self._transfer.state not in UNFINISHED:
            return
        self._run.record(
            ev.DigestKept(
                self._transfer.index,
                position=checkpoint.position,
                state=base64.b64encode(checkpoint.state).decode(),
                size=stamp.size,
                mtime_ns=stamp.mtime_ns,
                ctime_ns=stamp.ctime_ns,
                inode=stamp.inode,
                device=stamp.device,
                machine=self._machine,
                reader=base64.b64encode(checkpoint.reader).decode(),
            )
        )

    async def md5_from_start(self) -> str:
        """Return the MD5 of the whole source, ignoring any kept state of an earlier digest. Raises what `md5` does."""
        self._may_continue = False
        self.forget_md5()
        return await self.md5()

    async def _compare_with_plan(self, stamp: FileStamp) -> None:
        """Never mix two versions of a source. Raises SourceChanged; a source may change until a part of it was sent."""
        transfer = self._transfer
        if matches_record(transfer, stamp):
            self.suspect = self._run.options.reread
            return
        self.suspect, self._is_as_planned = True, False
        if not self._is_begun:
            await self._replace(self._run.archives.replaced(transfer, stamp))
        elif stamp.size != transfer.size:
            raise SourceChanged(
                f"{printable(transfer.path)}: has {stamp.size} bytes now, but had {transfer.size} when its upload "
                "began",
                path=transfer.path,
            )
        # Same size, but touched or copied: the digest compares the parts already sent with the present content.

    async def _hash(self, digest: Digest) -> None:
        source = await self.source()
        self.known_md5 = await digest.run()
        if self._transfer.archive is not None:
            await in_own_thread(self._run.archives.keep_sums, source)
        self._run.record(ev.SourceHashed(self._transfer.index, self.known_md5))
        self._hashed.set()
