"""The members of a job and what each of them has to do, as the leader knows it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from uploader._version import __version__
from uploader.clock import Clock
from uploader.cluster.division import Load
from uploader.cluster.messages import Hello, Order, Orders, PartDone, Secret, Speed, range_of
from uploader.cluster.wire import LeaderWire
from uploader.figshare.models import Part
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.parts.queue import FileSend
from uploader.transfer.run.context import JobRun

_LATEST = 20.0
"""Seconds for which a speed is one of the latest. A member that sends mostly reports one at least every ten."""

SILENT = 60.0
"""Seconds without a sign of life after which a member is lost; a network file system may hide one almost as long."""
UNREADABLE = 120.0
"""Seconds for which a report cannot be read to its end, after which it is damaged."""
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
    read: float
    """When all of its report was read last, or it was seen first."""
    given: dict[int, PendingOrder] = field(default_factory=dict)
    speed: Speed = field(default_factory=lambda: Speed(term=0, rate=None, in_flight=0))
    """As it reported last."""
    speed_at: float = 0.0
    """When that was, or when it got something to send after it had nothing."""
    sent: int = 0
    connections: int = 0
    rate: float | None = None
    """Its share of the account's limits."""
    orders: Orders = field(default_factory=lambda: Orders(seq=0))
    """The orders that it was sent last."""
    limits: int = 0
    """`seq` of the orders that changed its limits last."""
    _speeds: deque[tuple[float, float]] = field(default_factory=deque)
    """Its latest speeds, and when they were reported."""
    _given_at: float = 0.0
    abort: bool = False
    """True if it must not even finish the parts in flight of withdrawn orders."""
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
        """Withdraw all its orders; `abort`: parts in flight, too. Does nothing shortly after `give`."""
        if now - self._given_at < _SHORT:
            return
        self.abort |= abort and now - self._given_at > _LONG
        for given in self.given.values():
            if given.withdrawn is None:
                given.withdrawn = self.orders.seq + 1

    def next_orders(self) -> Orders:
        """Return its current orders. `seq` is that of the last ones if nothing has changed."""
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

    def load_at_peak_rate(self, now: float) -> Load:
        """Return its load with the highest of its latest speeds, which vary if bytes pass in bursts."""
        load = self.load(now)
        while len(self._speeds) > 1 and self._speeds[0][0] < now - _LATEST:
            self._speeds.popleft()
        rate = max((rate for _, rate in self._speeds), default=0.0)
        if (unheard := now - self.speed_at - _LATEST) > 0:
            # It would have reported that it has sent everything.
            rate = min(rate or math.inf, load.size / unheard)
        return replace(load, rate=rate or None)

    def load(self, now: float) -> Load:
        """Return its load; the bytes sent since its last report are estimated."""
        parts = [part for given in self.given.values() for part in given.parts.values()]
        size, rate = sum(part.size for part in parts), self.speed.rate
        in_flight = size * min(1.0, self.connections / len(parts)) if parts else 0.0
        sent = min(in_flight, self.speed.in_flight + (rate or 0.0) * (now - self.speed_at))
        return Load(connections=self.connections, rate=rate, parts=len(parts), size=size - sent)


class Roster:
    """The members of a job, by name."""

    def __init__(self, wire: LeaderWire, term: int, clock: Clock, *, alone: no.Warned | None = None) -> None:
        """`alone`: what to warn of if there is no member within a minute."""
        self.seen: dict[str, MemberView] = {}
        self.needed: set[str] = set()
        """Members whose reports have something that the journal does not have."""
        self._wire = wire
        self._term = term
        self._clock = clock
        self._alone = alone
        self._began: float | None = None
        """When it was first looked."""
        self._warned: set[str] = set()

    async def look(self, run: JobRun) -> bool:
        """Look for members and their signs of life; True if there is a new one. Raises StateLost."""
        known, hellos = set(self.seen), await self._wire.members()
        # Not before: that may take long, and the members have been alive meanwhile.
        now = self._clock.monotonic()
        for name, hello in hellos.items():
            seen = self.seen.get(name)
            if seen is None:
                # A member from before this leader may be dead: its state must change first.
                before = Orders(seq=hello.seq if hello.term == self._term else 0)
                alive = self._began is not None
                self.seen[name] = MemberView(hello=hello, changed=now, alive=alive, read=now, orders=before)
            elif hello != seen.hello:
                seen.hello, seen.changed, seen.alive = hello, now, True
            self._check_version(run, name, hello)
        self._began = now if self._began is None else self._began
        if now - self._began > SILENT:
            self._warn_if_alone(run)
        return not self.seen.keys() <= known

    def _warn_if_alone(self, run: JobRun) -> None:
        alone, self._alone = self._alone, None
        if alone is not None and not any(seen.alive for seen in self.seen.values()):
            run.notify(alone)

    def _check_version(self, run: JobRun, name: str, hello: Hello) -> None:
        if hello.version != __version__ and name not in self._warned:
            self._warned.add(name)
            who = f"process {hello.pid} on {hello.host}" if hello.pid else f"a worker on {hello.host}"
            text = f"{who} runs figup {hello.version}, not {__version__}"
            if not hello.version:
                text = f"{who} cannot be asked for its version of figup"
            run.notify(no.Warned(message=f"{printable(text)}: it gets nothing to send"))

    def active(self) -> dict[str, MemberView]:
        """Return the members that may get orders."""
        return {name: seen for name, seen in self.seen.items() if self._is_active(seen)}

    def _is_active(self, seen: MemberView) -> bool:
        ready = seen.alive and not seen.hello.ended and seen.hello.version == __version__
        return ready and not self._is_silent(seen) and not self._is_unreadable(seen)

    def is_dead(self, name: str, hello: Hello) -> bool:
        """Return True for a known member that may get no orders, and has given no sign of life since the last look."""
        seen = self.seen.get(name)
        return seen is not None and hello == seen.hello and not self._is_active(seen)

    def is_gone(self, name: str) -> bool:
        """Return True if the member has nothing left to report."""
        seen, is_read = self.seen[name], self.is_read(name)
        ended = seen.hello.ended and is_read
        return seen.alive and (ended or self._is_silent(seen) or self._is_unreadable(seen))

    def is_read(self, name: str) -> bool:
        """Return True if all of the member's report has been read."""
        seen = self.seen[name]
        if self._wire.reported(name) < seen.hello.reported:
            return False
        seen.read = self._clock.monotonic()
        return True

    def _is_silent(self, seen: MemberView) -> bool:
        return self._clock.monotonic() - seen.changed > SILENT

    def _is_unreadable(self, seen: MemberView) -> bool:
        """Return True if its report is damaged: it could not be read to its end for long."""
        return self._clock.monotonic() - seen.read > UNREADABLE

    async def forget_ended(self) -> list[str]:
        """Remove what is left of members that have ended, and return their names: over weeks they accumulate, and each
        is read in every poll. A member whose report is damaged starts over.
        """
        over = [name for name in self.seen if self._is_over(name)]
        for name in over:
            await self._wire.forget(name)
            del self.seen[name]
        return over

    def _is_over(self, name: str) -> bool:
        """Return True if nothing more can be learned from the member, and it has nothing to do."""
        seen = self.seen[name]
        if seen.given:
            return False
        knows = seen.hello.ended or (seen.hello.term, seen.hello.seq) == (self._term, seen.orders.seq)
        if knows and self._is_unreadable(seen):
            return True
        still = self._clock.monotonic() - seen.changed
        ended = self.is_read(name) if seen.hello.ended else not seen.alive and still > UNREADABLE
        return ended and name not in self.needed

    def notices(self) -> tuple[no.Member, ...]:
        """Return the members that showed a sign of life, as last seen."""
        now = self._clock.monotonic()
        return tuple(
            no.Member(
                host=seen.hello.host,
                pid=seen.hello.pid,
                task=seen.hello.task,
                bytes_sent=seen.sent,
                rate=seen.speed.rate if seen.given else None,
                silent=round(now - seen.changed, 1),
            )
            for seen in self.seen.values()
            if seen.alive and not seen.hello.ended
        )
