"""The link of a record's item: set, replaced or removed. Files that the job did not set are never removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from uploader.errors import Conflict, JobBusy
from uploader.figshare.models import File
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.retry import poll
from uploader.items.reconcile import SETTLE_TIMEOUT, confirm
from uploader.records import journal as ev
from uploader.records.job import OpenJob
from uploader.transfer.run.stop import Stop

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

_CLEANUP = 10.0
"""Seconds to undo what was done after the job had been lost."""


@dataclass(frozen=True, kw_only=True)
class Links:
    """The links of one item. `new`: this run created it. Raise Stopped, and errors of requests and of the journal.

    `on_turn` is called before each attempt to change it.
    """

    api: Figshare
    job: OpenJob
    stop: Stop
    key: str
    item_id: int
    new: bool
    on_turn: OnTurn

    @property
    def _state(self) -> ev.RecordState:
        return self.job.state.of(self.key)

    async def set(self, link: str) -> None:
        """Make the item refer to this address; a link to another one is removed once this one exists."""

        async def check() -> bool | None:
            return any(_is_link(file, link) for file in await self._files()) or None

        async def ask() -> bool:
            made = await self.api.link(self.item_id, link, on_turn=self.on_turn)
            with anyio.move_on_after(_CLEANUP, shield=True):  # a run is cancelled when its lease is lost
                await self._withdraw_if_lost(made, link)
            return True

        pending, files = self._state.linking, list[File]()
        if not self.new or pending is not None:
            with self.stop.interruptible():
                files = await self._settled_files()
        if not any(_is_link(file, link) for file in files):
            self._check_replaceable(files)
            self.stop.check()
            replaces = tuple(file.id for file in files)
            await self.job.commit_intent(ev.LinkIntended(key=self.key, link=link, replaces=replaces))
            await confirm(self.api, ask, check, "linking the file", time_limit=SETTLE_TIMEOUT)
        await self._remove_replaced(link, files)
        await self.job.commit(ev.Linked(key=self.key, link=link))

    async def withdraw(self, *, wholly: bool) -> None:
        """Finish a replacement that was interrupted, as the record has no link now.

        `wholly`: also remove the link that the job set.
        """
        pending, kept = self._state.linking, self._state.link or ""
        with self.stop.interruptible():
            files = await self._settled_files()
        if pending is not None and any(_is_link(file, pending.link) for file in files):
            kept = pending.link
        if wholly:
            kept = ""
        if wholly or kept:
            await self._remove_replaced(kept, files)
        await self.job.commit(ev.Linked(key=self.key, link=kept))

    async def remove_equal(self, files: Iterable[File], link: str | None) -> bool:
        """Remove links that a process made during this one's request, after it had lost the job; keep the first."""
        equal = sorted(file.id for file in files if link is not None and _is_link(file, link))
        for extra in equal[1:]:
            await self.api.delete_file(self.item_id, extra, on_turn=self._on_removal)
        return len(equal) > 1

    async def _on_removal(self) -> None:
        await self.on_turn()
        await self.job.lock.confirm()

    async def _withdraw_if_lost(self, made: int, link: str) -> None:
        """Remove a new link if another process took over the job during the request and had made one before.

        Raises JobBusy if the job was taken over.
        """
        try:
            await self.job.lock.check()
        except JobBusy:
            # Of several equal links both processes keep the first: see `remove_equal`.
            if any(_is_link(file, link) and file.id < made for file in await self._files()):
                await self.api.delete_file(self.item_id, made)
            raise

    async def _files(self) -> list[File]:
        return [file async for file in self.api.files(self.item_id)]

    async def _settled_files(self) -> list[File]:
        """Return the item's files, with the link that the job set last or had begun to set, if it has that one."""
        state = self._state
        if state.linking is not None:
            awaited: str | None = state.linking.link
        else:
            awaited = state.link if not state.link_shown else None

        async def check() -> list[File] | None:
            files = await self._files()
            return files if not awaited or any(_is_link(file, awaited) for file in files) else None

        return await poll(check, SETTLE_TIMEOUT if awaited else 0.0, self.api.clock) or await self._files()

    def _is_ours(self, file: File) -> bool:
        """Return whether a file is a link that the job set or had begun to replace."""
        state, pending = self._state, self._state.linking or ev.LinkIntended(key=self.key)
        return file.is_link_only and (file.download_url in (state.link, pending.link) or file.id in pending.replaces)

    def _check_replaceable(self, files: list[File]) -> None:
        """Raise Conflict unless all files are links that the job set, or the only file is a link."""
        for file in files:
            if not file.is_link_only or (len(files) > 1 and not self._is_ours(file)):
                raise Conflict(
                    f"item {self.item_id} has other files, so that its link was not set; remove them, or the link from "
                    "the record"
                )

    async def _remove_replaced(self, link: str, files: list[File]) -> None:
        """Remove the links of the job to other addresses; also one that an earlier run was setting when it ended."""
        for file in files:
            if file.download_url != link and self._is_ours(file):
                await self.api.delete_file(self.item_id, file.id, on_turn=self._on_removal)


def _is_link(file: File, address: str) -> bool:
    return file.is_link_only and file.download_url == address
