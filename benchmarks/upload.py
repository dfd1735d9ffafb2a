"""One measured upload: the real command, to a fresh local Figshare without delays, on the loopback interface."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Measurement, measure
from tests.support.environment import clean_environment
from tests.support.sandbox import Sandbox

WITHOUT_DELAYS = tuple(f"--{state}-delay=0" for state in ("created", "checking", "success", "moving", "md5"))
"""The fastest sandbox settings, so that the uploader's time is measured."""


def upload(path: Path, *, md5: str, work: Path, sandbox_args: tuple[str, ...] = ()) -> Measurement:
    """Measure `figup upload PATH`. Raises RuntimeError if the MD5 in its summary is not `md5`. `work` is a folder with
    space for another copy of the file, which is removed afterwards.
    """
    with tempfile.TemporaryDirectory(dir=work) as folder:
        home = Path(folder)
        sandbox = Sandbox(home / "sandbox", args=[*WITHOUT_DELAYS, *sandbox_args])
        sandbox.start()
        try:
            env = clean_environment(home) | {
                "FIGSHARE_ENDPOINT": sandbox.url,
                "FIGSHARE_TOKEN": sandbox.token,
                "FIGUP_STATE_DIR": str(home / "state"),
            }
            cost, stdout = measure([sys.executable, "-m", "uploader", "upload", path, "--json"], env=env)
        finally:
            sandbox.stop()
    summary = json.loads(stdout.splitlines()[-1])
    sent = summary["files"][0]["md5"]
    if sent != md5:
        raise RuntimeError(f"{path}: figup says the MD5 is {sent}, but it is {md5}")
    return cost
