"""Prompts: confirmation, and secrets."""

from __future__ import annotations

import getpass
import os
import pty
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from uploader.cli.confirm import ask_secret, confirm


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of a terminal that is stdin: what is written to it is typed."""
    typing, there = pty.openpty()
    os.set_blocking(typing, False)
    with os.fdopen(typing), os.fdopen(there) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield typing


@pytest.mark.anyio
@pytest.mark.parametrize(("answer", "agreed"), [(b"y\n", True), (b"n\n", False), (b"\n", False)])
async def test_only_yes_is_agreement(terminal: int, answer: bytes, agreed: bool) -> None:
    os.write(terminal, answer)
    shown: list[str] = []
    console = SimpleNamespace(output=SimpleNamespace(err=shown.append), note=shown.append)
    session: Any = SimpleNamespace(common=SimpleNamespace(json=False), console=console)
    assert await confirm(session, "Delete item 1?", yes=False) is agreed
    assert shown == ["figup: Delete item 1? [y/N]", *(() if agreed else ("nothing was done",))]


def test_a_secret_is_asked_for_on_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(prompt: str, stream: Any) -> str:
        print(prompt, file=stream)
        return "s3cret"

    monkeypatch.setattr(getpass, "getpass", answer)
    assert ask_secret("Secret of x") == "s3cret"
    assert capsys.readouterr() == ("", "Secret of x (it is not shown): \n")


@pytest.mark.parametrize("fault", [EOFError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")])
def test_ctrl_d_ends_the_line_of_the_prompt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def end(prompt: str, stream: Any) -> str:
        print(prompt, end="", file=stream)
        raise fault

    monkeypatch.setattr(getpass, "getpass", end)
    assert ask_secret("Secret of x") == ""
    assert capsys.readouterr().err.endswith(": \n")


def test_ctrl_c_is_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ask_secret("Secret of x")
