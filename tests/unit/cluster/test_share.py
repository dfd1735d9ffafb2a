"""What the environment of a batch system says about a task."""

from __future__ import annotations

import pytest

from uploader.cluster.scheduler import parse_share, share_of_task, task_name

ARRAY = {
    "SLURM_JOB_ID": "12",
    "SLURM_ARRAY_JOB_ID": "10",
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "3",
    "SLURM_ARRAY_TASK_MAX": "9",
    "SLURM_ARRAY_TASK_STEP": "2",
    "SLURM_ARRAY_TASK_COUNT": "4",
}


@pytest.mark.parametrize(
    ("change", "share"),
    [
        ({}, (2, 4)),
        ({"SLURM_ARRAY_TASK_COUNT": "3"}, None),
        ({"SLURM_ARRAY_TASK_STEP": "1"}, None),
        ({"SLURM_ARRAY_TASK_ID": "11"}, None),
        ({"SLURM_ARRAY_TASK_ID": ""}, None),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "8"}, (1, 8)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (2, 4)),
    ],
    ids=["contiguous", "gaps", "another step", "outside", "no id", "step of srun", "step of one"],
)
def test_the_place_of_a_task(change: dict[str, str], share: tuple[int, int] | None) -> None:
    assert share_of_task(ARRAY | change) == share
    assert parse_share("auto", ARRAY | change) == share


def test_a_share_that_is_given() -> None:
    assert parse_share("1/1", {}) == (0, 1)
    assert parse_share("3/8", ARRAY) == (2, 8)
    assert parse_share("auto", {}) is None


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1/0", "a/b", "1", "-1/3", "1/2/3"])
def test_an_invalid_share(text: str) -> None:
    with pytest.raises(ValueError, match="invalid share"):
        parse_share(text, {})


def test_the_name_of_a_task() -> None:
    assert task_name({}) == ""
    assert task_name(ARRAY) == "Slurm 10_7"
    assert task_name({"SLURM_JOB_ID": "5"}) == "Slurm 5"
    assert task_name({"PBS_JOBID": "12[3].server"}) == "PBS 12[3].server"
