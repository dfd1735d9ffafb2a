"""Divide the account's limits, connections and bytes per second, among the processes that send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from uploader.cluster.roster import MemberView
from uploader.transfer.options import MAX_CONNECTIONS
from uploader.transfer.parts.senders import PartSenders
from uploader.transfer.run.context import JobRun

_FIRST = 2
"""Connections of a member while more members may come."""
SELF = ""
"""The leader's key among those that share the limits."""


class AccountLimits:
    """The shares of the leader and of the members."""

    def __init__(self) -> None:
        self._connections = Allotment(MAX_CONNECTIONS)
        self._rate = Allotment(0.0)

    def confirm(self, member: str) -> None:
        """Note that a member follows what it was given last."""
        self._connections.confirm(member)
        self._rate.confirm(member)

    def drop(self, member: str) -> None:
        """Note that a member is gone."""
        self._connections.drop(member)
        self._rate.drop(member)

    def divide(
        self,
        run: JobRun,
        senders: PartSenders,
        members: Mapping[str, MemberView],
        own_rate: float | None,
        *,
        growing: bool = False,
    ) -> None:
        """Set the shares of the members, which may get orders, and of this process. `growing`: others may come."""
        fastest = sorted(members, key=lambda name: members[name].speed.rate or 0.0, reverse=True)
        self._connections.total = run.options.connections or MAX_CONNECTIONS
        wanted = equal_shares(int(self._connections.total), [SELF, *fastest])
        if growing:
            # A lowered share is free only when parts have ended, which may take a minute.
            wanted |= {name: min(wanted[name], max(_FIRST, seen.connections)) for name, seen in members.items()}
        senders.limit(int(self._connections.divide(wanted)[SELF]))
        self._connections.uses(SELF, senders.in_use)
        connections = self._connections.divide(wanted)
        rates: dict[str, float] = {}
        if (limit := run.throttle.rate) is not None:
            self._rate.total = limit
            measured = {name: members[name].speed.rate for name in fastest if connections[name] > 0}
            rates = dict(self._rate.divide(rate_shares(limit, {SELF: own_rate, **measured})))
        self._rate.confirm(SELF)
        run.throttle.share = rates.get(SELF)
        for name, seen in members.items():
            seen.rate = rates.get(name, 0.0) if limit is not None else None
            seen.connections = int(connections[name]) if seen.rate is None or seen.rate >= 1 else 0


class Allotment:
    """Divides a limit among takers so that they never use more than all of it, also while it is being redivided.

    A taker's share is lowered at once and counts as used until the taker confirms; another one's is raised by what is
    free then.
    """

    def __init__(self, total: float) -> None:
        self.total = total
        self._given: dict[str, float] = {}
        self._held: dict[str, float] = {}
        """The amount that each taker may still use; at least its share."""

    def confirm(self, taker: str) -> None:
        """Note that the taker follows what it was given last."""
        if taker in self._given:
            self._held[taker] = self._given[taker]

    def uses(self, taker: str, amount: float) -> None:
        """Note what the taker uses; it may use more only when it is given more."""
        if taker in self._given:
            self._held[taker] = max(self._given[taker], min(self._held[taker], amount))

    def drop(self, taker: str) -> None:
        """Note that the taker no longer uses anything."""
        self._given.pop(taker, None)
        self._held.pop(taker, None)

    def divide(self, wanted: Mapping[str, float]) -> Mapping[str, float]:
        """Divide again; `wanted` are the shares to reach, of at most the total. Return what each may use now."""
        for taker, want in wanted.items():
            self._held.setdefault(taker, 0.0)
            self._given[taker] = min(want, self._held[taker])
        for taker, want in wanted.items():
            free = self.total - sum(self._held.values())
            if want > self._held[taker] and free > 0:
                self._held[taker] = self._given[taker] = min(want, self._held[taker] + free)
        return dict(self._given)


def equal_shares(total: int, takers: Sequence[str]) -> dict[str, int]:
    """Divide a number of connections; with more takers than connections, the first ones get one each."""
    share, more = divmod(total, max(1, len(takers)))
    return {taker: share + (place < more) for place, taker in enumerate(takers)}


def rate_shares(total: float, rates: Mapping[str, float | None]) -> dict[str, float]:
    """Divide bytes per second: bytes that a slow taker does not need go to the others.

    `rates` are the measured ones, None while unknown.
    """
    shares: dict[str, float] = {}
    left, open_takers = total, sorted(rates, key=lambda taker: rates[taker] or float("inf"))
    while open_takers:
        taker = open_takers.pop(0)
        equal = left / (len(open_takers) + 1)
        rate = rates[taker]
        # Some margin, so that a taker that has become faster can show it.
        shares[taker] = equal if rate is None or not open_takers else min(equal, max(1.5 * rate, equal / 2))
        left -= shares[taker]
    return shares
