"""The final steps, which run once every file is verified: reserve a DOI, make a private link, publish.

Each step is done once per job. Publishing is repeated if the job's files have changed since, and a private link is made
again if its address has expired or was removed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from uploader.errors import Facts, FigupError
from uploader.figshare.models import File, ItemDetail
from uploader.figshare.retry import poll
from uploader.items import release
from uploader.items.reconcile import GONE_AFTER
from uploader.transfer import notices as no
from uploader.transfer.destination.lookup import find_published
from uploader.transfer.journal import events as ev
from uploader.transfer.recheck import ItemCheck
from uploader.transfer.run.context import JobRun

_CHECK_AGE = 15.0
"""Seconds for which a check of the files counts when the item is published; its effect is searched for much longer."""
_WORDS = {"reserve_doi": "reserving a DOI", "private_link": "creating a private link", "publish": "publishing the item"}


async def finalize(run: JobRun, check_files: Callable[[], Awaitable[ItemCheck]]) -> None:
    """Run the requested final steps that are not done yet. Raises NotPublishable, Stopped, and API errors.

    `check_files` compares every file with a new listing once more, directly before the item is published: earlier steps
    and the search for the effect of an earlier request may have taken long, and publishing cannot be undone. Its errors
    are raised, too.
    """
    due = [step for step in run.state.final_steps.steps if not run.state.is_done(step)]
    with run.stop.interruptible():
        if run.state.final_steps.private_link and "private_link" not in due and not await _is_link_active(run):
            due.append("private_link")
        if "reserve_doi" in due:
            await _run_step(run, "reserve_doi", lambda: _reserve_doi(run))
        if "private_link" in due:
            await _run_step(run, "private_link", lambda: _private_link(run))
        if "publish" in due:
            with _named("publish"):
                found = await _find_published(run)
            check = await check_files()
            await _run_step(run, "publish", lambda: _publish(run, found, check.unfinished, check_files))
    if "publish" not in due:
        _warn_not_public(run)


async def _run_step(run: JobRun, step: str, do: Callable[[], Awaitable[ev.FinalStepDone]]) -> None:
    """Run one step and journal the result."""
    await run.lock.check()
    with _named(step):
        done = await do()
    await run.commit(msgspec.structs.replace(done, at=run.api.server_now().isoformat()))
    run.notify(no.FinalStepCompleted(step, done.value))


@contextmanager
def _named(step: str) -> Iterator[None]:
    """Name the step in an error that is raised during the block."""
    try:
        yield
    except FigupError as error:
        raise error.with_context(prefix=f"every file is verified, but {_WORDS[step]} failed") from error


async def _reserve_doi(run: JobRun) -> ev.FinalStepDone:
    item = await _detail(run)
    doi = await release.reserve_doi(run.api, item, on_turn=run.lock.check)
    return ev.FinalStepDone(step="reserve_doi", value=doi)


async def _private_link(run: JobRun) -> ev.FinalStepDone:
    url = await release.private_link(
        run.api, run.item_id, time_limit=run.options.settle_timeout, on_turn=run.lock.check
    )
    return ev.FinalStepDone(step="private_link", value=url)


async def _is_link_active(run: JobRun) -> bool:
    """Return True if the job's private link works; a listing may lack addresses, or be old for a moment."""
    address = run.state.done_steps["private_link"]

    async def find() -> bool | None:
        links = await run.api.items.private_links(run.item_id)
        return True if any(link.active and link.url in (None, address) for link in links) else None

    with _named("private_link"):
        return await poll(find, GONE_AFTER, run.clock) is not None


async def _find_published(run: JobRun) -> ItemDetail | None:
    """Find the effect of an earlier request to publish, if one may have been sent."""
    intent = run.state.publish_intent
    return await find_published(run, intent) if intent is not None else None


async def _publish(
    run: JobRun,
    found: ItemDetail | None,
    unfinished: Sequence[File],
    check_files: Callable[[], Awaitable[ItemCheck]],
) -> ev.FinalStepDone:
    """Publish the item, unless its newest public version has its files and metadata.

    `found` shows the effect of an earlier request. `unfinished` are the item's unfinished files as of now; before a
    later attempt the files are checked again.
    """
    intent, mark, checked = run.state.publish_intent, run.state.files_fingerprint, run.clock.monotonic()
    item = found or await _detail(run)
    held = (*run.state.active, *run.state.orphaned)
    sent = {transfer.file_id for transfer in held if transfer.file_id is not None}
    is_published = await release.is_published(run.api, item, files=sent, time_limit=run.options.settle_timeout)
    # If versions cannot be compared, a version later than the intent's with the same files is its effect.
    if is_published is None:
        is_published = found is not None and intent is not None and intent.files == mark
    if not is_published:
        release.check_publishable(item, unfinished)
        now = run.api.server_now().isoformat()
        earlier = (run.state.publish_asked_at or now) if run.state.publish_unanswered else ""
        await run.commit_intent(ev.PublishIntended(item.version, mark, item.curation_status, now))

        async def on_turn() -> None:
            if run.clock.monotonic() - checked > _CHECK_AGE:
                await check_files()
            await run.lock.check()

        async def on_refused() -> None:
            await run.commit(ev.NotPublished(earlier))

        before = item
        item = await release.publish(
            run.api, before, time_limit=run.options.settle_timeout, on_turn=on_turn, on_refused=on_refused
        )
        if warning := release.unseen_effect(item, before):
            run.notify(no.Warned(message=warning))
    return ev.FinalStepDone(
        step="publish", value=release.visibility(item), url=item.public_url or None, doi=item.doi or None
    )


async def _detail(run: JobRun) -> ItemDetail:
    return await run.once_visible(lambda: run.api.items.detail(run.item_id))


def _warn_not_public(run: JobRun) -> None:
    """Warn that changes stay in the draft of a published item because it is not published again."""
    state, changed = run.state, run.described or run.progress.bytes_sent > 0
    changed_since = run.described or not state.is_done("publish")
    public = state.item_was_public or run.item_is_public
    if changed_since if "publish" in state.done_steps else changed and public:
        text = f"item {run.item_id} has been published; changes made since are only in its draft"
        run.notify(no.Warned(message=text, facts=Facts("published-before", item_id=run.item_id)))
