"""Lines in the log of a batch job: time, host and task before each, and how it ended at the end."""

from __future__ import annotations

import re
import socket

import pytest

from uploader.cli.output.console import Console, Summary


@pytest.fixture
def stderr(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that one console wrote as task 70_3 of Slurm."""
    for name, value in {"JOB_ID": "70", "ARRAY_JOB_ID": "70", "ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    console = Console(json=False, quiet=False)
    console.note("a note")
    console.ended(Summary(job="abc", item_id=5, bytes_sent=10, bytes_total=20, seconds=1.25, exit_status=75))
    console.output.drain()
    return capfd.readouterr().err.splitlines()


def test_lines_have_time_host_and_task(stderr: list[str]) -> None:
    begin = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ {re.escape(socket.gethostname())} Slurm:70_3 figup: "
    assert re.fullmatch(begin + "a note", stderr[0])
    end = "ended: exit_status=75 job=abc item=5 bytes_sent=10 bytes_total=20 seconds=1.2"
    assert re.fullmatch(begin + re.escape(end), stderr[1])


def test_elsewhere_lines_are_as_ever(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    console = Console(json=False, quiet=False)
    console.note("a note")
    console.ended(Summary())
    console.output.drain()
    assert capfd.readouterr().err == "figup: a note\n"
