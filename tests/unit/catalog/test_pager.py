"""The sliced pager, page by page: what it requests next, and what it says about a list that it cannot read whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from uploader.catalog.pager import MAX_PAGES, Plan, Walk

DAY = datetime(2024, 1, 1, 12, tzinfo=UTC)
BY_DATE = Plan(key="published", size=2, splits=(("item_type", (1, 2)),))


@dataclass(frozen=True)
class Row:
    id: int
    published: datetime | None = DAY


def requested_page(walk: Walk) -> int:
    asked = walk.next_page()
    assert asked is not None
    return asked.page


def test_a_refusal_is_remembered_and_one_gap_named_once() -> None:
    walk = Walk(BY_DATE)
    walk.take([Row(1), Row(2)])
    walk.take([Row(1), Row(2)])
    assert requested_page(walk) == 2
    walk.refuse()
    while walk.next_page() is not None:
        assert requested_page(walk) == 1
        walk.take([Row(1), Row(2)] if walk.next_page().narrowed else [])  # type: ignore[union-attr]
    assert [gap.code for gap in walk.gaps] == ["one-moment"]


def test_a_slice_without_overlap_is_requested_with_a_wider_one_before_anything_counts_as_missing() -> None:
    later = [Row(3, DAY + timedelta(days=1)), Row(4, DAY + timedelta(days=1))]
    for overlap, gaps in ((Row(2), []), (Row(5), ["no-overlap"])):
        walk = Walk(BY_DATE)
        walk.take([Row(1), Row(2)])
        assert walk.take(later) == []
        asked = walk.next_page()
        assert asked is not None
        assert asked.since == DAY - timedelta(days=2)
        walk.take([overlap])
        assert [gap.code for gap in walk.gaps] == gaps


def test_a_list_without_dates_that_ends_at_the_limit_may_have_more() -> None:
    for last, gaps in ((0, ["page-limit"]), (1, [])):
        walk = Walk(Plan(key=None, size=2))
        for page in range(MAX_PAGES):
            walk.take([Row(2 * page), Row(2 * page + 1)])
        walk.take([Row(100 + number) for number in range(last)])
        assert walk.next_page() is None
        assert [gap.code for gap in walk.gaps] == gaps


@pytest.mark.parametrize("moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)], ids=str)
def test_placeholders_for_dates_are_none(moment: datetime) -> None:
    walk = Walk(Plan(key="published", size=2, max_pages=2))
    walk.take([Row(1, moment), Row(2, moment)])
    assert requested_page(walk) == 2
    walk.take([Row(3, moment), Row(4)])
    asked = walk.next_page()
    assert asked is not None
    assert asked.since == DAY - timedelta(seconds=1)
    walk.take([Row(4)])
    assert (walk.next_page(), walk.gaps) == (None, ())
