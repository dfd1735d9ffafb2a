"""What the environments of schedulers say: which job, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from uploader.cluster import scheduler
from uploader.cluster.scheduler import batch_job, job_end, squeue_end

SLURM = {"SLURM_JOB_ID": "70"}
ARRAY = {"SLURM_JOB_ID": "70", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "0"}


@pytest.mark.parametrize(
    ("environ", "known"),
    [
        ({}, None),
        ({"JOB_ID": "5"}, None),
        (SLURM, ("Slurm", "70")),
        (ARRAY, ("Slurm", "70_0")),
        ({"PBS_JOBID": "12[3].server"}, ("PBS", "12[3].server")),
        ({"LSB_JOBID": "8", "LSB_JOBINDEX": "0"}, ("LSF", "8")),
        ({"LSB_JOBID": "8", "LSB_JOBINDEX": "2"}, ("LSF", "8[2]")),
        ({"JOB_ID": "5", "SGE_TASK_ID": "undefined"}, ("SGE", "5")),
        ({"JOB_ID": "5", "SGE_TASK_ID": "4"}, ("SGE", "5.4")),
    ],
    ids=["none", "only-a-name", "slurm", "slurm-array", "pbs", "lsf", "lsf-array", "sge", "sge-array"],
)
def test_the_job(environ: dict[str, str], known: tuple[str, str] | None) -> None:
    job = batch_job(environ)
    assert (job and (job.scheduler, job.id)) == known


def test_slurm_tells_the_end_or_is_asked_for_its_own_task() -> None:
    asked = []

    def ask(job: str) -> str:
        asked.append(job)
        return "1800000000"

    end = job_end({**ARRAY, "SLURM_JOB_END_TIME": "4000000000"}, ask=ask)
    assert end is not None
    assert (end.at, end.source, asked) == (datetime.fromtimestamp(4e9, UTC), "SLURM_JOB_END_TIME", [])
    # An end that has passed: the limit was extended.
    for environ in (ARRAY, {**ARRAY, "SLURM_JOB_END_TIME": "1700000000"}):
        end = job_end(environ, ask=ask)
        assert end is not None
        assert (end.at, end.source, asked) == (datetime.fromtimestamp(1.8e9, UTC), "squeue", ["70_0"])
        asked.clear()
    assert job_end({**SLURM, "SLURM_JOB_END_TIME": "1700000000"}, ask=lambda _: None) is None


@pytest.mark.parametrize("answer", ["N/A", "", None, "2026-11-29T12:00:00", "0"])
def test_a_job_without_a_known_end(answer: str | None) -> None:
    assert job_end(SLURM, ask=lambda _: answer) is None


@pytest.mark.parametrize("name", ["PBS_WALLTIME", "JOB_RLIMIT_RUN"])
def test_a_length_counts_from_the_beginning_of_the_session(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_session_age", lambda: 100.0)
    end = job_end({"PBS_JOBID": "1", name: "3600"})
    assert end is not None
    assert end.source == name
    assert abs(end.at - datetime.now(UTC) - timedelta(seconds=3500)) < timedelta(seconds=60)


@pytest.mark.parametrize("value", ["1" + "0" * 5000, "253402300800", "0", "-1", "N/A"])
def test_an_implausible_end_is_none(value: str) -> None:
    assert job_end({"SLURM_JOB_ID": "1", "SLURM_JOB_END_TIME": value}, ask=lambda _: value) is None
    assert job_end({"PBS_JOBID": "1", "PBS_WALLTIME": value}) is None


@pytest.mark.parametrize(
    "script",
    ["echo 1800000000", "printf '%s\\n' N/A 1800000000 1900000000", "echo N/A", "exit 1", "sleep 60"],
    ids=["answers", "components", "has none", "fails", "hangs"],
)
def test_squeue_is_asked_once_and_not_for_long(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "ANSWER_TIMEOUT", 0.2 if script.startswith("sleep") else 5.0)
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")
    squeue = tmp_path / "squeue"
    squeue.write_text(f'#!/bin/sh\n[ "$SLURM_TIME_FORMAT$SQUEUE_STATES" = %s ] || exit 2\n{script}\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert squeue_end("70") == ("1800000000" if "1800000000" in script else None)
