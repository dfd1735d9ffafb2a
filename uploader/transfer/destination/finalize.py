"""The conclusion: what was wished for the item once every file is verified. Each wish is granted once in a job; an
item is published again when the job's files are others by now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uploader.errors import Facts, FigupError
from uploader.figshare.models import ItemDetail
from uploader.items import release
from uploader.transfer import notices as no
from uploader.transfer.journal import events as ev
from uploader.transfer.run.context import JobRun

_WORDS = {"reserve_doi": "reserving a DOI", "private_link": "making a private link", "publish": "publishing the item"}


async def finalize(run: JobRun) -> None:
    """Reserve the DOI, make the private link and publish, where that was wished and is not done yet.

    Raises NotPublishable, what Figshare says, and Stopped.
    """
    wishes = run.state.final_steps
    due = [step for step in wishes.steps if not run.state.is_done(step)] if wishes is not None else []
    if due:
        patience = run.options.settle_timeout
        with run.stop.interruptible():
            item = await run.api.items.detail(run.item_id)
            if "reserve_doi" in due:
                await _run_step(run, "reserve_doi", lambda: release.reserve_doi(run.api, item))
            if "private_link" in due:
                await _run_step(run, "private_link", lambda: release.private_link(run.api, item.id, patience=patience))
            if "publish" in due:
                await _run_step(run, "publish", lambda: _publish(run, item))
    if "publish" not in due:
        _warn_not_public(run)


async def _run_step(run: JobRun, step: str, do: Callable[[], Awaitable[str]]) -> None:
    """Do it, and write that down."""
    try:
        value = await do()
    except FigupError as error:
        raise error.with_context(prefix=f"every file is verified, but {_WORDS[step]} failed") from error
    await run.commit(ev.FinalStepDone(step, value, run.api.server_now().isoformat()))
    run.notify(no.FinalStepCompleted(step, value))


async def _publish(run: JobRun, item: ItemDetail) -> str:
    """Publish the item, but for what an earlier run published without living to write that down."""
    intent, mark = run.state.publish_intent, run.state.files_fingerprint
    if intent is None or item.version <= intent.version or intent.files != mark:
        await release.check_publishable(run.api, item)
        await run.commit(ev.PublishIntended(item.version, mark))
        item = await release.publish(run.api, item, patience=run.options.settle_timeout)
    return release.visibility(item)


def _warn_not_public(run: JobRun) -> None:
    """Warn of what the draft alone has, where this job published the item before and does not do so now."""
    if "publish" in run.state.done_steps and (run.described or not run.state.is_done("publish")):
        text = f"item {run.item_id} was published before; what changed is in its draft alone"
        run.notify(no.Warned(text, facts=Facts("published-before", item_id=run.item_id)))
