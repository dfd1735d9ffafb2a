"""The two ends of a wire between a leader and its members, as protocols: files in the job's folder, or Dask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from uploader.cluster.messages import Entry, Hello, Orders

SETTLE = 3.0
"""Seconds that a new leader waits. After that, a member either knows of it or has not read its orders for as long, and
asks before it sends a part.
"""


@dataclass(frozen=True, kw_only=True)
class LeaderSign:
    """A leader's sign of life: any change of `content`. `ended`: it no longer works on the job."""

    term: int
    content: bytes
    ended: bool


class LeaderWire(Protocol):
    """The leader's end. Members have names that are unique in the job."""

    async def members(self) -> Mapping[str, Hello]:
        """Return all members, as they describe themselves now. Raises StateLost."""

    async def give(self, member: str, orders: Orders) -> None:
        """Replace the orders of a member. Raises StateDiskFull, StateLost."""

    async def reports(self) -> list[tuple[str, Entry]]:
        """Return the members' reports since the last call, in the order of each. Raises StateLost."""

    async def has_earlier_orders(self) -> bool:
        """Return True if members may be following the orders of an earlier leader."""

    def reported(self, member: str) -> int:
        """Bytes of the member's report that were read: see `Hello.reported`."""

    async def forget(self, member: str) -> None:
        """Remove the files of a member that has ended; one that has not begins a new report. Raises nothing."""


class MemberWire(Protocol):
    """A member's end."""

    async def hello(self, hello: Hello) -> None:
        """Replace the member's description of itself, except `reported`. Raises StateDiskFull, StateLost; StateUnusable
        at first.
        """

    async def orders(self) -> tuple[int, Orders] | None:
        """Return the leader's term and orders, those of the highest term; None before the first."""

    async def report(self, entries: list[Entry]) -> None:
        """Append to the member's report; the next `hello` says how long it is. Raises StateDiskFull, StateLost."""

    async def leader(self) -> LeaderSign | None:
        """Return the last sign of life of the leader; None if there never was one."""
