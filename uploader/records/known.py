"""The records of a file as a job knows them: under the keys of earlier runs, and which of them are new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from uploader.figshare.ids import comparable_doi
from uploader.records.journal import JobState
from uploader.records.packed import Packed
from uploader.records.plan import Planned


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
        """Return the DOIs by which an item may be recognized as that of a record for which the job has none."""
        return {comparable_doi(doi) for one in self.without_item() for doi in one.dois}

    @cached_property
    def _earlier(self) -> dict[str, str]:
        """The ids of sources that were the keys of records which have a DOI now, by this DOI."""
        known = self.state.records
        found = {one.key: one.source_id for one in self.records if one.key not in known and one.source_id in known}
        counts, taken = Counter(found.values()), {one.key for one in self.records} if found else set()
        return {key: source_id for key, source_id in found.items() if counts[source_id] == 1 and source_id not in taken}
