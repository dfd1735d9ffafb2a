"""README.md stays true: every command and every snippet in it is run, as it stands there, against the sandbox."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.command import Figup
from tests.support.invariants import check_exactly_once, files, items, md5_of
from tests.support.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for _, text in found]


def shell(command: str, env: dict[str, str], cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a block as a person's shell would."""
    return subprocess.run(
        ["bash", "-c", command], env=env, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def here(figup: Figup, sandbox: Sandbox, tmp_path: Path) -> tuple[dict[str, str], Path]:
    """A shell's environment with `figup` on its path, and a folder with the files that the README speaks of."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "survey.tar").write_bytes(os.urandom(30_000))
    (folder / "results.h5").write_bytes(os.urandom(30_000))
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, target in (("figup", f"{shlex.quote(sys.executable)} -m uploader"), ("scontrol", "echo scontrol")):
        (tools / name).write_text(f'#!/bin/sh\nexec {target} "$@"\n')
        (tools / name).chmod(0o755)
    env = {**figup.env, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "SLURM_JOB_ID": "1"}
    return env, folder


def test_no_command_of_the_readme_is_unknown_to_these_tests() -> None:
    known = {"./scripts/demo", "./scripts/test", "./scripts/live-smoke"}
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    commands = [
        line for line in lines if line not in known and not line.startswith(("python3 -m venv", "figup ", "find . "))
    ]
    batch = [
        "trap : TERM    # so that this script outlives the signal that figup is sent, too",
        "status=$?",
        'if [ $status -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
        "exit $status",
    ]
    assert commands == batch
    for script in known:
        assert os.access(ROOT / script, os.X_OK)


def test_the_five_minutes(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    token = env.pop("FIGSHARE_TOKEN")
    login, upload, verify = (
        b
        for b in blocks("sh")
        if b.startswith(("figup auth", "figup upload survey.tar\n", "figup verify 1234567 survey.tar"))
    )
    done = shell(login, env, folder, stdin=f"{token}\n")
    assert done.returncode == 0, done.stderr
    done = shell(upload, env, folder)
    assert done.returncode == 0, done.stderr
    check_exactly_once(sandbox, folder / "survey.tar")
    (item,) = items(sandbox)
    assert item["title"] == "survey.tar"
    done = shell(verify.replace("1234567", str(item["id"])), env, folder)
    assert done.returncode == 0, done.stderr
    assert md5_of(folder / "survey.tar") in done.stdout


def test_accounting(here: tuple[dict[str, str], Path]) -> None:
    env, folder = here
    (block,) = (b for b in blocks("sh") if "--report" in b)
    done = shell(block, env, folder)
    assert done.returncode == 0, done.stderr
    assert md5_of(folder / "survey.tar") in (folder / "survey.html").read_text("utf-8")
    assert md5_of(folder / "survey.tar") in (folder / "survey.json").read_text("utf-8")
    assert (folder / "failed.txt").read_bytes() == b""
    assert "finished" in done.stdout


def test_a_limit_by_the_time_of_day(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    (block,) = (b for b in blocks("sh") if "--limit-rate" in b)
    done = shell(block, env, folder)
    assert done.returncode == 0, done.stderr
    check_exactly_once(sandbox, folder / "survey.tar")


def test_whole_datasets(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    for name in ("survey/raw/a.csv", "survey/raw/b.tmp", "survey/scratch/c", "out/run-07.nc", "last-time", "new.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    os.utime(folder / "last-time", (1e9, 1e9))
    (table,) = blocks("csv")
    (folder / "files.csv").write_text(table.replace("0123456789abcdef" * 2, md5_of(folder / "out" / "run-07.nc")))
    upload, lists, verify = (
        b for b in blocks("sh") if b.startswith(("figup upload survey -", "find .", "figup verify 1234567 survey\n"))
    )
    done = shell(upload, env, folder)
    assert done.returncode == 0, done.stderr
    assert "Nothing was sent: this was a dry run." in done.stdout
    (item,) = items(sandbox)
    assert [f["name"] for f in files(sandbox, item["id"])] == ["a.csv"]
    done = shell(lists.replace("1234567", str(item["id"])), env, folder)
    assert done.returncode == 0, done.stderr
    assert sorted(f["name"] for f in files(sandbox, item["id"])) == ["a.csv", "files.csv", "new.csv"]
    other = next(i for i in items(sandbox) if i["title"] == "Survey 2024")
    assert [f["name"] for f in files(sandbox, other["id"])] == ["run.nc"]
    sent = ("survey/raw/a.csv", "files.csv", "new.csv")
    (folder / "survey.md5").write_text("".join(f"{md5_of(folder / name)}  {name}\n" for name in sent))
    for name in ("raw/b.tmp", "scratch/c"):
        (folder / "survey" / name).unlink()
    done = shell(verify.replace("1234567", str(item["id"])).replace("\n", " && ", 1), env, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": the same") == 4


def test_resuming(here: tuple[dict[str, str], Path]) -> None:
    env, folder = here
    (block,) = (b for b in blocks("sh") if "figup resume" in b)
    done = shell(block, env, folder)
    assert done.returncode == 4
    assert "no unfinished job" in done.stderr


def test_the_batch_script(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    assert shell("figup upload survey.tar", env, folder).returncode == 0
    (item,) = items(sandbox)
    (block,) = (b for b in blocks("sh") if "requeue" in b)
    script = block.replace("1234567", str(item["id"]))
    done = shell(script, env, folder)
    assert done.returncode == 0, done.stderr
    assert "scontrol" not in done.stdout
    sandbox.kill()
    done = shell(script.replace("--json", "--json --retry-timeout 0"), env, folder)
    assert done.returncode == 75
    assert done.stdout.endswith("scontrol requeue 1\n")
    sandbox.start()


def test_describing(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    template, upload, end = (b for b in blocks("sh") if "dataset.yaml" in b and "figup item" not in b)
    done = shell(template, env, folder)
    assert done.returncode == 0, done.stderr
    (description,) = blocks("yaml")
    (folder / "dataset.yaml").write_text(description)
    for block in (template.splitlines()[1], upload, end):
        done = shell(block, env, folder)
        assert done.returncode == 0, done.stderr
    (item,) = items(sandbox)
    assert item["title"] == "Beavers of the north"
    assert "It is published." in done.stdout


def test_items(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    (description,) = blocks("yaml")
    (folder / "dataset.yaml").write_text(description)
    made = shell("figup item create --metadata dataset.yaml", env, folder)
    assert made.returncode == 0, made.stderr
    (block,) = (b for b in blocks("sh") if b.startswith("figup item show"))
    done = shell("set -e\n" + block.replace("1234567", made.stdout.split()[0]), env, folder)
    assert done.returncode == 0, done.stderr
    assert "is under embargo until 2090-01-01" in done.stdout


def test_the_snippets_in_python(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    plain, inside_a_loop = blocks("python")
    script = folder / "snippet.py"
    script.write_text(plain)
    done = shell(f"{shlex.quote(sys.executable)} -W error snippet.py", env, folder)
    assert done.returncode == 0, done.stderr
    (item,) = items(sandbox)
    assert done.stdout.split() == [item["url_private_html"], md5_of(folder / "survey.tar")]
    body = textwrap.indent(
        inside_a_loop.replace("1234567", str(item["id"])).replace("survey.tar", "results.h5"), "    "
    )
    script.write_text(
        f"import asyncio, uploader\nasync def main():\n{body}    return report\nprint(asyncio.run(main()))"
    )
    done = shell(f"{shlex.quote(sys.executable)} -W error snippet.py", env, folder)
    assert done.returncode == 0, done.stderr
    check_exactly_once(sandbox, folder / "survey.tar", folder / "results.h5")


def test_the_installation(tmp_path: Path) -> None:
    (block,) = (b for b in blocks("sh") if b.startswith("python3 -m venv"))
    venv, install, path = (part.strip() for part in block.split("&&"))
    assert (venv, install) == ("python3 -m venv ~/figup", "~/figup/bin/pip install .")
    assert path == "export PATH=~/figup/bin:$PATH"
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "-q",
            "-w",
            str(tmp_path),
            str(ROOT),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("figup-*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    assert "uploader/py.typed" in listed
    assert "entry_points.txt" in listed


def test_the_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README.read_text("utf-8")):
        assert (ROOT / target).exists(), target
