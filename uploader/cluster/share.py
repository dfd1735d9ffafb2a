"""A process's task and preferred share of the bytes, from the environment of a batch system. A preference only: work
follows measured speed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from uploader.cluster.scheduler import batch_job

_SHARE = re.compile(r"(\d{1,9})/(\d{1,9})")

Share = tuple[int, int]
"""(I, N): the I-th of N shares, counted from 0."""


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


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    return int(text) if text.isdecimal() else None
