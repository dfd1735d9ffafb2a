"""Odd paths and texts given to the library: every call that takes one raises a FigupError, never another exception.

The arguments are those that the calls have, so that a new one is tried, too.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import uploader
from uploader.errors import FigupError, ResourcesExhausted
from uploader.figshare.settings import RetryPolicy, Settings

CALLS = (uploader.upload, uploader.resume, uploader.verify, uploader.preview, uploader.jobs)
TEXTS = ("paths", "item", "title", "project", "token", "endpoint", "state_dir", "job", "checksums")
ODD = {
    "half a character": "a\ud83d",
    "not UTF-8": "caf\udce9",
    "NUL": "a\0b",
    "a long name": "a" * 300,
    "a megabyte": "m" * 1_000_000,
    "a megabyte of digits": "9" * 1_000_000,
    "nothing": "",
}


@pytest.fixture
def unreachable() -> Iterator[str]:
    """An endpoint that takes no connection: its port is held by a socket that does not listen."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v2"


def refusal_of(call: Any, given: dict[str, Any]) -> FigupError | None:
    try:
        call(**given)
    except FigupError as error:
        return error
    return None


@pytest.mark.search
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_every_argument_with_every_odd_value(
    call: Any, unreachable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # odd names of state directories are relative
    source = tmp_path / "data.bin"
    source.write_bytes(b"data")
    settings = Settings(unreachable, retry=RetryPolicy(elapsed_cap=0))
    usual = {"paths": source, "item": 1, "token": "t0ken", "state_dir": tmp_path / "state", "settings": settings}
    known = inspect.signature(call).parameters
    tried = 0
    for argument in [name for name in TEXTS if name in known]:
        for odd in ODD.values():
            given = {name: value for name, value in usual.items() if name in known} | {argument: odd}
            if argument in ("title", "project"):
                given.pop("item")
            error = refusal_of(call, given)
            # A state directory that does not exist holds no job; everything else is refused, or asks the endpoint.
            assert error is not None or call is uploader.jobs
            assert error is None or error.message.isprintable(), error.message[:200]
            tried += 1
    assert tried >= len(ODD)


def test_no_descriptor_for_an_event_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    (tmp_path / "data.bin").write_bytes(b"data")
    monkeypatch.setattr(asyncio.events, "new_event_loop", refuse)
    with pytest.raises(ResourcesExhausted):
        uploader.upload(tmp_path / "data.bin", token="t0ken", state_dir=tmp_path / "state")
