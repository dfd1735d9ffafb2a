"""Look again at verified files that seem to be gone, moved or changed: the server may answer from an old copy of its
data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import NamedTuple

from uploader.clock import Clock
from uploader.figshare.models import File
from uploader.items.reconcile import GONE_AFTER
from uploader.transfer.compare import Match, is_only_unplaced, is_sent_again, remote_match
from uploader.transfer.journal.lifecycle import Transfer

MANY = 20
"""With more files in doubt, the item is listed again, but not at once; fewer are requested one by one."""
_PAUSES, _PAUSES_FOR_MANY = (0.0, 1.0, GONE_AFTER - 1.0, 4.0, 8.0), (GONE_AFTER, 4.0, 8.0)
"""Seconds before each further look."""
_LAST_PAUSE = 15.0
"""The same for all later ones."""
_SHORTEST = 0.001
"""Shorter times left come from rounding."""


@dataclass(frozen=True)
class Look:
    """What the item holds, as answered once: the remote file of each transfer, and the folders by file id."""

    file_of: Callable[[Transfer], File | None]
    folders: Mapping[int, str]

    def compare(self, transfer: Transfer) -> tuple[Match, str]:
        """Compare the transfer's remote file: see `remote_match`."""
        return remote_match(transfer, self.file_of(transfer), self.folders)


async def look_until_certain(
    transfers: Sequence[Transfer],
    first: Look,
    look_again: Callable[[Sequence[Transfer]], Awaitable[Look]],
    clock: Clock,
    settle: float,
    time_limit: float,
) -> Look:
    """Return the last look at the item.

    A file that differs is looked at once more. One that seems gone counts as gone after looking for it for GONE_AFTER
    seconds, or `settle` if that is less, and one that seems to be in no folder as moved after `time_limit` seconds.
    `look_again` gets the transfers of the files in doubt.
    """
    begun = clock.monotonic()
    doubts = _Doubts(min(GONE_AFTER, settle), time_limit)
    doubts.after(transfers, first, _Time(0.0, 0.0))
    look, suspects, waited = first, [t for t in transfers if first.compare(t)[0] is not Match.SAME], 0.0
    pauses = chain(_PAUSES_FOR_MANY if len(suspects) > MANY else _PAUSES, repeat(_LAST_PAUSE))
    while suspects and waited <= settle + time_limit:  # some answer may be old again and again
        pause = min(next(pauses), doubts.longest)
        await clock.sleep(pause)
        waited += pause
        at = _Time(waited, clock.monotonic() - begun)
        look = await look_again(suspects)
        suspects = doubts.after(transfers, look, at)
    return look


class _Time(NamedTuple):
    """When a look began, in seconds: only the pauses, which certainly pass between looks, and all in all."""

    waited: float
    passed: float


class _Doubts:
    """Since when which files seem to be gone, or in no folder."""

    def __init__(self, gone_after: float, moved_after: float) -> None:
        self._gone_after, self._moved_after = gone_after, moved_after
        self._since: dict[int, tuple[str, _Time]] = {}
        self.longest = 0.0
        """Seconds until the last of the doubts is settled, unless the server answers otherwise."""

    def after(self, transfers: Sequence[Transfer], look: Look, at: _Time) -> list[Transfer]:
        """Return the transfers of files that are in doubt after a look that began at that time."""
        found, self.longest = [], 0.0
        for transfer in transfers:
            seems = _seems(transfer, look)
            if seems is None:
                self._since.pop(transfer.index, None)
                continue
            before, since = self._since.get(transfer.index, (seems, at))
            if before != seems:
                since = at
            self._since[transfer.index] = seems, since
            if (left := self._left(seems, since, at)) > _SHORTEST:
                self.longest = max(self.longest, left)
                found.append(transfer)
        return found

    def _left(self, seems: str, since: _Time, at: _Time) -> float:
        if seems == "gone":
            return self._gone_after - (at.waited - since.waited)
        return self._moved_after - (at.passed - since.passed)


def _seems(transfer: Transfer, look: Look) -> str | None:
    """Return what an old copy of the data may have made of the file; None if nothing."""
    if is_only_unplaced(transfer, look.file_of(transfer), look.folders):
        return "moved"
    return "gone" if is_sent_again(transfer, look.compare(transfer)[0]) else None
