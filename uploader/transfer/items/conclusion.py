"""The conclusion: what was wished for the item once every file is verified; each wish is granted once in a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uploader.errors import FigupError
from uploader.figshare.wire_items import ItemDetail
from uploader.transfer import events as ev
from uploader.transfer import notices as no
from uploader.transfer.items import release
from uploader.transfer.run import JobRun

_WORDS = {"reserve_doi": "reserving a DOI", "private_link": "making a private link", "publish": "publishing the item"}


async def conclude(run: JobRun) -> None:
    """Reserve the DOI, make the private link and publish, where that was wished and is not done yet.

    Raises NotPublishable, what Figshare says, and Stopped.
    """
    wishes = run.state.wishes
    if wishes is None or all(step in run.state.reached for step in wishes.steps):
        return
    patience = run.options.settle_timeout
    with run.stop.ends():
        item = await run.api.items.detail(run.item_id)
        if wishes.reserve_doi:
            await _grant(run, "reserve_doi", lambda: release.reserve_doi(run.api, item))
        if wishes.private_link:
            await _grant(run, "private_link", lambda: release.private_link(run.api, item.id, patience=patience))
        if wishes.publish:
            await _grant(run, "publish", lambda: _publish(run, item))


async def _grant(run: JobRun, step: str, do: Callable[[], Awaitable[str]]) -> None:
    """Do it, unless this job has done it before, and write that down."""
    if step in run.state.reached:
        return
    try:
        value = await do()
    except FigupError as error:
        error.message = f"every file is verified, but {_WORDS[step]} failed: {error.message}"
        raise
    await run.commit(ev.EndReached(step, value, run.api.server_now().isoformat()))
    run.notify(no.Concluded(step, value))


async def _publish(run: JobRun, item: ItemDetail) -> str:
    """Publish the item, but for one that an earlier run published without living to write that down."""
    intent = run.state.publish_intent
    if intent is None or item.version <= intent.version:
        await release.check_publishable(run.api, item)
        await run.commit(ev.PublishIntended(item.version))
        item = await release.publish(run.api, item, patience=run.options.settle_timeout)
    return release.publicity(item)
