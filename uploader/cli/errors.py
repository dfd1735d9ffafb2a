"""Failures: map every error to one line, one JSON object and an exit status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import msgspec

from uploader.cli.hints import NOTHING, Repeated, hint_for
from uploader.errors import ExitStatus, FigupError, MetadataInvalid, NoToken
from uploader.system import system_error
from uploader.text import printable, shorten

MAX_LENGTH = 4000
"""Maximum characters of a message or a hint: enough for a few paths of maximum length."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error ready for output. `message` and `hint` are single lines."""

    code: str
    message: str
    hint: str | None
    path: str | None
    exit_status: int
    place: Mapping[str, Any] = {}
    """`field` and `line` of a problem in a metadata file, for `--json`."""

    def line(self) -> str:
        """Return the line for a user."""
        hint = f" {self.hint}" if self.hint else ""
        stop = "" if self.message.endswith((".", "!", "?")) else "."
        return f"figup: {self.message}{stop if hint else ''}{hint}"

    def fields(self) -> dict[str, Any]:
        """Return the fields for `--json`."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "path": self.path, **self.place}


def failure_of(
    error: BaseException,
    *,
    job: str | None = None,
    kept: bool = True,
    begun: bool = True,
    repeated: Repeated = NOTHING,
) -> Failure:
    """Turn any exception into a failure. The other arguments are for its hint: see `hint_for`."""
    if (refused := system_error(error)) is not None:
        error = refused
    if isinstance(error, FigupError):
        path = printable(error.path) if error.path is not None else None
        hint = hint_for(error, path=path, job=job, kept=kept, begun=begun, repeated=repeated)
        hint = _line(hint) if hint else None
        place = {"field": error.field, "line": error.line} if isinstance(error, MetadataInvalid) else {}
        return Failure(
            code=error.code,
            message=_line(error.message),
            hint=hint,
            path=error.path,
            exit_status=error.exit_status,
            place=place,
        )
    if isinstance(error, click.ClickException):
        return from_click(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Failure(
            code="interrupted", message="stopped by Ctrl-C", hint=None, path=None, exit_status=ExitStatus.INTERRUPTED
        )
    return Failure(
        code="internal",
        message=f"internal error ({type(error).__name__})",
        hint="Please report it, with the log that --log-file FILE writes when you run the same command again.",
        path=None,
        exit_status=ExitStatus.SOME_FAILED,
    )


def from_click(error: click.ClickException) -> Failure:
    """Turn a click error into a failure."""
    if isinstance(error, click.NoSuchOption) and error.option_name == "--token":
        return Failure(
            code="usage",
            message="tokens are not accepted on the command line, where other users of this machine can read them",
            hint=hint_for(NoToken("no token")),
            path=None,
            exit_status=ExitStatus.USAGE,
        )
    context = getattr(error, "ctx", None)
    hint = f"See `{context.command_path} --help`." if context is not None else "See `figup --help`."
    text = error.format_message()
    if near := getattr(error, "possibilities", None):
        text, hint = error.message, f"Did you mean {near[0]}? {hint}"
    elif isinstance(error, click.NoSuchOption) and context is not None and _accepts_paths(context.command):
        hint = f"Put file names that begin with a dash after `--`. {hint}"
    message = _line(" ".join(text.split())).rstrip(".")
    message = message.replace("is not a valid integer range", "is not a whole number")
    return Failure(
        code="usage", message=message[:1].lower() + message[1:], hint=hint, path=None, exit_status=ExitStatus.USAGE
    )


def _line(text: str) -> str:
    """One line that a terminal can show, whatever was typed or found."""
    return shorten(text, MAX_LENGTH)


def exit_status_table() -> str:
    """Return every exit status with its meaning, one per line, for help texts and the manual."""
    return "\n".join(f"{status:>5}  {status.meaning}" for status in ExitStatus)


def _accepts_paths(command: click.Command) -> bool:
    return any(param.name == "paths" for param in command.params)
