"""A Dask pool that Slurm starts: a scheduler in this process, and workers as an array job. Always with TLS.

`sbatch` takes partition, account and time limit from its own environment variables (SBATCH_PARTITION, SBATCH_ACCOUNT,
SBATCH_TIMELIMIT). Workers that are killed at their time limit leave their parts to the others.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import distributed

from uploader.concurrency import in_thread
from uploader.disk import Disk
from uploader.errors import Facts, PoolUnusable
from uploader.text import printable

_FOLDER = "pool"
_KEYS = ("ca", "cert", "key")
_DEATH_TIMEOUT = 300
"""Seconds after which a worker without its scheduler ends."""
_ANSWER_TIMEOUT = 60.0
"""Seconds to wait for an answer of Slurm."""


@asynccontextmanager
async def slurm_pool(folder: Path, workers: int) -> AsyncIterator[tuple[str, Any]]:
    """Start a scheduler and have Slurm start workers; the keys are in `folder` meanwhile, which the nodes must see.

    Yields the scheduler's address and what is needed to connect to it. The first workers may come long after that.
    Raises PoolUnusable, StateDiskFull, StateUnusable.
    """
    make_security: Any = distributed.Security
    security = make_security.temporary()
    start: Any = distributed.Scheduler
    keys = folder / _FOLDER
    async with start(
        host=socket.gethostname(), port=0, security=security, protocol="tls", dashboard_address="127.0.0.1:0"
    ) as scheduler:
        job = await in_thread(_submit, keys, security, scheduler.address, workers)
        try:
            yield scheduler.address, security
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_cancel, job, keys)


def _submit(keys: Path, security: Any, address: str, workers: int) -> str:
    """Write the keys and submit the workers; return the id of their job."""
    disk = Disk()
    disk.make_folder(keys)
    texts = (security.tls_ca_file, security.tls_worker_cert, security.tls_worker_key)
    for name, text in zip(_KEYS, texts, strict=True):
        disk.put(keys / name, text.encode("ascii"))
    script = keys / "worker.sh"
    disk.put(script, worker_script(keys, address).encode())
    output = keys.parent / "pool-%a.log"
    try:
        options = ("-a", f"1-{workers}", "-J", "figup-pool", "-n", "1", "-o", str(output))
        answer = _answer_of("sbatch", *options, str(script))
    except PoolUnusable:
        shutil.rmtree(keys, ignore_errors=True)
        raise
    # "Submitted batch job 17", and where there are several clusters, "on cluster NAME".
    return next((word for word in answer.split() if word.isdecimal()), "")


def worker_script(keys: Path, address: str) -> str:
    """Return the batch script of one worker."""
    command = shlex.join([sys.executable, "-m", __name__, address, str(keys)])
    return f"#!/bin/sh\nexec {command}\n"


async def _work(address: str, keys: Path) -> None:
    """Be a worker until the scheduler has ended. Runs in the batch job."""
    make_security: Any = distributed.Security
    ca, cert, key = (str(keys / name) for name in _KEYS)
    security = make_security(tls_ca_file=ca, tls_worker_cert=cert, tls_worker_key=key, require_encryption=True)
    start: Any = distributed.Worker
    local = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - Dask makes a private folder in it
    async with start(
        address, nthreads=1, security=security, death_timeout=_DEATH_TIMEOUT, local_directory=local, dashboard=False
    ) as worker:
        await worker.finished()


def _cancel(job: str, keys: Path) -> None:
    """End the workers and remove the keys. Raises nothing: the workers end by themselves without their scheduler."""
    try:
        _answer_of("scancel", job)
    except PoolUnusable:
        pass
    finally:
        shutil.rmtree(keys, ignore_errors=True)


def _answer_of(*command: str) -> str:
    """Run a command of Slurm and return what it prints. Raises PoolUnusable."""
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_ANSWER_TIMEOUT, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        shown = getattr(error, "stderr", None)
        reason = shown.decode("utf-8", "replace").strip() if shown else str(error)
        raise PoolUnusable(f"{command[0]} fails: {printable(reason)}", facts=Facts("no-slurm")) from error
    return done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], Path(sys.argv[2])))
