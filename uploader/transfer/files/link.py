"""The driver of a link: a transfer that sends no bytes, but makes the item refer to an address."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from uploader.errors import Conflict, ProtocolViolation, UploadFailing
from uploader.figshare.outcomes import FileGone
from uploader.figshare.ratelimit import OnTurn
from uploader.transfer import notices as no
from uploader.transfer.compare import Expected
from uploader.transfer.files import steps, turns
from uploader.transfer.files.decide import decide
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Step, Transfer
from uploader.transfer.run.context import JobRun

_MAX_RESTARTS = 3
"""How often per run a link that Figshare lost is created again."""


class LinkDriver:
    """One link in one run. It is verified if the item shows the address as given; there is no content to compare."""

    def __init__(self, run: JobRun, transfer: Transfer) -> None:
        self._run = run
        self._transfer = transfer
        self._meter = run.progress.file(transfer)
        self._initiating = run.new_backoff()
        self._lost = 0
        self._steps: steps.Steps = {
            Step.REMOVE_REMNANTS: partial(steps.remove_remnants, run, transfer),
            Step.INITIATE: self._initiate,
            Step.LOOK_UP: partial(steps.look_up, run, transfer),
            Step.INSPECT: self._inspect,
            Step.DISCARD: self._discard,
            Step.REMOVE_LEFTOVERS: partial(steps.remove_leftovers, run, transfer),
        }

    async def drive(self) -> None:
        """Run steps until none is left. Raises Stopped, or a FigupError that concerns this link."""
        self._meter.begin()
        try:
            await steps.run_steps(self._run, self._transfer, self._steps)
        finally:
            self._meter.end()

    def close(self) -> None:
        """Do nothing: a link has no open source."""

    async def _initiate(self) -> None:
        run, transfer = self._run, self._transfer
        if await steps.take_back(run, transfer):
            return
        seen = run.places.seen
        await turns.add_unlisted(run, transfer)
        existing = [file for file in run.listing.links.get(transfer.path, ()) if file.id not in transfer.owned_ids()]
        decision = decide(Expected(link=transfer.path), existing, {}, run.options.on_conflict)
        if decision.action == "refuse":
            raise Conflict(
                f"{transfer.path}: {decision.reason}", hint=decision.hint, path=transfer.path, facts=decision.facts
            )
        if decision.action == "skip" and decision.file is not None:
            await run.commit(ev.FoundIdentical(transfer.index, id=decision.file.id, md5=""))
            self._verified(decision.file.id)
            return

        if await turns.list_again_if_old(run):
            return  # decide again

        def link(turn: OnTurn) -> Awaitable[int]:
            return run.api.link(run.item_id, transfer.path, on_turn=turn)

        await steps.initiate(run, transfer, link, self._initiating, (), seen)

    async def _inspect(self) -> None:
        transfer = self._transfer
        try:
            with self._run.stop.interruptible():
                file = await self._run.api.file(self._run.item_id, transfer.file_id or 0, fresh=True)
        except FileGone as outcome:
            self._lost += 1
            if self._lost > _MAX_RESTARTS:
                raise UploadFailing(f"{transfer.path}: Figshare lost the link: {outcome.reason}") from None
            await self._run.commit(ev.UploadLost(transfer.index))
            return
        if not file.is_link_only or file.download_url != transfer.path:
            raise ProtocolViolation(
                f"{transfer.path}: the item shows another address: {ascii(file.download_url)[1:-1]}"
            )
        await self._run.commit(ev.LinkConfirmed(transfer.index))
        self._run.verified.add(transfer.index)
        self._verified(file.id)

    def _verified(self, file_id: int) -> None:
        self._meter.verified()
        self._run.notify(no.LinkConfirmed(self._transfer.path, file_id))

    async def _discard(self) -> None:
        await self._run.commit(ev.UploadLost(self._transfer.index))
