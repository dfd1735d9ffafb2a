"""Questions on a terminal."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from uploader.cli.confirm import confirm

pytestmark = pytest.mark.anyio


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal on stdin; the other end of it."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        yield master
    os.close(master)


def session(lines: list[str]) -> Any:
    console = SimpleNamespace(output=SimpleNamespace(err=lines.append), note=lines.append)
    return SimpleNamespace(common=SimpleNamespace(json=False), console=console)


@pytest.mark.parametrize(("typed", "agreed"), [("y", True), ("Yes", True), ("", False), ("maybe", False)])
async def test_only_yes_is_yes(keyboard: int, typed: str, agreed: bool) -> None:
    lines: list[str] = []
    os.write(keyboard, f"{typed}\n".encode())
    assert await confirm(session(lines), "Delete it?", yes=False) is agreed
    assert lines == ["figup: Delete it? [y/N]", *([] if agreed else ["nothing was done"])]
