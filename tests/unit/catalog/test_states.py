"""Records of a list by their states: one that cannot be read is named, and does not keep the others back."""

from __future__ import annotations

import pytest

from uploader.catalog.failures import MAX_OUTAGE
from uploader.catalog.pager import check_complete
from uploader.catalog.states import StateFilter
from uploader.errors import (
    FigupError,
    ItemNotFound,
    NotFigshare,
    PermissionDenied,
    ProtocolViolation,
    RecordsMissing,
    RequestRejected,
    ServerFailing,
    TokenRejected,
    Unreachable,
)
from uploader.figshare.decode import decode
from uploader.figshare.ids import Kind
from uploader.figshare.records import Record


class Server:
    """Items of which those with odd numbers are public; `broken` are errors of reading some."""

    def __init__(self, broken: dict[int, FigupError]) -> None:
        self.broken = broken
        self.verified = 0
        self.expired = False

    async def record(self, kind: Kind, number: int, *, public: bool, version: int | None = None) -> Record:
        if number in self.broken:
            raise self.broken[number]
        return item(number, is_public=number % 2 == 1)

    async def account(self) -> None:
        self.verified += 1
        if self.expired:
            raise TokenRejected("no")


def item(number: int, **fields: bool) -> Record:
    return decode(Record, {"id": number, **fields}, "an item")


async def chosen(server: Server, count: int) -> tuple[list[int], list[str]]:
    """Return the public ones of `count` items, and the gaps."""
    states, done = StateFilter(server, "item", frozenset({"public"}), server.account), list[int]()
    listed = [item(number) for number in range(1, count + 1)]
    found = [row.id async for row in states.fitting(listed, done.append)]
    assert done[-1] == count
    if states.gaps:
        with pytest.raises(RecordsMissing) as caught:
            check_complete(states.gaps)
        assert caught.value.hint == "All others were checked; try again later."
    return found, [gap.message for gap in states.gaps]


@pytest.mark.parametrize("error", [ServerFailing, RequestRejected, ProtocolViolation, PermissionDenied])
async def test_a_record_that_cannot_be_read_is_a_gap(error: type[FigupError]) -> None:
    server = Server({3: error("item 3: odd")})
    assert await chosen(server, 8) == ([1, 5, 7], ["the state could not be read of item 3 (odd)"])
    assert server.verified == (error is PermissionDenied)


async def test_few_of_many_are_named_and_deleted_ones_are_none() -> None:
    broken: dict[int, FigupError] = {number: RequestRejected("no", status=400) for number in (1, 3, 6, 7, 9)}
    found, gaps = await chosen(Server({**broken, 5: ItemNotFound("gone")}), 11)
    assert found == [11]
    assert gaps == ["the state could not be read of item 1 (no), item 3 (no), item 6 (no), 2 more"]


async def test_an_outage_and_an_expired_token_are_not_of_one_record() -> None:
    down = Server(dict.fromkeys(range(2, 2 + MAX_OUTAGE), ServerFailing("down")))
    with pytest.raises(ServerFailing, match=f"{MAX_OUTAGE} records in a row could not be read: down"):
        await chosen(down, 40)
    for error in (Unreachable, NotFigshare):
        with pytest.raises(error, match="no route"):
            await chosen(Server({3: error("no route")}), 8)
    server = Server({3: PermissionDenied("no")})
    server.expired = True
    with pytest.raises(TokenRejected):
        await chosen(server, 8)
