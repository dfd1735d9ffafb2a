"""The steps of one record: create its item, describe it, link it, publish it, and read the result.

Every step is journaled, and looked up before it is repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import anyio
import msgspec

from uploader.clock import Clock
from uploader.errors import (
    Conflict,
    ItemNotFound,
    JobBusy,
    PermissionDenied,
    ProtocolViolation,
    RecordsMissing,
    RequestRejected,
    TokenRejected,
)
from uploader.figshare.models import File, ItemDetail
from uploader.figshare.outcomes import NO_EFFECT
from uploader.figshare.retry import poll
from uploader.items import release
from uploader.items.describe import describe
from uploader.items.mark import bears_mark, mark_prefix, marked_title, new_mark
from uploader.items.reconcile import confirm
from uploader.records import journal as ev
from uploader.records.existing import items_with_mark
from uploader.records.job import OpenJob
from uploader.records.plan import Planned
from uploader.transfer.run.stop import Stop

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

_VISIBLE_AFTER = timedelta(days=1)
"""Time after which the effect of a request is visible, if it has one."""
_CLEANUP = 10.0
"""Seconds to take back what was done after the job had been lost."""
SETTLE_TIMEOUT = 30.0
"""Seconds to look for the effect of a request whose response was lost."""


@dataclass(kw_only=True)
class Steps:
    """The steps of one record in one run of a job. Raise Stopped, and errors of requests and of the journal."""

    api: Figshare
    job: OpenJob
    stop: Stop
    record: Planned
    publish: bool = False
    new: bool = False
    """This run created the item."""
    begun: bool = False
    """This run may have changed the item."""

    @property
    def state(self) -> ev.RecordState:
        """What is known of the record."""
        return self.job.state.of(self.record.key)

    @property
    def item_id(self) -> int:
        """The item, once it is known."""
        if self.state.item_id is None:
            raise RuntimeError("the item is unknown")
        return self.state.item_id

    @property
    def _clock(self) -> Clock:
        return self.api.clock

    @property
    def is_changed(self) -> bool:
        """Whether the record is not what was applied to the item."""
        return self.state.described != self.record.fingerprint or self._must_link

    @property
    def _must_link(self) -> bool:
        """Whether the item may not refer to the address of the record, or still to another one that the job set."""
        link, state = self.record.link, self.state
        return link is not None and (state.link != link or state.linking is not None)

    @property
    def must_publish(self) -> bool:
        """Whether the item, or what was changed of it, is still to be published."""
        return self.publish and (not self.state.published or self.state.unpublished)

    def is_complete(self) -> bool:
        """Return whether nothing is left to do but to apply what changed in the file."""
        return self.state.done and not self.must_publish

    # --- the item ----------------------------------------------------------------------------------------------------

    async def look_up(self, found: int | None) -> None:
        """Find the item that an intent led to; `found` is one that a listing showed."""
        intent = self.state.intent
        if intent is None:
            return
        if found is None:
            age = self.api.server_now() - datetime.fromisoformat(intent.at)
            limit = SETTLE_TIMEOUT if age < _VISIBLE_AFTER else 0.0
            with self.stop.interruptible():
                found = await poll(lambda: self._marked(intent.mark), limit, self._clock)
        key = self.record.key
        await self.job.commit(
            ev.NotCreated(key=key, late=True) if found is None else ev.ItemCreated(key=key, id=found, late=True)
        )

    async def _marked(self, mark: str) -> int | None:
        return min((row.id for row in await items_with_mark(self.api, [mark])), default=None)

    async def create(self) -> None:
        """Create the item, with a mark in its title."""
        key, mark, late = self.record.key, new_mark(self.job.name), False
        fields = self.record.payload.creation_fields(in_project=False)
        body = {"title": marked_title(self.record.title or "", mark), **fields}
        await self.job.commit_intent(ev.CreateIntended(key=key, at=self.api.server_now().isoformat(), mark=mark))

        async def check() -> int | None:
            nonlocal late
            late = True
            return await self._marked(mark)

        try:
            ask = partial(self.api.items.create, body, on_turn=self.job.lock.check)
            item_id = await confirm(self.api, ask, check, "creating the item", time_limit=SETTLE_TIMEOUT)
        except NO_EFFECT:
            if not late:
                await self.job.commit(ev.NotCreated(key=key))
            raise
        await self.job.commit(ev.ItemCreated(key=key, id=item_id, late=late))
        self.new = True

    # --- its content -------------------------------------------------------------------------------------------------

    async def complete(self) -> None:
        """Run the steps that are left."""
        record, detail = self.record, None
        await self._note_foreign_changes()
        self.begun = True
        if self.state.described != record.fingerprint:
            await self._describe()
        if record.link is not None and self._must_link:
            await self._link(record.link)
        if self.must_publish:
            detail = await self._publish()
        if detail is not None or not self.state.done:
            await self.observe(detail, done=True)

    async def _note_foreign_changes(self) -> None:
        """Record that the item is not as it was last seen: what this run observes hides it from then on."""
        state = self.state
        if self.new or not state.created or state.touched or state.seen is None:
            return
        with self.stop.interruptible():
            detail = await self.api.items.detail(self.item_id)
        if seen_of(detail) != state.seen:
            await self.job.commit(ev.Touched(key=self.record.key))

    async def _describe(self) -> None:
        """Set metadata and title, which takes the mark off, and the authors, which takes off the account's owner."""
        record = self.record
        spec = msgspec.structs.replace(record.payload, fields={}) if self.new else record.payload

        async def attempt() -> bool | None:
            try:
                await describe(self.api, self.item_id, spec, title=record.title, on_turn=self.job.lock.check)
            except (ItemNotFound, RequestRejected) as error:
                if not await self._is_not_shown_yet(error):
                    raise
                return None
            return True

        with self.stop.interruptible():
            if not await poll(attempt, SETTLE_TIMEOUT, self._clock):
                raise ItemNotFound(f"Figshare does not show the new item {self.item_id}")
        await self.job.commit(ev.Described(key=record.key, fingerprint=record.fingerprint))

    async def _is_not_shown_yet(self, error: ItemNotFound | RequestRejected) -> bool:
        """Return whether an error means that the item, which may be new, is not visible yet."""
        if self.state.described is not None:
            return False
        if isinstance(error, ItemNotFound):
            return True
        # A 404 of an update may as well be about a value.
        return error.status == 404 and not await self._is_shown()

    async def _is_shown(self) -> bool:
        try:
            await self.api.items.detail(self.item_id)
        except ItemNotFound:
            return False
        return True

    async def is_gone(self) -> bool:
        """Return whether the item no longer exists; a new one may just not be visible yet."""
        unseen = self.state.created and self.state.described is None

        async def check() -> bool | None:
            return await self._is_shown() or None

        with self.stop.interruptible():
            return not await poll(check, SETTLE_TIMEOUT if unseen else 0.0, self._clock)

    async def _link(self, link: str) -> None:
        """Make the item refer to this address; a link to another one is removed once this one is there."""

        async def check() -> bool | None:
            return any(_is_link(file, link) for file in await self._files()) or None

        async def ask() -> bool:
            made = await self.api.link(self.item_id, link, on_turn=self.job.lock.check)
            with anyio.move_on_after(_CLEANUP, shield=True):  # a run is cancelled when its lease is lost
                await self._withdraw_if_lost(made, link)
            return True

        pending, files = self.state.linking, list[File]()
        if not self.new or pending is not None:
            with self.stop.interruptible():
                files = await self._settled_files(pending)
        if not any(_is_link(file, link) for file in files):
            self._check_replaceable(files)
            self.stop.check()
            replaces = tuple(file.id for file in files)
            await self.job.commit_intent(ev.LinkIntended(key=self.record.key, link=link, replaces=replaces))
            await confirm(self.api, ask, check, "linking the file", time_limit=SETTLE_TIMEOUT)
        await self._remove_replaced(link, files)
        await self.job.commit(ev.Linked(key=self.record.key, link=link))

    async def _withdraw_if_lost(self, made: int, link: str) -> None:
        """Remove a new link if another process took over the job during the request and had made one before.

        Raises JobBusy if the job was taken over.
        """
        try:
            await self.job.lock.check()
        except JobBusy:
            # Of several equal links both processes keep the first: see `_remove_equal_links`.
            if any(_is_link(file, link) and file.id < made for file in await self._files()):
                await self.api.delete_file(self.item_id, made)
            raise

    async def _files(self) -> list[File]:
        return [file async for file in self.api.files(self.item_id)]

    async def _settled_files(self, pending: ev.LinkIntended | None) -> list[File]:
        """Return the item's files, with the effect of a pending request for a link if it has one."""

        async def check() -> list[File] | None:
            files = await self._files()
            return files if pending is None or any(_is_link(file, pending.link) for file in files) else None

        return await poll(check, SETTLE_TIMEOUT if pending else 0.0, self._clock) or await self._files()

    def _is_ours(self, file: File) -> bool:
        """Return whether a file is a link that the job set or had begun to replace."""
        state, pending = self.state, self.state.linking or ev.LinkIntended(key=self.record.key)
        return file.is_link_only and (file.download_url in (state.link, pending.link) or file.id in pending.replaces)

    def _check_replaceable(self, files: list[File]) -> None:
        """Raise Conflict unless all files are links that the job set, or there is one link alone."""
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
                await self.api.delete_file(self.item_id, file.id, on_turn=self.job.lock.confirm)

    async def _publish(self) -> ItemDetail:
        key, intent = self.record.key, self.state.publishing
        with self.stop.interruptible():
            detail = await self.api.items.detail(self.item_id)
            published = await self._published_since(intent) if intent is not None else None
            if published is None:
                release.check_publishable(detail, await release.unfinished_files(self.api, self.item_id))
        if published is None:
            self.stop.check()
            intent = ev.PublishIntended(key=key, version=detail.version, curation=detail.curation_status)
            await self.job.commit_intent(intent)
            try:
                published = await release.publish(
                    self.api, detail, time_limit=SETTLE_TIMEOUT, on_turn=self.job.lock.check
                )
            except (RequestRejected, PermissionDenied, TokenRejected):
                await self.job.commit(ev.NotPublished(key=key))
                raise
        await self.job.commit(ev.Published(key=key, visibility=release.visibility(published)))
        return published

    async def _published_since(self, intent: ev.PublishIntended) -> ItemDetail | None:
        async def check() -> ItemDetail | None:
            item = await self.api.items.detail(self.item_id)
            return item if item.version > intent.version or item.curation_status != intent.curation else None

        return await poll(check, SETTLE_TIMEOUT if self.state.publish_unanswered else 0.0, self._clock)

    # --- what came of it ---------------------------------------------------------------------------------------------

    async def observe(self, detail: ItemDetail | None = None, *, done: bool) -> None:
        """Read the item, and record it. With `done`, raises ProtocolViolation if a step shows no effect."""
        if detail is None:
            with self.stop.interruptible():
                detail = await self._complete_detail() if done else await self.api.items.detail(self.item_id)
        if done:
            if await self._remove_equal_links(detail):
                with self.stop.interruptible():
                    detail = await self.api.items.detail(self.item_id)
            self._check(detail)
        await self.job.commit(ev.Observed(key=self.record.key, seen=seen_of(detail), done=done))

    async def _complete_detail(self) -> ItemDetail:
        """Read the item until it shows its link, which may not be visible yet."""

        async def check() -> ItemDetail | None:
            detail = await self.api.items.detail(self.item_id)
            return detail if self._shows_link(detail) else None

        return await poll(check, SETTLE_TIMEOUT, self._clock) or await self.api.items.detail(self.item_id)

    def _shows_link(self, detail: ItemDetail) -> bool:
        return self.record.link is None or self.record.link in {file.download_url for file in detail.files}

    async def _remove_equal_links(self, detail: ItemDetail) -> bool:
        """Remove links that a process made during this one's request, after it had lost the job; keep the first."""
        link = self.record.link
        equal = sorted(file.id for file in detail.files if link is not None and _is_link(file, link))
        if not self.state.created or len(equal) < 2:
            return False
        for extra in equal[1:]:
            await self.api.delete_file(self.item_id, extra, on_turn=self.job.lock.confirm)
        return True

    def _check(self, detail: ItemDetail) -> None:
        if bears_mark(detail.title, [mark_prefix(self.job.name)]):
            raise ProtocolViolation(f"item {detail.id} still has the title by which it was created")
        if not self._shows_link(detail):
            raise ProtocolViolation(f"item {detail.id} does not show its link")


def _is_link(file: File, address: str) -> bool:
    return file.is_link_only and file.download_url == address


def seen_of(item: ItemDetail) -> ev.Seen:
    """Return the record of an item that shows later whether it was changed."""
    content = [
        *(item.title, item.description, [one.id for one in item.authors], [one.id for one in item.categories]),
        *(item.keywords, item.license, item.type, item.references, item.related_materials, item.funding),
        *(item.custom_fields, item.group_id, item.timeline, item.embargo, item.doi, item.handle, item.metadata_reason),
        [(file.id, file.name, file.size, file.download_url) for file in item.files],
    ]
    digest = hashlib.blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=8).hexdigest()
    return ev.Seen(
        url=item.public_url if release.visibility(item) == "public" else item.url,
        doi=item.doi,
        modified=item.modified.isoformat() if item.modified is not None else "",
        content=digest,
    )


async def remove_late_items(api: Figshare, job: OpenJob, warn: Callable[[str], None]) -> bool:
    """Remove drafts that appeared late: the next run finds later ones. Return whether all items could be listed."""
    state = job.state
    if not state.marks:
        return True
    known = {one.item_id for one in state.records.values()}
    try:
        rows = await items_with_mark(api, list(state.marks))
    except RecordsMissing as error:
        warn(f"drafts of requests whose response was lost may be left: {error.message}")
        return False
    for row in rows:
        if row.id in known or row.published is not None:
            continue
        made = f"item {row.id} was created by a request of this job whose response was lost"
        if [file async for file in api.files(row.id)]:
            warn(f"{made}; it is not empty and is kept")
            continue
        await api.delete_item(row.id, on_turn=job.lock.confirm)
        warn(f"{made}; it was empty and has been removed")
    return True
