"""Links: the driver of a transfer that sends nothing, but has the item refer to an address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uploader.errors import Conflict, ProtocolViolation, UploadFailing
from uploader.figshare.outcomes import NO_EFFECT, AmbiguousAnswer, FileGone
from uploader.transfer import events as ev
from uploader.transfer import notices as no
from uploader.transfer.lifecycle import Step, Transfer, next_step
from uploader.transfer.lookup import find_link
from uploader.transfer.run import JobRun
from uploader.transfer.stop import Stopped

_TRIES = 3
"""How often, in one run, the link is made again because Figshare does not know it any more."""


class LinkDriver:
    """One link in one run. It is verified as far as a link can be: the item shows it as it was given."""

    def __init__(self, run: JobRun, transfer: Transfer) -> None:
        self._run = run
        self._transfer = transfer
        self._meter = run.meter.file(transfer)
        self._initiating = run.new_backoff()
        self._lost = 0
        self._steps: dict[Step, Callable[[], Awaitable[None]]] = {
            Step.REMOVE_REMNANTS: self._remove_remnants,
            Step.INITIATE: self._initiate,
            Step.LOOK_UP: self._look_up,
            Step.INSPECT: self._inspect,
            Step.DISCARD: self._discard,
        }

    async def drive(self) -> None:
        """Do what is to be done until nothing is. Raises Stopped, or a FigupError that concerns this link."""
        self._meter.begin()
        try:
            while (step := next_step(self._transfer)) is not Step.NOTHING:
                if self._run.stop.asked:
                    raise Stopped
                await self._steps[step]()
        finally:
            self._meter.end()

    def close(self) -> None:
        """There is nothing to let go of."""

    async def _initiate(self) -> None:
        run, transfer = self._run, self._transfer
        held = [file for file in run.remote.links.get(transfer.path, ()) if file.id not in transfer.owned_ids()]
        if held and run.options.on_conflict == "fail":
            raise Conflict(f"{transfer.path}: the item has this link already (file {held[0].id})", path=transfer.path)
        if held:
            await run.commit(ev.FoundIdentical(transfer.index, held[0].id, ""))
            self._verified(held[0].id)
            return
        await run.reserve()
        at = run.api.server_now().isoformat()
        await run.commit(ev.UploadIntended(transfer.index, at, ()))
        try:
            file_id = await run.api.link(run.item_id, transfer.path)
        except AmbiguousAnswer as outcome:
            reason = f"{transfer.path}: {outcome.reason}; looking whether it arrived"
            await run.wait_to_try_again(self._initiating, reason)
        except NO_EFFECT:
            await run.commit(ev.NotInitiated(transfer.index))
            raise
        else:
            await run.commit(ev.UploadInitiated(transfer.index, file_id))

    async def _look_up(self) -> None:
        file_id = await find_link(self._run, self._transfer)
        if file_id is None:
            await self._run.commit(ev.NotInitiated(self._transfer.index))
        else:
            await self._run.commit(ev.UploadInitiated(self._transfer.index, file_id, found=True))

    async def _inspect(self) -> None:
        transfer = self._transfer
        try:
            with self._run.stop.ends():
                file = await self._run.api.file(self._run.item_id, transfer.file_id or 0, fresh=True)
        except FileGone as outcome:
            self._lost += 1
            if self._lost > _TRIES:
                raise UploadFailing(f"{transfer.path}: Figshare lost the link: {outcome.reason}") from None
            await self._run.commit(ev.UploadLost(transfer.index))
            return
        if not file.is_link_only or file.download_url != transfer.path:
            raise ProtocolViolation(
                f"{transfer.path}: the item shows another address: {ascii(file.download_url)[1:-1]}"
            )
        await self._run.commit(ev.LinkConfirmed(transfer.index))
        self._verified(file.id)

    def _verified(self, file_id: int) -> None:
        self._meter.verified()
        self._run.notify(no.LinkConfirmed(self._transfer.path, file_id))

    async def _discard(self) -> None:
        await self._run.commit(ev.UploadLost(self._transfer.index))

    async def _remove_remnants(self) -> None:
        for file_id in self._transfer.remnants:
            await self._run.api.delete_file(self._run.item_id, file_id)
            await self._run.commit(ev.RemnantRemoved(self._transfer.index, file_id))
