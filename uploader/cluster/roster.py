"""The members of a job and what each of them has to do, as the leader knows it. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from uploader.cluster.division import Load
from uploader.cluster.messages import Hello, Order, Orders, PartDone, Secret, Speed, range_of
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
    speed: Speed = field(default_factory=lambda: Speed(term=0, rate=None, in_flight=0))
    """As it reported last."""
    speed_at: float = 0.0
    """When that was, or when it got something to send after it had nothing."""
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

    def give(
        self, number: int, sending: FileSend, file_id: int, parts: Sequence[Part], *, whole: bool, now: float
    ) -> None:
        """Add an order to send these parts. `whole`: they are those of the whole file, whose MD5 it computes."""
        if not self.given:
            self.speed_at = now
        transfer = sending.transfer
        order = Order(
            id=number,
            file_id=file_id,
            path=transfer.path,
            size=transfer.size,
            mtime_ns=transfer.mtime_ns,
            upload=Secret(sending.upload_url),
            parts=tuple(map(range_of, parts)),
            digest=whole,
            contested=sending.contested,
        )
        self.given[number] = PendingOrder(order=order, sending=sending, parts={part.no: part for part in parts})

    def load(self, now: float) -> Load:
        """Return what it has to do; what it has sent since its last report is estimated."""
        parts = [part for given in self.given.values() for part in given.parts.values()]
        size, rate = sum(part.size for part in parts), self.speed.rate
        in_flight = size * min(1.0, self.connections / len(parts)) if parts else 0.0
        sent = min(in_flight, self.speed.in_flight + (rate or 0.0) * (now - self.speed_at))
        return Load(connections=self.connections, rate=rate, parts=len(parts), size=size - sent)
