"""`figup slurm script`: what it prints, and that the recipes in scripts/hpc are what it prints."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.support.command import write_program
from uploader.cli.main import main
from uploader.cli.slurm import script as slurm
from uploader.cli.slurm import slurm_script
from uploader.cli.transfer_options import DEADLINE
from uploader.cluster import scheduler
from uploader.units import parse_moment

RECIPES = Path(__file__).parents[3] / "scripts" / "hpc"
LIMIT = "04:00:00"


@pytest.mark.parametrize(("name", "tasks"), [("slurm-requeue.sh", None), ("slurm-array.sh", 4)])
def test_recipes_are_what_the_command_prints(name: str, tasks: int | None) -> None:
    assert (RECIPES / name).read_text("utf-8") == slurm_script((), tasks=tasks, workers=None, limit=LIMIT)


def test_words_are_quoted_and_the_users_options_come_last() -> None:
    text = slurm_script(("upload", "my data", "--grace", "5s"), tasks=2, workers=None, limit="1:00")
    line = "figup upload --deadline auto --grace 60s --join --shard auto --exclude 'figup-*.log' 'my data' --grace 5s &"
    assert line in text.splitlines()
    assert "#SBATCH --array=1-2" in text
    assert "#SBATCH --time=1:00" in text


@pytest.mark.parametrize(("command", "begin"), [("download", "# Download with figup; "), ("upload", "# Upload with ")])
def test_the_script_says_what_it_does(command: str, begin: str) -> None:
    assert slurm_script((command, "x"), tasks=None, workers=None, limit="30").splitlines()[1].startswith(begin)


@pytest.mark.parametrize(
    ("words", "tasks", "workers"),
    [
        (("upload", "results", "--item", "7"), None, None),
        (("upload", "results", "--item", "7"), 2, None),
        (("upload", "results", "--item", "7"), None, 2),
        (("resume", "JOB"), 2, None),
        (("resume", "JOB"), None, 2),
        (("download", "7", "-o", "data"), None, None),
    ],
)
def test_the_command_takes_the_options_that_the_script_gives_it(
    words: tuple[str, ...], tasks: int | None, workers: int | None
) -> None:
    text = slurm_script(words, tasks=tasks, workers=workers, limit="30")
    line = next(line for line in text.splitlines() if line.startswith("figup "))
    _, name, *given = shlex.split(line.removesuffix(" &"))
    command = main.get_command(click.Context(main), name)
    assert command is not None
    with command.make_context(name, given) as context:
        assert not context.args


@pytest.mark.parametrize("limit", ["30", "30:00", "04:00:00", "1-12", "2-00:00:00", "UNLIMITED"])
def test_limits_of_slurm(limit: str) -> None:
    with slurm.make_context("script", ["--time", limit]) as context:
        assert context.params["limit"] == limit


@pytest.mark.parametrize("limit", ["4 hours", "4h", "", "1:00\ntouch x", "$(id)", "-1", "1-", "1:2:3:4"])
def test_a_limit_that_slurm_would_not_take(limit: str) -> None:
    with pytest.raises(click.BadParameter, match="invalid time limit"):
        slurm.make_context("script", ["--time", limit])


def test_a_script_that_would_begin_another_job_at_each_restart_is_refused() -> None:
    done = CliRunner().invoke(slurm, ["upload", "a", "--new-job"], standalone_mode=False)
    assert isinstance(done.exception, click.UsageError)
    assert "leave it out" in done.exception.message


def test_the_workers_of_a_pool_have_the_limits_of_the_job() -> None:
    lines = slurm_script(("resume", "JOB"), tasks=None, workers=3, limit="1:00").splitlines()
    assert "figup resume --deadline auto --grace 60s --dask slurm:3 JOB &" in lines
    assert "export SBATCH_PARTITION=$SLURM_JOB_PARTITION SBATCH_TIMELIMIT=1:00" in lines
    assert not any("--array=" in line for line in lines)


def requeues(folder: Path, status: int, *, squeue: str, scontrol: str) -> list[str]:
    """Run the script as a job of Slurm whose figup ends with `status`; return the calls of scontrol.

    `squeue` and `scontrol` are scripts of sh in their place; no time passes.
    """
    programs = {"figup": f"exit {status}", "squeue": squeue, "scontrol": f'echo "$*" >>calls\n{scontrol}', "sleep": ""}
    for name, text in programs.items():
        write_program(folder / "bin", name, text)
    (folder / "calls").touch()
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SQUEUE_STATES": "RUNNING"}
    done = subprocess.run(["bash", RECIPES / "slurm-requeue.sh"], cwd=folder, env=env, check=False)
    assert done.returncode == status
    return (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (0, "R None N/A", []),
        (1, "R None N/A", []),
        (75, "R None N/A", ["requeue 7"]),
        (75, "CG TimeLimit N/A", ["requeue 7"]),
        (75, "CG None 2026-11-30T13:58:49", ["requeue 7"]),
        (75, "CG None N/A", []),
        (143, "CG None N/A", []),
    ],
    ids=["done", "failed", "interrupted", "limit", "preempted", "cancelled", "cancelled at the start"],
)
def test_what_is_requeued(tmp_path: Path, status: int, answer: str, expected: list[str]) -> None:
    assert requeues(tmp_path, status, squeue=f"echo '{answer}  ' $SQUEUE_STATES", scontrol="") == expected


def test_a_requeue_that_fails_is_tried_again(tmp_path: Path) -> None:
    twice = 'test "$(wc -l <calls)" -gt 2'
    assert requeues(tmp_path, 75, squeue="exit 1", scontrol=twice) == ["requeue 7"] * 3
    (tmp_path / "calls").unlink()
    assert 3 <= len(requeues(tmp_path, 75, squeue="exit 1", scontrol="exit 1")) < 10


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.sh")), ids=lambda path: path.name)
def test_recipes_are_valid_shell(path: Path) -> None:
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "4000000000"}, None),
        ({"PBS_JOBID": "12.server", "PBS_WALLTIME": "3600"}, 3500),
        ({"LSB_JOBID": "8", "JOB_RLIMIT_RUN": "600"}, 500),
        ({"JOB_ID": "5", "SGE_TASK_ID": "undefined"}, None),
    ],
    ids=["Slurm", "PBS", "LSF", "SGE"],
)
def test_the_deadline_of_a_batch_job(
    environ: dict[str, str], seconds: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "_session_age", lambda: 100.0)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with click.Context(click.Command("upload")) as context:
        found = DEADLINE.convert("auto", None, context)
    if seconds is not None:
        assert abs((found - datetime.now(UTC)).total_seconds() - seconds) < 60
    else:
        slurm = datetime.fromtimestamp(4e9, UTC)
        assert found == (slurm if "SLURM_JOB_ID" in environ else None)


@pytest.mark.parametrize("text", ["999999999999999h", "99999999d", "0001-01-01T00:00", "9999-12-31T23:59-12:00"])
def test_a_deadline_beyond_the_calendar_is_invalid(text: str) -> None:
    with click.Context(click.Command("upload")) as context, pytest.raises(click.BadParameter, match="invalid deadline"):
        DEADLINE.convert(text, None, context)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone with summer time, by its rule: the system may have no database of zones."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("now", "text", "end"),
    [
        ("2026-03-28T23:30Z", "17:30", "2026-03-29T15:30Z"),
        ("2026-03-28T20:00Z", "17:30", "2026-03-29T15:30Z"),
        ("2026-10-24T22:30Z", "17:30", "2026-10-25T16:30Z"),
        ("2026-10-25T00:15Z", "02:30", "2026-10-25T00:30Z"),
        ("2026-10-25T00:45Z", "02:30", "2026-10-25T01:30Z"),
        ("2026-10-25T01:45Z", "02:30", "2026-10-26T01:30Z"),
        ("2026-06-01T10:00Z", "12:00", "2026-06-02T10:00Z"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_a_time_is_that_of_the_clock_on_the_day_that_the_clocks_change(now: str, text: str, end: str) -> None:
    assert parse_moment(text, datetime.fromisoformat(now)) == datetime.fromisoformat(end)
