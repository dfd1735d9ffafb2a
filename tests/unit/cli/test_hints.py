"""The hint for each situation."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

import uploader
from uploader import errors
from uploader.cli.errors import failure_of
from uploader.cli.hint_table import HINTS
from uploader.cli.hints import Repeated, hint_for
from uploader.cli.main import main
from uploader.cli.options import GlobalOptions
from uploader.errors import Facts, FigupError
from uploader.sandbox.data_dir import SandboxBusy
from uploader.transfer.report import Problem

PACKAGE = Path(uploader.__file__).parent
KINDS: list[type[FigupError]] = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, FigupError)
]
BY_VALUE = {"refused", "redirected", "upload-refused", "refused-of-many", "empty-file", "empty-file-of-many"}
"""Situations that are returned or chosen, not named where an error is created."""


def code_of(kind: type[FigupError]) -> str:
    return kind.code


def situations() -> set[str]:
    """All situations in the package: in `Facts(...)` and as `situation=`."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if "Facts" not in text and "situation" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            of_facts = node.args[:1] if isinstance(node.func, ast.Name) and node.func.id == "Facts" else []
            for value in [*of_facts, *(word.value for word in node.keywords if word.arg == "situation")]:
                options = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                found |= {one.value for one in options if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found - {""}


@pytest.mark.search
def test_every_situation_has_its_hint_and_every_hint_its_situation() -> None:
    codes = {code_of(kind) for kind in [*KINDS, SandboxBusy]} | {"sandbox-failed"}
    named = situations() | BY_VALUE | {"other-account", "own-account"}
    assert named - set(HINTS) == set()
    assert set(HINTS) - named - codes == set()


def test_every_transient_error_says_how_to_continue() -> None:
    for kind in KINDS:
        if issubclass(kind, errors.TransientError):
            assert "ontinue" in (hint_for(kind("x"), job="abc") or "") or "again" in (hint_for(kind("x")) or "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            errors.Interrupted("x"),
            "Run the same command again to continue, or `figup resume abc`; what was sent is kept.",
        ),
        (errors.TokenRejected("x"), "run `figup auth login`."),
        (
            errors.QuotaExceeded("x", hint="Free space on."),
            "Free space on. Then run the same command again to continue, or `figup resume abc`.",
        ),
        (errors.ProtocolViolation("x"), "Run the same command again later"),
        (errors.PermissionDenied("x"), "use one that may do this, then run the same command again"),
        (
            errors.Md5Pending("x", hint="Verify it later.", path="a", facts=Facts("verify-later", item_id=1)),
            "Later: figup verify 1 a",
        ),
        (
            errors.Conflict("x", hint="Rename it.", facts=Facts("different")),
            "Rename the source; or replace that file with --on-conflict replace, or keep both with --on-conflict keep. "
            "Then run the same command again to continue, or `figup resume abc`.",
        ),
    ],
)
def test_the_hint_to_continue_appears_once(error: FigupError, words: str) -> None:
    hint = failure_of(error, job="abc").hint or ""
    assert words in hint
    assert hint.count("again") <= 1


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (errors.JobBusy("x", facts=Facts("job-busy", job="k3v")), "`figup status k3v --watch` follows it"),
        (errors.JobBusy("x"), "Let it finish, or stop it where it runs."),
        (errors.UsageError("x", facts=Facts("all-skipped", reasons=("hidden", "vanished"))), "--hidden includes"),
        (errors.UsageError("x", facts=Facts("other-account", account=12)), "Add --impersonate 12."),
        (
            errors.FileTooLarge("x", hint="Split it.", facts=Facts("too-large")),
            "Leave out larger files with --exclude, or split them.",
        ),
        (errors.TlsFailure("x"), "--ca-file"),
        (errors.SourceNotFound("x", hint="Put it back.", facts=Facts("put-back")), "Put it back and run the same"),
        (errors.SourceNotFound("x", hint="Own words."), "Own words."),
    ],
)
def test_a_hint_names_the_option_or_command_that_helps(error: FigupError, hint: str) -> None:
    assert hint in (hint_for(error) or "")
    assert hint_for(Problem.of(error)) == hint_for(error)


def test_an_empty_hint_counts_as_none() -> None:
    assert hint_for(errors.StateUnusable("x", hint="")) is None
    assert hint_for(errors.Interrupted("x", hint="")) is None


def options(kind: str) -> Repeated:
    return GlobalOptions(
        json=False,
        quiet=False,
        verbose=0,
        log_file=None,
        no_progress=False,
        no_color=False,
        sandbox=kind == "sandbox",
        endpoint="http://127.0.0.1:1/v2" if kind == "endpoint" else None,
        endpoint_given=kind == "endpoint",
        given=(("--state-dir", "my jobs"), ("--token-file", "t")),
    ).repeated


@pytest.mark.parametrize("situation", sorted(name for name, hint in HINTS.items() if "figup " in hint.text))
def test_a_printed_command_works_as_printed(situation: str) -> None:
    facts = Facts(situation, item_id=7, job="k3v", account=12, author_id=9)
    hint = hint_for(FigupError("x", facts=facts), path="my data/a b.csv", repeated=options("sandbox"))
    assert hint is not None
    for line in re.findall(
        r"figup ((?:auth|item|resume|cancel|status|jobs|verify|institution|metadata|stats)\b[^`]*)", hint
    ):
        words = shlex.split(line.rstrip("."))
        if words[:2] == ["metadata", "template"]:
            continue
        assert "my jobs" in words[words.index("--state-dir") + 1 :]
        assert ("--sandbox" in words) is (words[0] not in {"resume", "cancel", "status", "jobs"})
        assert ("--token-file" in words) is (words[1] != "login")
        assert_accepted(words)


def assert_accepted(words: list[str]) -> None:
    """Parse a command line as the command would, without running it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", "/nonexistent")
        command: click.Command = main
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words[0])
            assert found is not None, words
            command, words = found, words[1:]
        words = ["1" if word in {"JOB", "WORD", "FILE", "INST"} else word for word in words]
        command.make_context(command.name, words)
