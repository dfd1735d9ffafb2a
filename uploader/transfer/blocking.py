"""The front door for scripts that know no asyncio: one call that blocks until all is there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio

from uploader.errors import UsageError
from uploader.sources.models import Sources
from uploader.transfer import notices as no
from uploader.transfer.client import Client, Paths
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import Options
from uploader.transfer.report import Report


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def upload(
    paths: Paths | Sources,
    *,
    item: int | None = None,
    title: str | None = None,
    project: int | None = None,
    orders: ItemOptions | None = None,
    new_job: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    state_dir: str | Path | None = None,
    options: Options | None = None,
    on_event: no.Listener | None = None,
) -> Report:
    """`Client.upload` for scripts that know no asyncio: blocks until every byte is there and verified.

    Not to be called where an event loop runs. Raises as `Client` and `Client.upload` do.
    """
    if _loop_runs():
        raise UsageError("an event loop runs here already", hint="Use: async with uploader.Client() as client: ...")
    client = Client(token, endpoint=endpoint, state_dir=state_dir, options=options)

    async def main() -> Report:
        async with client:
            return await client.upload(
                paths, item=item, title=title, project=project, orders=orders, new_job=new_job, on_event=on_event
            )

    return anyio.run(main)
