"""When to retry, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.figshare.service import FakeClock
from uploader.figshare.retry import (
    RETRY_AFTER_CAP,
    Backoff,
    is_retryable,
    parse_http_date,
    parse_retry_after,
    poll,
)
from uploader.figshare.settings import RetryPolicy

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_retryable_statuses() -> None:
    assert {status for status in range(100, 600) if is_retryable(status)} == {408, 425, 429, 500, 502, 503, 504}


def test_delays_grow_to_the_maximum() -> None:
    backoff = Backoff(RetryPolicy(first_delay=1, max_delay=5, factor=2, elapsed_cap=100), lambda: 1.0)
    assert [backoff.next_delay(None, 0) for _ in range(5)] == [1, 2, 4, 5, 5]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 12))
def test_jitter_stays_in_the_upper_half(draw: float, failures: int) -> None:
    policy = RetryPolicy(elapsed_cap=1e9)
    backoff = Backoff(policy, lambda: draw)
    delays = [backoff.next_delay(None, 0) for _ in range(failures)]
    top = min(policy.first_delay * policy.factor ** (failures - 1), policy.max_delay)
    assert delays[-1] is not None
    assert top / 2 <= delays[-1] <= top


def test_the_cap_counts_from_the_first_failure() -> None:
    backoff = Backoff(RetryPolicy(first_delay=1, elapsed_cap=10), lambda: 1.0)
    assert backoff.next_delay(None, 5000) == 1
    assert backoff.next_delay(None, 5008) == 2
    assert backoff.next_delay(None, 5009) is None


def test_a_retry_is_never_earlier_than_retry_after() -> None:
    backoff = Backoff(RetryPolicy(first_delay=1, elapsed_cap=100), lambda: 1.0)
    assert backoff.next_delay(30, 0) == 30
    assert backoff.next_delay(0.1, 0) == 2


def test_the_number_of_retries_is_limited() -> None:
    backoff = Backoff(RetryPolicy(first_delay=1, elapsed_cap=100, retries=2), lambda: 1.0)
    assert [backoff.next_delay(None, 0) for _ in range(3)] == [1, 2, None]


def test_a_delay_beyond_the_cap_is_not_started() -> None:
    assert Backoff(RetryPolicy(elapsed_cap=100), lambda: 1.0).next_delay(101, 0) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("1e3", None),
        ("0", 0),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("9" * 50, RETRY_AFTER_CAP),
        ("9" * 5000, RETRY_AFTER_CAP),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime((NOW + timedelta(seconds=90)).astimezone(timezone(timedelta(hours=5)))), 90),
        (format_datetime(NOW - timedelta(days=2), usegmt=True), 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_CAP),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.search
@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{1,5} [0-9:]{1,9}( [A-Z+0-9-]+)?"))
def test_any_retry_after_text_is_handled(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_CAP


def test_a_date_without_a_zone_is_utc() -> None:
    assert parse_http_date("Thu, 01 Jan 2026 12:00:00") == NOW


@pytest.mark.anyio
async def test_polling_pauses_grow_and_it_checks_once_more_at_the_end() -> None:
    clock, looks = FakeClock(), []

    async def look() -> int | None:
        looks.append(clock.time - 1000)
        return None

    assert await poll(look, 10, clock, max_pause=3) is None
    assert looks == [0, 0.5, 1.5, 3.5, 6.5, 9.5, 10]


@pytest.mark.anyio
async def test_polling_never_pauses_for_long() -> None:
    clock, looks = FakeClock(), []

    async def look() -> int | None:
        looks.append(clock.time - 1000)
        return None

    assert await poll(look, 20, clock) is None
    assert looks == [0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5, 20]


@pytest.mark.anyio
async def test_polling_checks_once_more_after_a_slow_check() -> None:
    """What it saw may be what was true when it began."""
    clock, looks = FakeClock(), []

    async def look() -> str | None:
        looks.append(clock.time - 1000)
        await clock.sleep(40)
        return "there" if len(looks) == 2 else None

    assert await poll(look, 30, clock) == "there"
    assert looks == [0, 40]


@pytest.mark.anyio
async def test_polling_returns_the_first_result_and_checks_at_least_once() -> None:
    answers = iter([None, "", "never"])

    async def look() -> str | None:
        return next(answers)

    assert await poll(look, 0, FakeClock()) is None
    assert await poll(look, 10, FakeClock()) == ""
