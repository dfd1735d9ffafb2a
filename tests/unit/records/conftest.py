"""Fixtures for tests of jobs of records: a world in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.records import RecordWorld


@pytest.fixture
def threads_are_fakes(no_blocking_calls: object) -> None:
    """Those of a `RecordWorld` are: blocking calls are not detected then."""
    no_blocking_calls.deactivate()  # type: ignore[attr-defined]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads_are_fakes: None) -> RecordWorld:
    """A world without faults."""
    return RecordWorld(tmp_path, monkeypatch)
