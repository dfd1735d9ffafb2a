"""The calls of a client in progress: stops them and delivers their retries to listeners."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from uploader.concurrency import Stopped
from uploader.errors import Interrupted
from uploader.transfer import notices as no
from uploader.transfer.arguments import check_callback
from uploader.transfer.run.stop import Stop


class Calls:
    """The calls in progress on one session."""

    def __init__(self) -> None:
        self._stops: set[Stop] = set()
        self._listeners: list[no.Listener] = []

    def stop(self) -> None:
        """Stop them within the grace period; at once if that was requested before."""
        for stop in self._stops:
            if stop.requested:
                stop.force()
            else:
                stop.request()

    @contextmanager
    def stoppable(self, on_event: no.Listener | None) -> Iterator[tuple[Stop, no.Listener]]:
        """Register a call that `stop` ends, and deliver its notices. Raises Interrupted if that ended a wait."""
        check_callback("on_event", on_event)
        stop = Stop()
        self._stops.add(stop)
        try:
            with no.delivering(on_event, stop.force) as notify:
                yield stop, notify
        except Stopped:
            reason = "the deadline is near: " if stop.at_deadline else ""
            raise Interrupted(f"{reason}stopped before everything was done") from None
        finally:
            self._stops.discard(stop)

    @contextmanager
    def listening(self, on_event: no.Listener | None) -> Iterator[None]:
        """Deliver retries of API requests to `on_event` as well."""
        check_callback("on_event", on_event)
        if on_event is None:
            yield
            return
        self._listeners.append(on_event)
        try:
            yield
        finally:
            self._listeners.remove(on_event)

    def on_retry(self, reason: str, delay: float) -> None:
        """Tell all listeners of a retry."""
        for notify in self._listeners:
            notify(no.Retrying(reason, delay))
