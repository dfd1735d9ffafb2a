"""What a run would do. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from uploader.concurrency import in_thread
from uploader.errors import JobNotFound
from uploader.figshare.models import Account
from uploader.records import journal as ev
from uploader.records.existing import find_existing
from uploader.records.job import read_state
from uploader.records.journal import JobPlanned
from uploader.records.known import KnownRecords, warn_of_look_alikes
from uploader.records.packed import Packed
from uploader.records.plan import Planned
from uploader.transfer.store.jobs import JobStore

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare


async def preview(
    api: Figshare,
    states: JobStore,
    plan: JobPlanned,
    account: Account,
    records: Packed[Planned] | Sequence[Planned],
    *,
    warn: Callable[[str], None],
) -> Counter[str]:
    """Return how many records have an item by now and how many would be created or updated. Changes nothing."""
    try:
        _, state = await in_thread(read_state, states, plan.job)
    except JobNotFound:
        state = ev.JobState()
    known = KnownRecords(records, state)
    dois = await in_thread(known.dois)
    creates = plan.action == "create"
    existing = await find_existing(api, dois, [], institution=account.institution_id, elsewhere=creates, warn=warn)

    await in_thread(known.note_items, existing)
    if creates:
        await warn_of_look_alikes(known, existing, warn)

    def count() -> Counter[bool]:
        return Counter(bool(existing.with_doi(one)) for one in known.without_item())

    there = await in_thread(count)
    return +Counter(
        {
            "done or begun by this job": len(records) - there.total(),
            "existing": there[True],
            "to be created": there[False],
        }
    )
