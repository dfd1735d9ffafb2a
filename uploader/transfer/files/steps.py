"""Steps that files and links take alike: a remote file is asked for once and never twice; leftovers are removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from uploader.figshare.outcomes import NO_EFFECT, AmbiguousAnswer
from uploader.figshare.retry import Backoff
from uploader.transfer import events as ev
from uploader.transfer.items.lookup import find_file
from uploader.transfer.lifecycle import Step, Transfer, next_step
from uploader.transfer.run import JobRun
from uploader.transfer.source import shown
from uploader.transfer.stop import Stopped

Steps = Mapping[Step, Callable[[], Awaitable[None]]]


async def take(run: JobRun, transfer: Transfer, steps: Steps) -> None:
    """Do what is to be done for the transfer until nothing is. Raises Stopped, and what a step raises."""
    while (step := next_step(transfer)) is not Step.NOTHING:
        if run.stop.asked:
            raise Stopped
        await steps[step]()


async def initiate(
    run: JobRun, transfer: Transfer, known: Iterable[int], ask: Callable[[], Awaitable[int]], backoff: Backoff
) -> bool:
    """Put the intent on record and `ask` for the remote file; False when it is not known whether there is one now.

    `known` are remote files that it cannot be. Raises what `ask` raises, and what `JobRun.wait_to_try_again` does.
    """
    await run.reserve()
    at = run.api.server_now().isoformat()
    await run.commit(ev.UploadIntended(transfer.index, at, tuple(sorted(known))))
    try:
        file_id = await ask()
    except AmbiguousAnswer as outcome:
        run.answers_lost.add(transfer.index)
        reason = f"{shown(transfer.path)}: {outcome.reason}; looking whether it arrived"
        await run.wait_to_try_again(backoff, reason)
        return False
    except NO_EFFECT:
        await run.commit(ev.NotInitiated(transfer.index))
        raise
    await run.commit(ev.UploadInitiated(transfer.index, file_id))
    return True


async def look_up(run: JobRun, transfer: Transfer) -> None:
    """Find out what an intent led to."""
    file_id = await find_file(run, transfer)
    if file_id is None:
        await run.commit(ev.NotInitiated(transfer.index))
    else:
        await run.commit(ev.UploadInitiated(transfer.index, file_id, found=True))


async def remove_remnants(run: JobRun, transfer: Transfer) -> None:
    """Remove what is left of uploads that are not gone on with."""
    for file_id in transfer.remnants:
        await run.api.delete_file(run.item_id, file_id)
        run.remote.removed.add(file_id)
        await run.commit(ev.RemnantRemoved(transfer.index, file_id))
