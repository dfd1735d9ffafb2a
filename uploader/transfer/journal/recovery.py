"""Recovery of a damaged journal. Pure. Nothing is guessed: events that may be missing become intents, which are checked
with the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeGuard

from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import IllegalEvent, State, Transfer
from uploader.transfer.journal.state import ItemState, JobState, StateLoader, SyncFacts

_SLACK = timedelta(hours=1)
"""Tolerance: how far this machine's clock, which dates the plan, may be ahead of the server's."""


_PLANNING = (ev.JobPlanned, ev.JobGrown, ev.SourcePlanned, ev.SourceSkipped)
"""Events that define what the job sends."""


def recover(
    events: Iterable[ev.AnyEvent],
    plan: Sequence[ev.AnyEvent] | None,
    kept: SyncFacts,
    *,
    without_item: bool = False,
    newer: bool = False,
) -> tuple[list[ev.AnyEvent], JobState | None]:
    """Return the consistent events and the state they lead to; None if the plan is lost, or a part of it.

    `plan` is the plan of the user's command, used if the journal has lost its own; None if unknown. A plan that differs
    from what is left of the journal's own is not used, since file indices would refer to other sources. `kept` is as of
    the last sync; `without_item`: the job had certainly created no item by then. `newer`: that sync is
    not older than the remaining journal.
    """
    salvaged = list(events)
    _, state = replay(salvaged)
    if not is_whole(state) and plan is not None and _agree(salvaged, plan):
        salvaged = [*plan, *(e for e in salvaged if not isinstance(e, _PLANNING))]
    taken, state = replay(salvaged)
    if not is_whole(state):
        return taken, None
    changes = _changes_of_item(state, kept.item) if newer else []
    if newer and kept.publishing is not None and state.last_publish_intent != kept.publishing:
        changes.append(kept.publishing)
    for event in [*changes, *_possible_intents(state, kept, without_item=without_item)]:
        state.apply(event)
        taken.append(event)
    return taken, state


def _agree(left: Sequence[ev.AnyEvent], plan: Sequence[ev.AnyEvent]) -> bool:
    """Return True if every source left in the journal is the same in the plan, and none is missing there."""
    sources = {e.file: (e.path, e.name, e.folder, e.link) for e in plan if isinstance(e, ev.SourcePlanned)}
    for event in left:
        match event:
            case ev.JobPlanned() | ev.JobGrown() if event.files != len(sources):
                return False
            case ev.SourcePlanned() if sources.get(event.file) != (event.path, event.name, event.folder, event.link):
                return False
    return True


def replay(events: Iterable[ev.AnyEvent]) -> tuple[list[ev.AnyEvent], JobState | None]:
    """Apply events, leaving out those that cannot follow the others; return those applied and the state.

    The state is None if the plan is not among them; it may lack sources: see `is_whole`.
    """
    loader = StateLoader()
    taken = []
    for event in events:
        try:
            loader.apply(event)
        except IllegalEvent:
            continue
        taken.append(event)
    return taken, loader.state


def is_whole(state: JobState | None) -> TypeGuard[JobState]:
    """Return True if there is a state, and it has every source of the job."""
    return state is not None and state.complete


def _changes_of_item(state: JobState, item: int | None) -> list[ev.AnyEvent]:
    """Return the events about the item that the journal lost if the last sync had another one, or none."""
    lost = state.created_item
    if lost is None or lost == item or any(transfer.owned_ids() for transfer in state.transfers):
        return []
    if item is not None:
        return [ev.ItemRemoved(lost), ev.ItemCreated(item)]
    # Earlier versions recorded none: it is only removed if it is empty.
    return [] if state.item_state is ItemState.UNWANTED else [ev.ItemUnwanted(lost)]


def _possible_intents(state: JobState, kept: SyncFacts, *, without_item: bool) -> list[ev.AnyEvent]:
    """Make intents for everything that may have happened and whose record may be lost."""
    plan, at = state.plan, _earliest(state)
    intents: list[ev.AnyEvent] = []
    if plan.item is None and state.item_state in (ItemState.UNKNOWN, ItemState.INTENDED):
        if kept.item is not None:
            intents.append(ev.ItemCreated(kept.item))
        else:
            # The mark of a remaining intent may have been removed since: it is no longer the only evidence.
            left = state.item_intent if state.item_state is ItemState.INTENDED else None
            account = kept.account if kept.account is not None or left is None else left.account
            intents += [
                *([ev.ItemNotCreated(looked=True)] if left is not None else []),
                ev.ItemIntended(at, unpublished=without_item, account=account),
            ]
    elif plan.item is not None and state.item_id is None and any(t.state is not State.PLANNED for t in state.transfers):
        intents.append(ev.ItemCreated(plan.item))
    # The intent alone would mean that its file has no parts, but it may have some by now.
    intents += [ev.NotInitiated(t.index, looked=True) for t in state.transfers if t.state is State.INITIATING]
    intents += [
        possible_initiation(state, t)
        for t in state.transfers
        if (t.state is State.PLANNED and not t.remnants) or t.state is State.INITIATING
    ]
    return intents


def possible_initiation(state: JobState, transfer: Transfer) -> ev.UploadIntended:
    """Return the intent of an initiation whose record may be lost."""
    return ev.UploadIntended(transfer.index, at=_earliest(state), known=None)


def _earliest(state: JobState) -> str:
    return (datetime.fromisoformat(state.plan.created) - _SLACK).isoformat()
