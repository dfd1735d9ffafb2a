"""The members of a job and what each of them has to do, as the leader knows it. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from uploader.cluster.division import Load, RateMeter
from uploader.cluster.messages import Hello, Order, Orders, PartDone
from uploader.figshare.models import Part
from uploader.transfer.parts.queue import FileSend


@dataclass(kw_only=True)
class PendingOrder:
    """An order that a member has not reported as over, with the parts that it has not reported."""

    order: Order
    sending: FileSend
    parts: dict[int, Part]
    done: list[PartDone] = field(default_factory=list)
    """Reported parts of an order whose MD5 is awaited."""
    over: bool = False
    """True once the member has nothing left to do for it."""


@dataclass(kw_only=True)
class MemberView:
    """A member as the leader sees it. Times are the leader's, in monotonic seconds."""

    hello: Hello
    changed: float
    alive: bool
    """True once it showed a sign of life to this leader."""
    given: dict[int, PendingOrder] = field(default_factory=dict)
    meter: RateMeter = field(default_factory=RateMeter)
    sent: int = 0
    connections: int = 0
    rate: float | None = None
    """What it may use of the account's limits."""
    orders: Orders = field(default_factory=lambda: Orders(seq=0))
    """What it was sent last."""
    limits: int = 0
    """`seq` of the orders that changed its limits last."""
    unable: set[int] = field(default_factory=set)
    """Files that it could not send, by index."""

    @property
    def load(self) -> Load:
        """What it has to do."""
        parts = [part for given in self.given.values() for part in given.parts.values()]
        return Load(
            connections=self.connections,
            rate=self.meter.rate,
            parts=len(parts),
            size=sum(part.size for part in parts),
        )
