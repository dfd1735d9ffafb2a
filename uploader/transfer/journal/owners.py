"""Which transfers of a job own a remote file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer


class Owners:
    """The transfers by the ids that they own (see `Transfer.owned_ids`); indexed once it is needed, which is rare."""

    def __init__(self, transfers: Sequence[Transfer]) -> None:
        self._transfers = transfers
        self._indices: dict[int, tuple[int, ...]] | None = None
        """Positions of the owners of each file; None before they were asked for."""

    def of(self, file_id: int) -> list[Transfer]:
        """Return the transfers that own this remote file, also dropped ones."""
        if self._indices is None:
            self._indices = {}
            for transfer in self._transfers:
                _change(self._indices, transfer.owned_ids(), transfer.index)
        return [self._transfers[index] for index in self._indices.get(file_id, ())]

    def apply(self, transfer: Transfer, event: ev.FileEvent) -> None:
        """Apply an event to one of the transfers. Raises IllegalEvent."""
        if self._indices is None:
            transfer.apply(event)
            return
        before = transfer.owned_ids()
        transfer.apply(event)
        _change(self._indices, before ^ transfer.owned_ids(), transfer.index)


def _change(indices: dict[int, tuple[int, ...]], file_ids: Iterable[int], index: int) -> None:
    """Add the transfer of this index to the owners of these files, or remove it from them."""
    for file_id in file_ids:
        before = indices.get(file_id, ())
        others = tuple(other for other in before if other != index)
        indices[file_id] = others if index in before else (*others, index)
