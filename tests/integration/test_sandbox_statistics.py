"""The sandbox's statistics service: numbers that agree with one another, and the quirks of the real one."""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_api import AUTH, Api, sandbox_api
from uploader.sandbox.seeds import FIRST_ITEM

pytestmark = pytest.mark.anyio

ITEM = FIRST_ITEM + 120
"""A seeded item of the sandbox's institution, long public, with a few events a day."""
SCOPED = {"Authorization": f"Basic {base64.b64encode(b'sandbox:statistics').decode()}"}
ALL_TIME = "start_date=2000-01-01&end_date=2100-01-01"
FORBIDDEN = {"data": None, "code": "Forbidden", "message": "Unauthorized request"}


async def ask(api: Api, path: str, headers: dict[str, str] | None = None, method: str = "GET", body: Any = None) -> Any:
    """Status and JSON of a request to the statistics service."""
    return await api.call(method, f"{api.at.stats_url}/{path}", body, headers=headers or {})


async def good(api: Api, path: str, headers: dict[str, str] | None = None) -> Any:
    status, answer = await ask(api, path, headers)
    assert status == 200, (path, answer)
    return answer


async def lively(api: Api) -> int:
    """The most viewed article."""
    ranking = (await good(api, "top/views/article?count=1"))["top"]
    return int(next(iter(ranking)))


async def test_totals_timelines_places_and_rankings_agree(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", seed_items=300) as api:
        number = await lively(api)
        total = (await good(api, f"total/views/article/{number}"))["totals"]
        assert total > 100
        for granularity in ("day", "month", "year", "total"):
            timeline = (await good(api, f"timeline/{granularity}/views/article/{number}?{ALL_TIME}"))["timeline"]
            assert sum(timeline.values()) == total, granularity
        assert (await good(api, f"total/article/{number}"))["views"] == total
        assert (await good(api, "top/views/article?count=1"))["top"] == {str(number): total}

        day, seen = date(2012, 1, 1), Counter[str]()
        while day <= datetime.now(UTC).date():
            last = day.replace(year=day.year + 1) - timedelta(days=1)
            path = f"breakdown/total/views/article/{number}?start_date={day}&end_date={last}"
            for country, cities in (await good(api, path))["breakdown"].get("total", {}).items():
                assert sum(events for city, events in cities.items() if city != "total") == cities["total"]
                seen[country] += cities["total"]
            day = last + timedelta(days=1)
        assert sum(seen.values()) == total
        cities = (await good(api, f"breakdown/year/views/article/{number}?start_date=2024-01-01"))["breakdown"]
        assert {"Unknown", "Unkown"} & {name for year in cities.values() for one in year.values() for name in one}


async def test_groups_authors_and_institutions_are_sums(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", seed_items=300) as api:
        rows = (await api.call("GET", "/articles?page_size=1000&group=2101", headers={}))[1]
        ranking = (await good(api, "top/downloads/article?count=1000"))["top"]
        expected = sum(ranking.get(str(row["id"]), 0) for row in rows)
        assert (await good(api, "total/downloads/group/2101"))["totals"] == expected > 0
        assert (await good(api, "sandbox/total/downloads/group/2101"))["totals"] == expected
        assert (await good(api, "harbour/total/downloads/group/2101"))["totals"] == 0
        assert (await good(api, "top/downloads/group?count=1000"))["top"]["2101"] == expected
        author = (await api.call("GET", f"/articles/{rows[0]['id']}", headers={}))[1]["authors"][0]["id"]
        assert (await good(api, f"total/downloads/author/{author}"))["totals"] >= ranking.get(str(rows[0]["id"]), 0)
        scoped = (await good(api, "sandbox/top/downloads/article?count=1000", SCOPED))["top"]
        assert scoped.items() < ranking.items()
        counted = await ask(api, "count/articles", method="POST", body={"groups": [{"id": 2101}, {"id": 7}]})
        assert counted == (200, {"2101": len(rows), "7": 0})
        collection = (await api.call("GET", "/collections", headers={}))[1][0]["id"]
        assert (await good(api, f"total/views/article/{collection}"))["totals"] == 0
        assert "cites" in await good(api, f"total/collection/{collection}")


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("total/views/article/5", 200, {"totals": 0}),
        (f"timeline/day/views/article/5?{ALL_TIME}", 200, {"timeline": None}),
        (f"breakdown/total/views/article/5?{ALL_TIME}", 200, {"breakdown": {}}),
        ("nowhere/total/views/article/5", 404, None),
        ("elsewhere", 404, None),
        ("sandbox/timeline/day/views/article/5", 403, FORBIDDEN),
        ("sandbox/breakdown/day/views/article/5", 403, FORBIDDEN),
        ("sandbox/top/views/article", 403, FORBIDDEN),
        ("total/views/article/5x", 400, None),
        ("timeline/week/views/article/5", 400, None),
        ("timeline/day/views/article/5?start_date=today", 400, None),
        ("timeline/day/views/group/5?sub_item=item_type", 400, {
            "code": "MissingParams", "message": "Missing required params: sub_item_id",
            "data": {"missing_params": "sub_item_id", "parameters": {"sub_item": "item_type"},
                     "path": "/timeline/day/views/group/5"},
        }),
        ("total/hugs/article/5", 400, {
            "data": {"extra": "Counter type not supported: hugs", "invalid_params": "counter"}, "code": "InvalidParams",
            "message": "Invalid or unsupported params: counter",
        }),
    ],
)  # fmt: skip
async def test_odd_requests(tmp_path: Path, path: str, status: int, answer: Any) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        found = await ask(api, path)
        assert found[0] == status, found
        assert answer is None or {name: found[1][name] for name in answer} == answer


async def test_the_default_period_is_this_month(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", seed_items=200) as api:
        number = await lively(api)
        first = datetime.now(UTC).date().replace(day=1)
        path = f"timeline/total/views/article/{number}"
        assert await good(api, path) == await good(api, f"{path}?start_date={first}")
        assert await good(api, path) != await good(api, f"{path}?{ALL_TIME}")


@pytest.mark.parametrize("limited", [True, False])
async def test_long_periods_are_cut_without_a_word(tmp_path: Path, limited: bool) -> None:
    async with sandbox_api(tmp_path / "s", seed_items=200, stats_timeline_limits=limited) as api:
        number = await lively(api)
        for kind in ("timeline", "breakdown"):
            path = f"{kind}/year/views/article/{number}?start_date=2016-01-01&end_date="
            cut = await good(api, f"{path}2020-12-31")
            assert (await good(api, f"{path}2024-12-31") == cut) is (limited or kind == "breakdown")


async def test_switches_and_credentials(tmp_path: Path) -> None:
    settings = {"stats_combined": False, "stats_auth_totals": True, "stats_password": "other"}
    async with sandbox_api(tmp_path / "s", **settings) as api:
        assert (await ask(api, "total/article/5"))[0] == 400
        assert await ask(api, "sandbox/total/views/article/5", SCOPED) == (403, FORBIDDEN)
        other = {"Authorization": f"Basic {base64.b64encode(b'sandbox:other').decode()}"}
        assert await ask(api, "sandbox/total/views/article/5", other) == (200, {"totals": 0})
        assert await ask(api, "harbour/top/views/article", other) == (403, FORBIDDEN)
        for token in (AUTH, {"Authorization": "Bearer x"}):
            assert (await ask(api, "total/views/article/5", token))[0] == 400
        assert (await ask(api, "total/views/article/5?token=x"))[0] == 400
        logged = [entry for entry in api.requests() if entry["service"] == "statistics"]
        assert [entry["scheme"] for entry in logged] == [None, "basic", "basic", "basic", "token", "bearer", None]
        assert {entry["kind"] for entry in logged} == {"stats-total", "stats-totals", "stats-top"}
        assert "b3RoZXI" not in json.dumps(logged)
        assert (await ask(api, "top/views/article?sub_item=referral")) == (200, {})


async def test_it_has_faults_and_its_own_origin(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", control=True) as api:
        assert (await api.call("POST", f"{api.at.url[:-3]}/sandbox/faults", {"fault": "stats-total=503"}))[0] == 201
        assert (await ask(api, "total/views/article/5"))[0] == 503
        assert (await ask(api, "total/views/article/5"))[0] == 200
        assert (await ask(api, "v2/articles"))[0] == 404
        assert (await api.call("GET", f"{api.at.url[:-3]}/total/views/article/5", headers={}))[0] == 404
