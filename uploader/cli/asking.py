"""Asking a person before something that cannot be undone."""

from __future__ import annotations

import sys

import anyio.to_thread

from uploader.cli.running import Session
from uploader.errors import UsageError


async def agreed(session: Session, question: str, *, yes: bool) -> bool:
    """True when the person says yes, or said so on the command line. Raises UsageError where nobody can be asked."""
    if yes:
        return True
    if session.common.json or sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is here to answer", hint="In a script, add --yes.")
    session.console.outlet.err(f"figup: {question} [y/N]")
    # Left behind when a signal ends the wait: the thread only reads a line that nobody wants any more.
    answer = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    if answer.strip().lower() in ("y", "yes"):
        return True
    session.console.note("nothing was done")
    return False
