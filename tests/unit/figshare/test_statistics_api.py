"""Answers of the statistics service that are not documented, or documented in two ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date

import msgspec
import pytest

from tests.support.lists import ListServer, list_server
from uploader.catalog.statistics.counting import Counting, Totals
from uploader.errors import NameNotFound, ProtocolViolation
from uploader.figshare.settings import Settings
from uploader.figshare.statistics_api import EventQuery, StatisticsApi

DAY = date(2024, 1, 1)


@pytest.fixture
def server() -> Iterator[ListServer]:
    with list_server() as made:
        yield made


@pytest.fixture
async def api(server: ListServer) -> AsyncIterator[StatisticsApi]:
    made = StatisticsApi(server.url, Settings(server.url), {})
    yield made
    await made.close()


async def test_an_institution_without_combined_totals_is_not_unknown(server: ListServer, api: StatisticsApi) -> None:
    for counter, events in (("views", 5), ("downloads", 3), ("shares", 1)):
        server.paths[f"/v2/iastate/total/{counter}/collection/7"] = {"totals": events}
    assert await Counting(api, "iastate").totals("collection", 7) == Totals(views=5, downloads=3, shares=1)
    with pytest.raises(NameNotFound, match="does not know the institution 'elsewhere'"):
        await Counting(api, "elsewhere").totals("collection", 7)


async def test_an_empty_object_has_no_events(server: ListServer, api: StatisticsApi) -> None:
    for asked in ("timeline/day/views", "breakdown/total/views", "total/views"):
        server.paths[f"/v2/{asked}/article/7"] = {}
    query = EventQuery(granularity="day", counter="views", kind="article", number=7, first=DAY, last=DAY)
    assert await api.timeline(query) == {}
    assert await api.places(msgspec.structs.replace(query, granularity="total")) == {}
    with pytest.raises(ProtocolViolation):
        await api.total("views", "article", 7)
