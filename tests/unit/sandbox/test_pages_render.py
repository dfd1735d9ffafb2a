"""Bars of parts, sizes and descriptions as the pages show them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.sandbox.pages.render import Segment, format_size, plain_text, segments


def test_adjacent_segments_in_the_same_state_are_merged() -> None:
    buckets = [(1, 1), (1, 1), (0, 1), (2, 4), (0, 4), (0, 4)]
    assert segments(buckets, [10]) == [
        Segment("complete", 2),
        Segment("pending", 1),
        Segment("some", 4),
        Segment("locked", 4),
        Segment("pending", 4),
    ]
    assert segments([], []) == []


@pytest.mark.search
@given(st.lists(st.integers(1, 50).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))))
def test_a_bar_accounts_for_every_part(buckets: list[tuple[int, int]]) -> None:
    bar = segments(buckets, [1, 7])
    assert sum(one.weight for one in bar) == sum(count for _, count in buckets)
    assert len(bar) <= len(buckets)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345_678, "12.35 MB"), (5 * 10**15, "5000.00 TB")],
)
def test_sizes(size: int, words: str) -> None:
    assert format_size(size) == words


def test_descriptions_without_markup() -> None:
    html = "<p>Positions &amp; <b>heights</b></p><ul><li>a  b<li>c</ul>1 &lt; 2<br>&nbsp;"
    assert plain_text(html) == "Positions & heights\na b\nc\n1 < 2"
