"""Publish an item outside a job, once.

The intent is a file in the state directory: made before the request, removed once its effect shows or it is refused. If
the command is interrupted between them, the next one looks for the effect before it asks again. Without a usable state
directory nothing is recorded.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from uploader.concurrency import in_thread
from uploader.disk import Disk, check_private, is_at, map_os_errors, take_flock
from uploader.errors import FigupError
from uploader.figshare.models import ItemDetail
from uploader.figshare.retry import poll
from uploader.items import release
from uploader.items.reconcile import SETTLE_TIMEOUT, seconds_to_search
from uploader.items.service import ItemService

log = logging.getLogger("uploader.items.publishing")


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """An item with this version, curation status and draft (`release.draft_digest`) was about to be published.

    `at` is by the server's clock. `token` is unique: intents of two processes differ (`Disk.create` compares them).
    """

    at: str
    version: int
    curation: str
    draft: str
    token: str = msgspec.field(default_factory=lambda: secrets.token_hex(4))


class PublishIntents:
    """The intents that are recorded in a folder of the state directory, for one endpoint. All calls block."""

    def __init__(self, folder: Path, disk: Disk, endpoint: str) -> None:
        self._folder = folder
        self._disk = disk
        self._prefix = hashlib.blake2b(endpoint.encode(), digest_size=4).hexdigest()
        self._warned = False

    def read(self, item_id: int) -> Intent | None:
        """Return the intent whose outcome is unknown; None from a folder that other users can write to."""
        try:
            check_private(self._folder.parent, self._folder)
            return self._decoded(self._disk.read(self._path(item_id)))
        except FigupError as error:
            self._warn(error)
            return None

    def record(self, item_id: int, intent: Intent, earlier: Intent | None) -> bool:
        """Record an intent in place of the `earlier` one; return False if another process has recorded one since."""
        path, data = self._path(item_id), msgspec.json.encode(intent)
        try:
            self._disk.make_folder(self._folder)
            check_private(self._folder.parent, self._folder)
            if earlier is None and self._disk.create(path, data):
                return True
            return self._replace(path, data, earlier)
        except FigupError as error:
            self._warn(error)
            return True

    def withdraw(self, item_id: int, intent: Intent, earlier: Intent | None) -> None:
        """Put the `earlier` intent back in place of one whose request was not sent, or was refused."""
        if earlier is None:
            self.remove(item_id)
        else:
            self.record(item_id, earlier, intent)

    def remove(self, item_id: int) -> None:
        """Remove the intent, whose outcome is known."""
        path = self._path(item_id)
        try:
            with map_os_errors(path):
                path.unlink(missing_ok=True)
        except FigupError as error:
            self._warn(error)

    def _replace(self, path: Path, data: bytes, earlier: Intent | None) -> bool:
        """Replace the record of `earlier`, None if it is damaged; return False if another process has done so."""
        with map_os_errors(path):
            try:
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
            try:
                if take_flock(fd) is False or not is_at(path, fd) or self._decoded(self._disk.read(path)) != earlier:
                    return False
                self._disk.replace(path, data)
            finally:
                os.close(fd)
        return True

    @staticmethod
    def _decoded(data: bytes | None) -> Intent | None:
        try:
            return msgspec.json.decode(data or b"", type=Intent)
        except msgspec.MsgspecError:
            return None

    def _warn(self, error: FigupError) -> None:
        if not self._warned:
            log.warning("cannot keep a record of what is being published: %s", error)
        self._warned = True

    def _path(self, item_id: int) -> Path:
        return self._folder / f"{self._prefix}-{item_id}"


async def publish_once(
    api: ItemService, item: ItemDetail, intents: PublishIntents, agree: Callable[[ItemDetail], Awaitable[bool]]
) -> tuple[ItemDetail, bool] | None:
    """Publish the item unless its newest version has its content; return its state, and whether that was so before.

    `agree` is asked before, once for each state of the draft; None if it declines. Raises NotPublishable, and what
    requests raise.
    """
    unsent: Intent | None = None
    while True:
        earlier = await in_thread(intents.read, item.id)
        effect = await _effect_of(api, item.id, earlier) if earlier is not None else None
        item = effect or item
        if await _is_published(api, item, earlier or unsent):
            await in_thread(intents.remove, item.id)
            return item, True
        release.check_publishable(item, await release.unfinished_files(api, item.id))
        draft = await release.draft_digest(api, item)
        if (unsent is None or draft != unsent.draft) and not await agree(item):
            return None
        at = api.server_now().isoformat()
        unsent = Intent(at=at, version=item.version, curation=item.curation_status, draft=draft)
        recorded = await in_thread(intents.record, item.id, unsent, earlier)
        now = await api.items.detail(item.id)
        if recorded and not release.shows_publication(now, item):
            return await _publish(api, item, intents, unsent, earlier), False
        if recorded:
            await in_thread(intents.withdraw, item.id, unsent, earlier)
        item = now  # another process published meanwhile


async def _is_published(api: ItemService, item: ItemDetail, intent: Intent | None) -> bool:
    """Return whether the newest version has the item's content. If they cannot be compared, a version made since the
    intent has it provided that the draft is unchanged.
    """
    known = await release.is_published(api, item)
    if known is not None or intent is None:
        return bool(known)
    is_since = release.was_published_since(item, intent.version, intent.curation)
    return is_since and await release.is_unchanged(api, item, intent.draft)


async def _publish(
    api: ItemService, item: ItemDetail, intents: PublishIntents, intent: Intent, earlier: Intent | None
) -> ItemDetail:
    """Publish the item; its intent stays until the outcome is known."""

    async def on_refused() -> None:
        await in_thread(intents.withdraw, item.id, intent, earlier)

    now = await release.publish(api, item, time_limit=SETTLE_TIMEOUT, on_refused=on_refused)
    if release.shows_effect(now, item):
        await in_thread(intents.remove, item.id)
    return now


async def _effect_of(api: ItemService, item_id: int, intent: Intent) -> ItemDetail | None:
    """Return the item once it shows the effect of a request that may have been sent; None if it does not."""

    async def check() -> ItemDetail | None:
        now = await api.items.detail(item_id)
        return now if release.was_published_since(now, intent.version, intent.curation) else None

    what = f"publishing item {item_id}: an earlier run was interrupted; checking whether it took effect"
    limit = seconds_to_search(intent.at, api.server_now(), release.seconds_to_publish(SETTLE_TIMEOUT))
    return await poll(check, limit, api.clock, wait=functools.partial(api.wait, what))
