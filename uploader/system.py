"""Translate errors of the operating system into errors of figup, and distribute file descriptors.

All code that accesses a path translates OSError here, so that each cause has one error and one exit status. A path may
also be impossible: a NUL, or a character without UTF-8 encoding, is a ValueError in Python.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uploader.errors import (
    Facts,
    FigupError,
    ResourcesExhausted,
    SourceNotFound,
    SourceUnreadable,
    StorageUnavailable,
    UsageError,
)
from uploader.text import printable

PATH_FAULTS = (OSError, ValueError)
"""Exceptions for a path that cannot be used."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS})
_UNAVAILABLE = frozenset(
    {
        *(errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ESHUTDOWN, errno.ECONNABORTED, errno.ECONNRESET),
        *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ETIMEDOUT),
    }
)
"""Errors of a file system whose device, server or process is gone; it may come back."""
_NO_PATH = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})
_BATCH = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID")
"""Environment variables; a batch system sets one of them."""
_RESERVED = 64
"""Descriptors for everything but sources and connections: streams, event loop, journal, locks, logs, libraries."""
_MIN_DESCRIPTORS = 4


def resource_error(fault: BaseException) -> ResourcesExhausted | None:
    """Return the error if this process got no memory, thread or descriptor; None for anything else."""
    if isinstance(fault, MemoryError) or (isinstance(fault, OSError) and fault.errno == errno.ENOMEM):
        return ResourcesExhausted("out of memory", facts=Facts("out-of-memory"))
    if isinstance(fault, OSError) and fault.errno == errno.EMFILE:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return ResourcesExhausted(
            f"this process may not open more than {most} files and connections at once",
            facts=Facts("out-of-descriptors"),
        )
    if isinstance(fault, OSError) and fault.errno in _EXHAUSTED:
        return ResourcesExhausted(f"the system is short of resources: {fault.strerror}")
    if isinstance(fault, RuntimeError) and "can't start new thread" in str(fault):
        return ResourcesExhausted("the system does not start more threads for this user or job")
    return None


def transient_error(fault: BaseException, path: str) -> FigupError | None:
    """Return the error for `path` if the cause may be temporary; None for anything else."""
    if isinstance(fault, OSError) and fault.errno == errno.EIO:
        text = f"{printable(path)}: its storage fails: {fault.strerror}"
        return StorageUnavailable(text, hint="Check its disk or mount.", path=path, facts=Facts("storage-fails"))
    if isinstance(fault, OSError) and fault.errno in _UNAVAILABLE:
        return StorageUnavailable(f"{printable(path)}: its storage does not answer: {fault.strerror}", path=path)
    return resource_error(fault)


def path_error(fault: BaseException, path: str) -> FigupError:
    """Return the error for a path that cannot be read. Any cause: an OSError, or the ValueError of an impossible path.

    One of SourceNotFound, SourceUnreadable, UsageError (an impossible path), StorageUnavailable, ResourcesExhausted.
    """
    if (transient := transient_error(fault, path)) is not None:
        return transient
    shown = printable(path)
    if not isinstance(fault, OSError):
        return UsageError(f"{shown}: not a possible path: {_why(fault)}", path=path)
    if isinstance(fault, FileNotFoundError | NotADirectoryError):
        what = "is a broken link" if Path(path).is_symlink() else "no such file"
        return SourceNotFound(f"{shown}: {what}", path=path)
    if fault.errno in _NO_PATH:
        return UsageError(f"{shown}: not a possible path: {_why(fault)}", path=path)
    if fault.errno == errno.ELOOP:
        return SourceUnreadable(f"{shown}: its symbolic links form a loop", hint="Fix the links.", path=path)
    if isinstance(fault, IsADirectoryError):
        return SourceUnreadable(f"{shown}: is a folder, not a file", hint="Name a file.", path=path)
    return SourceUnreadable(f"{shown}: cannot be read: {_why(fault)}", path=path)


def write_error(fault: BaseException, path: str) -> FigupError:
    """Return the error for an output file that cannot be written."""
    transient = transient_error(fault, path)
    return transient or UsageError(f"cannot write {printable(path)}: {_why(fault)}", path=path)


def _why(fault: BaseException) -> str:
    if isinstance(fault, UnicodeError):
        return "it is not valid UTF-8"
    return (fault.strerror if isinstance(fault, OSError) else None) or str(fault) or type(fault).__name__


@contextmanager
def system_errors() -> Iterator[None]:
    """Translate system errors raised inside, and not translated closer to the call, into errors of figup."""
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as fault:
        if (known := system_error(fault)) is None:
            raise
        raise known from fault


def system_error(fault: BaseException) -> FigupError | None:
    """Return the error for a system error; None for any other exception."""
    if isinstance(fault, OSError) and fault.errno is not None:
        named = fault.filename
        path = os.fsdecode(named) if isinstance(named, str | bytes) else None
        if path is not None:
            return path_error(fault, path)
    return resource_error(fault)


def absolute(path: str) -> str:
    """Return the absolute path, without resolving links. Raises UsageError if the current folder cannot be used."""
    try:
        return os.path.abspath(path)  # noqa: PTH100 - plain strings, a hundred thousand of them
    except OSError as fault:
        if (transient := transient_error(fault, "the current folder")) is not None:
            raise transient from fault
        raise UsageError(
            f"the current folder cannot be used: {fault.strerror}", hint="Change to another one, or use absolute paths."
        ) from fault


def make_private_folder(path: Path) -> None:
    """Create `path` and its missing parents, accessible only to this user. Raises OSError."""
    for folder in reversed([one for one in (path, *path.parents) if not one.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)


def in_batch_job() -> bool:
    """Return whether a batch system started this process."""
    return any(name in os.environ for name in _BATCH)


def descriptor_share(wanted: int, part: float) -> int:
    """Return the number of descriptors for one purpose:

    `wanted`, or fewer if the process may open only a few files. `part` is its fraction, 0 to 1, of those free for
    sources and connections.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return wanted
    return max(_MIN_DESCRIPTORS, min(wanted, int(part * (most - _RESERVED))))


def file_system_of(device: int) -> str | None:
    """Return the type of the mounted file system with this device number ("ext4", "nfs4"); None if unknown (macOS)."""
    mount = _mount_of(device)
    return mount[0] if mount is not None else None


def mount_options_of(device: int) -> tuple[str, ...]:
    """Return the options with which the file system with this device number is mounted; none if they are unknown."""
    mount = _mount_of(device)
    return mount[1] if mount is not None else ()


def _mount_of(device: int) -> tuple[str, tuple[str, ...]] | None:
    """Return type and options of a mounted file system."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, about = before.split(), after.split()
        if len(fields) > 5 and fields[2] == wanted and about:
            options = [*fields[5].split(","), *(about[2].split(",") if len(about) > 2 else ())]
            return about[0], tuple(dict.fromkeys(options))
    return None


def process_namespace() -> str:
    """Identify the processes among which process ids are unique: those of a container, or of a host. "" if unknown."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:  # no Linux
        return ""


def process_exists(pid: int) -> bool:
    """Return True if the process exists and has not ended.

    An ended one exists until its parent has waited for it; in a container whose first program never does, to the end.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):  # no Linux, or another user's process
        return True
    return state not in (b"Z", b"X")
