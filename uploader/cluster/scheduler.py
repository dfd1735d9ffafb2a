"""The batch job that this process runs in: which one it is, when it must end, and which share of the bytes it prefers.

Read from the environment that Slurm, PBS, LSF and SGE set. Slurm is asked once if its environment does not have it,
since a busy controller takes seconds to answer.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

ANSWER_TIMEOUT = 5.0
"""Seconds to wait for an answer of the scheduler."""
_DIGITS = 11
"""Digits of a plausible number of seconds: since 1970, until the year 5138."""
_NO_TASK = ("", "undefined")
"""Array indices that mean: not an array (SGE sets "undefined")."""
_SHARE = re.compile(r"(\d{1,9})/(\d{1,9})")

Share = tuple[int, int]
"""(I, N): the I-th of N shares, counted from 0. A preference only: work follows measured speed."""


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """A batch job, or one task of a job array. `id` names exactly that, as the scheduler's own commands take it."""

    scheduler: str
    id: str


@dataclass(frozen=True, kw_only=True)
class JobEnd:
    """When the batch job will be ended, and what says so."""

    at: datetime
    source: str


def batch_job(environ: Mapping[str, str]) -> BatchJob | None:
    """Return the batch job of a process with this environment, None outside of any."""
    slurm = environ.get("SLURM_JOB_ID")
    if slurm is not None:
        # One task of every array has the id of the whole array as its job id.
        array, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
        return BatchJob(scheduler="Slurm", id=f"{array}_{task}" if array and task else slurm)
    if (pbs := environ.get("PBS_JOBID")) is not None:
        return BatchJob(scheduler="PBS", id=pbs)  # of an array's task: 12[3].server
    if (lsf := environ.get("LSB_JOBID")) is not None:
        index = environ.get("LSB_JOBINDEX", "0")
        return BatchJob(scheduler="LSF", id=lsf if index == "0" else f"{lsf}[{index}]")
    # JOB_ID is too common a name to mean SGE by itself.
    if "SGE_TASK_ID" in environ and (sge := environ.get("JOB_ID")) is not None:
        task = environ["SGE_TASK_ID"]
        return BatchJob(scheduler="SGE", id=sge if task in _NO_TASK else f"{sge}.{task}")
    return None


def job_end(environ: Mapping[str, str], *, ask: Callable[[str], str | None] | None = None) -> JobEnd | None:
    """Return when this process's batch job will be ended; None if nothing says so, or the job has no limit.

    Slurm sets the end since 23.02; `ask` (None: `squeue_end`) is called for earlier versions, and if that end has
    passed, since a limit that is extended is not set again; it blocks. Torque and LSF set the length of the job, which
    began when the session of its script did. SGE and OpenPBS set neither.
    """
    job = batch_job(environ)
    if job is None:
        return None
    if job.scheduler == "Slurm":
        end = _positive(environ.get("SLURM_JOB_END_TIME"))
        if end is not None and _since_1970(end) > datetime.now(UTC):
            return JobEnd(at=_since_1970(end), source="SLURM_JOB_END_TIME")
        end = _positive((ask or squeue_end)(job.id))
        return JobEnd(at=_since_1970(end), source="squeue") if end is not None else None
    for name in ("PBS_WALLTIME", "JOB_RLIMIT_RUN"):
        if (length := _positive(environ.get(name))) is not None:
            began = datetime.now(UTC) - timedelta(seconds=_session_age())
            return JobEnd(at=began + timedelta(seconds=length), source=name)
    return None


def task_name(environ: Mapping[str, str]) -> str:
    """Return this process's task of a batch system, "" for none."""
    job = batch_job(environ)
    return f"{job.scheduler} {job.id}" if job is not None else ""


def parse_share(text: str, environ: Mapping[str, str]) -> Share | None:
    """Parse "I/N" with I from 1 to N, or "auto": the batch system's, None if it is not certain.

    Raises ValueError.
    """
    if text == "auto":
        return share_of_task(environ)
    found = _SHARE.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"invalid share {text!r}; use auto, or e.g. 3/8 for the third of eight")
    return int(found[1]) - 1, int(found[2])


def share_of_task(environ: Mapping[str, str]) -> Share | None:
    """Return the place of this task among those of its Slurm step or array.

    None outside of both, and in an array with gaps: its environment does not say how many tasks come before one.
    """
    tasks, rank = _number(environ, "SLURM_NTASKS"), _number(environ, "SLURM_PROCID")
    if tasks is not None and rank is not None and tasks > 1 and rank < tasks:
        return rank, tasks
    numbers = [_number(environ, f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "MAX", "STEP", "COUNT")]
    if any(number is None for number in numbers):
        return None
    task, least, most, step, count = (number or 0 for number in numbers)
    if step < 1 or count < 2 or (most - least) // step + 1 != count or not least <= task <= most:
        return None
    return (task - least) // step, count


def squeue_end(job: str) -> str | None:
    """Ask Slurm when a job will be ended: seconds since 1970, None if it does not say. Blocks."""
    # Its own variables are filters that may leave out the job. The plain format is local time without a zone.
    env = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    env["SLURM_TIME_FORMAT"] = "%s"
    answer = answer_of("squeue", "-h", "-j", job, "-o", "%e", env=env)
    # A heterogeneous job has a line for each component; the script runs in the first.
    return next((line for line in (answer or "").split() if line.isdecimal()), None)


def answer_of(*command: str, env: Mapping[str, str] | None = None) -> str | None:
    """Return the output of a command of the scheduler, None if it fails or takes too long. `env`: its environment, None
    for that of this process. Blocks.
    """
    try:
        done = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    return int(text) if text.isdecimal() else None


def _positive(text: str | None) -> int | None:
    """Return a plausible number of seconds; None for any other text."""
    return int(text) if text and text.isdecimal() and len(text) <= _DIGITS and int(text) > 0 else None


def _since_1970(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _session_age() -> float:
    """Seconds since the session leader, which is the job's script, began; 0 if unknown (not Linux)."""
    try:
        fields = Path(f"/proc/{os.getsid(0)}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    except OSError:
        return 0.0
    return max(0.0, uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK"))
