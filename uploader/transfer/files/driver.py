"""The driver: runs the steps of one transfer until none is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from anyio.abc import TaskGroup

from uploader.errors import Facts, Md5Mismatch, Md5Pending, ProtocolViolation, RequestRejected, UploadFailing
from uploader.figshare.models import Upload
from uploader.figshare.outcomes import AmbiguousAnswer, FileGone, UploadGone
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.retry import poll
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.files import steps, turns
from uploader.transfer.files.conflicts import identical_file
from uploader.transfer.files.content import SourceSession
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Step, Transfer
from uploader.transfer.parts.queue import SMALL, FileSend, PartQueue
from uploader.transfer.run.context import JobRun

_MAX_RESTARTS = 3
"""How often per run a file is restarted because the server lost its upload or refused to complete it."""
_FIRST_POLL, _POLL_FACTOR, _LAST_POLL = 0.2, 1.5, 10.0
"""Seconds between two polls of a file whose MD5 is awaited: the first pause, its growth factor, the longest."""


class FileDriver:
    """One transfer in one run."""

    def __init__(
        self, run: JobRun, transfer: Transfer, queue: PartQueue, tasks: TaskGroup, on_sent: Callable[[Transfer], None]
    ) -> None:
        """`on_sent` is called when all bytes of the file were sent."""
        self._run = run
        self._transfer = transfer
        self._meter = run.progress.file(transfer)
        self._queue = queue
        self._tasks = tasks
        self._on_sent = on_sent
        self._content = SourceSession(run, transfer, tasks)
        self._upload: Upload | None = None
        self._upload_url = ""
        self._last_inspected: int | None = None
        self._initiating = run.new_backoff()
        self._completing = run.new_backoff()
        self._not_yet_listed = False
        """True from the answer that announced the remote file until the file was first seen."""
        self._created = False
        """True if this run created the present remote file."""
        self._may_be_complete = False
        """True after a request to complete the upload whose outcome is unknown."""
        self._begun_before = False
        """True if parts of the upload may have been handed out before."""
        self._losses = self._refusals = self._mismatches = 0
        self._steps: steps.Steps = {
            Step.REMOVE_REMNANTS: partial(steps.remove_remnants, run, transfer),
            Step.INITIATE: self._initiate,
            Step.LOOK_UP: partial(steps.look_up, run, transfer, self._content.may_have_sent),
            Step.INSPECT: self._inspect,
            Step.DISCARD: self._discard,
            Step.SEND: self._send,
            Step.COMPLETE: self._complete,
            Step.AWAIT_MD5: self._await_md5,
            Step.REMOVE_SUPERSEDED: partial(steps.remove_superseded, run, transfer),
            Step.REMOVE_LEFTOVERS: partial(steps.remove_leftovers, run, transfer),
        }

    async def drive(self) -> None:
        """Run steps until none is left, then check that the source is still what was verified.

        Raises Stopped, or a FigupError that concerns this file.
        """
        self._meter.begin()
        try:
            await steps.run_steps(self._run, self._transfer, self._steps)
            if not self._transfer.dropped:
                with self._run.stop.interruptible():
                    await self._content.check_at_end()
        finally:
            self._meter.end()

    def close(self) -> None:
        """Release the source. Call when no task of this driver is running."""
        self._content.close()

    # --- initiate -------------------------------------------------------------------------------------------------

    async def _initiate(self) -> None:
        await self._content.check()
        transfer = self._transfer
        if await steps.take_back(self._run, transfer):
            return
        seen = self._run.places.seen
        await turns.add_unlisted(self._run, transfer)
        identical = await identical_file(self._run, transfer, self._content)
        if identical is not None:
            await steps.take_identical(self._run, transfer, *identical, self._meter.verified)
            return
        if self._run.options.hash_first or self._run.md5_required:
            await self._hash()
        if await turns.list_again_if_old(self._run):
            return  # decide again
        known = turns.known_ids(self._run, transfer)
        ask = partial(steps.initiate, self._run, transfer, self._ask_for_upload, self._initiating, known, seen)
        try:
            initiated = await ask()
        except RequestRejected as refusal:
            if not self._may_require_md5(refusal):
                raise
            initiated = await self._ask_with_md5(ask)
        if initiated:
            self._not_yet_listed, self._initiating = True, self._run.new_backoff()
            self._created = True

    def _may_require_md5(self, refusal: RequestRejected) -> bool:
        """Return whether an initiation may have been refused because it had no MD5. The documentation can be read as
        requiring one; observed: it is not needed. The response of a server that requires it is unknown.
        """
        if self._content.known_md5 is not None or self._run.md5_required is False:
            return False
        return refusal.status == 422 or (refusal.status == 400 and "md5" in refusal.message.lower())

    async def _ask_with_md5(self, ask: Callable[[], Awaitable[bool]]) -> bool:
        """Hash the source and initiate again; remember the result for other files."""
        await self._hash()
        try:
            initiated = await ask()
        except RequestRejected:
            self._run.md5_required = self._run.md5_required or False
            raise
        self._run.md5_required = True
        return initiated

    async def _hash(self) -> str:
        md5 = await self._content.md5()
        self._content.release()
        return md5

    async def _ask_for_upload(self, on_turn: OnTurn) -> int:
        transfer = self._transfer
        return await self._run.api.initiate(
            self._run.item_id,
            name=transfer.name,
            size=transfer.size,
            md5=self._content.known_md5,
            folder=f"/{transfer.folder}" if transfer.folder else None,
            on_turn=on_turn,
        )

    # --- inspect and send -----------------------------------------------------------------------------------------

    async def _inspect(self) -> None:
        transfer = self._transfer
        try:
            with self._run.stop.interruptible():
                fresh = self._file_id != self._last_inspected
                file = await steps.read_file(self._run, self._file_id, fresh=fresh, pending_bytes=transfer.size)
                self._begun_before = self._last_inspected is not None or not self._not_yet_listed
                self._last_inspected, self._not_yet_listed = file.id, False
                if file.status != "created" or file.upload_url is None:
                    await self._record_completed()
                    return
                upload = await steps.read_upload(self._run, file.upload_url, fresh=not self._begun_before)
        except (FileGone, UploadGone) as outcome:
            if self._not_yet_listed:
                # It may still appear: initiating again now would create a duplicate.
                raise UploadFailing(
                    f"{printable(transfer.path)}: Figshare announced its file but does not list it: {outcome.reason}",
                    path=transfer.path,
                ) from None
            await self._upload_lost(outcome.reason)
            return
        if upload.status == "aborted":
            await self._upload_lost("Figshare aborted the upload")
        elif upload.status == "completed":
            await self._record_completed()
        else:
            # Check before trusting the server's state: a changed source must not be mixed with the parts sent earlier.
            await self._content.check()
            if file.size != transfer.size and self._run.state.recovered:
                # It was found by its id: see `find_upload` and `find_begun`.
                await self._upload_lost("an upload of an earlier version, whose record was lost, is removed")
            elif upload.size != transfer.size:
                await self._wrong_size(upload)
            elif transfer.state in (State.INITIATED, State.COMPLETING):
                self._record_parts(upload, file.upload_url)

    async def _wrong_size(self, upload: Upload) -> None:
        """Restart an upload of another size than its file unless bytes would be lost. Raises ProtocolViolation."""
        path, size = self._transfer.path, self._transfer.size
        reason = f"Figshare created its upload with {upload.size} bytes instead of {size}"
        if self._losses == _MAX_RESTARTS or any(part.complete for part in upload.parts):
            hint = f"Remove the unfinished file {self._file_id} from the item to restart it."
            raise ProtocolViolation(f"{printable(path)}: {reason}", hint=hint, path=path)
        await self._upload_lost(reason)

    async def _discard(self) -> None:
        """Give up a dropped source: remove its remote file unless it is complete."""
        unfinished = await steps.is_unfinished(self._run, self._file_id)
        await self._run.commit((ev.UploadLost if unfinished else ev.Completed)(self._transfer.index))

    async def _record_completed(self) -> None:
        self._notify_started(found=self._transfer.size, parts=0, total=0)
        await self._run.commit(ev.Completed(self._transfer.index))

    def _record_parts(self, upload: Upload, upload_url: str) -> None:
        transfer = self._transfer
        self._upload, self._upload_url, self._content.parts = upload, upload_url, upload.parts
        done = [part for part in upload.parts if part.complete]
        for part in upload.parts:
            if not part.complete and transfer.parts.xxh3(part.no) is not None:
                self._run.record(ev.PartReset(transfer.index, part.no))
        self._notify_started(found=sum(p.size for p in done), parts=len(done), total=len(upload.parts))
        reported = self._run.reported.get(self._file_id, {})
        sums = {p.no: reported[p.no] for p in done if p.no in reported and transfer.parts.xxh3(p.no) is None}
        if len(done) == len(upload.parts):
            self._run.record(ev.PartsComplete(transfer.index, len(upload.parts)))
        else:
            self._run.record(ev.PartsMissing(transfer.index, done=len(done) - len(sums), total=len(upload.parts)))
            for number, xxh3 in sums.items():
                self._run.record(ev.PartSent(transfer.index, no=number, xxh3=xxh3))

    def _notify_started(self, *, found: int, parts: int, total: int) -> None:
        transfer = self._transfer
        self._meter.set_present(found)
        if self._meter.inspected:
            return
        self._meter.inspected = True
        self._meter.parts_found = parts
        self._run.notify(
            no.FileStarted(
                path=transfer.path,
                name=transfer.name,
                file_id=self._file_id,
                size=transfer.size,
                parts_total=total,
                parts_found=parts,
                bytes_found=found,
            )
        )

    async def _send(self) -> None:
        if self._upload is None:
            raise RuntimeError("parts must be inspected before they are sent")
        is_archive = self._transfer.archive is not None
        if is_archive or not (self._queue.shared and self._transfer.size <= SMALL and self._content.is_unread):
            await self._content.open_to_send()
        # Locked parts come last: the lock may be gone by then.
        missing = sorted((part for part in self._upload.parts if not part.complete), key=lambda p: p.locked)
        sending = FileSend(self._transfer, self._meter, self._upload_url, self._content.open_by_worker, missing)
        # Members may still be sending parts that an earlier leader gave them.
        sending.contested = self._queue.shared and self._begun_before
        if is_archive:
            await sending.content()  # decides which of its parts can be sent
            self._tasks.start_soon(sending.read_ahead, self._queue)
        try:
            self._queue.offer(sending)
            with self._run.stop.interruptible():
                await sending.drain()
        finally:
            await self._stop_parts(sending)
        if isinstance(sending.error, UploadGone):
            await self._upload_lost(sending.error.reason)
        elif sending.error is not None:
            raise sending.error
        else:
            if sending.md5 is not None:
                self._content.accept(sending.md5)
            self._run.record(ev.PartsComplete(self._transfer.index, len(self._upload.parts)))
            self._on_sent(self._transfer)

    async def _stop_parts(self, sending: FileSend) -> None:
        """Stop in-flight parts: at once, or within the grace period after a stop request."""
        try:
            if self._run.stop.requested:
                sending.stop()
                await sending.drain()
        finally:
            await sending.cancel()

    async def _upload_lost(self, reason: str) -> None:
        self._losses += 1
        if self._losses > _MAX_RESTARTS:
            raise UploadFailing(
                f"{printable(self._transfer.path)}: Figshare lost its upload {self._losses} times: {reason}",
                path=self._transfer.path,
            )
        self._notify_restart(reason)
        await self._run.commit(ev.UploadLost(self._transfer.index))

    def _notify_restart(self, reason: str) -> None:
        self._upload, self._content.parts, self._created = None, (), False
        self._meter.restart()
        self._run.notify(no.FileRestarted(self._transfer.path, reason))

    # --- complete and verify --------------------------------------------------------------------------------------

    async def _complete(self) -> None:
        transfer = self._transfer
        await self._content.md5()
        self._content.release()
        self._on_sent(transfer)
        try:
            await self._run.send_intended(
                lambda: ev.CompleteIntended(transfer.index),
                lambda turn: self._run.api.complete(self._run.item_id, self._file_id, on_turn=turn),
            )
        except AmbiguousAnswer as outcome:
            self._may_be_complete = True
            reason = f"{printable(transfer.path)}: {outcome.reason}; checking whether it took effect"
            await self._run.wait_to_try_again(self._completing, reason)
        except FileGone as outcome:
            await self._upload_lost(outcome.reason)
        except RequestRejected as refusal:
            # Parts may be missing, or the upload may be complete already, which may show later: ask the server.
            self._refusals += 1
            if self._may_be_complete:
                await self._run.wait_to_try_again(self._completing, refusal.message)
            elif self._refusals >= _MAX_RESTARTS:
                raise
        else:
            await self._run.commit(ev.Completed(transfer.index))

    async def _await_md5(self) -> None:
        transfer, run = self._transfer, self._run
        self._on_sent(transfer)
        run.notify(no.FileSent(transfer.path, self._file_id))
        self._meter.waiting = True
        local = transfer.md5 or await self._content.md5()
        try:
            remote = await self._remote_md5(local)
            if remote not in ("", local) and transfer.kept is not None:
                # Before everything is sent again: the stored state may be damaged.
                local = await self._content.md5_from_start()
                remote = await self._remote_md5(local)
        except FileGone as outcome:
            await self._upload_lost(outcome.reason)
            return
        if remote == local:
            await run.commit(ev.Verified(transfer.index, local))
            run.verified.add(transfer.index)
            self._meter.verified()
            run.notify(no.FileVerified(path=transfer.path, file_id=self._file_id, md5=local))
            return
        # A file that was complete when it was found may be an earlier version.
        self._mismatches += self._created or self._upload is not None
        if self._mismatches > 1:
            raise Md5Mismatch(
                f"{printable(transfer.path)}: sent twice, and Figshare's MD5 differs again: {remote} on Figshare, "
                f"{local} here",
                hint="Check this machine's disk and memory.",
                facts=Facts("md5-differs-twice"),
                path=transfer.path,
            )
        self._notify_restart(f"Figshare's MD5 is {remote or 'refused'}, the source's is {local}")
        self._content.forget_md5()
        await run.commit(ev.Mismatched(transfer.index, local=local, remote=remote))

    async def _remote_md5(self, local: str) -> str:
        """Wait for Figshare's MD5; "" if its check failed without one that differs. Raises Md5Pending, FileGone.

        The check also fails if an earlier run announced the MD5 (`hash_first`) of a source that has changed since.
        """
        run = self._run

        async def check() -> str | None:
            file = await steps.read_file(run, self._file_id)
            failing = file.status == "ic_failure" or file.supplied_md5 not in (None, "", local)
            if file.computed_md5 is not None:
                remote = file.computed_md5.lower()
                return "" if failing and remote == local else remote
            return "" if file.status == "ic_failure" else None

        with run.stop.interruptible():
            remote = await poll(
                check,
                run.options.verify_timeout,
                run.clock,
                first_pause=_FIRST_POLL,
                factor=_POLL_FACTOR,
                max_pause=_LAST_POLL,
            )
        if remote is None:
            raise Md5Pending(
                f"{printable(self._transfer.path)}: complete on Figshare, which has not computed its MD5 in time",
                hint="Verify it later.",
                facts=Facts("verify-packed-later" if self._transfer.archive else "verify-later", item_id=run.item_id),
                path=self._transfer.path,
            )
        return remote

    @property
    def _file_id(self) -> int:
        if self._transfer.file_id is None:
            raise RuntimeError("the remote file is unknown")
        return self._transfer.file_id
