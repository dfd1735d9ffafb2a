"""The recipes in scripts/hpc for others than Slurm; the programs of PBS and Nextflow are not here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import Figup, write_forking_program, write_program
from tests.support.invariants import check_exactly_once
from tests.support.processes import Process
from tests.support.programs import require_program, skip
from tests.support.sandbox import Sandbox
from uploader.cli.main import main
from uploader.errors import ExitStatus

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "scripts" / "hpc"
LMOD = Path("/usr/share/lmod/lmod/libexec/lmod")


@pytest.fixture
def env(figup: Figup, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell with `figup`, in whose folder there is a file to send."""
    tools = tmp_path / "bin"
    write_forking_program(tools)
    (tmp_path / "results.h5").write_bytes(os.urandom(300_000))
    return {**figup.env, "PATH": f"{tools}:{os.environ['PATH']}"}


def limit_runs(folder: Path, *, first: int, option: str) -> None:
    """Give the first runs of `figup` an option that delays them; write a line to `runs` for each run."""
    wrapper = folder / "bin" / "figup"
    real = wrapper.read_text().splitlines()[1].removesuffix(' "$@"')
    wrapper.write_text(
        f'#!/bin/sh\necho run >>runs\nif [ "$(wc -l <runs)" -le {first} ]; then set -- "$@" {option}; fi\n{real} "$@"\n'
    )


def test_the_loop_continues_until_it_is_done(env: dict[str, str], tmp_path: Path, sandbox: Sandbox) -> None:
    """The first runs are stopped by a deadline that leaves no time; then one is long enough."""
    limit_runs(tmp_path, first=2, option="--deadline 1s")
    loop: list[str | Path] = [RECIPES / "loop.sh", "results.h5", "--title", "Results"]
    done = subprocess.run(
        loop, env=env | {"FIGUP_PAUSE": "0"}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs").read_text().count("run") == 3
    check_exactly_once(sandbox, tmp_path / "results.h5")


def test_pbs(env: dict[str, str], tmp_path: Path, sandbox: Sandbox) -> None:
    made = subprocess.run(["figup", "item", "create", "--title", "Results"], env=env, cwd=tmp_path, capture_output=True,
                          text=True, check=True)  # fmt: skip
    item = re.findall(r"\d+", made.stdout)[0]
    env |= {"PBS_O_WORKDIR": str(tmp_path), "PBS_JOBID": "12.server", "FIGUP_ITEM": item}
    done = subprocess.run([RECIPES / "pbs.sh"], env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PBS:12.server figup: ended: exit_status=0" in done.stderr
    check_exactly_once(sandbox, tmp_path / "results.h5")


@pytest.mark.parametrize("recipe", ["pbs.sh", "slurm-srun.sh"])
def test_a_job_of_a_chain_continues_after_one_that_still_worked(
    recipe: str, figup: Figup, env: dict[str, str], tmp_path: Path, sandbox: Sandbox
) -> None:
    """Such as one on a node that the scheduler has lost. The job must not end with 8: the chain would be used up."""
    source = tmp_path / "results.h5"
    item = str(figup.run("item", "create", "--title", "Results", "--json").expect(0).summary["item_id"])
    before = figup.start("upload", str(source), "--item", item, "--limit-rate", "20k", "--json")
    before.wait_for_event("job")
    write_program(tmp_path / "bin", "srun", 'shift; exec "$@"')
    env |= {"PBS_O_WORKDIR": str(tmp_path), "FIGUP_SOURCE": str(source), "FIGUP_ITEM": item}
    link = Process([str(RECIPES / recipe), str(source), "--item", item], env=env, cwd=tmp_path)
    link.stderr.wait_for(lambda line: "sending parts of job" in line, 60)
    before.kill()
    assert link.wait(100) == 0, link.stderr.text
    check_exactly_once(sandbox, source)


@pytest.mark.parametrize("recipe", ["pbs.sh", "slurm-srun.sh"])
def test_the_state_of_a_chain_is_beside_what_it_sends(
    recipe: str, figup: Figup, env: dict[str, str], tmp_path: Path, sandbox: Sandbox
) -> None:
    """The usual directory may be on a local disk, where other nodes cannot see it: --join refuses that."""
    source = tmp_path / "results.h5"
    item = str(figup.run("item", "create", "--title", "Results", "--json").expect(0).summary["item_id"])
    write_program(tmp_path / "bin", "srun", 'shift; exec "$@"')
    env |= {"PBS_O_WORKDIR": str(tmp_path), "FIGUP_SOURCE": str(source), "FIGUP_ITEM": item}
    del env["FIGUP_STATE_DIR"]
    words: list[str | Path] = [RECIPES / recipe, source, "--item", item]
    done = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "figup-state" / "jobs").iterdir())
    check_exactly_once(sandbox, source)


def start_snakemake(env: dict[str, str], folder: Path, *options: str) -> Process:
    """Run the workflow in the folder as its first lines say."""
    snakemake = require_program("snakemake", "snakemake")
    words = ["--snakefile", str(RECIPES / "Snakefile"), "--cores", "1", "--resources", "figshare=1", *options]
    return Process([snakemake, *words], env=env, cwd=folder)


def test_snakemake_runs_it_again_until_it_is_done(
    figup: Figup, env: dict[str, str], tmp_path: Path, sandbox: Sandbox
) -> None:
    """The first run is stopped by a deadline that leaves no time."""
    limit_runs(tmp_path, first=1, option="--deadline 1s")
    item = str(figup.run("item", "create", "--title", "Results", "--json").expect(0).summary["item_id"])
    workflow = start_snakemake(env, tmp_path, "--config", f"item={item}")
    assert workflow.wait(100) == 0, workflow.stderr.text
    assert (tmp_path / "runs").read_text().count("run") == 2
    check_exactly_once(sandbox, tmp_path / "results.h5")
    assert json.loads((tmp_path / "upload.json").read_text("utf-8"))["state"] == "done"


def test_a_killed_snakemake_continues_although_its_upload_still_works(
    figup: Figup, env: dict[str, str], tmp_path: Path, sandbox: Sandbox
) -> None:
    """Snakemake's own lock stays, which the recipe says how to remove; figup's is held by the upload."""
    limit_runs(tmp_path, first=1, option="--limit-rate 20k")
    item = str(figup.run("item", "create", "--title", "Results", "--json").expect(0).summary["item_id"])
    config = ("--config", f"item={item}")
    before = start_snakemake(env, tmp_path, *config)
    before.stderr.wait_for(lambda line: "figup: job" in line, 60)
    before.kill()
    assert start_snakemake(env, tmp_path, *config).wait(60) == 1
    assert start_snakemake(env, tmp_path, "--unlock").wait(60) == 0
    workflow = start_snakemake(env, tmp_path, "--rerun-incomplete", *config)
    assert workflow.wait(100) == 0, workflow.stderr.text
    check_exactly_once(sandbox, tmp_path / "results.h5")


def commands() -> list[str]:
    """The uploads in recipes for programs that are not here."""
    texts = [(RECIPES / name).read_text("utf-8") for name in ("Snakefile", "upload.nf")]
    return [line.strip(' "') for text in texts for line in text.splitlines() if line.strip(' "').startswith("figup ")]


def test_workflow_recipes_use_options_that_exist() -> None:
    import click

    assert len(commands()) == 2
    for line in commands():
        _, name, *words = line.split()
        command = main.get_command(click.Context(main), name)
        assert command is not None
        known = {option for param in command.params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_nextflow_retries_what_may_succeed_later() -> None:
    (listed,) = re.findall(r"task\.exitStatus in \[(.*)\] \? 'finish' : 'retry'", (RECIPES / "upload.nf").read_text())
    final = {int(word) for word in listed.split(",")}
    not_found, not_executable = 127, 126
    later = {ExitStatus.OK, ExitStatus.BUSY, ExitStatus.RESUMABLE}
    assert final == set(ExitStatus) - later | {not_found, not_executable}


def test_the_chain_submits_its_jobs(env: dict[str, str], tmp_path: Path) -> None:
    folder = shutil.copytree(RECIPES, tmp_path / "hpc")
    write_program(tmp_path / "bin", "sbatch", 'echo "$@"')
    words: list[str | Path] = [folder / "slurm-chain.sh", "3", "my file", "--item", "7"]
    done = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count("--dependency=singleton") == 3
    assert done.stdout.count("slurm-srun.sh my file --item 7") == 3


@pytest.mark.parametrize("place", ["PROJECT", "HOME"])
def test_the_module_is_loaded_by_lmod(tmp_path: Path, place: str) -> None:
    if not LMOD.exists():
        skip("lmod is missing (Debian: apt-get install lmod)")
    for name in ("figup", "python"):
        (tmp_path / name).mkdir()
    shutil.copy(RECIPES / "figup.lua", tmp_path / "figup" / "0.1.lua")
    (tmp_path / "python" / "3.11.lua").write_text('prepend_path("PATH", "/apps/python/bin")\n')
    load = f'eval "$({LMOD} bash load figup)"; echo "$PATH"; echo "$FIGUP_STATE_DIR"'
    env = {"PATH": "/usr/bin:/bin", "MODULEPATH": str(tmp_path), "HOME": "/users/me", place: "/shared/me"}
    done = subprocess.run(["bash", "-c", load], env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    path, state = done.stdout.splitlines()
    assert path.split(":")[:2] == ["/apps/figup/bin", "/apps/python/bin"]
    assert state == "/shared/me/figup"
