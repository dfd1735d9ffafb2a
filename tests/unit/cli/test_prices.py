"""What is said of a long run before it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from uploader.cli.prices import HostCost, show_long_price, text_of_requests

API, NUMBERS = "https://api.figshare.com/v2", "https://stats.figshare.com"


def shown(*costs: HostCost, records: int = 5) -> tuple[list[dict[str, Any]], list[str]]:
    events: list[dict[str, Any]] = []
    notes: list[str] = []
    console = SimpleNamespace(event=lambda name, **fields: events.append({"event": name, **fields}), note=notes.append)
    session: Any = SimpleNamespace(console=console)
    show_long_price(session, records, costs)
    return events, notes


def test_a_long_run_is_told_by_host_with_its_shortest_time() -> None:
    costs = [
        HostCost(endpoint=API, requests=7200, rate=1.0),
        HostCost(endpoint=NUMBERS, requests=90, rate=1.0, more=True),
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
    assert shown(HostCost(endpoint=API, requests=requests, rate=rate)) == ([], [])


def test_services_that_are_not_asked_are_not_named() -> None:
    costs = [HostCost(endpoint=API, requests=61, rate=1.0), HostCost(endpoint=NUMBERS, requests=0, rate=1.0)]
    assert shown(*costs)[1] == ["5 records: 61 requests to api.figshare.com; at least 1 min 01 s"]


def test_requests_are_named_by_host() -> None:
    assert text_of_requests({"a": 1, "b:80": 2}) == "1 request to a and 2 requests to b:80"
