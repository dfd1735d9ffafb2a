"""The steps of one record: create its item, describe it, link it, publish it, and read the result.

Every step is journaled, and looked up before it is repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import msgspec

from uploader.clock import Clock
from uploader.errors import (
    ItemNotFound,
    ProtocolViolation,
    RecordsMissing,
    RequestRejected,
)
from uploader.figshare.models import ItemDetail
from uploader.figshare.outcomes import NO_EFFECT
from uploader.figshare.retry import poll
from uploader.items import release
from uploader.items.describe import describe
from uploader.items.mark import bears_mark, mark_prefix, marked_title, new_mark
from uploader.items.reconcile import GONE_AFTER, SETTLE_TIMEOUT, confirm, once_visible, seconds_to_search
from uploader.records import journal as ev
from uploader.records.changes import (
    is_as_the_job_left_it,
    must_be_recorded_again,
    seen_of,
    was_changed,
    was_edited,
)
from uploader.records.existing import items_with_mark
from uploader.records.job import OpenJob
from uploader.records.links import Links
from uploader.records.plan import Planned
from uploader.transfer.run.stop import Stop

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare


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
    remark: str = ""
    """A remark to report although the record is complete."""

    @property
    def state(self) -> ev.RecordState:
        """The state of the record."""
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
        return self._must_describe or self._must_link

    @property
    def _must_describe(self) -> bool:
        return self.state.described != self.record.fingerprint or self.state.describing

    @property
    def _must_link(self) -> bool:
        """Whether the item may not refer to the address of the record, or still to another one that the job set."""
        link, state = self.record.link, self.state
        if link is None:
            return state.linking is not None or (bool(state.link) and self.record.is_metadata_only)
        return state.link != link or state.linking is not None

    @property
    def _links(self) -> Links:
        return Links(
            api=self.api,
            job=self.job,
            stop=self.stop,
            key=self.record.key,
            item_id=self.item_id,
            new=self.new,
            on_turn=self._on_turn,
        )

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
        if self.state.intent is not None:
            await look_up(self.api, self.job, self.stop, self.state.intent, found)

    async def create(self) -> None:
        """Create the item, with a mark in its title."""
        key, mark, late = self.record.key, new_mark(self.job.name), False
        fields = self.record.payload.creation_fields(in_project=False)
        body = {"title": marked_title(self.record.title or "", mark), **fields}
        at = self.api.server_now().isoformat()
        intent = ev.CreateIntended(
            key=key, at=at, mark=mark, fingerprint=self.record.fingerprint, source=self.record.source_id
        )
        await self.job.commit_intent(intent)

        async def check() -> int | None:
            nonlocal late
            late = True
            return await _marked(self.api, mark)

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
        detail = None
        await self._note_foreign_changes()
        self.begun = True
        if self.is_changed:
            await self.job.commit(self._intent_to_change())
        if self._must_describe:
            await self._describe()
        if self._must_link:
            await self._link()
        if self.must_publish:
            detail = await self._publish()
        if detail is not None or not self.state.done:
            await self.observe(detail, done=True)

    async def _note_foreign_changes(self) -> None:
        """Record that the item is not as it was last seen: what this run observes hides it from then on."""
        state = self.state
        if self.new or not state.created or state.touched:
            return
        try:
            with self.stop.interruptible():
                detail = await self.api.items.detail(self.item_id)
        except ItemNotFound:
            if state.described is not None:
                raise
            return  # it is not visible yet
        # Content is better evidence than time if the run that created the item did not read it. It can be compared only
        # if the record has not changed in the file since.
        by_content = state.seen is None and state.content == self.record.fingerprint
        await self._note_change(detail, by_content=by_content)

    async def _note_change(self, detail: ItemDetail, *, by_content: bool = False) -> None:
        """Record that the item was changed, as far as its time, and with `by_content` its content, shows."""
        if not self.state.created or self.state.touched:
            return
        is_ours = is_as_the_job_left_it(self.state, detail)
        if not is_ours or (by_content and was_edited(detail, self.record.payload)):
            self.remark = "the item had been changed on Figshare before this run"
            await self.job.commit(ev.Touched(key=self.record.key))

    async def _on_turn(self) -> None:
        """Check the lease before an attempt of a request, and record the time if the change began long before it.

        Changes by others until then are recorded first, or they would count as the job's own.
        """
        await self.job.lock.check()
        if not must_be_recorded_again(self.state.changing, self.api.server_now()):
            return
        with suppress(ItemNotFound):  # it is not visible yet, or the request tells
            await self._note_change(await self.api.items.detail(self.item_id))
        with anyio.CancelScope(shield=True):
            await self.job.commit_intent(self._intent_to_change())

    def _intent_to_change(self) -> ev.ChangeIntended:
        own = self.record.fingerprint
        content = own if own == self.state.content else ""
        at = self.api.server_now().isoformat()
        return ev.ChangeIntended(key=self.record.key, at=at, fingerprint=content, describes=self._must_describe)

    async def _describe(self) -> None:
        """Set metadata and title, which takes the mark off, and the authors, which takes off the account's owner."""
        record = self.record
        # An item that gets a link may be a metadata-only one.
        more = {"is_metadata_record": False} if record.link is not None else {}
        spec = msgspec.structs.replace(record.payload, fields={} if self.new else record.payload.fields | more)

        async def attempt() -> bool | None:
            try:
                await describe(self.api, self.item_id, spec, title=record.title, on_turn=self._on_turn)
            except (ItemNotFound, RequestRejected) as error:
                if not await self._is_not_shown_yet(error):
                    raise
                return None
            return True

        with self.stop.interruptible():
            if not await poll(attempt, SETTLE_TIMEOUT, self._clock):
                raise ItemNotFound(f"Figshare does not show the new item {self.item_id}")
        await self.job.commit(ev.Described(key=record.key, fingerprint=record.fingerprint, likeness=record.likeness))

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
        """Return whether the item no longer exists; a new one may just not be visible yet, and an old copy of
        Figshare's data may lack it.
        """
        unseen = self.state.created and self.state.described is None

        async def check() -> bool | None:
            return await self._is_shown() or None

        with self.stop.interruptible():
            return not await poll(check, SETTLE_TIMEOUT if unseen else GONE_AFTER, self._clock)

    async def _link(self) -> None:
        if self.record.link is not None:
            await self._links.set(self.record.link)
        else:
            await self._links.withdraw(wholly=self.record.is_metadata_only)

    async def _publish(self) -> ItemDetail:
        key, intent = self.record.key, self.state.publishing
        with self.stop.interruptible():
            published = await self._published_since(intent) if intent is not None else None
        detail = published or await self._closing_detail()
        with self.stop.interruptible():
            is_published = await release.is_published(self.api, detail, time_limit=SETTLE_TIMEOUT)
            if is_published is not None:  # otherwise a later version than the intent's is its effect
                published = detail if is_published else None
            if published is None:
                release.check_publishable(detail, await release.unfinished_files(self.api, self.item_id))
        if published is None:
            self.stop.check()
            now = self.api.server_now().isoformat()
            earlier = (self.state.publish_asked_at or now) if self.state.publish_unanswered else ""
            await self.job.commit_intent(
                ev.PublishIntended(key=key, version=detail.version, curation=detail.curation_status, at=now)
            )

            async def on_refused() -> None:
                await self.job.commit(ev.NotPublished(key=key, earlier=earlier))

            with self.stop.interruptible():  # its effect may take long; the next run looks for it
                published = await release.publish(
                    self.api, detail, time_limit=SETTLE_TIMEOUT, on_turn=self.job.lock.check, on_refused=on_refused
                )
            self.remark = release.unseen_effect(published, detail) or self.remark
        await self.job.commit(ev.Published(key=key, visibility=release.visibility(published)))
        return published

    async def _published_since(self, intent: ev.PublishIntended) -> ItemDetail | None:
        async def check() -> ItemDetail | None:
            item = await self.api.items.detail(self.item_id)
            return item if release.was_published_since(item, intent.version, intent.curation) else None

        limit, asked_at = release.seconds_to_publish(SETTLE_TIMEOUT), self.state.publish_asked_at
        is_open = self.state.publish_unanswered
        left = seconds_to_search(asked_at, self.api.server_now(), limit) if is_open else 0.0
        return await poll(check, left, self._clock)

    # --- outcomes --------------------------------------------------------------------------------------------------

    async def observe(self, detail: ItemDetail | None = None, *, done: bool) -> None:
        """Record the item as it was read after its last step, or read it now.

        With `done`, raises ProtocolViolation if a step shows no effect.
        """
        if detail is not None:
            self._check(detail)
        elif done:
            detail = await self._closing_detail()
        else:
            with self.stop.interruptible():
                detail = await self.api.items.detail(self.item_id)
        await self.job.commit(ev.Observed(key=self.record.key, seen=seen_of(detail), done=done))

    async def _closing_detail(self) -> ItemDetail:
        """Read the item until it shows its link, which may not be visible yet, and has it once.

        Raises ProtocolViolation if a step shows no effect.
        """

        async def check() -> ItemDetail | None:
            detail = await self.api.items.detail(self.item_id)
            return detail if self._shows_link(detail) else None

        with self.stop.interruptible():
            detail = await poll(check, SETTLE_TIMEOUT, self._clock) or await self.api.items.detail(self.item_id)
        if self.state.created and await self._links.remove_equal(detail.files, self.record.link):
            with self.stop.interruptible():
                detail = await self.api.items.detail(self.item_id)
        self._check(detail)
        return detail

    def _shows_link(self, detail: ItemDetail) -> bool:
        return self.record.link is None or self.record.link in {file.download_url for file in detail.files}

    def _check(self, detail: ItemDetail) -> None:
        if bears_mark(detail.title, [mark_prefix(self.job.name)]):
            raise ProtocolViolation(f"item {detail.id} still has the title by which it was created")
        if not self._shows_link(detail):
            raise ProtocolViolation(f"item {detail.id} does not show its link")


async def look_up(api: Figshare, job: OpenJob, stop: Stop, intent: ev.CreateIntended, found: int | None) -> None:
    """Record the item that an intent led to, or that none was found; `found` is one that a listing showed."""
    if found is None:
        limit = seconds_to_search(intent.at, api.server_now(), SETTLE_TIMEOUT)
        with stop.interruptible():
            found = await poll(lambda: _marked(api, intent.mark), limit, api.clock)
    key = intent.key
    await job.commit(
        ev.NotCreated(key=key, late=True) if found is None else ev.ItemCreated(key=key, id=found, late=True)
    )


async def _marked(api: Figshare, mark: str) -> int | None:
    return min((row.id for row in await items_with_mark(api, [mark])), default=None)


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
        with suppress(ItemNotFound):  # removed meanwhile
            detail = await once_visible(partial(api.items.detail, row.id), SETTLE_TIMEOUT, api.clock)
            if detail.files or was_changed(detail):
                warn(f"{made}; it is not as it was created and is kept")
                continue
            await api.delete_item(row.id, on_turn=job.lock.confirm)
            warn(f"{made}; it was empty and has been removed")
    return True
