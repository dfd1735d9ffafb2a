"""What can be made of a damaged journal. Pure. Nothing is guessed at: what may be missing becomes an intent, and so a
question to the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import IllegalEvent, State
from uploader.transfer.journal.state import ItemState, JobState

_SLACK = timedelta(hours=1)
"""How far this machine's clock, which dated the plan, may be ahead of the server's."""


_PLANNING = (ev.JobPlanned, ev.JobGrown, ev.SourcePlanned, ev.SourceSkipped)
"""Events that say what is to be sent."""


def recover(events: Iterable[ev.AnyEvent], plan: Sequence[ev.AnyEvent] | None) -> tuple[list[ev.AnyEvent], JobState]:
    """Events that make sense together, and the state they lead to; without a plan in it where none could be found.

    `plan` is what the user's command means now, for a journal that no longer says it; None when nobody knows. It is of
    no use where it differs from what is left of the journal's own: its sources would be taken for others.
    """
    salvaged = list(events)
    _, state = replay(salvaged)
    if not state.complete and plan is not None and _agree(salvaged, plan):
        salvaged = [*plan, *(e for e in salvaged if not isinstance(e, _PLANNING))]
    taken, state = replay(salvaged)
    if state.plan is None or not state.complete:
        return taken, state
    for event in _open_questions(state, state.plan):
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


def replay(events: Iterable[ev.AnyEvent]) -> tuple[list[ev.AnyEvent], JobState]:
    """Apply events, leaving out those that cannot follow the others; return those applied and the state."""
    state = JobState()
    taken = []
    for event in events:
        try:
            state.apply(event)
        except IllegalEvent:
            continue
        taken.append(event)
    return taken, state


def _open_questions(state: JobState, plan: ev.JobPlanned) -> list[ev.AnyEvent]:
    """Intents for all that may have happened without a record of it being left."""
    at = (datetime.fromisoformat(plan.created) - _SLACK).isoformat()
    questions: list[ev.AnyEvent] = []
    if plan.item is None and state.item_state in (ItemState.UNKNOWN, ItemState.INTENDED):
        # The mark of an intent that is left may have been taken off since: it is no longer the only evidence.
        left = state.item_state is ItemState.INTENDED
        questions += [*([ev.ItemNotCreated(looked=True)] if left else []), ev.ItemIntended(at)]
    questions += [
        ev.UploadIntended(t.index, at, known=None)
        for t in state.transfers
        if t.state is State.PLANNED and not t.remnants
    ]
    return questions
