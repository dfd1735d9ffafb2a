"""Prompts: confirmation of actions that cannot be undone, and secrets."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import sys
import threading

from uploader.cli.runner import Session
from uploader.errors import UsageError


async def confirm(session: Session, question: str, *, yes: bool) -> bool:
    """Ask for confirmation; True for yes, or if `yes` was given on the command line. Raises UsageError without a
    terminal.
    """
    if yes:
        return True
    if session.common.json or sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{question} Cannot ask for confirmation", hint="In a script, add --yes.")
    session.console.output.err(f"figup: {question} [y/N]")
    answer = await next_line(sys.stdin.fileno())
    if answer.strip().lower() in (b"y", b"yes"):
        return True
    session.console.note("nothing was done")
    return False


def ask_secret(what: str) -> str:
    """Return a secret that is typed on the terminal without echo, "" for none."""
    try:
        return getpass.getpass(f"{what} (it is not shown): ", sys.stderr)
    except (EOFError, UnicodeDecodeError):
        print(file=sys.stderr)  # the line of the prompt was not ended
        return ""


async def next_line(terminal: int) -> bytes:
    """Read the next line typed. The waiting thread does not keep the process alive when a signal ends the wait."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[bytes] = loop.create_future()

    def deliver(line: bytes) -> None:
        if not typed.done():
            typed.set_result(line)

    def wait() -> None:
        # Not through sys.stdin: the interpreter would wait for its lock at exit.
        line = b""
        with contextlib.suppress(OSError):  # the terminal is gone
            line = os.read(terminal, 1024)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(deliver, line)

    threading.Thread(target=wait, name="figup-asking", daemon=True).start()
    return await typed
