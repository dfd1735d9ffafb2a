"""Fixtures for tests of the engine: a world in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: object) -> World:
    """A world without faults. Its threads are fakes, so blocking calls are not detected here."""
    no_blocking_calls.deactivate()  # type: ignore[attr-defined]
    return World(tmp_path, monkeypatch)
