"""Parsing and formatting of sizes, rates and times."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader import units
from uploader.transfer.options import Timetable, parse_limit


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("1048576", 1048576), ("50k", 50_000), ("50K", 50_000), ("50M", 50_000_000), ("2G", 2 * 10**9),
        ("1T", 10**12), ("1Ki", 1024), ("50Mi", 50 * 2**20), ("1Gi", 2**30), ("1GiB", 2**30), ("1GB", 10**9),
        ("1.5G", 1_500_000_000), (" 7 MB ", 7_000_000), ("9b", 9),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1e6", "5 0", "1Q", "1mbit", "0x10", "nan", "inf", "1..2", "５k!"])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50M", 50e6), ("50M/s", 50e6), ("50MB/s", 50e6), ("1Ki", 1024), ("400mbit", 50e6), ("400Mbit/s", 50e6),
        ("8bit", 1), ("8kbit", 1000), ("1gbit", 125e6), ("100", 100),
    ],
)  # fmt: skip
def test_rates(text: str, rate: float) -> None:
    assert units.parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "0M", "", "fast", "-5M", "1 bit per day", "0bit"])
def test_invalid_rates(text: str) -> None:
    with pytest.raises(ValueError, match="invalid rate"):
        units.parse_rate(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("90", 90), ("90s", 90), ("1.5", 1.5), ("15min", 900), ("15m", 900), ("2h", 7200), ("1h30min", 5400),
        ("1h 30min", 5400), ("1d", 86400), ("10 sec", 10), ("2H", 7200),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1", "5 parsecs", "1h30", "30 30", "1e3", "nan", "inf", "1min!"])
def test_invalid_durations(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.00 kB"), (1234, "1.23 kB"), (99_949, "99.9 kB"),
        (999_499, "999 kB"), (999_500, "1.00 MB"), (55_000_000, "55.0 MB"), (1_073_741_824, "1.07 GB"),
        (10**12, "1.00 TB"), (10**15, "1.00 PB"), (10**19, "10000 PB"),
    ],
)  # fmt: skip
def test_sizes_are_shown_in_decimal_units(count: int, text: str) -> None:
    assert units.format_bytes(count) == text


@given(st.integers(min_value=0, max_value=10**15))
def test_a_shown_size_is_right_to_a_percent(count: int) -> None:
    shown = units.format_bytes(count)
    number, unit = shown.split(" ")
    back = units.parse_size(number + ("" if unit.startswith("byte") else unit.replace("P", "T")))
    assert math.isclose(back * (1000 if unit == "PB" else 1), count, rel_tol=0.01, abs_tol=0.5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.44, "0.4 s"), (5, "5 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
        (200, "3 min 20 s"), (3599.6, "1 h 00 min"), (18120, "5 h 02 min"), (273_600, "3 d 04 h"), (math.inf, "?"),
    ],
)  # fmt: skip
def test_durations_are_shown_with_two_units_at_most(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


def test_a_hundred_percent_means_all_of_it() -> None:
    assert units.format_percent(999, 1000) == "99 %"
    assert units.format_percent(1000, 1000) == "100 %"
    assert units.format_percent(0, 0) == "100 %"


def test_a_limit_is_a_rate_or_off_or_a_timetable() -> None:
    assert parse_limit("400mbit") == 50e6
    assert parse_limit("off") is None
    assert parse_limit("19:00,off 8:00,20M") == Timetable(((8 * 3600, 20e6), (19 * 3600, None)))


@pytest.mark.parametrize(
    "text", ["", "08:00", "08:00,", "24:00,1M", "08:60,1M", "08:00,1M 08:00,2M", "08:00,1M,2M", "8,1M"]
)
def test_invalid_limits(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|invalid|duplicate"):
        parse_limit(text)
