"""A real Slurm on this machine: munged, slurmctld and four slurmd below one folder, on loopback addresses only.

The nodes look like separate hosts to a program: each has its own host name, boot id and FUSE mount
of the shared folder, on which `flock` does not reach the other nodes. It needs root, unshare(1), bindfs and Debian's
Slurm, which starts several slurmd on one host (`slurmd -N NAME`). Nothing below /etc or /var is used, and no cgroups.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.environment import clean_environment
from tests.support.hosts import require_hosts
from tests.support.processes import Child, kill, start_program
from tests.support.programs import require_program
from tests.support.servers import free_ports
from tests.support.waiting import until

NODES = ("n1", "n2", "n3", "n4")
KILL_WAIT = 5
"""Seconds between SIGTERM and SIGKILL at the end of a job; 30 is usual."""
_ENDED = frozenset({"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"})
_ADDRESSES = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"
"""Makes the daemons listen on the address of this machine's name."""
_CONF = """
ClusterName=figup{port}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# How long a requeued job waits before it may start again, too. Less than 5 is invalid and means 120.
AuthInfo=socket={folder}/munge/socket,cred_expire=5
{addresses}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
ReturnToService=2
KillWait={kill_wait}
SlurmdTimeout=10
MinJobAge=86400
{nodes}
PartitionName=all Nodes=ALL Default=YES DefaultTime=5 MaxTime=INFINITE State=UP
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=16 RealMemory=4000 State=UNKNOWN\n"
# slurmd loads a cgroup plugin whatever is configured; the one for v1 needs nothing at start, the one for v2 systemd.
_CGROUP_OLD, _CGROUP = "CgroupPlugin=cgroup/v1\n", "CgroupPlugin=disabled\n"
_BECOME_NODE = """
name=$1 boot=$2 hosts=$3 shared=$4 stale=$5
shift 5
hostname "$name"
mount --bind "$boot" /proc/sys/kernel/random/boot_id
mount --bind "$hosts" /etc/hosts
caches=attr_timeout=$stale,entry_timeout=$stale,negative_timeout=$stale
# It ends with its parent, which becomes slurmd.
setpriv --pdeathsig KILL bindfs -f -o "$caches" "$shared" "$shared" &
until mountpoint -q "$shared"; do sleep 0.05; done
exec "$@"
"""


def require_slurm() -> None:
    """Skip the test with the reason if Slurm cannot run here; fail it in CI."""
    for program, package in (("slurmctld", "slurmctld"), ("slurmd", "slurmd"), ("sbatch", "slurm-client")):
        require_program(program, package)
    require_program("munged", "munge")
    require_hosts("the nodes of Slurm")


@dataclass(frozen=True, kw_only=True)
class JobInfo:
    """A job or array task as Slurm reports it. `exit_status` is that of its script, `restarts` counts requeues."""

    state: str
    exit_status: int
    restarts: int
    node: str


@dataclass
class Slurm:
    """A running Slurm. `shared` is the folder that all nodes see; `env` is what Slurm's commands need."""

    folder: Path
    shared: Path
    env: Mapping[str, str]
    stale: float
    _daemons: dict[str, Child] = field(default_factory=dict)

    def run(self, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run one of Slurm's commands and return its output. `env` is added to its environment."""
        done = subprocess.run(
            words, env={**self.env, **(env or {})}, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def submit(self, script: Path, *options: str, env: Mapping[str, str]) -> str:
        """Submit a batch script, run in its own folder with this environment; return the job's id."""
        return self.run("sbatch", "--parsable", *options, script, cwd=script.parent, env=env).strip()

    def info(self, job: str) -> JobInfo:
        """What Slurm knows of a job, or of an array task (7_3)."""
        line = self.run("scontrol", "show", "job", "--oneliner", job).splitlines()[0]
        words = dict(word.partition("=")[::2] for word in line.split())
        return JobInfo(
            state=words["JobState"],
            exit_status=int(words["ExitCode"].partition(":")[0]),
            restarts=int(words["Restarts"]),
            node=words.get("NodeList", ""),
        )

    def wait(self, job: str, timeout: float = 100) -> JobInfo:
        """Wait for a job's end, requeues included. Raises TimeoutError."""
        until(lambda: self.info(job).state in _ENDED, timeout, every=0.5)
        return self.info(job)

    def kill_node(self, name: str) -> None:
        """End a node and what runs on it with SIGKILL, as a power cut would."""
        daemon = self._daemons.pop(name)
        # slurmstepd first: otherwise it would report that its job ended.
        for pid in sorted(_processes_of_node(daemon.pid), key=lambda pid: not _comm(pid).startswith("slurmstepd")):
            _kill(pid)
        daemon.wait()

    def start_node(self, name: str) -> None:
        """Start a node, the first time or after `kill_node`."""
        boot = self.folder / f"{name}.boot"
        boot.write_text(f"{uuid.uuid4()}\n", "ascii")
        become = ["unshare", "--mount", "--uts", "--propagation", "private", "bash", "-euc", _BECOME_NODE, "node"]
        known: list[str | Path] = [name, boot, self.folder / "hosts", self.shared, str(self.stale)]
        self._start(name, *become, *known, "slurmd", "-D", "-f", self.folder / "slurm.conf", "-N", name)

    def idle_nodes(self) -> int:
        """The number of nodes that are up and free; 0 while the controller does not answer."""
        with suppress(AssertionError):
            return int(self.run("sinfo", "--noheader", "--states=idle", "--format=%D").strip() or 0)
        return 0

    def _start(self, name: str, *command: str | Path) -> None:
        log = os.open(self.folder / "log" / f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            self._daemons[name] = start_program([*map(str, command)], self.env, self.folder, (null, log, log))
        finally:
            os.close(log)
            os.close(null)

    def _start_all(self) -> None:
        munge = self.folder / "munge"
        self._start(
            "munged", "munged", "--force", "--foreground", f"--key-file={munge}/key", f"--socket={munge}/socket",
            f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed",
        )  # fmt: skip
        until((munge / "socket").exists, 10)
        self._start("slurmctld", "slurmctld", "-D", "-f", self.folder / "slurm.conf")
        for name in NODES:
            self.start_node(name)
        until(lambda: self.idle_nodes() == len(NODES), 30, every=0.05)

    def _stop_all(self) -> None:
        # The controller first: it waits for nodes that it is still talking to.
        for name in ("slurmctld", *NODES):
            if name in NODES and name in self._daemons:
                self.kill_node(name)
            elif name in self._daemons:
                kill(self._daemons.pop(name))
        for daemon in self._daemons.values():
            kill(daemon)


@contextmanager
def running_slurm(*, stale: float = 0.0) -> Iterator[Slurm]:
    """Run a Slurm during the block. The nodes believe what they saw in the shared folder for `stale` seconds."""
    # A unix socket's path may have 107 bytes, so no folder of pytest.
    folder = Path(tempfile.mkdtemp(prefix="figup-slurm-"))
    slurm = Slurm(folder, folder / "shared", clean_environment(folder) | {"SLURM_CONF": f"{folder}/slurm.conf"}, stale)
    try:
        _configure(folder)
        slurm._start_all()
        yield slurm
    finally:
        slurm._stop_all()
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path) -> None:
    for name in ("munge", "state", "log", "shared", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    # munged requires the folder of its socket to be open to all, and its key to be private.
    for path in (folder, folder / "munge", folder / "shared"):
        path.chmod(0o755)
    (folder / "munge" / "key").touch(mode=0o600)
    (folder / "munge" / "key").write_bytes(secrets.token_bytes(128))
    host, (port, *ports) = socket.gethostname().split(".")[0], free_ports(1 + len(NODES))
    nodes = "".join(_NODE.format(name=n, host=host, port=at) for n, at in zip(NODES, ports, strict=True))
    addresses = _ADDRESSES if socket.gethostbyname(host).startswith("127.") else ""
    conf = _CONF.format(folder=folder, host=host, port=port, nodes=nodes, addresses=addresses, kill_wait=KILL_WAIT)
    (folder / "slurm.conf").write_text(conf, "ascii")
    version = subprocess.run(["slurmctld", "-V"], capture_output=True, text=True, check=True).stdout.split()[-1]
    old = [int(number) for number in version.split(".")[:2]] < [23, 11]
    (folder / "cgroup.conf").write_text(_CGROUP_OLD if old else _CGROUP, "ascii")
    names = "".join(f"127.0.0.1 {node}\n" for node in NODES)
    (folder / "hosts").write_text(f"{Path('/etc/hosts').read_text('utf-8')}\n{names}", "utf-8")


def _processes_of_node(pid: int) -> Sequence[int]:
    """The processes that share this one's mount namespace; a node has its own. None if this one has ended."""
    found: list[int] = []
    try:
        wanted = Path(f"/proc/{pid}/ns/mnt").readlink()
    except FileNotFoundError:
        return found
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdecimal() and (process / "ns/mnt").readlink() == wanted:
                found.append(int(process.name))
    return found


def _comm(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace")
    return ""


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
