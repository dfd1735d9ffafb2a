"""Another machine that takes over a job whose holder is suspended."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.fakes.clock import VirtualClock
from uploader.disk import Disk
from uploader.transfer.store.lease import Leases

SUSPENDED = 60.0
"""Seconds, more than a lease lasts."""


def take_over(folder: Path, clock: VirtualClock) -> None:
    """Take the lease of the job in this folder, which its holder held before it was suspended."""
    clock.suspend(SUSPENDED)
    leases = Leases(folder, Disk())
    before = leases.newest()
    assert before is not None
    assert before.lease is not None
    assert leases.claim(before.number + 1, msgspec.structs.replace(before.lease, machine="another"), before)
