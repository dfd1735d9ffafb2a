"""The conclusion: what was wished for the item once every file is verified; each wish is granted once in a job."""

from __future__ import annotations

from uploader.figshare.wire_items import ItemDetail
from uploader.transfer import events as ev
from uploader.transfer import notices as no
from uploader.transfer import release
from uploader.transfer.run import JobRun


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
        if wishes.reserve_doi and "reserve_doi" not in run.state.reached:
            await _reached(run, "reserve_doi", await release.reserve_doi(run.api, item))
        if wishes.private_link and "private_link" not in run.state.reached:
            await _reached(run, "private_link", await release.private_link(run.api, item.id, patience=patience))
        if wishes.publish and "publish" not in run.state.reached:
            await _reached(run, "publish", await _publish(run, item))


async def _publish(run: JobRun, item: ItemDetail) -> str:
    """Publish the item, but for one that an earlier run published without living to write that down."""
    intent = run.state.publish_intent
    if intent is None or item.version <= intent.version:
        await release.check_publishable(run.api, item)
        await run.commit(ev.PublishIntended(item.version))
        item = await release.publish(run.api, item, patience=run.options.settle_timeout)
    return release.publicity(item)


async def _reached(run: JobRun, step: str, value: str) -> None:
    await run.commit(ev.EndReached(step, value))
    run.notify(no.Concluded(step, value))
