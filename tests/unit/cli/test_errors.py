"""How failures are reported."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import pytest

import uploader
from uploader import errors
from uploader.cli.errors import Failure, exit_status_table, failure_of


def test_a_hint_follows_the_message_on_the_same_line() -> None:
    assert (
        Failure(code="x", message="it broke", hint="Mend it.", path=None, exit_status=1).line()
        == "figup: it broke. Mend it."
    )
    assert (
        Failure(code="x", message="it broke.", hint="Mend it.", path=None, exit_status=1).line()
        == "figup: it broke. Mend it."
    )
    assert Failure(code="x", message="it broke", hint=None, path=None, exit_status=1).line() == "figup: it broke"
    assert Failure(code="x", message="it broke", hint="", path=None, exit_status=1).line() == "figup: it broke"


@pytest.mark.parametrize(
    "kind", [k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, errors.FigupError)]
)
def test_every_error_is_one_line_with_code_and_status(kind: type[errors.FigupError]) -> None:
    failure = failure_of(kind("a\nb \x1b[31m", path="/a\nb"))
    assert (failure.code, failure.exit_status, failure.path) == (kind.code, kind.exit_status, "/a\nb")
    assert failure.message == "a\\nb \\x1b[31m"
    assert failure.line().isprintable()


def test_an_unexpected_exception_is_an_internal_error_without_details() -> None:
    failure = failure_of(KeyError("a secret"))
    assert (failure.code, failure.exit_status) == ("internal", 1)
    assert "KeyError" in failure.line()
    assert "report" in failure.line()
    assert "secret" not in failure.line()


def test_a_command_that_sends_nothing_does_not_mention_sent_files() -> None:
    assert failure_of(errors.Unreachable("no connection"), kept=False).hint == "Try again later."
    other = errors.NoToken("no token")
    assert failure_of(other, kept=False) == failure_of(other)


def test_the_table_of_exit_statuses_has_them_all() -> None:
    lines = exit_status_table().splitlines()
    assert [int(line.split()[0]) for line in lines] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 75, 130]
    assert all(status.meaning in line for status, line in zip(errors.ExitStatus, lines, strict=True))


def test_the_manual_has_the_same_table() -> None:
    page = (Path(uploader.__file__).parent / "manual" / "reference.md").read_text()
    table = page.partition("<!-- exit statuses -->")[2].partition("\n\n")[0]
    rows = [f"| {int(status)} | {status.meaning} |" for status in errors.ExitStatus]
    assert table.strip().splitlines()[2:] == rows


def test_ctrl_c_before_the_command_runs() -> None:
    for error in (KeyboardInterrupt(), click.Abort()):
        assert failure_of(error).exit_status == 130


def test_a_token_on_the_command_line_gets_a_hint() -> None:
    failure = failure_of(click.NoSuchOption("--token"))
    assert failure.exit_status == 2
    assert "not accepted on the command line" in failure.message
    assert "FIGSHARE_TOKEN" in (failure.hint or "")
