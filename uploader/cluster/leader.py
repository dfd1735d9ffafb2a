"""The leader: hands parts of the engine's queue to the members, and records what they report.

In all other respects it is a normal run. Parts that a member does not report, because it died, froze or left, are
asked from the upload service and given to others.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from operator import attrgetter

from uploader.clock import Clock
from uploader.cluster.division import (
    EVERYTHING,
    Division,
    Load,
    RateMeter,
    Waiting,
    amount_for,
    late_takers,
    shares_of,
)
from uploader.cluster.limits import SELF, AccountLimits
from uploader.cluster.messages import (
    UPLOAD_GONE,
    WORKER_LOST,
    End,
    Entry,
    FileHashed,
    LimitsApplied,
    OrderFailed,
    OrderOver,
    Orders,
    Outcome,
    PartDone,
    PartsLeft,
    Speed,
)
from uploader.cluster.roster import MemberView, PendingOrder, Roster
from uploader.cluster.wire import SETTLE, LeaderWire
from uploader.errors import FigupError
from uploader.figshare.models import Part
from uploader.figshare.outcomes import UploadGone
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.parts.queue import SMALL, FileSend, PartQueue
from uploader.transfer.parts.senders import PartSenders
from uploader.transfer.run.context import JobRun

log = logging.getLogger("uploader.cluster.leader")

POLL = 2.0
"""Seconds between two reads of the members' reports."""
POLL_SOON, SOON = 0.25, 10.0
"""The same for this many seconds after a member joined, or was given work with less than _LITTLE seconds of it left."""
_LITTLE = 8.0
_GROWING = 5.0
"""Seconds after a member joined for which others may join, as those of one batch job do."""


class LeaderRole:
    """One term of a leader. `lead` runs beside the engine."""

    def __init__(
        self,
        wire: LeaderWire,
        term: int,
        clock: Clock,
        *,
        max_parts: int | None = None,
        alone: no.Warned | None = None,
    ) -> None:
        """`max_parts`: most parts of an order, None for any number. `alone`: see `Roster`."""
        self._wire = wire
        self._term = term
        self._clock = clock
        self._max_parts = max_parts
        self._roster = Roster(wire, term, clock, alone=alone)
        self._earlier: dict[int, Transfer] = {}
        """Unfinished files of earlier leaders, by the id of the remote file."""
        self._settled_at = math.inf
        self._orders = 0
        self._division = Division()
        self._limits = AccountLimits()
        self._own = RateMeter()
        self._joined_at = self._soon_until = -math.inf

    def members(self) -> tuple[no.Member, ...]:
        """Return the members that showed a sign of life, as last seen."""
        return self._roster.notices()

    async def begin(self) -> None:
        """Begin the term. Raises StateLost."""
        earlier = await self._wire.has_earlier_orders()
        self._settled_at = self._clock.monotonic() + (SETTLE if earlier else 0.0)

    def is_settled(self) -> bool:
        """Return True if parts may be sent and handed out."""
        return self._clock.monotonic() >= self._settled_at

    async def collect_earlier(self, run: JobRun) -> None:
        """Read what was reported to earlier leaders: the hashes of parts that the journal does not have."""
        self._earlier = {t.file_id: t for t in run.state.active if t.file_id is not None and not t.settled}
        for name, entry in await self._wire.reports():
            self._note_hash(run, name, entry)

    async def lead(self, run: JobRun, queue: PartQueue, senders: PartSenders) -> None:
        """See `uploader.transfer.parts.team.Leader`."""
        await self.collect_earlier(run)
        self._soon_until = self._clock.monotonic() + SOON
        while True:
            if await self._roster.look(run):
                self._joined_at = self._clock.monotonic()
                self._soon_until = self._joined_at + SOON
            for name, entry in await self._wire.reports():
                self._take(run, name, entry)
            await self._take_back_unsent(run, queue)
            for name in await self._roster.forget_ended():
                self._drop(name)
            self._own.observe(run.progress.accepted, self._clock.monotonic(), busy=run.progress.busy > 0)
            active = self._roster.active()
            growing = self._clock.monotonic() - self._joined_at < _GROWING
            self._limits.divide(run, senders, active, self._own.rate, growing=growing)
            if self.is_settled() and not run.stop.requested:
                self._divide_parts(run, queue, active)
            for name in active:
                await self._give(name)
            await self._clock.sleep(POLL_SOON if self._clock.monotonic() < self._soon_until else POLL)

    async def end(self, end: End) -> list[str]:
        """Tell the members how the job ended; return those that are gone. Raises StateLost."""
        hellos = await self._wire.members()
        gone = [name for name, hello in hellos.items() if hello.ended or self._roster.is_dead(name, hello)]
        for name in hellos.keys() - set(gone):
            before = self._roster.seen[name].orders.seq if name in self._roster.seen else 0
            await self._wire.give(name, Orders(seq=before + 1, end=end))
        return gone

    def _drop(self, name: str) -> None:
        self._division.forget(name)
        self._limits.drop(name)

    # --- what they report -----------------------------------------------------------------------------------------

    def _take(self, run: JobRun, name: str, entry: Entry) -> None:
        seen = self._roster.seen.get(name)
        if seen is None or entry.term != self._term:
            self._note_hash(run, name, entry)
            return
        if isinstance(entry, Speed):
            seen.note_speed(entry, self._clock.monotonic())
        elif isinstance(entry, LimitsApplied):
            if entry.seq >= seen.limits:
                self._limits.confirm(name)
        else:
            self._take_outcome(run, name, seen, entry)

    def _take_outcome(self, run: JobRun, name: str, seen: MemberView, entry: Outcome) -> None:
        given = seen.given.get(entry.order)
        if given is None:
            self._note_hash(run, name, entry)
        elif isinstance(entry, PartDone) and given.order.digest:
            given.done.append(entry)
        elif isinstance(entry, PartDone):
            self._take_part(run, seen, given, entry)
        elif isinstance(entry, PartsLeft):
            left = [given.parts.pop(number) for number in entry.parts if number in given.parts]
            given.sending.take_back(left)
            given.returned = True
        elif isinstance(entry, FileHashed):
            given.sending.md5 = entry.md5
        elif isinstance(entry, OrderFailed):
            _take_failure(seen, given, entry)
        elif isinstance(entry, OrderOver):
            self._take_done(run, seen, given)
            given.over = True

    def _note_hash(self, run: JobRun, name: str, entry: Entry) -> None:
        """Keep the hash of a part that is not expected: it is compared with the source if the file is sent again."""
        if not isinstance(entry, PartDone) or entry.xxh3 is None:
            return
        if entry.term != self._term:
            transfer = self._earlier.get(entry.file_id)
            if transfer is None or transfer.parts.xxh3(entry.no) is not None:
                return
        run.reported.setdefault(entry.file_id, {})[entry.no] = entry.xxh3
        self._roster.needed.add(name)

    def _take_done(self, run: JobRun, seen: MemberView, given: PendingOrder) -> None:
        for entry in given.done:
            self._take_part(run, seen, given, entry)
        given.done.clear()

    def _take_part(self, run: JobRun, seen: MemberView, given: PendingOrder, entry: PartDone) -> None:
        part = given.parts.pop(entry.no, None)
        if part is None:
            return
        sent = entry.xxh3 is not None
        seen.sent += part.size if sent else 0
        self._received(run, given.sending, part, entry.xxh3)

    @staticmethod
    def _received(run: JobRun, sending: FileSend, part: Part, xxh3: int | None) -> None:
        if sending.received(part.no) is None:
            return
        run.progress.elsewhere += part.size if xxh3 is not None else 0
        sending.meter.part_done(part.size, sent=xxh3 is not None)
        run.part_done(sending.transfer, part, xxh3)

    # --- parts that come back -------------------------------------------------------------------------------------

    async def _take_back_unsent(self, run: JobRun, queue: PartQueue) -> None:
        """Take back unsent parts of members that are gone or failed."""
        for name, seen in self._roster.seen.items():
            gone = self._roster.is_gone(name)
            all_read = self._roster.is_read(name)
            for order, given in tuple(seen.given.items()):
                over = gone or given.over or (all_read and seen.missed(given, self._term))
                if over and await self._take_back(run, queue, seen, given):
                    del seen.given[order]
            if gone:
                self._drop(name)
                # If it wakes up, it must find nothing to continue.
                await self._give(name)

    async def _take_back(self, run: JobRun, queue: PartQueue, seen: MemberView, given: PendingOrder) -> bool:
        """Ask the upload service for the parts that were not reported; True if the order is closed."""
        self._take_done(run, seen, given)
        sending = given.sending
        if sending.stopped or not given.parts:
            return True
        try:
            with run.stop.interruptible():
                upload = await run.api.upload(sending.upload_url)
        except UploadGone as gone:
            sending.fail(gone)
            return True
        except FigupError as error:
            log.info("cannot ask for parts of %s: %s", printable(sending.transfer.path), error)
            return False
        now = {part.no: part for part in upload.parts}
        back = [now[number] for number in given.parts if number in now]
        for part in back:
            if part.complete:
                self._received(run, sending, part, None)
        sending.contested = True
        sending.take_back([part for part in back if not part.complete])
        queue.wake(sending.left)
        return True

    # --- what is given --------------------------------------------------------------------------------------------

    def _divide_parts(self, run: JobRun, queue: PartQueue, active: dict[str, MemberView]) -> None:
        """Assign work to the members, the one with the least work first; leave to them what they should get soon."""
        now = self._clock.monotonic()
        files = {f.transfer.index: f for f in queue.files() if f.left} if active else {}
        waiting = {index: _waiting(index, sending) for index, sending in files.items()}
        loads = {name: seen.load(now) for name, seen in active.items() if seen.connections}
        able = {name: load for name, load in loads.items() if not active[name].unable & files.keys()}
        own = Load(connections=run.progress.busy, rate=self._own.rate, size=run.progress.unsent)
        rest, exact = shares_of([*waiting.values()], {**able, SELF: own})
        self._withdraw_late([*waiting.values()], active, own)
        reserved = sum(rest[name].parts for name in able)
        for name, load in sorted(loads.items(), key=lambda item: item[1].size / (item[1].rate or 1.0)):
            seen, mine = active[name], rest.get(name, EVERYTHING)
            possible = [file for index, file in waiting.items() if files[index].left and index not in seen.unable]
            amount = amount_for(load, mine)
            if not amount.parts and not amount.size:
                continue
            chosen = self._division.take(name, possible, amount, seen.hello.share)
            if chosen and load.size < _LITTLE * (load.rate or math.inf):
                self._soon_until = now + SOON
            for index, parts in chosen:
                self._hand_over(seen, files[index], parts)
                waiting[index] = _waiting(index, files[index])
                reserved -= len(parts) if name in able else 0
        queue.reserved = max(0, reserved) if exact else 0

    def _withdraw_late(self, waiting: Sequence[Waiting], active: dict[str, MemberView], own: Load) -> None:
        """Withdraw the orders of members that have become too slow for them."""
        now = self._clock.monotonic()
        loads = {name: seen.load_at_peak_rate(now) for name, seen in active.items()}
        for name, much in late_takers(waiting, {**loads, SELF: own}).items():
            if name in active and (much or loads[name].parts > loads[name].connections):
                active[name].withdraw(abort=much, now=now)

    def _hand_over(self, seen: MemberView, sending: FileSend, parts: list[Part]) -> None:
        transfer = sending.transfer
        whole = _is_whole(sending)
        taken = sending.hand_out({part.no for part in parts})
        if not taken or transfer.file_id is None:
            return
        step = len(taken) if whole or self._max_parts is None else self._max_parts
        for first in range(0, len(taken), step):
            parts = taken[first : first + step]
            self._orders += 1
            seen.give(self._orders, sending, transfer.file_id, parts, whole=whole, now=self._clock.monotonic())

    async def _give(self, name: str) -> None:
        """Send a member its orders, if they have changed."""
        seen = self._roster.seen[name]
        seen.given = {order: given for order, given in seen.given.items() if not given.sending.stopped}
        before, seen.orders = seen.orders, seen.next_orders()
        if seen.orders.seq == before.seq:
            return
        if (before.connections, before.rate) != (seen.connections, seen.rate):
            seen.limits = seen.orders.seq
        count = len(seen.orders.orders)
        log.debug("%s: %d orders, %d connections, rate %s", name, count, seen.connections, seen.rate)
        await self._wire.give(name, seen.orders)


def _take_failure(seen: MemberView, given: PendingOrder, entry: OrderFailed) -> None:
    transfer = given.sending.transfer
    if entry.code == UPLOAD_GONE:
        given.sending.fail(UploadGone(entry.message))
        return
    log.info("a member cannot send %s: %s", printable(transfer.path), entry.message)
    if entry.code == WORKER_LOST:
        return
    # Another member, or this process, may be able to; an error of this process is the file's. Also if the source has
    # changed: a file system may show a member another time of it, and this process compares contents in the end.
    seen.unable.add(transfer.index)


def _is_whole(sending: FileSend) -> bool:
    """Return True if one member should send all of the file and compute its MD5."""
    return sending.transfer.size <= SMALL and not sending.opened


def _waiting(index: int, sending: FileSend) -> Waiting:
    # Locked parts stay here: waiting for the lock needs no other process.
    parts = sorted((part for part in sending.waiting if not part.locked), key=attrgetter("start"))
    return Waiting(key=index, parts=parts, whole=_is_whole(sending))
