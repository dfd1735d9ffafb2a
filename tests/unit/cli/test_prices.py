"""What is said of a long run before it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from uploader.cli import batch
from uploader.cli.prices import (
    HostCost,
    noting_requests,
    requests_by_host,
    shortest_time,
    show_long_price,
    text_of_requests,
)
from uploader.cli.stats_service import Service
from uploader.errors import ServerFailing
from uploader.transfer.client import Client

API, NUMBERS = "https://api.figshare.com/v2", "https://stats.figshare.com"


def shown(*costs: HostCost, records: int | None = 5) -> tuple[list[dict[str, Any]], list[str]]:
    events: list[dict[str, Any]] = []
    notes: list[str] = []
    console = SimpleNamespace(event=lambda name, **fields: events.append({"event": name, **fields}), note=notes.append)
    session: Any = SimpleNamespace(console=console)
    show_long_price(session, records, costs)
    return events, notes


def test_a_long_run_is_told_by_host_with_its_shortest_time() -> None:
    costs = [
        HostCost(endpoint=API, requests=7200, rate=1.0, burst=0),
        HostCost(endpoint=NUMBERS, requests=90, rate=1.0, burst=0, more=True),
    ]
    events, notes = shown(*costs, records=7200)
    assert events == [
        {
            "event": "price", "records": 7200, "at_least": True, "seconds": 7200.0,
            "requests_by_host": {"api.figshare.com": 7200, "stats.figshare.com": 90},
        }
    ]  # fmt: skip
    assert notes == [
        "7200 records: 7200 requests to api.figshare.com, 90 requests or more to stats.figshare.com; "
        "at least 2 h 00 min"
    ]


@pytest.mark.parametrize(("requests", "rate"), [(60, 1.0), (0, 1.0), (10**6, None)])
def test_a_short_run_and_one_without_a_limit_are_not_told(requests: int, rate: float | None) -> None:
    assert shown(HostCost(endpoint=API, requests=requests, rate=rate, burst=0)) == ([], [])


def test_services_that_are_not_asked_are_not_named() -> None:
    costs = [
        HostCost(endpoint=API, requests=61, rate=1.0, burst=0),
        HostCost(endpoint=NUMBERS, requests=0, rate=1.0, burst=0),
    ]
    assert shown(*costs)[1] == ["5 records: 61 requests to api.figshare.com; at least 1 min 01 s"]


def test_a_price_may_be_known_before_the_number_of_records() -> None:
    events, notes = shown(HostCost(endpoint=API, requests=200, rate=1.0, burst=20, more=True), records=None)
    assert (events[0]["records"], events[0]["at_least"]) == (None, True)
    assert notes == ["200 requests or more to api.figshare.com; at least 3 min 00 s"]


def test_requests_are_in_the_summary_however_a_command_ends() -> None:
    api: Any = SimpleNamespace(endpoint=API, requests=3)
    session: Any = SimpleNamespace(summary=SimpleNamespace(records=None))
    with pytest.raises(ServerFailing), noting_requests(session, api, None):
        raise ServerFailing("down")
    assert session.summary.records == {"requests_by_host": {"api.figshare.com": 3}}
    session.summary.records = None
    with noting_requests(session, None):
        pass
    assert session.summary.records is None
    with noting_requests(session, api):
        session.summary.records = {"found": 2, "requests_by_host": {"api.figshare.com": 90}}  # of a dry run
    assert session.summary.records == {"found": 2, "requests_by_host": {"api.figshare.com": 90}}


def test_requests_are_named_by_host() -> None:
    assert text_of_requests({"a": 1, "b:80": 2}) == "1 request to a and 2 requests to b:80"


def test_requests_to_services_at_one_host_are_added_up() -> None:
    api: Any = SimpleNamespace(endpoint="http://127.0.0.1:80/v2", requests=3)
    numbers: Any = SimpleNamespace(endpoint="http://127.0.0.1:80/stats", requests=4)
    assert requests_by_host(api, None, numbers) == {"127.0.0.1:80": 7}
    costs = [HostCost(endpoint=f"http://a:80/{path}", requests=70, rate=1.0, burst=0) for path in ("v2", "stats")]
    assert shown(*costs)[0][0]["requests_by_host"] == {"a:80": 140}


def test_the_requests_that_a_budget_allows_at_once_take_no_time() -> None:
    costs = [HostCost(endpoint=host, requests=110, rate=1.0, burst=burst) for host, burst in ((API, 20), (NUMBERS, 5))]
    assert (shortest_time(costs), shortest_time(costs, in_turn=True)) == (105.0, 195.0)
    assert shortest_time([HostCost(endpoint=API, requests=7, rate=1.0, burst=20)]) == 0.0


async def test_statistics_and_funders_have_one_price_before_the_first_request(tmp_path: Path) -> None:
    async def down(*_: object) -> int:
        raise ServerFailing("down")

    events: list[tuple[str, dict[str, Any]]] = []
    console = SimpleNamespace(event=lambda name, **fields: events.append((name, fields)), note=lambda _: None)
    common = SimpleNamespace(state_dir=tmp_path / "state", json=True)
    session: Any = SimpleNamespace(console=console, common=common, summary=SimpleNamespace(records=None))
    budget = {"request_rate": 1.0, "request_burst": 5, "requests": 0}
    api: Any = SimpleNamespace(endpoint=API, records=None, **budget)
    service = Service(api=SimpleNamespace(endpoint=NUMBERS, totals=down, **budget), scope=None, open_client=Client)  # type: ignore[arg-type]
    file = tmp_path / "b.csv"
    file.write_text("\n".join(["article_id,status,title", *(f"{number},public,A" for number in range(1, 101))]))
    with pytest.raises(ServerFailing):
        await batch._add_and_finish(session, file, service, api, down)
    ((name, price),) = events
    hosts = {"stats.figshare.com": 100, "api.figshare.com": 100}
    assert (name, price["requests_by_host"], price["seconds"]) == ("price", hosts, 190.0)
