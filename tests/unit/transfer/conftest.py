"""Fixtures for tests of the engine: a world in memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.world import World

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
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: object) -> World:
    """A world without faults. Its threads are fakes, so blocking calls are not detected here."""
    no_blocking_calls.deactivate()  # type: ignore[attr-defined]
    return World(tmp_path, monkeypatch)
