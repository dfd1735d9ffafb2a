"""The engine's interface to several processes on one job, as a protocol; `uploader.cluster` implements it.

One process, the leader, holds the job's lease, makes all API requests and writes the journal: it is the one that runs
an engine. The others, its members, only send parts that it hands to them.
"""

from __future__ import annotations

from typing import Protocol

from uploader.transfer.notices import Member
from uploader.transfer.parts.queue import PartQueue
from uploader.transfer.parts.senders import PartSenders
from uploader.transfer.run.context import JobRun


class Leader(Protocol):
    """Hands parts of the engine's queue to other processes."""

    async def lead(self, run: JobRun, queue: PartQueue, senders: PartSenders) -> None:
        """Hand out parts and take in what the members report, until cancelled.

        It gives this process its share of the account's limits: `senders.limit` and the throttle's `share`. A file's
        error is passed to its `FileSend`. Raises StateDiskFull, StateLost.
        """

    def may_send(self) -> bool:
        """Return True while this process may begin a part: no other one can be the leader."""

    def members(self) -> tuple[Member, ...]:
        """Return the members, as last seen."""
