"""The same command in many processes, with `--join`: one item, each file once, no part sent that Figshare had."""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Figup, Running, events_in
from tests.support.environment import plugged
from tests.support.hosts import PLUG, Host, require_hosts, two_hosts
from tests.support.hurry import SOON
from tests.support.invariants import check_exactly_once, check_token_stayed_home
from tests.support.sandbox import Sandbox
from tests.support.slurm import Slurm
from tests.support.waiting import until


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox("--part-size", "50KiB", "--md5-delay", "0.1", "--lock-linger", "0.2")


@pytest.fixture
def task(bare_figup: Figup, sandbox: Sandbox) -> Figup:
    """The command as one of many tasks, that notices within seconds what takes it minutes otherwise."""
    bare_figup.plug = SOON
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    return bare_figup


@pytest.fixture
def sources(bare_figup: Figup) -> list[Path]:
    big = bare_figup.cwd / "big.bin"
    big.write_bytes(os.urandom(17_000_000 + 77))
    small = [bare_figup.cwd / "set" / f"s{number}" for number in range(12)]
    small[0].parent.mkdir()
    for path in small:
        path.write_bytes(os.urandom(60_000))
    return [big, *small]


def command(*more: str) -> tuple[str, ...]:
    return ("upload", "big.bin", "set", "--title", "many", "--join", "--json", *more)


def check(sandbox: Sandbox, sources: list[Path]) -> None:
    check_exactly_once(sandbox, *sources)
    check_token_stayed_home(sandbox)


def senders(runs: list[Running]) -> int:
    return sum(run.events[-1]["bytes_sent"] > 0 for run in runs)


def test_an_array_of_two_is_killed_and_one_of_five_finishes(task: Figup, sandbox: Sandbox, sources: list[Path]) -> None:
    two = [task.start(*command("--limit-rate", "4M")) for _ in range(2)]
    until(lambda: len(sandbox.requests(kind="put-part", status=200)) > 60)
    for run in two:
        run.kill()
    five = [task.start(*command("--limit-rate", "12M", "--shard", f"{number}/5")) for number in range(1, 6)]
    for run in five:
        run.wait().expect(0)
    check(sandbox, sources)
    assert len(sandbox.requests(kind="create-item")) == 1
    assert senders(five) > 1


def test_tasks_without_a_token_only_carry(task: Figup, sandbox: Sandbox, sources: list[Path]) -> None:
    with_token = dict(task.env)
    del task.env["FIGSHARE_TOKEN"]
    members = [task.start(*command("--limit-rate", "4M")) for _ in range(2)]
    for run in members:
        run.wait_for_event("joined")
    task.env.update(with_token)
    leader = task.start(*command("--limit-rate", "4M"))
    watcher = task.start("status", leader.wait_for_event("job")["job"], "--watch")
    for run in (leader, *members):
        run.wait().expect(0)
    assert senders(members) == 2
    watched = watcher.wait().expect(0)
    assert re.search(r"joined: process \d+ on ", watched.stderr)
    assert ": done, " in watched.stdout
    check(sandbox, sources)


def test_a_stopped_leader_leaves_the_job_to_the_others(task: Figup, sandbox: Sandbox, sources: list[Path]) -> None:
    runs = [task.start(*command("--limit-rate", "12M")) for _ in range(3)]
    until(lambda: len(sandbox.requests(kind="put-part", status=200)) > 60)
    leader = next(run for run in runs if any(event["event"] == "job" for event in run.events))
    leader.send_signal(signal.SIGTERM)
    assert sorted(run.wait().returncode for run in runs) == [0, 0, 75]
    check(sandbox, sources)


def test_a_directory_that_others_do_not_see_is_refused(bare_figup: Figup) -> None:
    source = bare_figup.cwd / "a"
    source.write_bytes(b"abc")
    bare_figup.env.pop("FIGUP_STATE_DIR", None)
    bare_figup.env |= {"FIGSHARE_TOKEN": "t", "XDG_STATE_HOME": str(bare_figup.cwd)}
    for option in ("--join", "--dask=slurm:2"):
        refused = bare_figup.run("upload", "a", option).expect(2)
        assert "is on a local disk" in refused.stderr
        assert "--state-dir" in refused.stderr
    assert "--new-job" in bare_figup.run("upload", "a", "--join", "--new-job").expect(2).stderr


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(6))
def test_processes_killed_at_random(seed: int, task: Figup, sandbox: Sandbox, sources: list[Path]) -> None:
    choice = random.Random(seed)
    runs: list[Running] = []
    for _ in range(10):
        while sum(run.process.returncode is None for run in runs) < 4:
            runs.append(task.start(*command("--limit-rate", "4M")))
        time.sleep(choice.uniform(0.3, 2.5))
        alive = [run for run in runs if run.process.returncode is None]
        if alive:
            choice.choice(alive).kill()
    last = [task.start(*command()) for _ in range(2)]
    for run in last:
        run.wait(120).expect(0)
    check(sandbox, sources)


# --- two hosts --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hosts(tmp_path: Path, bare_figup: Figup, sandbox: Sandbox, sources: list[Path]) -> Iterator[tuple[Host, Host]]:
    """Two hosts. Skips if they cannot be created; fails in CI."""
    require_hosts("two hosts")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    with two_hosts(tmp_path, bare_figup, SOON) as both:
        yield both


@pytest.mark.timeout(1200)
def test_a_leader_frozen_on_another_host_becomes_a_member(
    hosts: tuple[Host, Host], sandbox: Sandbox, sources: list[Path]
) -> None:
    one, two = hosts
    leader = one.start(*command("--limit-rate", "6M"))
    leader.wait_for_event("job")
    others = [two.start(*command("--limit-rate", "6M")) for _ in range(2)]
    until(lambda: len(sandbox.requests(kind="put-part", status=200)) > 60)
    leader.send_signal(signal.SIGSTOP)
    _led(*others)
    leader.send_signal(signal.SIGCONT)
    for run in (leader, *others):
        run.wait().expect(0)
    check(sandbox, sources)


def _led(*runs: Running) -> Running:
    """Wait until one of them leads."""
    until(lambda: any(event["event"] == "job" for run in runs for event in run.events), 40)
    return next(run for run in runs if any(event["event"] == "job" for event in run.events))


# --- a real Slurm -----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(1200)
def test_an_array_of_slurm_is_killed_and_a_larger_one_finishes(
    slurm: Slurm, bare_figup: Figup, sandbox: Sandbox
) -> None:
    folder = slurm.shared / "many"
    path = plugged(folder / "plug", PLUG + SOON)
    source = folder / "big.bin"
    source.write_bytes(os.urandom(20_000_000))
    words = ["upload", source, "--title", "many", "--join", "--shard", "auto", "--state-dir", folder / "state"]
    figup = shlex.join(map(str, [sys.executable, "-m", "uploader", *words, "--json", "--limit-rate", "6M"]))
    script = folder / "job.sh"
    script.write_text(f"#!/bin/bash\nexec {figup} > out-$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID.json\n", "utf-8")
    env = {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token, **bare_figup.env}
    env |= {"PYTHONPATH": path}
    two = slurm.submit(script, "--array=1-2", env=env)
    until(lambda: len(sandbox.requests(kind="put-part", status=200)) > 60, 60)
    slurm.run("scancel", "--signal=KILL", "--full", two)
    for task in (1, 2):
        slurm.wait(f"{two}_{task}")
    five = slurm.submit(script, "--array=1-5", env=env)
    for task in range(1, 6):
        status = slurm.wait(f"{five}_{task}").exit_status
        assert status == 0, (folder / f"out-{five}-{task}.json").read_text("utf-8")[-1000:]
    check(sandbox, [source])
    assert len(sandbox.requests(kind="create-item")) == 1
    summaries = [events_in((folder / f"out-{five}-{task}.json").read_text("utf-8"))[-1] for task in range(1, 6)]
    assert sum(summary["bytes_sent"] > 0 for summary in summaries) > 1
