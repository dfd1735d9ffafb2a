"""Cache of the best connection count per endpoint; safe to delete."""

from __future__ import annotations

import logging

import msgspec

from uploader.errors import FigupError
from uploader.transfer.store.jobs import JobStore

log = logging.getLogger("uploader.transfer.store.tuning")

_MAX_ENTRIES = 100
"""Maximum number of endpoints in the cache."""


def remembered_connections(states: JobStore, endpoint: str) -> int | None:
    """Return the connections that worked with this endpoint before; None if unknown. Blocks."""
    return _read(states).get(endpoint)


def remember_connections(states: JobStore, endpoint: str, worked: int) -> None:
    """Store the connection count for the next run. Blocks."""
    known = _read(states)
    if known.get(endpoint) == worked:
        return
    known.pop(endpoint, None)
    kept = dict(list(known.items())[-(_MAX_ENTRIES - 1) :]) | {endpoint: worked}
    try:
        states.disk.replace(states.path / "connections.json", msgspec.json.encode(kept))
    except FigupError as error:
        log.info("the number of connections is not remembered: %s", error.message)


def _read(states: JobStore) -> dict[str, int]:
    try:
        data = states.disk.read(states.path / "connections.json")
        return msgspec.json.decode(data, type=dict[str, int]) if data else {}
    except (FigupError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.info("the number of connections that worked is not known: %s", error)
        return {}
