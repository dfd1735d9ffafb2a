"""`figup slurm`: batch scripts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import click

from uploader.cli.options import FigupCommand, FigupGroup, GlobalOptions, grouped, output_options
from uploader.cli.parameters import ParsedParam
from uploader.cli.runner import Session, run

HELP = """\b
Examples:
  figup slurm script upload results.h5 --item 1234567 > job.sh
  figup slurm script --array 4 upload results --title "Results" > job.sh
  figup slurm script --dask 4 upload results --title "Results" > job.sh
  sbatch job.sh

"""
_COMMANDS = {"upload": "Upload", "resume": "Resume an upload", "download": "Download"}
"""Commands that accept a deadline, with the beginning of the script's first comment."""
_LIMIT = re.compile(r"\d+(:\d\d?){0,2}|\d+-\d\d?(:\d\d?){0,2}|UNLIMITED|INFINITE", re.ASCII)
"""The time limits that sbatch accepts: minutes, minutes:seconds, hours:minutes:seconds, or days-hours, with or without
minutes and seconds.
"""
_MAX_RESTARTS = 20

_SCRIPT = """\
#!/bin/bash
# {work} with figup; requeued until everything is verified. Usage: {usage}
#SBATCH --job-name=figup
#SBATCH --time={limit}
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --output={output}
# Keep what earlier runs wrote.
#SBATCH --open-mode=append
# Restart elsewhere after the failure of a node, and when this script asks for it.
#SBATCH --requeue
# A last warning for this shell, 90 to 120 s before the limit; figup itself stops in time (deadline).
#SBATCH --signal=B:TERM@90
{array}{dask}\

# A task of an array has its own name. SLURM_JOB_ID of one of them means the whole array: requeueing that would
# restart every task, also those that are done.
me=$SLURM_JOB_ID
if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then me=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID; fi

# Slurm's signal reaches only this shell, which must not wait in the foreground, and passes it on.
figup=
trap 'signalled=1; if [ -n "$figup" ]; then kill -TERM "$figup" 2>/dev/null; fi' TERM
{command} &
figup=$!
# A trap ends `wait` early. Wait again, until figup has ended and its own exit status is known.
while signalled=; wait "$figup"; status=$?; [ -n "$signalled" ]; do :; done

# 75: interrupted, run it again. 143: the same, before figup had even started. 8 after a restart: the process that a
# failed node left behind still works on the job. Not forever: 75 can also mean that the network is gone.
restarts=${{SLURM_RESTART_COUNT:-0}} again=
case $status in
75 | 143) again=1 ;;
8) if [ "$restarts" -gt 0 ]; then again=1; fi ;;
esac

# `scancel` must end the job for good. The job is completing then, but not because of its limit or of preemption.
is_cancelled() {{
  local state reason preempted
  read -r state reason preempted < <(
    unset "${{!SQUEUE_@}}" # they may hide the job
    timeout 5 squeue -h -j "$me" -O StateCompact:9,Reason:33,PreemptTime:33 2>/dev/null
  )
  [ "$state" = CG ] && [ "$reason" != TimeLimit ] && [ "$preempted" = N/A ]
}}

# More than once: Slurm's controller may be restarting.
for try in 1 2 3 4 5 6; do
  if [ -z "$again" ] || [ "$restarts" -ge {restarts} ] || is_cancelled; then break; fi
  if timeout 10 scontrol requeue "$me"; then sleep 60 && break; fi # until Slurm ends this script
  sleep 2
done
exit "$status"
"""
_ARRAY = """\
# All tasks work on one job, whatever their number; `--array` may be changed at any time.
#SBATCH --array=1-{tasks}
"""


_DASK = """
# The workers are jobs of their own, with the partition, account and time limit of this one.
export SBATCH_PARTITION=$SLURM_JOB_PARTITION SBATCH_TIMELIMIT={limit}
if [ -n "${{SLURM_JOB_ACCOUNT:-}}" ]; then export SBATCH_ACCOUNT=$SLURM_JOB_ACCOUNT; fi
"""


def _parse_limit(text: str) -> str:
    if not _LIMIT.fullmatch(text):
        raise ValueError(f"invalid time limit {text!r}; use minutes, hours:minutes:seconds or days-hours:minutes")
    return text


_options = grouped("Options")


@click.group("slurm", cls=FigupGroup)
def slurm() -> None:
    """Write batch scripts for Slurm."""


@slurm.command(
    "script",
    cls=FigupCommand,
    epilog=HELP,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("command", metavar="[COMMAND]...", nargs=-1, type=click.UNPROCESSED)
@_options("--array", "tasks", metavar="N", type=click.IntRange(min=2), help="Let N tasks work on one job (--join).")
@_options("--dask", "workers", metavar="N", type=click.IntRange(min=1), help="Let N workers of Dask send parts, too.")
@_options(
    "--time",
    "limit",
    metavar="LIMIT",
    type=ParsedParam("time", _parse_limit),
    default="04:00:00",
    show_default=True,
    help="Slurm's time limit: minutes, 4:00:00, or 2-12:00 for days and hours.",
)
@output_options
def script(command: tuple[str, ...], tasks: int | None, workers: int | None, limit: str, common: GlobalOptions) -> int:
    """Print a batch script that runs figup until it succeeds.

    The script has comments. Slurm's signals reach figup, which stops before the time limit. It is requeued then, and
    after a node failure: only its own task, at most 20 times. Without COMMAND, the script uploads what it is given. The
    recipes in scripts/hpc cover sites without requeueing, and other schedulers.
    """
    if command and command[0] not in _COMMANDS:
        raise click.UsageError(f"invalid command {command[0]!r} for a batch job; use {', '.join(_COMMANDS)}")
    if (tasks or workers) and command[:1] == ("download",):
        raise click.UsageError("a download cannot be shared by several tasks")
    if "--new-job" in command:
        raise click.UsageError("with --new-job, each restart of the script would begin another job: leave it out")
    if tasks and workers:
        raise click.UsageError("--array and --dask cannot be combined: a pool of Dask has one leader")
    text = slurm_script(command, tasks=tasks, workers=workers, limit=limit)

    async def work(session: Session) -> int:
        session.console.result(text.rstrip("\n"))
        session.console.event("script", text=text)
        return 0

    return run(common, work)


def slurm_script(command: Sequence[str], *, tasks: int | None, workers: int | None, limit: str) -> str:
    """Return a batch script for a command of figup; for an upload of what the script is given if there is none.

    `tasks` of an array work on one job, None for a single one. `workers` of a Dask pool send its parts, None for no
    pool. `limit` is Slurm's time limit.
    """
    shared = ["--join", "--shard", "auto"] if tasks else ["--dask", f"slurm:{workers}"] if workers else []
    name, *words = command or ("upload",)
    # A download has no such option: what it has received is kept.
    grace = [] if name == "download" else ["--grace", "60s"]
    # figup knows its own log, but not those of other tasks and jobs, which may be in the folder that is sent.
    logs = ["--exclude", "figup-*.log"] if name == "upload" else []
    added = ["--deadline", "auto", *grace, *shared, *logs]
    # What the user says comes last, so that it can change the options.
    line = shlex.join(["figup", name, *added, *words])
    return _SCRIPT.format(
        work=_COMMANDS[name],
        usage="sbatch SCRIPT" if command else "sbatch SCRIPT results.h5 --item 1234567",
        limit=limit,
        output="figup-%A_%a.log" if tasks else "figup-%j.log",
        array=_ARRAY.format(tasks=tasks) if tasks else "",
        dask=_DASK.format(limit=limit) if workers else "",
        command=line if command else f'{line} "$@"',
        restarts=_MAX_RESTARTS,
    )
