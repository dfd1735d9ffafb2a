"""Statistics of records: periods in slices, combined totals, places."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.clock import VirtualClock
from tests.fakes.statistics import LENGTHS, LIMITS, Service
from uploader.catalog.kept import ResponseCache
from uploader.catalog.statistics.answers import CachedService
from uploader.catalog.statistics.counting import Counting, Country, Totals
from uploader.catalog.statistics.periods import Period, days_before
from uploader.concurrency import in_thread
from uploader.errors import ProtocolViolation, UsageError
from uploader.figshare.statistics_api import Granularity

DAYS = st.dates(date(2000, 1, 1), date(2060, 12, 31))


@pytest.mark.search
@given(DAYS, DAYS, st.sampled_from(sorted(LIMITS)))
def test_slices_neither_overlap_nor_leave_a_day_out(one: date, other: date, granularity: Granularity) -> None:
    period = Period(min(one, other), max(one, other))
    days = [
        part.first + timedelta(days=place)
        for part in period.slices(granularity)
        for place in range((part.last - part.first).days + 1)
    ]
    assert days == [period.first + timedelta(days=place) for place in range((period.last - period.first).days + 1)]


@given(DAYS, DAYS, st.sampled_from(sorted(LIMITS)))
def test_no_slice_is_longer_than_one_request_may_ask_for(one: date, other: date, granularity: Granularity) -> None:
    parts = list(Period(min(one, other), max(one, other)).slices(granularity))
    for part in parts:
        years = LIMITS[granularity] // 366
        limit = part.first.replace(day=min(part.first.day, 28), year=part.first.year + years)
        assert part.last <= limit + timedelta(days=3)
        assert (part.last - part.first).days < LIMITS[granularity]
    if granularity in {"month", "year"}:
        # A month or year in two slices would be counted as two halves, which is right, but asked for twice.
        length = LENGTHS[granularity]
        names = [{day.isoformat()[:length] for day in (part.first, part.last)} for part in parts]
        assert all(not before & after for before, after in pairwise(names))


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 3000), st.sampled_from(["day", "month", "year"]))
def test_steps_name_every_day_once(first: date, days: int, granularity: Granularity) -> None:
    period = Period(first, first + timedelta(days=days))
    names = [(first + timedelta(days=place)).isoformat()[: LENGTHS[granularity]] for place in range(days + 1)]
    assert list(period.steps(granularity)) == list(dict.fromkeys(names))


def test_days_before_the_first_ones_of_the_calendar() -> None:
    assert days_before(date(2024, 3, 1), 2) == date(2024, 2, 29)
    assert days_before(date.min, 365) == date(1900, 1, 1)


def test_a_period_does_not_end_before_it_begins() -> None:
    with pytest.raises(UsageError, match="ends before it begins: 2024-01-02 to 2024-01-01"):
        Period(date(2024, 1, 2), date(2024, 1, 1))


SINGLE = {"views": 10, "downloads": 3, "shares": 0}
COMBINED = {**SINGLE, "cites": 2}
WHOLE = Totals(views=10, downloads=3, shares=0, cites=2)
pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("combined", "single", "requests", "found"),
    [
        (COMBINED, SINGLE, ["all", "views", "downloads", "shares", "all"], WHOLE),
        ({**COMBINED, "views": 7}, SINGLE, ["all", "views", "downloads", "shares", "all"], None),
        (None, SINGLE, ["all", *SINGLE, *SINGLE], Totals(**SINGLE)),
        ({**COMBINED, "views": 99}, SINGLE, ["all", *SINGLE, *SINGLE], Totals(**SINGLE)),
        ({**COMBINED, "views": 1}, SINGLE, ["all", *SINGLE, *SINGLE], Totals(**SINGLE)),
    ],
    ids=["agree", "events meanwhile", "not offered", "more", "fewer"],
)
async def test_combined_totals_are_used_once_they_agree(
    combined: dict[str, int] | None, single: dict[str, int], requests: list[str], found: Totals | None
) -> None:
    service = Service(combined, single)
    counting = Counting(service)
    totals = [await counting.totals("article", number) for number in (1, 2)]
    assert service.requests == requests
    assert found is None or totals == [found, found]


async def test_records_without_events_prove_nothing_about_combined_totals() -> None:
    nothing = dict.fromkeys(SINGLE, 0)
    service = Service({**nothing, "cites": 0}, nothing)
    counting = Counting(service)
    for number in (1, 2):
        assert await counting.totals("article", number) == Totals(views=0, downloads=0, shares=0, cites=0)
    assert service.requests == ["all", *SINGLE, "all", *SINGLE]


@pytest.mark.parametrize("granularity", ["day", "month", "year"])
async def test_long_timelines_are_whole(granularity: Granularity) -> None:
    counting = Counting(Service(None, SINGLE))
    period = Period(date(2019, 6, 15), date(2026, 3, 9))
    found = await counting.timeline("views", "article", 1, period, granularity)
    assert sum(found.values()) == (date(2026, 3, 9) - date(2019, 12, 31)).days
    assert list(found) == sorted(found)
    totals = await counting.totals("article", 1, period)
    assert totals == Totals(**dict.fromkeys(SINGLE, sum(found.values())))


@pytest.mark.parametrize("granularity", ["day", "month", "year"])
async def test_a_service_that_disregards_dates_is_not_counted_twice(granularity: Granularity) -> None:
    service = Service(None, SINGLE)
    period = Period(date(2020, 1, 1), date(2025, 12, 31))
    whole = await Counting(service).timeline("views", "article", 1, period, granularity)
    service.whole = Counter(whole) + Counter({"2026-05-17"[: len(next(iter(whole)))]: 9})
    assert await Counting(service).timeline("views", "article", 1, period, granularity) == whole
    service.whole = Counter({"May 2024": 5})
    with pytest.raises(ProtocolViolation, match="'May 2024' is no"):
        await Counting(service).timeline("views", "article", 1, period, granularity)


async def test_places_are_added_up_and_unknown_ones_are_one() -> None:
    service = Service(None, SINGLE)
    found = await Counting(service).places("views", "article", 1, Period(date(2023, 1, 1), date(2024, 6, 30)))
    assert service.requests == ["2023-01-01..2023-12-31", "2024-01-01..2024-06-30"]
    assert found == [
        Country(name="Norway", total=18, cities={"Oslo": 10, "Unknown": 6}), Country(name="Unknown", total=8),
    ]  # fmt: skip


async def test_answers_are_kept_for_hours_and_a_torn_one_is_asked_for_again(tmp_path: Path) -> None:
    clock = VirtualClock()
    service = Service(COMBINED, SINGLE)

    async def ask(*about: object) -> list[str]:
        kept = ResponseCache(tmp_path / "catalogs", "statistics", about, clock=clock)
        await in_thread(kept.load)
        assert await Counting(CachedService(service, kept)).totals("article", 1) == WHOLE
        asked, service.requests = service.requests, []
        return asked

    every = ["all", *SINGLE]
    assert [await ask("x"), await ask("x"), await ask("y")] == [every, [], every]
    await in_thread(lambda: [one.write_bytes(one.read_bytes()[:-9]) for one in (tmp_path / "catalogs").iterdir()])
    assert [await ask("x"), await ask("x")] == [["shares"], []]
    await clock.sleep(13 * 3600)
    assert await ask("x") == every


async def test_answers_about_periods_are_kept_by_everything_that_was_asked(tmp_path: Path) -> None:
    service, period = Service(None, SINGLE), Period(date(2020, 1, 1), date(2020, 1, 31))
    kept = ResponseCache(tmp_path / "catalogs", "statistics", "x", clock=VirtualClock())
    await in_thread(kept.load)
    for scope in (None, "iastate", "iastate"):
        counting = Counting(CachedService(service, kept), scope)
        assert await counting.timeline("views", "article", 1, period, "month") == {"2020-01": 31}
        await counting.places("views", "article", 1, period)
    (file,) = (tmp_path / "catalogs").iterdir()
    about = "views article 1 2020-01-01 2020-01-31"
    kept_as = [json.loads(line)[1] for line in file.read_text("utf-8").splitlines() if line]
    asked = [f"{one} {about}" for one in ("timeline month", "places total")]
    assert kept_as == [f"{one} {scope}" for scope in (None, "iastate") for one in asked]
    assert len(service.requests) == 4
