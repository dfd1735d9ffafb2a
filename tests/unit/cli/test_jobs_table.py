"""The list of jobs, at different widths of the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from uploader.cli.jobs import table
from uploader.transfer.store.overview import JobOverview

NOW = datetime(2026, 3, 14, tzinfo=UTC)
JOBS = [
    JobOverview(
        job="k3f9x2ab7q",
        state="interrupted",
        changed=NOW - timedelta(hours=30),
        item_id=30000001,
        title=title,
        first="a",
    )
    for title in ("Survey", "\u6e21\u308a\u9ce5" * 30)
]


@pytest.mark.parametrize(
    ("width", "heading"),
    [
        (250, ["JOB", "STATE", "DONE", "SIZE", "CHANGED", "ITEM", "TITLE OR FILES"]),
        (80, ["JOB", "STATE", "DONE", "SIZE", "CHANGED", "ITEM"]),
        (55, ["JOB", "STATE", "DONE", "SIZE", "ITEM"]),
        (44, ["JOB", "STATE", "DONE", "ITEM"]),
    ],
)
def test_the_list_fits_the_terminal(width: int, heading: list[str]) -> None:
    lines = table(JOBS, NOW, width).splitlines()
    assert lines[0].split() == " ".join(heading).split()
    assert all(len(line) <= width for line in lines)
    assert "Survey" in lines[1] or lines[2] == "    Survey"
