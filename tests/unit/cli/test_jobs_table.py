"""The list of jobs, at different widths of the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from uploader.cli.jobs import table
from uploader.transfer.notices import Member
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


@pytest.mark.parametrize("width", [None, 60])
def test_the_processes_of_a_job_are_listed_with_hosts_tasks_and_signs_of_life(width: int | None) -> None:
    members = (Member(host="n2", pid=7, task="Slurm 12_2", bytes_sent=5_000_000, rate=2e6, silent=3.0),)
    job = replace(JOBS[0], state="running", holder="process 5 on n1 (Slurm 12_1), since today", members=members)
    lines = table([job, JOBS[0]], NOW, width).splitlines()
    found = lines.index("    Running on process 5 on n1 (Slurm 12_1), since today")
    assert "running x2" in " ".join(lines[:found])
    assert lines[found + 1] == (
        "      with process 7 on n2 (Slurm 12_2): 5.00 MB sent at 2.00 MB/s, last heard from 3 s before"
    )
    assert len([line for line in lines if "process" in line]) == 2
