"""Records whose events cannot be counted do not keep the others back, and are named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from uploader.cli.stats_service import Uncounted
from uploader.errors import FigupError, PermissionDenied, RecordsMissing, RequestRejected, ServerFailing


async def counted(failing: dict[int, FigupError], numbers: range) -> tuple[list[int], list[str], Uncounted]:
    notes: list[str] = []
    session: Any = SimpleNamespace(console=SimpleNamespace(note=notes.append), summary=SimpleNamespace(records=None))
    uncounted, found = Uncounted(session, "article"), []
    for number in numbers:
        async with uncounted.skipping(number):
            if number in failing:
                raise failing[number]
            found.append(number)
    return found, notes, uncounted


async def test_a_record_that_cannot_be_counted_is_named_at_the_end() -> None:
    found, notes, uncounted = await counted({2: RequestRejected("no"), 4: RequestRejected("no")}, range(1, 6))
    assert found == [1, 3, 5]
    uncounted.report()
    assert notes == ["2 was not counted: no", "4 was not counted: no"]
    with pytest.raises(RecordsMissing, match="2 records could not be counted"):
        uncounted.check()


async def test_what_concerns_all_records_ends_the_command() -> None:
    _, _, uncounted = await counted({5: RequestRejected("no")}, range(5, 6))
    with pytest.raises(RequestRejected, match="no"):
        uncounted.report()
    found, notes, uncounted = await counted({2: ServerFailing("down")}, range(1, 4))
    assert found == [1, 3]
    with pytest.raises(ServerFailing, match="down"):
        uncounted.report()
    assert notes == ["2 was not counted: down"]
    with pytest.raises(ServerFailing, match="3 records in a row could not be read"):
        await counted({number: ServerFailing("down") for number in range(2, 9)}, range(1, 9))
    with pytest.raises(PermissionDenied):
        await counted({2: PermissionDenied("needs a password")}, range(1, 4))
