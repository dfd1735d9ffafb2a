"""Secrets are redacted from messages in any encoding in which a server echoes them."""

from __future__ import annotations

import json

import pytest

from tests.support.secrets import encodings
from uploader import redaction
from uploader.errors import RequestRejected
from uploader.redaction import add_credentials, add_secret, add_upload_address, has_secret, may_have_token, redact

TOKEN = "c4nary-t0ken/4d5e6f+Zz"
UPLOAD = "c4nary-upl0ad.77"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_SECRETS", redaction._Secrets())
    add_secret(TOKEN)
    add_upload_address(f"https://up.example/upload/{UPLOAD}?signature=4f5e6d7c8b9a")
    add_credentials("jo", "hunter2x")


@pytest.mark.parametrize("secret", [TOKEN, UPLOAD, "4f5e6d7c8b9a", "hunter2x", "jo:hunter2x"])
@pytest.mark.parametrize("form", encodings("x" * 12))
def test_a_secret_is_redacted_in_every_encoding(secret: str, form: str) -> None:
    text = f"the token {encodings(secret)[form]} is not valid"
    said = redact(text)
    assert has_secret(text)
    assert said.startswith("the token ...")
    assert said.endswith("is not valid")
    assert redact(said) == said


@pytest.mark.parametrize("outer", encodings("x" * 12))
@pytest.mark.parametrize("inner", encodings("x" * 12))
def test_an_encoding_inside_another(inner: str, outer: str) -> None:
    text = f"first line\nbad {encodings(encodings(TOKEN)[inner])[outer]}"
    said = redact(text)
    assert not has_secret(said)
    assert said.startswith("first line\n")
    assert TOKEN.casefold() not in said.casefold()


@pytest.mark.parametrize("form", encodings("x" * 12))
def test_a_long_text_is_redacted_quickly(form: str) -> None:
    text = json.dumps([{"name": "a"}] * 1000 + [{"name": encodings(TOKEN)[form]}])
    assert may_have_token(text)
    assert has_secret(text)
    said = redact(text)
    assert not has_secret(said)
    assert len(said) > len(text) - 500


HARMLESS = (
    "d41d8cd98f00b204e9800998ecf8427e",
    "https://figshare.com/articles/dataset/A_title/12345",
    "100 %, 50% and \\server\\share & more",
    "c4nary-t0ken",
    "hunter2",
    "c4nary-upl0ad.7",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_unchanged(text: str) -> None:
    assert redact(text) == text
    assert not may_have_token(text)


def test_a_short_text_is_not_a_secret() -> None:
    add_secret("t0ken")
    add_credentials("jo", "pw")
    add_credentials("", None)
    assert redact("a t0ken and a pw") == "a t0ken and a pw"


def test_an_error_never_contains_a_secret() -> None:
    error = RequestRejected(f"no {TOKEN.upper()}")
    assert (error.message, error.args) == ("no ...", ("no ...",))


def test_only_the_latest_uploads_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_MAX_WORDS", 3)
    for number in range(5):
        add_upload_address(f"https://up.example/upload/number-number-{number}")
    assert [has_secret(f"number-number-{number}") for number in range(5)] == [False, False, True, True, True]
    assert has_secret(TOKEN)


def test_a_text_that_a_value_has_many_times_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item may show the folder of each of a hundred thousand files."""
    searched: list[str] = []
    real = redaction.redact

    def count(text: str) -> str:
        searched.append(text)
        return real(text)

    monkeypatch.setattr(redaction, "redact", count)
    folders = {str(number): f"set/{TOKEN}" for number in range(9)}
    assert redaction.redact_values({"folders": folders, "more": ["set"]})["folders"]["5"] == "set/..."
    assert searched.count(f"set/{TOKEN}") == 1
