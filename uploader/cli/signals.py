"""Signal handling: Ctrl-C, SIGTERM, SIGHUP and SIGUSR1/2, and a watchdog that ends a blocked process in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio

from uploader.errors import ExitStatus
from uploader.units import format_duration

REQUEST_GRACE = 10.0
"""Seconds of grace for requests under way."""
_CANCEL_AFTER = 0.5
"""Seconds after the grace period at which remaining work is cancelled."""
_EXIT_AFTER = 1.3
"""Seconds after the grace period at which the process is ended; the rest of 2 s is for the final output."""


class Signals:
    """Stops the work in `scope`: gracefully if possible, else by cancelling it. A context manager to enter on the event
    loop. `received` is the first signal received, None before.
    """

    def __init__(
        self,
        scope: anyio.CancelScope,
        write: Callable[[str], None],
        end_echo: Callable[[], None],
        final_output: Callable[[int], None],
    ) -> None:
        """`end_echo` is called on Ctrl-C, `final_output(exit status)` in a thread before a blocked process is ended."""
        self.received: signal.Signals | None = None
        self.in_flight: Callable[[], int] = lambda: 0
        self.progress: Callable[[], str] = lambda: "at work"
        self.toggle_limit: Callable[[], bool] = lambda: False
        """Called on SIGUSR2; False if there is no limit to lift."""
        self._scope = scope
        self._write = write
        self._end_echo = end_echo
        self._last_resort = _Watchdog(final_output)
        self._stop: Callable[[], None] | None = None
        self._grace = 0.0
        self._count = 0
        self._installed: list[signal.Signals] = []

    @property
    def exit_status(self) -> ExitStatus:
        """Exit status of a command that a signal stopped."""
        return ExitStatus.INTERRUPTED if self.received is signal.SIGINT else ExitStatus.RESUMABLE

    def stop_with(self, stop: Callable[[], None] | None, grace: float = 0.0) -> None:
        """Call `stop` on the first signal, which may take up to `grace` seconds, and again on the second, which stops
        at once. None: signals cancel the work at once.
        """
        self._stop, self._grace = stop, grace

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Keep a signal ignored if the parent ignored it (nohup, `&` in a script).
            if signal.getsignal(signum) is not signal.SIG_IGN:
                loop.add_signal_handler(signum, self._end, signum)
                self._installed.append(signum)
        loop.add_signal_handler(signal.SIGUSR1, lambda: self._write(self.progress()))
        loop.add_signal_handler(signal.SIGUSR2, self._toggle)
        self._installed += [signal.SIGUSR1, signal.SIGUSR2]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for signum in self._installed:
            loop.remove_signal_handler(signum)

    def _end(self, signum: signal.Signals) -> None:
        self._count += 1
        self.received = self.received or signum
        if signum is signal.SIGINT:
            self._end_echo()
        grace = self._grace if self._stop is not None and self._count == 1 else 0.0
        self._last_resort.exit_at(time.monotonic() + grace + _EXIT_AFTER, self.exit_status)
        if self._stop is None:
            self._scope.cancel()
            return
        if self._count == 1:
            self._write(self._stop_message(grace))
        self._stop()
        asyncio.get_running_loop().call_later(grace + _CANCEL_AFTER, self._scope.cancel)

    def _toggle(self) -> None:
        if not self.toggle_limit():
            self._write("no rate limit to lift; set one with --limit-rate")

    def _stop_message(self, grace: float) -> str:
        parts = self.in_flight()
        second = (
            "press Ctrl-C again to stop at once" if self.received is signal.SIGINT else "signal again to stop at once"
        )
        if not parts or not grace:
            return "stopping"
        noun = "1 part" if parts == 1 else f"{parts} parts"
        return f"stopping: letting {noun} finish, up to {format_duration(grace)}; {second}"


class _Watchdog:
    """Ends the process at a given time, even if a disk or pipe blocks it."""

    def __init__(self, final_output: Callable[[int], None]) -> None:
        self._final_output = final_output
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._status = 1

    def exit_at(self, deadline: float, status: int) -> None:
        """End the process at `deadline` (monotonic seconds) or at an earlier time set before."""
        with self._changed:
            first = self._deadline is None
            self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)
            self._status = status
            self._changed.notify()
        if first:
            # Without a thread for it, the work is still asked to stop.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._watch, name="figup-last-resort", daemon=True).start()

    def _watch(self) -> None:
        with self._changed:
            while self._deadline is not None and (remaining := self._deadline - time.monotonic()) > 0:
                self._changed.wait(remaining)
        with contextlib.suppress(Exception):
            self._final_output(self._status)
        os._exit(self._status)
