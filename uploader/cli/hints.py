"""Hints in terms of the command line: choose the hint for an error from `hint_table`, and fill in its facts.

Code below the command line says what happened and, if possible, what to do in general; option names appear only here. A
hint is chosen by the error's situation (see `uploader.errors.Facts`), never by what its text contains.

A command that is printed must work when it is pasted: it repeats the options that say which Figshare and which jobs are
meant. All such commands are made here.
"""

from __future__ import annotations

import shlex
from string import Formatter
from typing import Any, Protocol

import msgspec

from uploader.cli.hint_table import HINTS, SKIP_HINTS, TRANSIENT
from uploader.errors import Facts


class Fault(Protocol):
    """Anything with a hint: an error, a warning, the notice of a failed file, a problem in a report."""

    @property
    def hint(self) -> str | None: ...

    @property
    def facts(self) -> Facts: ...


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """Words of this command line that commands printed by it must repeat.

    `anywhere`: for a command that asks Figshare. `on_job`: for one on a recorded job, which knows its endpoint.
    `to_log_in`: for the command that stores another token.
    """

    anywhere: tuple[str, ...] = ()
    on_job: tuple[str, ...] = ()
    to_log_in: tuple[str, ...] = ()

    def command(self, *words: object) -> str:
        """Return a command that asks Figshare, quoted for a shell."""
        return shlex.join(["figup", *map(str, words), *self.anywhere])

    def job_command(self, *words: object) -> str:
        """Return a command on a recorded job, quoted for a shell."""
        return shlex.join(["figup", *map(str, words), *self.on_job])


NOTHING = Repeated()


def hint_for(
    fault: Fault,
    *,
    path: str | None = None,
    job: str | None = None,
    kept: bool = True,
    begun: bool = True,
    repeated: Repeated = NOTHING,
) -> str | None:
    """Return what to do about an error, None if there is nothing to say.

    `path` is the file's path as shown. `job` is the job that can be continued, if any; then the hint says how. `kept`
    is False for a command that sends nothing and so leaves nothing to continue; `begun` for a job that has not created
    anything yet. `repeated` are the options that commands in the hint repeat.
    """
    situation = fault.facts.situation
    if situation in TRANSIENT and not kept:
        return "Try again later."
    if situation in TRANSIENT and not begun:
        return "Run the same command again."
    known = HINTS.get(situation)
    text = _fill(known.text, fault, path, repeated) if known is not None else None
    if text is None:
        known, text = None, fault.hint
    if job is None or (known is not None and known.complete):
        return text or None
    how = f"run the same command again to continue, or `{repeated.job_command('resume', job)}`"
    if not text or situation in TRANSIENT:
        return f"{how[0].upper()}{how[1:]}; what was sent is kept."
    return f"{text} Then {how}."


def _fill(text: str, fault: Fault, path: str | None, repeated: Repeated) -> str | None:
    """Fill in the facts; None if one is unknown."""
    facts: dict[str, Any] = {name: getattr(fault.facts, name) for name in ("job", "item_id", "account", "author_id")}
    facts |= {
        "hint": fault.hint or "",
        "path": _quoted(path) if path is not None else None,
        "options": _appended(repeated.anywhere),
        "login_options": _appended(repeated.to_log_in),
        "job_options": _appended(repeated.on_job),
        "skipped": " ".join(SKIP_HINTS[one] for one in fault.facts.reasons if one in SKIP_HINTS),
    }
    if any(facts[name] is None for _, name, _, _ in Formatter().parse(text) if name):
        return None
    return text.format_map(facts).strip()


def _quoted(path: str) -> str:
    """Quote a path so that neither a shell nor a command takes it for something else."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def _appended(words: tuple[str, ...]) -> str:
    return f" {shlex.join(words)}" if words else ""
