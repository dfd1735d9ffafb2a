"""The base of all errors, exit statuses, and facts for front ends."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from enum import IntEnum
from typing import ClassVar, Self

from uploader.redaction import redact
from uploader.text import printable


class ExitStatus(IntEnum):
    """Exit status of a command. Job scripts rely on these numbers."""

    meaning: str
    """One line for people."""

    def __new__(cls, number: int, meaning: str) -> Self:
        status = int.__new__(cls, number)
        status._value_ = number
        status.meaning = meaning
        return status

    OK = 0, "everything is on Figshare and verified"
    SOME_FAILED = 1, "some files or records failed (see the summary); the others are done"
    USAGE = 2, "invalid command line, metadata or configuration; nothing more was sent"
    NOT_PERMITTED = 3, "no token, or not permitted"
    NOT_FOUND = 4, "a source, item, project, author or institution does not exist"
    INTEGRITY = 5, "a source changed, MD5s differ, or a response does not match the request"
    LIMIT = 6, "the quota or the maximum file size is exceeded"
    PENDING = 7, "everything was sent; Figshare has not computed the MD5 in time"
    BUSY = 8, "another process is working on this job"
    RESUMABLE = 75, "interrupted or temporary failure; rerun the command to continue"
    INTERRUPTED = 130, "interrupted by Ctrl-C; rerun the command to continue"


@dataclass(frozen=True)
class Facts:
    """Facts from which a front end can build its own hint, such as which option to use.

    `situation` is finer than the error's code: the code itself for an error raised without a hint, "" if the hint needs
    no addition. Other facts are None if the situation does not need them.
    """

    situation: str = ""
    _: KW_ONLY
    job: str | None = None
    item_id: int | None = None
    account: int | None = None
    author_id: int | None = None
    reasons: tuple[str, ...] = ()
    """Why all sources were skipped: see `uploader.sources.models.Reason`."""


class FigupError(Exception):
    """Base of all errors of figup.

    `message` is one line, without secrets: what happened, to which file. `hint` says what to do, None where there is
    nothing to add; `facts` let a front end say it in its own terms.
    `path` is the source concerned as the user gave it, None where no single file is concerned. `causes` are the errors
    that this one sums up.
    """

    code: str = "error"
    exit_status: ExitStatus = ExitStatus.SOME_FAILED
    default_hint: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | None = None,
        causes: Sequence[FigupError] = (),
        facts: Facts | None = None,
    ) -> None:
        # Messages are shown, logged and journaled, and file names in them may contain anything.
        message = printable(redact(message))
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint
        self.facts = facts or Facts(self.code if hint is None else "")
        self.path = path
        self.causes = tuple(causes)

    def __str__(self) -> str:
        return self.message

    def with_context(
        self,
        *,
        prefix: str | None = None,
        suffix: str | None = None,
        path: str | None = None,
        hint: str | None = None,
        situation: str | None = None,
        item_id: int | None = None,
    ) -> Self:
        """Return a copy with more context, for `raise error.with_context(...) from error`.

        `prefix` and `suffix` are joined to the message with a colon; the others replace the old values.
        """
        known = copy.copy(self)
        known.message = printable(": ".join(part for part in (prefix, self.message, suffix) if part))
        known.path = path if path is not None else self.path
        known.hint = hint if hint is not None else self.hint
        if hint is not None or situation is not None:
            known.facts = replace(self.facts, situation=situation or "")
        if item_id is not None:
            known.facts = replace(known.facts, item_id=item_id)
        return known


class UserError(FigupError):
    """An error that the user can fix."""


class ServerError(FigupError):
    """A server error that neither the user nor waiting can fix."""


class TransientError(FigupError):
    """A temporary error: running the same command again continues."""

    exit_status = ExitStatus.RESUMABLE
    default_hint = "Repeat the call to continue; what was sent is kept."
