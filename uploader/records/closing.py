"""The closing check of a run: whether the items that it found or completed, perhaps hours ago, still exist."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from uploader.catalog.reading import Reading
from uploader.errors import ItemNotFound, PermissionDenied
from uploader.figshare.records import own_list
from uploader.figshare.retry import poll
from uploader.items.reconcile import SETTLE_TIMEOUT

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

LISTING_AGE = 60.0
"""Seconds for which the listing at the beginning of a run counts."""


async def gone_items(api: Figshare, ids: Collection[int]) -> set[int]:
    """Return which of these items of the account no longer exist, by one listing; none if that is not complete.

    What it does not have is read: an item that was just created may show late.
    """
    reading = Reading(api.records, own_list("item"))
    gone = set(ids) - {row.id async for row in reading.rows()}
    if reading.gaps or not gone:
        return set()

    async def check() -> bool | None:
        for item_id in list(gone):
            try:
                await api.items.detail(item_id)
            except ItemNotFound:
                continue
            except PermissionDenied:  # it exists, and is another account's now; or the token has expired
                await api.account()
            gone.discard(item_id)
        return not gone or None

    await poll(check, SETTLE_TIMEOUT, api.clock)
    return gone
