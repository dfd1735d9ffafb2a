"""The job's item: given or created, never created twice, and described. Its files are the engine's and the drivers'
business."""

from __future__ import annotations

import msgspec

from uploader.figshare.outcomes import NO_EFFECT, AmbiguousAnswer
from uploader.figshare.retry import Backoff
from uploader.transfer import events as ev
from uploader.transfer import notices as no
from uploader.transfer.items.description import describe
from uploader.transfer.items.lookup import find_item
from uploader.transfer.items.turns import turn_to_create
from uploader.transfer.items.unwanted import remove_unwanted
from uploader.transfer.job_state import ItemState
from uploader.transfer.run import JobRun
from uploader.transfer.stop import Stopped


async def ensure_item(run: JobRun) -> bool:
    """Know the item, creating it if the plan says so; True when this run created it. Raises ItemMissing, Stopped."""
    state, plan = run.state, run.state.plan
    if plan is None:
        raise RuntimeError("a job without a plan")
    created = False
    if state.item_state is not ItemState.READY:
        if plan.item is not None:
            await _learn_address(run, plan.item, found=True)
        else:
            async with turn_to_create(run, plan.endpoint, plan.title or ""):
                created = await _find_or_create(run, plan.title or "")
    if state.item_id is not None:
        run.notify(no.ItemKnown(state.item_id, state.item_url or "", created))
    await ensure_description(run, created=created)
    return created


async def ensure_description(run: JobRun, *, created: bool = False) -> None:
    """Have the item say what was ordered last. `created`: this run made it, with what can be said at once."""
    given = run.state.description
    if given is None or run.state.described == given.mark:
        return
    with run.stop.ends():
        said = given.spec.at_once(in_project=_project(run) is not None) if created else {}
        rest = {name: value for name, value in given.spec.fields.items() if name not in said}
        await describe(run.api, run.item_id, msgspec.structs.replace(given.spec, fields=rest))
        await run.commit(ev.DescriptionSet(given.mark))
    run.described = True
    run.notify(no.Described(run.item_id, given.spec.named))


def _project(run: JobRun) -> int | None:
    return run.state.plan.project if run.state.plan is not None else None


async def _find_or_create(run: JobRun, title: str) -> bool:
    created = False
    backoff = run.new_backoff()
    while run.state.item_state is not ItemState.READY:
        if run.state.item_state is ItemState.UNWANTED:
            with run.stop.ends():
                await remove_unwanted(run)
        elif run.state.item_id is not None:
            await _learn_address(run, run.state.item_id, found=not created)
        elif run.state.item_state is ItemState.INTENDED:
            found = await find_item(run)
            await run.commit(ev.ItemNotCreated() if found is None else ev.ItemCreated(found))
        else:
            created = await _create(run, title, backoff)
    return created


async def _create(run: JobRun, title: str, backoff: Backoff) -> bool:
    """Create the item; False when it is not known whether that happened."""
    if run.stop.asked:
        raise Stopped
    await run.commit(ev.ItemIntended(run.api.server_now().isoformat()))
    given = run.state.description
    said = given.spec.at_once(in_project=_project(run) is not None) if given is not None else {}
    try:
        item_id = await run.api.items.create({"title": title, **said}, project=_project(run))
    except AmbiguousAnswer as outcome:
        await run.wait_to_try_again(backoff, f"creating the item: {outcome.reason}; looking whether it arrived")
        return False
    except NO_EFFECT:
        await run.commit(ev.ItemNotCreated())
        raise
    # Its id before anything else is asked: as long as it is not on disk, the item could only be searched for.
    await run.commit(ev.ItemCreated(item_id))
    return True


async def _learn_address(run: JobRun, item_id: int, *, found: bool) -> None:
    item = await run.api.item(item_id)
    await run.commit(ev.ItemReady(item_id, item.url, found))
