"""What a long run costs: its requests to each host, and the shortest time that they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from uploader import units
from uploader.cli.runner import Session
from uploader.text import printable
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare
    from uploader.figshare.statistics_api import StatisticsApi

_LONG = 60.0
"""Seconds from which the price of a run is told before it."""


@dataclass(frozen=True, kw_only=True)
class HostCost:
    """Requests to one service, and its rate a second (None: no limit). `more`: there may be more of them."""

    endpoint: str
    requests: int
    rate: float | None
    more: bool = False

    def __str__(self) -> str:
        more = " or more" if self.more else ""
        return f"{format_count(self.requests, 'request')}{more} to {host_and_port(self.endpoint)}"


def host_and_port(endpoint: str) -> str:
    """Return the host of a service, with its port if it has one."""
    return printable(urlsplit(endpoint).netloc)


def shortest_time(costs: Sequence[HostCost]) -> float | None:
    """Return the seconds that requests take at least, those to different hosts at the same time; None if unknown."""
    return max((one.requests / one.rate for one in costs if one.rate), default=None)


def show_long_price(session: Session, records: int, costs: Sequence[HostCost]) -> None:
    """Say what is about to be asked about records, if it takes more than a minute."""
    seconds = shortest_time(costs)
    if seconds is None or seconds <= _LONG:
        return
    asked = [one for one in costs if one.requests]
    session.console.event(
        "price",
        records=records,
        requests_by_host={host_and_port(one.endpoint): one.requests for one in asked},
        at_least=any(one.more for one in asked),
        seconds=seconds,
    )
    text = ", ".join(map(str, asked))
    session.console.note(f"{format_count(records, 'record')}: {text}; at least {units.format_duration(seconds)}")


def requests_by_host(*services: Figshare | StatisticsApi | None) -> dict[str, int]:
    """Return the requests that were made of these services, retries included."""
    return {host_and_port(one.endpoint): one.requests for one in services if one is not None}


def text_of_requests(asked: Mapping[str, int]) -> str:
    """Return the requests by host, for people."""
    return " and ".join(f"{format_count(count, 'request')} to {host}" for host, count in asked.items())
