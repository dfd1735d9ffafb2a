"""The sliced pager: for any dates and any limit of the server, each row comes once, or the list says what it lacks."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from uploader.catalog.pager import PageRequest, Plan, Position, Slice, Walk

START = datetime(2024, 1, 1, tzinfo=UTC)
SIZE = 4


@dataclass(frozen=True, kw_only=True)
class Row:
    id: int
    published: datetime | None
    type: int = 1


@dataclass(frozen=True, kw_only=True)
class Server:
    """Lists rows by date. `limit` is the number of rows it serves of one list; `silent`: it then says nothing.

    `inclusive`: `since` includes its own moment; `unit`: it is rounded down to this.
    """

    rows: Sequence[Row]
    limit: int
    silent: bool = False
    inclusive: bool = True
    unit: timedelta = timedelta(seconds=1)
    knows_undated: bool = True

    def answer(self, asked: PageRequest) -> list[Row] | None:
        """The page; None for a refusal."""
        fitting = [row for row in self.rows if self._fits(row, asked)]
        ordered = sorted(fitting, key=lambda row: (row.published is None, row.published or START, row.id))
        first = (asked.page - 1) * asked.size
        if first + asked.size > self.limit and asked.page > 1:
            return [] if self.silent else None
        return ordered[first : first + asked.size]

    def _fits(self, row: Row, asked: PageRequest) -> bool:
        if asked.undated and self.knows_undated and row.published is not None:
            return False
        if ("item_type", row.type) not in asked.narrowed and asked.narrowed:
            return False
        if asked.since is None:
            return True
        since = START + (asked.since - START) // self.unit * self.unit
        return row.published is not None and (row.published > since or (self.inclusive and row.published == since))


PLAN = Plan(key="published", undated=True, splits=(("item_type", (1, 2, 3)),), size=SIZE, max_pages=3)


def read_page(server: Server, walk: Walk) -> list[int] | None:
    """The new ids of the next page; None at the end."""
    asked = walk.next_page()
    if asked is None:
        return None
    rows = server.answer(asked)
    if rows is None:
        walk.refuse()
        return []
    return [row.id for row in walk.take(rows)]


def read(server: Server, walk: Walk) -> tuple[list[int], int]:
    """The ids in the order in which they were found, and the number of requests."""
    found: list[int] = []
    for count in itertools.count():
        assert count < 2000, "it does not end"
        page = read_page(server, walk)
        if page is None:
            return found, count
        found += page
    raise AssertionError


@st.composite
def servers(draw: st.DrawFn) -> Server:
    """Servers of every reading of the protocol, with dates that often coincide."""
    unit = draw(st.sampled_from([timedelta(seconds=1), timedelta(days=1)]))
    steps = draw(st.lists(st.integers(0, 3), max_size=60))
    scale = draw(st.sampled_from([timedelta(seconds=1), timedelta(hours=7), timedelta(days=9)]))
    dates = list(itertools.accumulate((step * scale for step in steps), initial=timedelta()))
    undated = draw(st.sets(st.integers(0, 60), max_size=3))
    rows = [
        Row(id=100 + no, published=None if no in undated else START + date, type=draw(st.integers(1, 3)))
        for no, date in enumerate(dates)
    ]
    return Server(
        rows=draw(st.permutations(rows)),
        limit=draw(st.integers(SIZE, 3 * SIZE)),
        silent=draw(st.booleans()),
        inclusive=draw(st.booleans()) or unit > timedelta(seconds=1),
        unit=unit,
    )


def most_of_a_moment(server: Server) -> int:
    """The most rows of one type that share what the server takes for one moment, and its neighbor."""
    days = Counter((row.type, (row.published - START) // server.unit) for row in server.rows if row.published)
    return max((days[key] + days[key[0], key[1] - 1] + days[key[0], key[1] + 1] for key in days), default=0)


@given(servers())
def test_every_row_is_read_once_or_the_list_says_that_it_is_not_complete(server: Server) -> None:
    walk = Walk(PLAN)
    found, _ = read(server, walk)
    assert len(found) == len(set(found))
    if not walk.gaps and not server.silent:
        assert set(found) == {row.id for row in server.rows}


@given(servers())
def test_a_list_without_crowded_moments_is_complete(server: Server) -> None:
    days = timedelta(days=1)
    sparse = dataclasses.replace(
        server,
        rows=[
            dataclasses.replace(row, published=row.published and START + no * days)
            for no, row in enumerate(server.rows)
        ],
    )
    walk = Walk(PLAN)
    found, requests = read(sparse, walk)
    assert walk.gaps == ()
    assert sorted(found) == sorted(row.id for row in sparse.rows)
    assert requests <= 2 + len(sparse.rows)


@given(servers(), st.integers(0, 30))
def test_a_stored_position_continues_where_it_was(server: Server, stop: int) -> None:
    walk, found = Walk(PLAN), []
    for _ in range(stop):
        found += read_page(server, walk) or []
    stored = msgspec.json.decode(msgspec.json.encode(walk.position), type=Position)
    again = Walk(PLAN, stored, found)
    rest, _ = read(server, again)
    assert len({*found, *rest}) == len(found) + len(rest)
    if not again.gaps and not server.silent:
        assert {*found, *rest} == {row.id for row in server.rows}


@given(st.integers(0, 40), st.sets(st.integers(0, 39)))
def test_rows_that_go_and_come_while_one_reads_cost_no_other_row(before: int, gone: set[int]) -> None:
    rows = [Row(id=no + 1, published=START + timedelta(hours=no)) for no in range(40)]
    now, walk, found = Server(rows=rows, limit=12), Walk(PLAN), list[int]()
    for count in itertools.count():
        if count == before % 9:
            new = [Row(id=500 + no, published=START + timedelta(days=90, hours=no)) for no in range(9)]
            now = dataclasses.replace(now, rows=[row for row in rows if row.id - 1 not in gone] + new)
        page = read_page(now, walk)
        if page is None:
            break
        found += page
    assert {row.id for row in now.rows} <= set(found) or count < before % 9
    assert len(found) == len(set(found))


def test_a_filter_that_is_ignored_ends_the_walk() -> None:
    rows = [Row(id=no, published=START + timedelta(days=no)) for no in range(1, 30)]
    walk = Walk(PLAN)
    for _ in range(50):
        if (asked := walk.next_page()) is None:
            break
        walk.take(Server(rows=rows, limit=1000).answer(dataclasses.replace(asked, since=None)) or [])
    assert walk.next_page() is None
    assert [gap.code for gap in walk.gaps] == ["unfiltered"]


def test_a_list_without_dates_says_where_it_ends() -> None:
    rows = [Row(id=no, published=None) for no in range(1, 60)]
    walk = Walk(Plan(key=None, size=SIZE))
    found, _ = read(Server(rows=rows, limit=12), walk)
    assert len(found) == 12
    assert [gap.code for gap in walk.gaps] == ["page-limit"]
    assert Walk(PLAN).position == Position(pending=(Slice(),))
