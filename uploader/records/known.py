"""The records of a file as a job knows them: under the keys of earlier runs, and which of them are new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from uploader.concurrency import in_thread
from uploader.figshare.ids import comparable_doi
from uploader.records.existing import Existing
from uploader.records.journal import JobState
from uploader.records.packed import Packed
from uploader.records.plan import Planned

_MAX_NAMED = 20
"""Records that are named one by one."""


@dataclass(frozen=True)
class KnownRecords:
    """The records of a file, by the keys under which the job of this state knows them. Reading them blocks."""

    records: Packed[Planned] | Sequence[Planned]
    state: JobState

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Planned]:
        for one in self.records:
            key = self._earlier.get(one.key)
            yield one if key is None else msgspec.structs.replace(one, key=key)

    def without_item(self) -> Iterator[Planned]:
        """Yield the records for which the job has no item."""
        return (one for one in self if self.state.of(one.key).item_id is None)

    def dois(self) -> set[str]:
        """Return the DOIs by which an item may be recognized as that of a record: for updates that of any one, as it
        may be another item's now, else of records for which the job has none.
        """
        records = self if self._is_update else self.without_item()
        return {comparable_doi(doi) for one in records for doi in one.dois}

    def note_items(self, existing: Existing) -> None:
        """Note which of the items that exist are those of records of the file, or were created by requests for them."""
        there = {row.id for rows in existing.by_doi.values() for row in rows}
        keys = {one.key for one in self} if there else set()
        requests = [(mark, key) for mark, key in self.state.marks.items() if key in keys]
        for key in keys:
            state = self.state.of(key)
            requests += [(state.intent.mark, key)] if state.intent is not None else []
            if state.item_id in there:
                existing.records[state.item_id] = key
        for mark, key in requests:
            existing.records |= dict.fromkeys(there.intersection(existing.marked.get(mark, ())), key)
        if self._is_update:
            self._note_moved(existing)

    def _note_moved(self, existing: Existing) -> None:
        """Note which items are no longer those of their records, because other ones have the DOIs now.

        An item that has a DOI of its own record is not what another record of the publication moved to.
        """
        settled, others = set[int](), dict[str, list[int]]()
        for one in self:
            item_id = self.state.of(one.key).item_id
            ids = [row.id for row in existing.all_with_doi(one) if row.owner == "own"] if item_id is not None else []
            if item_id in ids:
                settled.add(item_id)
            elif ids:
                others[one.key] = ids
        for key, ids in others.items():
            if (now := next((item_id for item_id in ids if item_id not in settled), None)) is not None:
                existing.moved[key] = now
        existing.records = {item_id: key for item_id, key in existing.records.items() if key not in existing.moved}

    def look_alikes(self, existing: Existing) -> Iterator[str]:
        """Yield a message for each new record that may be one of the job with another DOI: its title and authors are
        those of a record that is no longer in the file.
        """
        if not self.state.records:
            return
        keys = {one.key for one in self}
        gone = {
            state.likeness: (key, state.item_id)
            for key, state in self.state.records.items()
            if key not in keys and state.created and state.likeness
        }
        for one in self.without_item() if gone else ():
            if (before := gone.get(one.likeness)) is not None and not existing.with_doi(one):
                key, item_id = before
                yield (
                    f"line {one.line}, {one.key}: has the title and authors of item {item_id} ({key}), whose record is "
                    "no longer in the file; it gets an item of its own. If only the DOI was corrected, set it on item "
                    f"{item_id} first"
                )

    @property
    def _is_update(self) -> bool:
        return self.state.plan is not None and self.state.plan.action == "update"

    @cached_property
    def _earlier(self) -> dict[str, str]:
        """Map present keys to earlier ones, for records whose DOI is new or was corrected.

        They are found by their source's id.
        """
        known = self.state.records
        new = {one.key: one.source_id for one in self.records if one.key not in known and one.source_id}
        if not known or not new:
            return {}
        counts, keys, wanted = Counter(new.values()), dict[str, list[str]](), set(new.values())
        for key, state in known.items():
            for source in {key, state.source} & wanted:
                keys.setdefault(source, []).append(key)
        taken = {one.key for one in self.records}
        return {
            key: earlier[0]
            for key, source in new.items()
            if len(earlier := keys.get(source, [])) == counts[source] == 1 and earlier[0] not in taken
        }


async def warn_of_look_alikes(records: KnownRecords, existing: Existing, warn: Callable[[str], None]) -> None:
    """Warn of new records that may be earlier ones of the job with another DOI."""
    found = await in_thread(lambda: list(records.look_alikes(existing)))
    for message in found[:_MAX_NAMED]:
        warn(message)
    if len(found) > _MAX_NAMED:
        warn(f"and {len(found) - _MAX_NAMED} more such records")
