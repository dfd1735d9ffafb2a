"""Publish an item outside a job, once.

The intent is a file in the state directory: made before the request, removed once that is answered. If the command is
interrupted between them, the next one looks for the effect before it asks again. Without a usable state directory
nothing is recorded.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio.to_thread
import msgspec

from uploader.disk import Disk, check_private, map_os_errors
from uploader.errors import FigupError, PermissionDenied, RequestRejected, TokenRejected
from uploader.figshare.models import ItemDetail
from uploader.figshare.retry import poll
from uploader.items import release
from uploader.items.reconcile import seconds_to_search
from uploader.items.service import ItemService

log = logging.getLogger("uploader.items.publishing")

_SETTLE = 30.0
"""Seconds to look for the effect of a request; of one to publish longer (`release.seconds_to_publish`)."""


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

    def read(self, item_id: int) -> Intent | None:
        """Return the intent whose outcome is unknown. Raises StateUnusable if other users can write to the folder."""
        check_private(self._folder.parent, self._folder)
        try:
            return msgspec.json.decode(self._disk.read(self._path(item_id)) or b"", type=Intent)
        except (FigupError, msgspec.MsgspecError):
            return None

    def record(self, item_id: int, intent: Intent, earlier: Intent | None) -> bool:
        """Record an intent in place of the `earlier` one; return False if another process has recorded one since."""
        path, data = self._path(item_id), msgspec.json.encode(intent)
        try:
            self._disk.make_folder(self._folder)
            if earlier is None and self._disk.create(path, data):
                return True
            if earlier is None and self.read(item_id) is not None:
                return False
            self._disk.replace(path, data)
        except FigupError as error:
            log.warning("cannot record what is being published: %s", error)
        return True

    def remove(self, item_id: int) -> None:
        """Remove the intent, which was answered."""
        path = self._path(item_id)
        try:
            with map_os_errors(path):
                path.unlink(missing_ok=True)
        except FigupError as error:
            log.warning("cannot remove the record of what was published: %s", error)

    def _path(self, item_id: int) -> Path:
        return self._folder / f"{self._prefix}-{item_id}"


async def publish_once(
    api: ItemService, item: ItemDetail, intents: PublishIntents, agree: Callable[[ItemDetail], Awaitable[bool]]
) -> tuple[ItemDetail, bool] | None:
    """Publish the item unless its newest version has its content; return its state, and whether that was so before.

    `agree` is asked before; None if it declines. Raises NotPublishable, and what requests raise.
    """
    in_thread = anyio.to_thread.run_sync
    while True:
        earlier = await in_thread(intents.read, item.id)
        effect = await _effect_of(api, item.id, earlier) if earlier is not None else None
        item = effect or item
        published = await release.is_published(api, item)
        if published is None and effect is not None and earlier is not None:
            published = await release.is_unchanged(api, item, earlier.draft)
        if published:
            await in_thread(intents.remove, item.id)
            return item, True
        release.check_publishable(item, await release.unfinished_files(api, item.id))
        if not await agree(item):
            return None
        draft, at = await release.draft_digest(api, item), api.server_now().isoformat()
        intent = Intent(at=at, version=item.version, curation=item.curation_status, draft=draft)
        recorded = await in_thread(intents.record, item.id, intent, earlier)
        now = await api.items.detail(item.id)
        if recorded and not release.was_published_since(now, item.version, item.curation_status):
            break
        item = now  # by another process, meanwhile
    try:
        now = await release.publish(api, item, time_limit=_SETTLE)
    except (RequestRejected, PermissionDenied, TokenRejected):
        if earlier is None:
            await in_thread(intents.remove, item.id)
        raise
    await in_thread(intents.remove, item.id)
    return now, False


async def _effect_of(api: ItemService, item_id: int, intent: Intent) -> ItemDetail | None:
    """Return the item once it shows the effect of a request that may have been sent; None if it does not."""

    async def check() -> ItemDetail | None:
        now = await api.items.detail(item_id)
        return now if release.was_published_since(now, intent.version, intent.curation) else None

    what = f"publishing item {item_id}: an earlier run was interrupted; checking whether it took effect"
    limit = seconds_to_search(intent.at, api.server_now(), release.seconds_to_publish(_SETTLE))
    return await poll(check, limit, api.clock, wait=functools.partial(api.wait, what))
