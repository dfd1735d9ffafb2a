"""A private network: a Linux network namespace in which one address represents another machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.programs import require_program

ELSEWHERE = "10.99.0.1"
"""An address that is not loopback, so that proxies apply to it, and that only this namespace knows."""
NOWHERE = "203.0.113.1"
"""A documentation address without a route in the namespace."""

_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Programs started by this thread inside the block see loopback and ELSEWHERE, and nothing else.

    Only this thread moves into the new namespace (unshare and setns are per thread), and its children with it; the
    machine's own network is never touched, and the namespace is gone with the last process in it.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can make a network namespace")
    ip = require_program("ip", "iproute2")
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace can be made here: {os.strerror(ctypes.get_errno())}")
        try:
            for words in ("link set lo up", f"addr add {ELSEWHERE}/32 dev lo"):
                subprocess.run([ip, *words.split()], check=True, capture_output=True)
            yield
        finally:
            if libc.setns(before, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot go back to the machine's network")
    finally:
        os.close(before)
