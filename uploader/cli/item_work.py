"""How commands on one item run: a session with Figshare, the item looked up first, the summary filled in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uploader.cli.displays import Display
from uploader.cli.options import Common
from uploader.cli.place import PATIENCE, place
from uploader.cli.running import Session, run
from uploader.figshare.api import Figshare
from uploader.figshare.wire_items import ItemDetail

OnFigshare = Callable[[Session, Figshare], Awaitable[int]]
OnItem = Callable[[Session, Figshare, ItemDetail], Awaitable[int]]


def on_figshare(common: Common, work: OnFigshare) -> int:
    """Run the work in a session with Figshare."""
    with place(common) as at:
        client = at.client(retry=PATIENCE)

        async def connected(session: Session) -> int:
            display = Display(session.console, None)
            async with client:
                with client.figshare(display.take) as api:
                    return await work(session, api)

        return run(common, connected)


def on_item(common: Common, item_id: int, work: OnItem) -> int:
    """Run the work on an item that there is; else the error says so."""

    async def found(session: Session, api: Figshare) -> int:
        item = await api.items.detail(item_id)
        session.summary.item_id, session.summary.item_url = item.id, item.url or None
        return await work(session, api, item)

    return on_figshare(common, found)
