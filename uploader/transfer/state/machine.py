"""This machine, and the processes on it."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def machine_id() -> str:
    """What is common to all processes that share one kernel, and to no others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"host:{socket.gethostname()}"


def is_alive(pid: int) -> bool:
    """True when there is a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
