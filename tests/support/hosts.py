"""Two hosts on one machine: each has its own host name, boot id and FUSE mount of the shared folder.

`flock` does not reach from one such mount to the other, as on some clusters, so only the lease keeps the two apart. It
needs root, unshare(1) and bindfs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command import COMMAND, Figup, Running
from tests.support.environment import plugged
from tests.support.processes import Process
from tests.support.programs import skip

BEAT = 0.3
"""Seconds between two heartbeats of a lease; a lease on FUSE is watched for twelve of them."""
_ENTER = """
hostname "$1" && mount --bind "$2" /proc/sys/kernel/random/boot_id && mount --bind "$3" "$4" && shift 4 && exec "$@"
"""
PLUG = f"import uploader.transfer.store.lease as lease\nlease.HEARTBEAT = {BEAT}\n"


def require_hosts(what: str) -> None:
    """Skip the test if hosts cannot be made here; fail it in CI. `what` needs them."""
    if (lacking := what_hosts_lack()) is not None:
        skip(f"{what} need {lacking}, which is not here")


def what_hosts_lack() -> str | None:
    """What hosts need and is not here, if anything."""
    if os.geteuid() != 0:
        return "root"
    if not Path("/dev/fuse").exists():
        return "/dev/fuse"
    for program in ("bindfs", "unshare"):
        if shutil.which(program) is None:
            return program
    tried = subprocess.run(["unshare", "--uts", "--mount", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "the privilege to make namespaces"


@dataclass
class Host:
    """A host. `mount` is its view of the folder `stored`, which it has at `shared`."""

    name: str
    mount: Path
    boot: Path
    shared: Path
    stored: Path
    cwd: Path
    env: Mapping[str, str]
    _started: list[Process] = field(default_factory=list)

    def start(self, *args: str) -> Running:
        """Start `figup ARGS` on this host."""
        process = self._process([*COMMAND, *args])
        return Running(args, process)

    def output(self, *command: str) -> str:
        """Run a program on this host to its end; its output."""
        process = self._process(list(command))
        assert process.wait(30) == 0, process.stderr.text
        return process.stdout.text

    def begin(self, *command: str) -> Process:
        """Start any program on this host."""
        return self._process(list(command))

    def end(self) -> None:
        """End everything that was started here."""
        for process in self._started:
            process.end()

    def _process(self, command: list[str]) -> Process:
        enter = ["unshare", "--uts", "--mount", "sh", "-c", _ENTER, "sh"]
        where = [self.name, str(self.boot), str(self.mount), str(self.shared)]
        process = Process([*enter, *where, *command], env=self.env, cwd=self.cwd)
        self._started.append(process)
        return process


@contextmanager
def two_hosts(folder: Path, figup: Figup, plug: str = "") -> Iterator[tuple[Host, Host]]:
    """Make two hosts that run the command as `figup` does, with their state in a shared folder. Raises OSError.

    `plug`: Python that each process runs at its start.
    """
    stored, shared = folder / "stored", folder / "shared"
    for made in (stored, shared):
        made.mkdir()
    path = plugged(folder / "plug", PLUG + plug)
    env = {**figup.env, "PYTHONPATH": path, "FIGUP_STATE_DIR": str(shared / "state")}
    hosts = []
    try:
        for name in ("one", "two"):
            mount, boot = folder / f"mount-{name}", folder / f"boot-{name}"
            mount.mkdir()
            boot.write_text(f"00000000-0000-0000-0000-{name}\n", "ascii")
            subprocess.run(["bindfs", "--no-allow-other", stored, mount], check=True)
            hosts.append(Host(name, mount, boot, shared, stored, figup.cwd, env))
        yield hosts[0], hosts[1]
    finally:
        for host in hosts:
            host.end()
            subprocess.run(["umount", "--lazy", host.mount], check=True)
