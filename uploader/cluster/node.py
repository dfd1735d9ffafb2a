"""Checks of this host: Python and TLS, the state directory, limits, the scheduler.

Everything blocks. Each check returns findings; none raises.
"""

from __future__ import annotations

import errno
import os
import platform
import resource
import secrets
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from uploader.cluster.scheduler import answer_of, batch_job, job_end
from uploader.disk import try_flock
from uploader.system import file_system_of, make_private_folder, mount_options_of
from uploader.text import printable
from uploader.transfer.store.lease import is_network_folder
from uploader.units import format_bytes, format_duration

Status: TypeAlias = Literal["ok", "note", "problem"]
"""`note`: worth knowing, nothing fails because of it. `problem`: uploads fail until it is fixed."""

_MIN_FREE = 50_000_000
"""Bytes below which a state directory counts as full."""
_MIN_INODES = 100
_MIN_FILES = 256
"""Open files below which figup uses few connections."""
_SLOW_SYNC = 0.5
_CGROUP = Path("/sys/fs/cgroup")
_TELLING = {"flock", "localflock", "noflock", "nolock", "local_lock", "vers", "soft", "noac", "actimeo", "ro", "sync"}
"""Options of a mount on which locks depend, or what hosts see of each other's files."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check. `hint` says what to do about it, None if nothing needs to be done."""

    check: str
    status: Status
    text: str
    hint: str | None = None


def python_findings() -> Iterator[Finding]:
    """Check Python, OpenSSL, and where it looks for certificate authorities."""
    yield Finding(check="python", status="ok", text=f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}")
    paths = ssl.get_default_verify_paths()
    found = [path for path in (paths.cafile, paths.capath) if path and Path(path).exists()]
    if found or os.environ.get("SSL_CERT_FILE"):
        yield Finding(
            check="certificates", status="ok", text=f"certificate authorities: {' '.join(found)}".rstrip(": ")
        )
    else:
        text = f"no certificate authorities in {paths.openssl_cafile} and {paths.openssl_capath}"
        hint = "Set SSL_CERT_FILE to the file of the system's authorities, such as /etc/ssl/certs/ca-certificates.crt."
        yield Finding(check="certificates", status="problem", text=text, hint=hint)


def state_findings(folder: Path) -> Iterator[Finding]:
    """Check that jobs can be stored in this folder, by doing what figup does with it."""
    try:
        make_private_folder(folder)
        trial = folder / f"doctor-{os.getpid()}-{secrets.token_hex(4)}"
        trial.mkdir(mode=0o700)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else str(fault)
        text = f"{printable(str(folder))} cannot be used: {reason}"
        yield Finding(check="state", status="problem", text=text, hint="Choose another state directory.")
        return
    try:
        yield _place_finding(folder)
        yield from _space_findings(folder)
        yield from _trials(trial)
    finally:
        shutil.rmtree(trial, ignore_errors=True)


def _place_finding(folder: Path) -> Finding:
    device = folder.stat().st_dev
    options = [option for option in mount_options_of(device) if option.partition("=")[0] in _TELLING]
    kind = " ".join([file_system_of(device) or "unknown file system", *options])
    if is_network_folder(folder):
        return Finding(
            check="state", status="ok", text=f"{printable(str(folder))} ({kind}, may be shared with other hosts)"
        )
    hint = "Jobs that continue on another host need a shared directory."
    return Finding(check="state", status="ok", text=f"{printable(str(folder))} ({kind}, on this host only)", hint=hint)


def _space_findings(folder: Path) -> Iterator[Finding]:
    status = os.statvfs(folder)
    free, inodes = status.f_bavail * status.f_frsize, status.f_favail
    few = status.f_files > 0 and inodes < _MIN_INODES  # some file systems count no inodes
    full = free < _MIN_FREE or few
    counted = f" and {inodes} files" if status.f_files else ""
    yield Finding(
        check="space",
        status="problem" if full else "ok",
        text=f"{format_bytes(free)}{counted} free",
        hint="Free space there, or choose another state directory." if full else None,
    )


def _trials(folder: Path) -> Iterator[Finding]:
    """Try the operations that the journal and the lock depend on."""
    one = folder / "one"
    yield _tried("write", "writing a file", lambda: one.write_bytes(bytes(65536)))
    yield _tried("exclusive", "exclusive creation", lambda: _must_fail(lambda: os.close(os.open(one, _NEW))))
    yield _tried("link", "making a hard link", lambda: _link(one), fatal=False)
    yield _tried(
        "rename",
        "replacing a file by rename",
        lambda: (folder / "two").write_bytes(b"") or (folder / "two").replace(one),
    )
    yield _tried("flock", "file locking", lambda: _flock(one), fatal=False)
    yield _synced("sync", "a file", one, os.O_RDWR)
    yield _synced("sync-folder", "a folder", folder, os.O_RDONLY, optional=True)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def _tried(check: str, operation: str, trial: Callable[[], object], *, fatal: bool = True) -> Finding:
    try:
        trial()
    except OSError as fault:
        name = errno.errorcode.get(fault.errno or 0, "error")
        hint = "Choose a state directory on a file system that can do this." if fatal else None
        reason = "" if fatal else "; figup works without it"
        status: Status = "problem" if fatal else "note"
        return Finding(check=check, status=status, text=f"{operation} fails: {name}{reason}", hint=hint)
    return Finding(check=check, status="ok", text=f"{operation} works")


def _must_fail(create: Callable[[], object]) -> None:
    try:
        create()
    except FileExistsError:
        return
    raise OSError(errno.EEXIST, "created twice")


def _link(path: Path) -> None:
    other = path.with_name("linked")
    other.hardlink_to(path)
    _must_fail(lambda: other.hardlink_to(path))


def _flock(path: Path) -> None:
    with path.open("rb") as stream:
        try_flock(stream.fileno())


def _synced(check: str, what: str, path: Path, flags: int, *, optional: bool = False) -> Finding:
    begin = time.monotonic()
    finding = _tried(check, f"syncing {what}", lambda: _fsync(path, flags), fatal=not optional)
    seconds = time.monotonic() - begin
    if finding.status != "ok":
        return finding
    slow = seconds > _SLOW_SYNC
    return Finding(
        check=check,
        status="note" if slow else "ok",
        text=f"{finding.text}, in {1000 * seconds:.0f} ms",
        hint="A slow disk delays the start of each file; another state directory may be faster." if slow else None,
    )


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def limit_findings() -> Iterator[Finding]:
    """Check the limits of this process: open files, CPU, memory, and places from which programs cannot be run."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = files != resource.RLIM_INFINITY and files < _MIN_FILES
    yield Finding(
        check="open-files",
        status="note" if few else "ok",
        text=f"up to {files} open files" if files != resource.RLIM_INFINITY else "no limit on open files",
        hint="Raise the limit (ulimit -n) for more connections." if few else None,
    )
    seconds, _ = resource.getrlimit(resource.RLIMIT_CPU)
    if seconds != resource.RLIM_INFINITY:
        text = f"this process is killed after {format_duration(seconds)} of CPU time"
        hint = "Large uploads need a batch job, or a node for transfers: an MD5 takes a CPU second per 0.7 GB or so."
        yield Finding(check="cpu-time", status="note", text=text, hint=hint)
    quota, period, *_ = [*_cgroup("cpu.max").split(), "max", "max"]
    if quota.isdecimal() and period.isdecimal():
        yield Finding(
            check="cpu", status="ok", text=f"{int(quota) / int(period):g} CPUs by the cgroup, {os.cpu_count()} in all"
        )
    if (memory := _cgroup("memory.max")).isdecimal():
        yield Finding(check="memory", status="ok", text=f"{format_bytes(int(memory))} by the cgroup")
    if unusable := [place for place in _unpacking_places(os.environ) if _is_noexec(place)]:
        text = f"programs in {', '.join(printable(str(place)) for place in unusable)} cannot be run (noexec)"
        hint = "figup.pyz unpacks itself elsewhere; if it finds no suitable folder, set FIGUP_UNPACK."
        yield Finding(check="noexec", status="note", text=text, hint=hint)


def _unpacking_places(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the directories that figup.pyz tries to unpack itself into, in order."""
    named = [environ.get(name) for name in ("FIGUP_UNPACK", "SLURM_TMPDIR", "TMPDIR")]
    home = environ.get("HOME")
    cache = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else None)
    found = dict.fromkeys([*named, "/tmp", cache])  # noqa: S108 - only looked at
    yield from (Path(place) for place in found if place)


def _is_noexec(place: Path) -> bool:
    with suppress(OSError):
        there = next((path for path in (place, *place.parents) if path.exists()), place)
        return bool(os.statvfs(there).f_flag & os.ST_NOEXEC)
    return False


def _cgroup(name: str) -> str:
    """Return the nearest limit of this process's cgroup (v2), "" for none."""
    with suppress(OSError):
        own = Path("/proc/self/cgroup").read_text("utf-8").strip().rpartition("::")[2].lstrip("/")
        for folder in (_CGROUP / own, *(_CGROUP / own).parents):
            with suppress(OSError):
                if (text := (folder / name).read_text("ascii").strip()).split()[:1] != ["max"]:
                    return text
            if folder == _CGROUP:
                break
    return ""


def scheduler_findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the batch job, its end, and whether it may be requeued; guess what kind of node this is."""
    job, slurm = batch_job(environ), shutil.which("squeue") is not None
    if job is None:
        if slurm or shutil.which("qsub") or shutil.which("bsub"):
            text = "not in a batch job, but a scheduler is installed: this may be a login node"
            hint = "Login nodes end long or busy processes: upload in a batch job, or on a node for transfers."
            yield Finding(check="scheduler", status="note", text=text, hint=hint)
        else:
            yield Finding(check="scheduler", status="ok", text="not in a batch job")
        return
    yield Finding(check="scheduler", status="ok", text=f"{job.scheduler} job {job.id}")
    end = job_end(environ)
    if end is not None:
        at = end.at.isoformat(" ", "seconds")
        yield Finding(check="deadline", status="ok", text=f"the job ends at {at} ({end.source})")
    else:
        hint = "Give a deadline as a duration: a little less than the time limit."
        yield Finding(check="deadline", status="note", text="the end of the job is unknown", hint=hint)
    if job.scheduler == "Slurm":
        yield from _slurm_findings()


def _slurm_findings() -> Iterator[Finding]:
    config = answer_of("scontrol", "show", "config")
    if config is None:
        text = "scontrol does not answer here: the job cannot requeue itself"
        hint = "Use a chain of jobs (singleton); in a container, requeue outside of it."
        yield Finding(check="requeue", status="note", text=text, hint=hint)
        return
    words = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in config.splitlines())}
    allowed = words.get("JobRequeue") == "1"
    wait, statuses = words.get("KillWait", "unknown"), words.get("RequeueExit", "") or "none"
    yield Finding(
        check="requeue",
        status="ok" if allowed else "note",
        text=f"requeueing is {'on' if allowed else 'off'} by default; KillWait {wait}, RequeueExit {statuses}",
        hint=None
        if allowed
        else "Submit with requeueing on, if the site allows it, or use a chain of jobs (singleton).",
    )
