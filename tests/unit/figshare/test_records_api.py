"""Lists, searches and records: what is asked, what an odd answer means, and how throttling is waited out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import FakeClock, Service, reply
from uploader.errors import (
    ExitStatus,
    FigupError,
    ItemNotFound,
    NotFigshare,
    PermissionDenied,
    ProtocolViolation,
    RequestRejected,
    ServerFailing,
    Throttled,
)
from uploader.figshare.outcomes import PageLimitReached
from uploader.figshare.records import INSTITUTION_ITEMS, items_of, own_list, search_of
from uploader.figshare.settings import RetryPolicy

ROW = {"id": 5, "title": "T", "published_date": "2021-02-10T02:31:29Z", "defined_type": 3, "new_key": {"a": None}}
PAGE = "<html>Too fast</html>"


async def test_a_search_is_asked_in_the_body_and_a_list_in_the_query(service: Service, connect: Connect) -> None:
    service.script = lambda _: reply(200, [ROW])
    records = connect().records
    found = await records.page(search_of("item"), {"search_for": "a AND b", "institution": 2}, page=3)
    await records.page(own_list("collection"), {}, page=1, size=20)
    await records.page(items_of("project", 7, public=True), {}, page=1)
    await records.page(INSTITUTION_ITEMS, {"group": 4, "order": "modified_date"}, page=2)
    assert service.asked[0].json() == {"search_for": "a AND b", "institution": 2, "page": 3, "page_size": 1000}
    assert [asked.path for asked in service.asked] == [
        "/v2/articles/search",
        "/v2/account/collections?page=1&page_size=20",
        "/v2/projects/7/articles?page=1&page_size=1000",
        "/v2/account/institution/articles?group=4&order=modified_date&page=2&page_size=1000",
    ]
    (row,) = found.rows
    assert (row.id, row.type_id, row.published and row.published.year) == (5, 3, 2021)
    assert row.raw == ROW


async def test_rows_without_a_valid_id_are_told_apart_from_the_others(service: Service, connect: Connect) -> None:
    known = [{"title": "No\nid"}, {"id": "x", "email": "a@b.org"}, {"id": -1, "title": "t" * 99}]
    odd = [*known, {"id": None}, None, "message"]
    service.script = lambda _: reply(200, [odd[0], ROW, *odd[1:]])
    records = connect().records
    page = await records.page(search_of("item"), {}, page=1)
    assert ([row.id for row in page.rows], len(page)) == ([5], 7)
    described = (r"No\nid", "a@b.org", "t" * 60, "a row without a title", *["a row that is not an object"] * 2)
    assert page.unusable == described
    service.script = lambda _: reply(200, [odd[0]])
    page = await records.page(search_of("item"), {}, page=1)
    assert (page.rows, page.unusable) == ([], (r"No\nid",)), "one damaged record is no reason to end"
    service.script = lambda _: reply(200, [None, "message"])
    with pytest.raises(ProtocolViolation, match="the search of public items"):
        await records.page(search_of("item"), {}, page=1)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_page_that_is_too_far_is_the_limit_and_not_the_end(
    service: Service, connect: Connect, status: int
) -> None:
    message = "Max page reached. Please narrow down your search"
    service.script = lambda _: reply(status, {"message": message, "code": "PageLimitExceededException", "data": {}})
    with pytest.raises(PageLimitReached, match="Max page reached"):
        await connect().records.page(search_of("item"), {}, page=10)
    with pytest.raises(RequestRejected, match="Max page reached"):
        await connect().records.page(search_of("item"), {}, page=1)


BLOCKED: list[Any] = [
    pytest.param(reply(403, PAGE), id="403-html"),
    pytest.param(reply(403), id="403-empty"),
    pytest.param(reply(202, b"", {"X-Amzn-Waf-Action": "challenge"}), id="firewall"),
]


@pytest.mark.parametrize("answer", BLOCKED)
async def test_throttling_is_waited_out_for_minutes(
    service: Service, connect: Connect, clock: FakeClock, answer: bytes
) -> None:
    service.answers = [answer, answer, reply(200, [ROW])]
    assert len(await connect().records.page(search_of("item"), {}, page=1)) == 1
    assert clock.sleeps[:2] == [120, 240]


async def test_a_page_instead_of_rows_is_throttling_once_figshare_is_known(
    service: Service, connect: Connect, clock: FakeClock
) -> None:
    service.answers = [reply(200, [ROW]), reply(200, PAGE), reply(200, [ROW]), reply(200, PAGE)]
    records = connect().records
    for page in (1, 2):
        await records.page(search_of("item"), {}, page=page)
    assert clock.sleeps[0] == 120
    with pytest.raises(NotFigshare):
        await connect().records.page(search_of("item"), {}, page=1)


async def test_permanent_throttling_is_reported_after_five_waits(
    service: Service, connect: Connect, clock: FakeClock
) -> None:
    service.script = lambda _: reply(403, PAGE)
    with pytest.raises(Throttled, match=r"Figshare throttles this computer \(127\.0\.0\.1 answered 403") as caught:
        await connect().records.record("item", 5, public=True)
    assert (len(service.asked), caught.value.exit_status) == (6, ExitStatus.RESUMABLE)
    assert sum(clock.sleeps) <= 3600
    service.asked.clear()
    with pytest.raises(Throttled):
        await connect(throttled=RetryPolicy(retries=0)).records.record("item", 5, public=True)
    assert len(service.asked) == 1


@pytest.mark.parametrize("path", ["/articles/search", "/account/articles/search"])
async def test_a_refusal_with_a_message_is_about_permission(service: Service, connect: Connect, path: str) -> None:
    def script(asked: Any) -> bytes:
        return (
            reply(200, {"id": 1}) if asked.path == "/v2/account" else reply(403, {"message": "no", "code": "Forbidden"})
        )

    service.script = script
    with pytest.raises(PermissionDenied, match="no"):
        await connect().records.page(search_of("item", own="account" in path), {}, page=1)


ODD: list[Any] = [
    pytest.param(
        reply(200, {"message": "oops", "code": "X", "data": {}}), ServerFailing, "the search of public items: oops"
    ),
    pytest.param(reply(200, json.dumps([ROW])[:-9]), ServerFailing, "with no JSON"),
    pytest.param(reply(200, {"rows": []}), ProtocolViolation, "unexpected response"),
    pytest.param(reply(200, ["no object"]), ProtocolViolation, "unexpected response"),
    pytest.param(reply(404, {"message": "gone"}), ItemNotFound, "does not find"),
]


@pytest.mark.parametrize(("answer", "error", "words"), ODD)
async def test_odd_answers_are_not_rows(
    service: Service, connect: Connect, answer: bytes, error: type[FigupError], words: str
) -> None:
    service.answers = [reply(200, [ROW])]
    service.script = lambda _: answer
    session = connect(retry=RetryPolicy(elapsed_cap=30))
    await session.records.page(search_of("item"), {}, page=1)
    with pytest.raises(error, match=words):
        await session.records.page(search_of("item"), {}, page=2)


async def test_an_error_instead_of_a_record_is_tried_again(service: Service, connect: Connect) -> None:
    error = reply(200, {"message": "oops", "code": "X", "data": {}})
    service.answers = [reply(200, ROW), error, reply(200, ROW), reply(200, {"title": "no id"})]
    records = connect(retry=RetryPolicy(elapsed_cap=30)).records
    assert [(await records.record("item", 5, public=True)).id for _ in range(2)] == [ROW["id"]] * 2
    with pytest.raises(ProtocolViolation, match="no valid id for item 5"):
        await records.record("item", 5, public=True)
    service.script = lambda _: error
    with pytest.raises(ServerFailing, match="an error instead of item 5: oops"):
        await records.record("item", 5, public=True)


async def test_institutions_are_read_to_the_end_whatever_the_page_size(service: Service, connect: Connect) -> None:
    every = [{"id": no, "name": f"I{no}", "custom_domain": f"i{no}.example.org"} for no in range(1, 8)]

    def script(asked: Any) -> bytes:
        offset = int(asked.path.partition("offset=")[2] or 0)
        return reply(200, every[offset : offset + 3])

    service.script = script
    found = [one async for one in connect().records.institutions()]
    assert [(one.id, one.domain) for one in found] == [(no, f"i{no}.example.org") for no in range(1, 8)]
    service.script = lambda _: reply(200, every)
    assert len([one async for one in connect().records.institutions()]) == 7
