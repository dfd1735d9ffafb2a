"""Notes on a list that is being read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from uploader.cli import records_result
from uploader.figshare.records import Record

if TYPE_CHECKING:
    from uploader.cli.runner import Session


async def test_the_length_of_a_list_is_said_to_be_unknown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_result, "PROGRESS_EVERY", 0.0)
    notes: list[str] = []
    console, common = SimpleNamespace(note=notes.append), SimpleNamespace(json=False, no_progress=False)

    async def rows() -> AsyncIterator[Record]:
        for number in (1, 2):
            yield Record(id=number)

    session = cast("Session", SimpleNamespace(console=console, common=common))
    assert [row.id async for row in records_result.with_progress(session, rows())] == [1, 2]
    assert notes == ["1 record so far; Figshare does not say how many there are", "2 records so far"]
