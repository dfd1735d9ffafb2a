"""How failures are told."""

from __future__ import annotations

import inspect

import click
import pytest

from uploader import errors
from uploader.cli.errors import Failure, failure_of, resumable, without_a_job


def test_a_hint_follows_the_message_on_the_same_line() -> None:
    assert Failure("x", "it broke", "Mend it.", None, 1).line() == "figup: it broke. Mend it."
    assert Failure("x", "it broke.", "Mend it.", None, 1).line() == "figup: it broke. Mend it."
    assert Failure("x", "it broke", None, None, 1).line() == "figup: it broke"
    assert Failure("x", "it broke", "", None, 1).line() == "figup: it broke"


@pytest.mark.parametrize(
    "kind", [k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, errors.FigupError)]
)
def test_every_error_keeps_its_code_status_and_words_in_one_line(kind: type[errors.FigupError]) -> None:
    failure = failure_of(kind("a\nb \x1b[31m", path="/a\nb"))
    assert (failure.code, failure.exit_status, failure.path) == (kind.code, kind.exit_status, "/a\nb")
    assert failure.message == "a\\nb \\x1b[31m"
    assert failure.line().isprintable()


def test_a_stranger_is_an_internal_error_that_shows_nothing_of_its_inside() -> None:
    failure = failure_of(KeyError("a secret"))
    assert (failure.code, failure.exit_status) == ("internal", 1)
    assert "KeyError" in failure.line()
    assert "report" in failure.line()
    assert "secret" not in failure.line()


def test_a_command_that_sends_nothing_does_not_speak_of_what_was_sent() -> None:
    assert without_a_job(failure_of(errors.Unreachable("no connection"))).hint == "Try again later."
    other = failure_of(errors.NoToken("no token"))
    assert without_a_job(other) == other


def test_ctrl_c_before_the_command_runs() -> None:
    for error in (KeyboardInterrupt(), click.Abort()):
        assert failure_of(error).exit_status == 130


def test_a_token_on_the_command_line_gets_a_hint() -> None:
    failure = failure_of(click.NoSuchOption("--token"))
    assert failure.exit_status == 2
    assert "never given on the command line" in failure.message
    assert "FIGSHARE_TOKEN" in (failure.hint or "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.Interrupted("stopped"), "Run the same command again to go on, or `figup resume abc`; what was sent is"),
        (errors.TokenRejected("no"), "run `figup auth login`."),
        (errors.QuotaExceeded("full", hint="Make room."), "Make room. Then run the same command again to go on, or"),
        (errors.ProtocolViolation("no"), "Run the same command again to go on, or `figup resume abc`"),
        (errors.PermissionDenied("no"), "take one that may, then run the same command again"),
        (errors.Md5Pending("wait", hint="Later: figup verify 1 a"), "Later: figup verify 1 a"),
    ],
)
def test_how_a_job_goes_on_is_said_once(error: errors.FigupError, words: str) -> None:
    hint = resumable(failure_of(error), "abc").hint or ""
    assert words in hint
    assert hint.count("again") <= 1
