"""Look again at verified files that seem to be gone, moved or changed: the server may answer from an old copy of its
data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

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
    doubts = _Doubts(min(GONE_AFTER, settle), time_limit)
    doubts.remaining(transfers, first, 0.0)
    look, suspects, waited = first, [t for t in transfers if first.compare(t)[0] is not Match.SAME], 0.0
    pauses = chain(_PAUSES_FOR_MANY if len(suspects) > MANY else _PAUSES, repeat(_LAST_PAUSE))
    while suspects and waited <= settle + time_limit:  # some answer may be old again and again
        pause = min(next(pauses), settle)
        await clock.sleep(pause)
        waited += pause
        look = await look_again(suspects)
        suspects = doubts.remaining(transfers, look, waited)
    return look


class _Doubts:
    """Since when which files seem to be gone, or in no folder."""

    def __init__(self, gone_after: float, moved_after: float) -> None:
        self._limits = {"gone": gone_after, "moved": moved_after}
        self._since: dict[int, tuple[str, float]] = {}

    def remaining(self, transfers: Sequence[Transfer], look: Look, at: float) -> list[Transfer]:
        """Return the transfers of files that are in doubt after a look at that time (seconds)."""
        found = []
        for transfer in transfers:
            seems = _seems(transfer, look)
            if seems is None:
                self._since.pop(transfer.index, None)
                continue
            before, since = self._since.get(transfer.index, (seems, at))
            if before != seems:
                since = at
            self._since[transfer.index] = seems, since
            if at - since < self._limits[seems]:
                found.append(transfer)
        return found


def _seems(transfer: Transfer, look: Look) -> str | None:
    """Return what an old copy of the data may have made of the file; None if nothing."""
    if is_sent_again(transfer, look.compare(transfer)[0]):
        return "gone"
    return "moved" if is_only_unplaced(transfer, look.file_of(transfer), look.folders) else None
