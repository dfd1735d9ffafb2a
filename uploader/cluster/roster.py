"""The members of a job and what each of them has to do, as the leader knows it. Values only."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from uploader.cluster.division import Load
from uploader.cluster.messages import Hello, Order, Orders, PartDone, Secret, Speed, range_of
from uploader.figshare.models import Part
from uploader.transfer.parts.queue import FileSend

_LATEST = 20.0
"""Seconds for which a speed is one of the latest. A member that sends mostly reports one at least every ten."""

_SHORT, _LONG = 5.0, 60.0
"""Seconds for which a member always keeps its orders, and parts in flight."""


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
    withdrawn: int | None = None
    """`seq` of the first orders without it, after which the member begins no further part of it."""
    returned: bool = False
    """True once the member has reported which parts it has not begun."""


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
    _speeds: deque[tuple[float, float]] = field(default_factory=deque)
    """Its latest speeds, and when they were reported."""
    _given_at: float = 0.0
    abort: bool = False
    """True if it is not to finish parts in flight of withdrawn orders either."""
    unable: set[int] = field(default_factory=set)
    """Files that it could not send, by index."""

    def give(
        self, number: int, sending: FileSend, file_id: int, parts: Sequence[Part], *, whole: bool, now: float
    ) -> None:
        """Add an order to send these parts. `whole`: they are those of the whole file, whose MD5 it computes."""
        if not self.given:
            self.speed_at = now
        self._given_at = now
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

    def withdraw(self, *, abort: bool, now: float) -> None:
        """Withdraw all its orders; `abort`: what is in flight, too. Not what it has got only now."""
        if now - self._given_at < _SHORT:
            return
        self.abort |= abort and now - self._given_at > _LONG
        for given in self.given.values():
            if given.withdrawn is None:
                given.withdrawn = self.orders.seq + 1

    def next_orders(self) -> Orders:
        """Return what it is to do now. `seq` is that of the last ones if nothing has changed."""
        orders = tuple(given.order for given in self.given.values() if given.withdrawn is None)
        self.abort = self.abort and len(orders) < len(self.given)
        same = Orders(
            seq=self.orders.seq, orders=orders, connections=self.connections, rate=self.rate, abort=self.abort
        )
        return same if same == self.orders else msgspec.structs.replace(same, seq=same.seq + 1)

    def missed(self, given: PendingOrder, term: int) -> bool:
        """Return True if an order of this term was withdrawn before the member knew of it, by all that it reported."""
        if given.withdrawn is None or given.returned or self.hello.term != term:
            return False
        return self.hello.seq >= given.withdrawn

    def note_speed(self, speed: Speed, now: float) -> None:
        """Note its speed, as it reports it."""
        self.speed, self.speed_at = speed, now
        self._speeds.append((now, speed.rate or 0.0))

    def load_at_best(self, now: float) -> Load:
        """Return what it has to do with the highest of its latest speeds: they vary where bytes pass in bursts."""
        load = self.load(now)
        while len(self._speeds) > 1 and self._speeds[0][0] < now - _LATEST:
            self._speeds.popleft()
        rate = max((rate for _, rate in self._speeds), default=0.0)
        if (unheard := now - self.speed_at - _LATEST) > 0:
            # It would have reported that it has sent everything.
            rate = min(rate or math.inf, load.size / unheard)
        return replace(load, rate=rate or None)

    def load(self, now: float) -> Load:
        """Return what it has to do; what it has sent since its last report is estimated."""
        parts = [part for given in self.given.values() for part in given.parts.values()]
        size, rate = sum(part.size for part in parts), self.speed.rate
        in_flight = size * min(1.0, self.connections / len(parts)) if parts else 0.0
        sent = min(in_flight, self.speed.in_flight + (rate or 0.0) * (now - self.speed_at))
        return Load(connections=self.connections, rate=rate, parts=len(parts), size=size - sent)
