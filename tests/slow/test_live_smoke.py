"""scripts/live-smoke, run against the sandbox: the script that users run against the real service must work."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.environment import clean_environment
from tests.support.processes import Process
from tests.support.sandbox import Sandbox

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "live_smoke.py"


def smoke(sandbox: Sandbox, home: Path, *args: str, input: str | None = None) -> Process:
    env = clean_environment(home) | {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    process = Process([sys.executable, SCRIPT, *args], env=env, cwd=home, input=input)
    process.wait(100)
    return process


def test_the_whole_workflow_leaves_nothing_behind(sandbox: Sandbox, tmp_path: Path) -> None:
    process = smoke(sandbox, tmp_path, "--yes")
    assert process.returncode == 0, process.stdout.text + process.stderr.text
    assert process.stdout.text.endswith("live smoke: all good\n")
    assert "removed the draft item" in process.stdout.text
    assert len(sandbox.requests(service="api", method="DELETE")) == 1


def test_nothing_happens_without_confirmation(sandbox: Sandbox, tmp_path: Path) -> None:
    process = smoke(sandbox, tmp_path, input="n\n")
    assert process.returncode == 2
    assert "nothing was done" in process.stdout.text
    assert sandbox.requests() == []
