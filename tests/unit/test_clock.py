"""Rates over a window of time."""

from __future__ import annotations

import pytest

from uploader.clock import RecentRate


def test_a_rate_is_averaged_over_the_last_ten_seconds() -> None:
    rate = RecentRate()
    assert rate.sample(0.0, 0) is None
    assert rate.sample(1.0, 100) == 100
    for second in range(2, 30):
        last = rate.sample(float(second), 100 + 10 * (second - 1))
    assert last == pytest.approx(10)


def test_a_count_that_decreases_starts_again() -> None:
    rate = RecentRate()
    rate.sample(0.0, 500)
    assert rate.sample(1.0, 0) is None
    assert rate.sample(2.0, 10) == 10
