"""Searches: which requests they make, what is checked on the rows, and when a result is complete."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from uploader.catalog.query import Query
from uploader.catalog.search import Search, SearchRun
from uploader.errors import ExitStatus, FilterIgnored, NameNotFound
from uploader.figshare.decode import decode
from uploader.figshare.outcomes import PageLimitReached
from uploader.figshare.records import Institution, Listing, Page, Record

DAY = dt.date(2024, 3, 1)


def row(number: int, day: str = "2024-03-05", **fields: Any) -> Record:
    raw = {"id": number, "title": f"Beaver {number}", "published_date": f"{day}T02:00:00Z", "defined_type": 3, **fields}
    return decode(Record, raw, "a row")


class Server:
    """Answers from a list of rows, newest first or oldest first; `fits` is what it makes of the filters."""

    def __init__(self, rows: list[Record], *, fits: Callable[[Record, Any], bool] = lambda *_: True, cap: int = 9000):
        self.rows, self.fits, self.cap = rows, fits, cap
        self.asked: list[dict[str, Any]] = []

    async def page(self, listing: Listing, criteria: Mapping[str, str | int], *, page: int, size: int = 1000) -> Page:
        self.asked.append({"path": listing.path, "page": page, "size": size, **criteria})
        if page * size > self.cap:
            raise PageLimitReached("too far")
        undated = "NOT :published_after:" in str(criteria.get("search_for", ""))
        since = str(criteria.get("published_since", ""))[:19]
        found = [one for one in self.rows if self.fits(one, criteria) and (one.published is None) >= undated]
        found = [one for one in found if one.published is None or f"{one.published:%Y-%m-%dT%H:%M:%S}" >= since]
        found.sort(key=lambda one: str(one.published), reverse=criteria["order_direction"] == "desc")
        return Page(rows=found[(page - 1) * size : page * size])

    async def institutions(self) -> AsyncIterator[Institution]:
        yield Institution(id=2)


async def run(server: Server, **search: Any) -> tuple[list[int], SearchRun]:
    searching = SearchRun(server, Search(**search))
    return [one.id async for one in searching.rows()], searching


async def test_a_search_asks_for_one_row_more_than_its_limit() -> None:
    server = Server([row(no) for no in range(1, 40)])
    found, searching = await run(server, query=Query(words=("beaver",)), limit=20)
    assert (len(found), searching.conclusion.more, searching.conclusion.complete) == (20, True, True)
    (asked,) = server.asked
    assert asked == {"path": "/articles/search", "page": 1, "size": 21, "search_for": "beaver",
                     "order": "published_date", "order_direction": "desc"}  # fmt: skip
    found, searching = await run(Server([row(1)]), limit=20)
    assert (found, searching.conclusion.more) == ([1], False)


async def test_everything_is_read_in_slices_beyond_figshares_limit() -> None:
    days = [(dt.date(2000, 1, 1) + dt.timedelta(days=no)).isoformat() for no in range(2500)]
    server = Server([row(no + 1, day) for no, day in enumerate(days)] + [row(9000, published_date=None)], cap=1000)
    found, searching = await run(server, limit=None)
    assert sorted(found) == [*range(1, 2501), 9000]
    assert searching.conclusion.complete
    assert len(server.asked) <= 5


async def test_the_oldest_are_read_in_slices_as_well() -> None:
    days = [(dt.date(2000, 1, 1) + dt.timedelta(days=no)).isoformat() for no in range(3000)]
    server = Server([row(no + 1, day) for no, day in enumerate(days)], cap=1000)
    found, searching = await run(server, limit=2200, reverse=True)
    assert found == list(range(1, 2201))
    assert (searching.conclusion.more, searching.conclusion.complete) == (True, True)
    assert (await run(server, limit=None, reverse=True))[0] == list(range(1, 3001))
    newest, searching = await run(server, limit=2200)
    assert (len(newest), searching.conclusion.complete) == (1000, False)


async def test_another_order_ends_at_figshares_limit_and_says_so() -> None:
    server = Server([row(no) for no in range(1, 2500)], cap=2000)
    found, searching = await run(server, limit=None, order="views")
    assert (len(found), searching.conclusion.complete) == (2000, False)
    assert searching.conclusion.gaps[0].message == "Figshare lists only the first 2000 records this way"
    assert server.asked[0]["order"] == "views"


async def test_days_are_asked_for_generously_and_compared_with_the_rows() -> None:
    days = ("2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02", "2024-03-03")
    server = Server([row(no, day) for no, day in enumerate(days, start=1)])
    until = dt.date(2024, 3, 2)
    for limit in (20, None):
        found, searching = await run(server, since=DAY, query=Query(until=until), limit=limit)
        assert sorted(found) == [3, 4]
        assert searching.conclusion.left_out == 0
        assert server.asked[-1]["published_since"][:10] == "2024-02-29"
        assert server.asked[-1]["search_for"] == ":published_before: 2024-03-04"


@pytest.mark.parametrize("limit", [20, None])
async def test_the_first_and_last_days_of_the_calendar(limit: int | None) -> None:
    server = Server([row(1)])
    whole = {"since": dt.date.min, "modified_since": dt.date.min, "query": Query(until=dt.date.max)}
    assert (await run(server, limit=limit, **whole))[0] == [1]
    assert server.asked[0]["modified_since"] == "1900-01-01"
    assert (await run(server, limit=limit, since=dt.date.max, query=Query(until=dt.date.min)))[0] == []


IGNORED: dict[str, dict[str, Any]] = {
    "type": {"type_id": 9},
    "group": {"groups": (7,)},
    "doi": {"doi": "10.5/x"},
    "resource-doi": {"resource_doi": "10.5/x"},
    "since": {"since": dt.date(2024, 4, 1)},
    "until": {"query": Query(until=dt.date(2024, 1, 1))},
    "modified-since": {"modified_since": DAY},
    "title": {"query": Query(title=("otters",))},
}


@pytest.mark.parametrize("name", IGNORED)
async def test_a_filter_without_effect_is_an_error_and_no_result(name: str) -> None:
    fields: dict[str, Any] = {
        "group_id": 5,
        "doi": "10.1/a.v1",
        "resource_doi": "10.1/b",
        "modified_date": "2020-01-01T00:00:00Z",
    }
    server = Server([row(no, **fields) for no in range(1, 30)])
    if name == "since":
        server.page = _unfiltered(server)  # type: ignore[method-assign]
    with pytest.raises(FilterIgnored, match=f"ignored the filter '{name}'") as caught:
        await run(server, **IGNORED[name])
    assert caught.value.exit_status == ExitStatus.INTEGRITY


def _unfiltered(server: Server) -> Any:
    async def page(listing: Listing, criteria: Any, *, page: int, size: int = 1000) -> Page:
        return Page(rows=server.rows[:size])

    return page


async def test_filters_that_rows_do_not_show_are_not_checked() -> None:
    found, searching = await run(
        Server([row(1), row(2, group_id=7, doi="10.5/x.v3")]), groups=(7,), doi="10.5/x", institution=2
    )
    assert sorted(found) == [1, 2]
    assert list(searching.conclusion.checked) == ["group", "doi"]


async def test_a_filter_that_no_row_shows_does_not_count_as_checked() -> None:
    _, searching = await run(Server([row(1)]), modified_since=DAY, since=DAY)
    assert list(searching.conclusion.checked) == ["since"]
    found, searching = await run(Server([]), since=DAY, query=Query(title=("otters",)))
    assert (found, list(searching.conclusion.checked)) == ([], [])


async def test_an_odd_row_of_a_short_last_page_is_left_out_and_counted() -> None:
    """A thousand records of the type and one that was changed since it was indexed."""
    days = [(dt.date(2000, 1, 1) + dt.timedelta(days=no)).isoformat() for no in range(1001)]
    server = Server([row(no + 1, day, defined_type=3 if no < 1000 else 9) for no, day in enumerate(days)])
    found, searching = await run(server, type_id=3, limit=None, query=Query(title=("beaver",)))
    assert (len(found), searching.conclusion.left_out) == (1000, 1)
    assert list(searching.conclusion.checked) == ["type", "title"]


async def test_a_single_odd_row_is_left_out_and_counted() -> None:
    server = Server([row(no, defined_type=3 if no else 9) for no in range(1, 20)] + [row(20, defined_type=9)])
    found, searching = await run(server, type_id=3, limit=50)
    assert (len(found), searching.conclusion.left_out) == (19, 1)


async def test_several_groups_are_merged_by_date() -> None:
    rows = [row(no, f"2024-03-{no:02}", group_id=no % 2 + 1) for no in range(1, 21)]
    server = Server(rows, fits=lambda one, criteria: one.group_id == criteria["group"])
    found, searching = await run(server, groups=(1, 2), limit=5)
    assert found == [20, 19, 18, 17, 16]
    assert searching.conclusion.more
    found, _ = await run(server, groups=(1, 2), limit=None)
    assert sorted(found) == list(range(1, 21))


def test_requests_can_be_shown_before_they_are_made() -> None:
    searching = SearchRun(Server([]), Search(kind="collection", own=True, institution=2, limit=None, groups=(4, 5)))
    shown = [(one.method, one.path, one.body["group"]) for one in searching.requests()]
    assert shown == [("POST", "/account/collections/search", 4), ("POST", "/account/collections/search", 5)]


@pytest.mark.parametrize("limit", [None, 20])
async def test_a_shown_request_is_the_one_that_is_sent(limit: int | None) -> None:
    server, search = Server([]), Search(query=Query(words=("beaver",), until=DAY), since=DAY, type_id=3, limit=limit)
    (shown,) = SearchRun(server, search).requests()
    assert [one async for one in SearchRun(server, search).rows()] == []
    (sent,) = server.asked
    size = {"page_size": sent.pop("size")}
    assert {"path": shown.path, **shown.body} == sent | size
    assert "published_since" in shown.body


async def test_rows_without_an_id_count_for_their_page_and_are_missing() -> None:
    """A full page that has them is not the last one."""
    ids = range(1, 1500)
    server = Server([row(one, published_date=f"2024-01-01T00:{one // 60:02}:{one % 60:02}Z") for one in ids])
    complete = server.page

    async def page(listing: Listing, criteria: Any, *, page: int, size: int = 1000) -> Page:
        found = await complete(listing, criteria, page=page, size=size)
        return Page(rows=found.rows[:-2], unusable=("A dam", "A lodge")) if len(found) == size else found

    server.page = page  # type: ignore[method-assign]
    found, searching = await run(server, limit=None)
    assert found == [*ids], "the next slice has those two again"
    assert [gap.message for gap in searching.conclusion.gaps] == [
        "2 rows without a valid id, which cannot be read: 'A dam', 'A lodge'"
    ]
    found, searching = await run(server, limit=3)
    conclusion = searching.conclusion
    assert (len(found), conclusion.more, conclusion.complete) == (3, True, True), "three were asked for"


async def test_a_row_without_an_id_counts_once_where_slices_overlap() -> None:
    ids = range(1, 1500)
    server = Server([row(one, published_date=f"2024-01-01T00:{one // 60:02}:{one % 60:02}Z") for one in ids])
    complete, damaged = server.page, [("A dam",), ("A dam", "A lodge", "A lodge")]

    async def page(listing: Listing, criteria: Any, *, page: int, size: int = 1000) -> Page:
        found = await complete(listing, criteria, page=page, size=size)
        unusable = damaged.pop(0) if damaged else ()
        return Page(rows=found.rows[: size - len(unusable)], unusable=unusable)

    server.page = page  # type: ignore[method-assign]
    found, searching = await run(server, limit=None)
    assert found == [*ids]
    assert [gap.message for gap in searching.conclusion.gaps] == [
        "3 rows without a valid id, which cannot be read: 'A dam', 'A lodge', 'A lodge'"
    ]


async def test_an_institution_without_records_must_exist() -> None:
    assert await run(Server([]), institution=2)
    for limit in (None, 20):
        with pytest.raises(NameNotFound, match="unknown institution 99999"):
            await run(Server([]), institution=99999, limit=limit)


@pytest.mark.parametrize("search", [{"own": True}, {"order": "views"}], ids=["own", "order"])
async def test_rows_that_move_to_a_page_that_was_read_are_found(search: dict[str, Any]) -> None:
    """These lists have no date to continue from."""
    server = Server([row(number) for number in range(1, 2501)])
    whole = server.page

    async def page(listing: Listing, criteria: Any, *, page: int, size: int = 1000) -> Page:
        if len(server.asked) == 1:
            del server.rows[:500]
        return await whole(listing, criteria, page=page, size=size)

    server.page = page  # type: ignore[method-assign]
    found, searching = await run(server, limit=None, **search)
    assert len(found) == len(set(found))
    assert {one.id for one in server.rows} <= set(found)
    assert searching.conclusion.complete
