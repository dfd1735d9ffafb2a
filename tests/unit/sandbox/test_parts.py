"""The part plan: every byte in exactly one part, whatever the policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.sandbox.parts import Cycle, PartPlan, Random, TooManyParts, Uniform, read_plan, split

plans = st.one_of(
    st.builds(Uniform, st.integers(1, 50)),
    st.builds(Cycle, st.lists(st.integers(1, 50), min_size=1, max_size=5).map(tuple)),
    st.builds(Random, st.text(max_size=5), st.integers(1, 50)),
)


@given(st.integers(0, 2000), plans)
def test_parts_cover_the_file_without_gaps(size: int, plan: PartPlan) -> None:
    spans = split(size, plan, maximum=2000)
    assert [span.number for span in spans] == list(range(1, len(spans) + 1))
    edges = [0, *(span.end + 1 for span in spans)]
    assert edges == [*(span.start for span in spans), size]
    assert all(span.length >= 1 for span in spans)


def test_offsets_are_inclusive() -> None:
    assert [(span.start, span.end) for span in split(10, Uniform(4), maximum=9)] == [(0, 3), (4, 7), (8, 9)]


def test_observed_part_sizes() -> None:
    assert [span.length for span in split(23_561_500, Uniform(10_485_760), maximum=9)] == [
        10_485_760,
        10_485_760,
        2_589_980,
    ]


def test_too_many_parts_are_rejected() -> None:
    assert len(split(10, Uniform(1), maximum=10)) == 10
    with pytest.raises(TooManyParts):
        split(11, Uniform(1), maximum=10)


def test_a_seed_is_reproducible() -> None:
    assert split(10**9, Random("a"), maximum=10**6) == split(10**9, Random("a"), maximum=10**6)
    assert split(10**9, Random("a"), maximum=10**6) != split(10**9, Random("b"), maximum=10**6)


@pytest.mark.parametrize(
    ("text", "plan"),
    [("5", Uniform(5)), ("1,7,3", Cycle((1, 7, 3))), ("random:x", Random("x")), ("random:", Random(""))],
)
def test_part_plans_are_parsed(text: str, plan: PartPlan) -> None:
    assert read_plan(text, int) == plan


@pytest.mark.parametrize("text", ["", "0", "1,0", "x", "1,,2", "-1"])
def test_bad_plans(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the size reader's
        read_plan(text, int)
