"""A Dask pool that Slurm starts: a scheduler in this process, and workers as an array job. Always with TLS.

`sbatch` takes partition, account and time limit from its own environment variables (SBATCH_PARTITION, SBATCH_ACCOUNT,
SBATCH_TIMELIMIT). Workers that are killed at their time limit leave their parts to the others.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import shlex
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import distributed
from distributed.utils import get_ip

from uploader.concurrency import in_thread
from uploader.disk import Disk
from uploader.errors import Facts, PoolUnusable
from uploader.text import printable

LOG = "pool-*.log"
"""The files, in the job's folder, that the workers write their messages to."""
_FOLDER = "pool"
_KEYS = ("ca", "cert", "key")
_DEATH_TIMEOUT = 300
"""Seconds after which a worker without its scheduler ends."""
_ANSWER_TIMEOUT = 60.0
"""Seconds to wait for an answer of Slurm."""


@dataclass(frozen=True, kw_only=True)
class SlurmPool:
    """A running scheduler, and what is needed to connect to it. `problem`: why Slurm may start no workers, if any."""

    address: str
    security: Any
    problem: str | None


@asynccontextmanager
async def slurm_pool(folder: Path, workers: int) -> AsyncIterator[SlurmPool]:
    """Start a scheduler and have Slurm start workers; the keys are in `folder` meanwhile, which the nodes must see.

    The first workers may come long after that. Raises PoolUnusable where Slurm has no commands, StateDiskFull,
    StateUnusable.
    """
    make_security: Any = distributed.Security
    security = make_security.temporary()
    start: Any = distributed.Scheduler
    keys = folder / _FOLDER
    host = await in_thread(reachable_address)
    async with start(
        host=host, port=0, security=security, protocol="tls", dashboard_address="127.0.0.1:0"
    ) as scheduler:
        job, problem = "", None
        try:
            try:
                job = await in_thread(_submit, keys, security, scheduler.address, workers)
            except _SlurmRefused as error:
                problem = str(error)
            yield SlurmPool(address=scheduler.address, security=security, problem=problem)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_cancel, job, keys)


def reachable_address() -> str:
    """Return an address of this host for other nodes. Its name may mean a loopback address here (in Debian, 127.0.1.1).
    Blocks.
    """
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    with suppress(OSError):
        infos = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
        found = [ipaddress.ip_address(info[4][0]) for info in infos]
    usable = [address for address in found if not (address.is_loopback or address.is_link_local)]
    if usable:
        return str(min(usable, key=lambda address: address.version))
    find: Any = get_ip
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return str(find())


def _submit(keys: Path, security: Any, address: str, workers: int) -> str:
    """Write the keys and submit the workers; return the id of their job. Raises PoolUnusable, _SlurmRefused."""
    disk = Disk()
    disk.make_folder(keys)
    texts = (security.tls_ca_file, security.tls_worker_cert, security.tls_worker_key)
    for name, text in zip(_KEYS, texts, strict=True):
        disk.put(keys / name, text.encode("ascii"))
    script = keys / "worker.sh"
    disk.put(script, worker_script(keys, address).encode())
    output = keys.parent / LOG.replace("*", "%a")
    options = ("-a", f"1-{workers}", "-J", "figup-pool", "-n", "1", "-o", str(output))
    answer = _answer_of("sbatch", *options, str(script))
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
    """End the workers, of the job "" if it is unknown, and remove the keys. Raises nothing: the workers end by
    themselves without their scheduler.
    """
    try:
        if job:
            _answer_of("scancel", job)
    except (PoolUnusable, _SlurmRefused):
        pass
    finally:
        shutil.rmtree(keys, ignore_errors=True)


class _SlurmRefused(Exception):
    """A command of Slurm failed, or did not answer in time."""


def _answer_of(*command: str) -> str:
    """Run a command of Slurm and return what it prints. Raises PoolUnusable if there is none, _SlurmRefused."""
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_ANSWER_TIMEOUT, check=True, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise PoolUnusable(f"{command[0]} fails: {printable(str(error))}", facts=Facts("no-slurm")) from error
    except subprocess.TimeoutExpired as error:
        raise _SlurmRefused(f"{command[0]} gives no answer within {_ANSWER_TIMEOUT:.0f} s") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode("utf-8", "replace").strip() or f"exit status {error.returncode}"
        raise _SlurmRefused(f"{command[0]} fails: {reason}") from error
    return done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], Path(sys.argv[2])))
