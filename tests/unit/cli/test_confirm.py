"""Prompts for secrets."""

from __future__ import annotations

import getpass
from typing import Any

import pytest

from uploader.cli.confirm import ask_secret


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
