"""Fixtures for tests of the engine: a world in memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.world import World
from uploader.sources import digest as digests
from uploader.transfer.files import content as contents

MEMORY = Path("/dev/shm")  # noqa: S108  # a private folder is made in it


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is room: these tests replace thousands of files, and a disk syncs each."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < 2**30:
        yield tmp_path_factory.mktemp("transfer")
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="figup-test-") as folder:
        yield Path(folder)


@pytest.fixture
def save_often(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Keep MD5 states often: `save_often(read, every)` reads pieces of `read` bytes and keeps a state every `every`."""

    def save_often(read: int, every: int) -> None:
        monkeypatch.setattr(digests, "READ", read)
        monkeypatch.setattr(digests, "SAVE_BYTES", every)
        monkeypatch.setattr(digests, "SAVE_SECONDS", 0)
        monkeypatch.setattr(contents, "SAVE_BYTES", every)
        monkeypatch.setattr(contents, "shows_changes", lambda _: True)

    return save_often


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: object) -> World:
    """A world without faults. Its threads are fakes, so blocking calls are not detected here."""
    no_blocking_calls.deactivate()  # type: ignore[attr-defined]
    return World(tmp_path, monkeypatch)
