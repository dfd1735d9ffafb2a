"""How figup is loaded, and signals meanwhile and while it ends: outside the event loop nothing can stop gracefully.

This module is imported first, so it must import almost nothing.
"""

import gc
import os
import select
import signal
import sys
from typing import NoReturn

_STOPPED = b"figup: stopped before anything was done. Run the same command again.\n"
_STATUS = 75  # ExitStatus.RESUMABLE, which takes long to import
_THREADS_TIME_LIMIT = 2.0
"""Seconds for threads to end before the process ends without them."""
STOPPING = (signal.SIGTERM, signal.SIGHUP)
ASKING = (signal.SIGUSR1, signal.SIGUSR2)
_is_command = False
"""This process runs nothing but figup, so that Ctrl-C, too, can be ignored once it has ended."""


def handle_signals() -> None:
    """Let SIGTERM and SIGHUP end the process with the documented status, and ignore SIGUSR1 and SIGUSR2.

    Signals ignored by the parent (nohup) stay ignored.
    """
    global _is_command  # noqa: PLW0603 - a property of the process
    _is_command = True
    for signum in STOPPING:
        if signal.getsignal(signum) is signal.SIG_DFL:
            signal.signal(signum, _end)
    for signum in ASKING:
        if signal.getsignal(signum) is signal.SIG_DFL:
            signal.signal(signum, _ignore_signal)


def ignore_signals() -> None:
    """Ignore them from now on: the command has ended, and its exit status is known."""
    for signum in (signal.SIGINT, *STOPPING, *ASKING):
        if is_ours(signal.getsignal(signum)):
            signal.signal(signum, signal.SIG_IGN)


def end_process(status: int) -> NoReturn:
    """End the process, even if a thread hangs in a call to a dead file system: Python would wait for it forever."""
    if _is_command:
        import contextlib
        import threading
        import time

        end = time.monotonic() + _THREADS_TIME_LIMIT
        threads = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(status)
    sys.exit(status)


class gc_paused:  # noqa: N801 - a context manager, without the imports of contextlib
    """Pause garbage collection during imports, and exempt their objects from it later: there are many, and nearly
    all last as long as the process. In another program, change nothing.
    """

    def __enter__(self) -> None:
        if _is_command:
            gc.disable()

    def __exit__(self, *_: object) -> None:
        if _is_command:
            gc.freeze()
            gc.enable()


def is_ours(handler: object) -> bool:
    """Return whether a signal's handler is one of these, or Python's for Ctrl-C in a process of figup's own.

    Python's handler prints a traceback if it is called while the interpreter ends.
    """
    return handler in (_end, _ignore_signal) or (_is_command and handler is signal.default_int_handler)


def _end(*_: object) -> None:
    # Not by an exception: raised in a callback of the import system, it is printed and lost.
    try:
        if select.select([], [2], [], 0)[1]:  # a full pipe must not block it
            os.write(2, _STOPPED)
    finally:
        os._exit(_STATUS)


def _ignore_signal(*_: object) -> None:
    """Do nothing; unlike an ignored signal, this is not inherited by child processes."""
