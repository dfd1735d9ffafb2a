"""Recovery of a damaged journal. Pure. Nothing is guessed: events that may be missing become intents, which are checked
with the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeGuard

import msgspec

from uploader.sources.models import remote_path
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import IllegalEvent, State, Transfer
from uploader.transfer.journal.state import ItemState, JobState, StateLoader
from uploader.transfer.journal.sync_facts import SyncFacts

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

    `plan` is the plan of the user's command, used if the journal has lost its own; None if unknown. It may have
    further sources, and may lack those of which the journal has a record. `kept` is as of the last sync;
    `without_item`: the job had certainly created no item by then. `newer`: that sync is not older than the remaining
    journal.
    """
    salvaged = list(events)
    taken, state = replay(salvaged)
    if not is_whole(state) and plan is not None:
        taken, state = replay(_with_plan(salvaged, plan))
    if not is_whole(state):
        return taken, None
    changes = _changes_of_item(state, kept.item) if newer else []
    if newer and kept.publishing is not None and _untimed(state.last_publish_intent) != _untimed(kept.publishing):
        changes.append(kept.publishing)
    for event in [*changes, *_possible_intents(state, kept, without_item=without_item)]:
        state.apply(event)
        taken.append(event)
    return taken, state


def _with_plan(left: Sequence[ev.AnyEvent], plan: Sequence[ev.AnyEvent]) -> Sequence[ev.AnyEvent]:
    """Complete what is left of the journal's plan by another one; return the events as they are if that lacks sources.

    If further sources were added since, events refer to files by other indices: those of sources that the journal has
    lost are left out, and their effects looked up.
    """
    root = _root(plan) or ""
    theirs = list(_whole_sources(plan, root))
    ours = list(_whole_sources(left, _own_root(left, theirs, root)))
    files = max((event.files for event in left if isinstance(event, ev.JobPlanned | ev.JobGrown)), default=0)
    others: Iterable[ev.AnyEvent] = (event for event in left if not isinstance(event, _PLANNING))
    if _agree(ours, files, theirs):
        return [*plan, *others]
    sources = {_source_of(event): event for event in theirs}
    for event in ours:
        sources.setdefault(_source_of(event), event)  # it may have been excluded since, or be gone: renewal decides
    if files > len(sources):
        return left
    index_of = {key: index for index, key in enumerate(sources)}
    others = _moved(others, {event.file: index_of[_source_of(event)] for event in ours})
    planned = [msgspec.structs.replace(event, file=index) for index, event in enumerate(sources.values())]
    first = [msgspec.structs.replace(e, files=len(planned)) for e in plan if isinstance(e, ev.JobPlanned)]
    return [*first, *planned, *(e for e in plan if isinstance(e, ev.SourceSkipped)), *others]


def _agree(ours: Sequence[ev.SourcePlanned], files: int, theirs: Sequence[ev.SourcePlanned]) -> bool:
    """Return True if the plan has all `files` sources (0: unknown), and those left by the same indices."""
    by_index = {event.file: _source_of(event) for event in theirs}
    known = files == len(by_index) or (not files and bool(ours))
    return known and all(by_index.get(event.file) == _source_of(event) for event in ours)


def _source_of(event: ev.SourcePlanned) -> tuple[str, str, str | None, bool]:
    path = "" if event.archive is not None else event.path  # the folder that stands for an archive's members may change
    return path, event.name, event.folder, event.link


def _root(events: Iterable[ev.AnyEvent]) -> str | None:
    return next((event.root for event in events if isinstance(event, ev.JobPlanned)), None)


def _own_root(left: Sequence[ev.AnyEvent], theirs: Iterable[ev.SourcePlanned], default: str) -> str:
    """Return the root of what is left of a plan. If that is lost, it is the one with which the sources left are among
    those of another plan; `default` if none is.
    """
    if (root := _root(left)) is not None:
        return root
    ends = {f"/{event.path}" for event in left if isinstance(event, ev.SourcePlanned) and _is_below_root(event)}
    for event in theirs:
        end = f"/{remote_path(event.folder or '', event.name)}"
        if end in ends and event.path.endswith(end):
            return event.path.removesuffix(end)
    return default


def _is_below_root(event: ev.SourcePlanned) -> bool:
    return not event.link and not event.path.startswith("/")


def _whole_sources(events: Iterable[ev.AnyEvent], root: str) -> Iterator[ev.SourcePlanned]:
    """Yield the sources of a plan that has this root, so that they are the same in one that has another."""
    for event in events:
        if not isinstance(event, ev.SourcePlanned):
            continue
        if _is_below_root(event):
            inner, _, last = event.path.rpartition("/")
            folder = inner if event.folder is None else event.folder
            path, name = f"{root}/{event.path}", event.name or last
            event = msgspec.structs.replace(event, path=path, name=name, folder=folder or None)
        yield event


def _moved(events: Iterable[ev.AnyEvent], indices: Mapping[int, int]) -> Iterator[ev.AnyEvent]:
    """Yield the events with the new indices of their files, without those whose file has none."""
    for event in events:
        if not isinstance(event, ev.FileEvent):
            yield event
        elif event.file in indices:
            yield msgspec.structs.replace(event, file=indices[event.file])


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


def _untimed(intent: ev.PublishIntended | None) -> ev.PublishIntended | None:
    """Return an intent as the record of a sync has it."""
    return msgspec.structs.replace(intent, at="") if intent is not None else None


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
    begun = bool(kept.files) or any(transfer.state is not State.PLANNED for transfer in state.transfers)
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
    elif plan.item is not None and state.item_id is None and begun:
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
