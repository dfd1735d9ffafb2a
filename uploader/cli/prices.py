"""The cost of a long run: its requests to each host, and the least time that they take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
"""Seconds of requests above which the price of a run is shown before it."""


@dataclass(frozen=True, kw_only=True)
class HostCost:
    """Requests to one service, its rate a second (None: no limit), and how many it allows before that applies.

    `more`: there may be more of them.
    """

    endpoint: str
    requests: int
    rate: float | None
    burst: int
    more: bool = False

    @classmethod
    def of(cls, service: Figshare | StatisticsApi, requests: int, *, more: bool = False) -> HostCost:
        """Return the cost of this number of requests to a service."""
        return cls(
            endpoint=service.endpoint, requests=requests, rate=service.request_rate, burst=service.request_burst,
            more=more,
        )  # fmt: skip

    @property
    def seconds(self) -> float | None:
        """Minimum duration of the requests; None without a limit."""
        return time_of_requests(self.requests, self.rate, self.burst) if self.rate else None

    def __str__(self) -> str:
        more = " or more" if self.more else ""
        return f"{format_count(self.requests, 'request')}{more} to {host_and_port(self.endpoint)}"


def time_of_requests(requests: int, rate: float | None, burst: int) -> float:
    """Return the seconds that requests take at least, at `rate` a second (None: no limit) after a burst."""
    return max(0, requests - burst) / rate if rate else 0.0


def host_and_port(endpoint: str) -> str:
    """Return the host of a service, with its port if it has one."""
    return printable(urlsplit(endpoint).netloc)


def shortest_time(costs: Sequence[HostCost], *, in_turn: bool = False) -> float | None:
    """Return the seconds that requests take at least, None if unknown.

    Those to different hosts are made at the same time, or with `in_turn` one host after the other.
    """
    known = [one.seconds for one in costs if one.seconds is not None]
    return (sum(known) if in_turn else max(known)) if known else None


def show_long_price(session: Session, records: int | None, costs: Sequence[HostCost], *, in_turn: bool = False) -> None:
    """Announce the requests about records if they take more than a minute; `in_turn` as in `shortest_time`.

    `records` None: how many there are is not known yet.
    """
    seconds = shortest_time(costs, in_turn=in_turn)
    if seconds is None or seconds <= _LONG:
        return
    asked = [one for one in costs if one.requests]
    session.console.event(
        "price",
        records=records,
        requests_by_host=cost_by_host(asked),
        at_least=any(one.more for one in asked),
        seconds=seconds,
    )
    text = ", ".join(map(str, asked))
    of_records = "" if records is None else f"{format_count(records, 'record')}: "
    session.console.note(f"{of_records}{text}; at least {units.format_duration(seconds)}")


def requests_by_host(*services: Figshare | StatisticsApi | None) -> dict[str, int]:
    """Return the requests that were made of these services, retries included."""
    return _by_host((one.endpoint, one.requests) for one in services if one is not None)


@contextmanager
def noting_requests(session: Session, *services: Figshare | StatisticsApi | None) -> Iterator[None]:
    """Put the requests that were made of these services into the summary, however the work ends."""
    try:
        yield
    finally:
        if asked := requests_by_host(*services):
            session.summary.records = {"requests_by_host": asked, **(session.summary.records or {})}


def cost_by_host(costs: Sequence[HostCost]) -> dict[str, int]:
    """Return the requests that are to be made."""
    return _by_host((one.endpoint, one.requests) for one in costs)


def _by_host(requests: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Add up requests by host: two services may have the same one."""
    found: dict[str, int] = {}
    for endpoint, count in requests:
        host = host_and_port(endpoint)
        found[host] = found.get(host, 0) + count
    return found


def text_of_requests(asked: Mapping[str, int]) -> str:
    """Return the requests by host, for people."""
    return " and ".join(f"{format_count(count, 'request')} to {host}" for host, count in asked.items())
