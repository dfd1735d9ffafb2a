"""The final steps, which run once every file is verified: reserve a DOI, make a private link, publish.

Each step is done once per job. Publishing is repeated if the job's files have changed since.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from uploader.errors import Facts, FigupError, PermissionDenied, RequestRejected, TokenRejected
from uploader.figshare.models import ItemDetail
from uploader.items import release
from uploader.transfer import notices as no
from uploader.transfer.destination.lookup import find_published
from uploader.transfer.journal import events as ev
from uploader.transfer.run.context import JobRun

_WORDS = {"reserve_doi": "reserving a DOI", "private_link": "creating a private link", "publish": "publishing the item"}


async def finalize(run: JobRun) -> None:
    """Run the requested final steps that are not done yet. Raises NotPublishable, Stopped, and API errors."""
    due = [step for step in run.state.final_steps.steps if not run.state.is_done(step)]
    if due:
        with run.stop.interruptible():
            item = await run.api.items.detail(run.item_id)
            if "reserve_doi" in due:
                await _run_step(run, "reserve_doi", lambda: _reserve_doi(run, item))
            if "private_link" in due:
                await _run_step(run, "private_link", lambda: _private_link(run, item))
            if "publish" in due:
                await _run_step(run, "publish", lambda: _publish(run, item))
    if "publish" not in due:
        _warn_not_public(run)


async def _run_step(run: JobRun, step: str, do: Callable[[], Awaitable[ev.FinalStepDone]]) -> None:
    """Run one step and journal the result."""
    await run.lock.check()
    try:
        done = await do()
    except FigupError as error:
        raise error.with_context(prefix=f"every file is verified, but {_WORDS[step]} failed") from error
    await run.commit(msgspec.structs.replace(done, at=run.api.server_now().isoformat()))
    run.notify(no.FinalStepCompleted(step, done.value))


async def _reserve_doi(run: JobRun, item: ItemDetail) -> ev.FinalStepDone:
    return ev.FinalStepDone(step="reserve_doi", value=await release.reserve_doi(run.api, item))


async def _private_link(run: JobRun, item: ItemDetail) -> ev.FinalStepDone:
    url = await release.private_link(run.api, item.id, time_limit=run.options.settle_timeout)
    return ev.FinalStepDone(step="private_link", value=url)


async def _publish(run: JobRun, item: ItemDetail) -> ev.FinalStepDone:
    """Publish the item, unless an earlier run did and was killed before it could journal that."""
    intent, mark = run.state.publish_intent, run.state.files_fingerprint
    published = await find_published(run, intent) if intent is not None and intent.files == mark else None
    if published is not None:
        item = published
    else:
        await release.check_publishable(run.api, item)
        await run.commit_intent(ev.PublishIntended(item.version, mark))
        try:
            item = await release.publish(run.api, item, time_limit=run.options.settle_timeout)
        except (RequestRejected, PermissionDenied, TokenRejected):
            await run.commit(ev.NotPublished())
            raise
    return ev.FinalStepDone(
        step="publish", value=release.visibility(item), url=item.public_url or None, doi=item.doi or None
    )


def _warn_not_public(run: JobRun) -> None:
    """Warn that changes are only in the draft of an item that is published and is not published again now."""
    state, changed = run.state, run.described or run.progress.bytes_sent > 0
    changed_since = run.described or not state.is_done("publish")
    if changed_since if "publish" in state.done_steps else changed and state.item_was_public:
        text = f"item {run.item_id} was published before; the changes are only in its draft"
        run.notify(no.Warned(message=text, facts=Facts("published-before", item_id=run.item_id)))
