"""What `describe` sets is fenced: each change may be called off directly before it is requested."""

from __future__ import annotations

import pytest

from tests.fakes.clock import VirtualClock
from tests.fakes.figshare import FakeFigshare
from uploader.errors import JobBusy
from uploader.items.describe import describe
from uploader.items.payload import ItemPayload

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("payload", "request_name"),
    [
        (ItemPayload(fields={"keywords": ["a"]}), "update"),
        (ItemPayload(authors=[{"name": "Ann Bee"}]), "set_authors"),
        (ItemPayload(embargo={"is_embargoed": True}), "set_embargo"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_a_change_is_called_off_in_its_turn(payload: ItemPayload, request_name: str) -> None:
    figshare = FakeFigshare(VirtualClock())
    item = figshare.add_item("title")

    async def lost() -> None:
        raise JobBusy("another machine took over this job")

    with pytest.raises(JobBusy):
        await describe(figshare, item.id, payload, on_turn=lost)
    assert request_name not in figshare.log
    await describe(figshare, item.id, payload)
    assert request_name in figshare.log
