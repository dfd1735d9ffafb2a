"""The plan: checked records in the form that they get on Figshare."""

from __future__ import annotations

import hashlib

import msgspec

from uploader.figshare.ids import doi_in
from uploader.items.payload import ItemPayload
from uploader.records.check import CheckedRecord
from uploader.records.model import ItemKey


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A record in the form that it gets on Figshare. `title` None: the item keeps its own. `line` is its place in the
    file.

    `dois` are those by which an item is recognized as the same; `payload` has everything else. `source_id` was the key
    if the record had no DOI before.
    """

    key: str
    line: int
    title: str | None
    payload: ItemPayload
    link: str | None = None
    dois: tuple[str, ...] = ()
    source_id: str = ""

    @property
    def is_metadata_only(self) -> bool:
        """Whether the item is to have no file."""
        return bool(self.payload.fields.get("is_metadata_record"))

    @property
    def fingerprint(self) -> str:
        """A hash of the title and the metadata."""
        return _hash([self.title, self.payload])

    @property
    def likeness(self) -> str:
        """A hash of the title and the authors, by which a record whose DOI was corrected is recognized."""
        return _hash([" ".join((self.title or "").casefold().split()), self.payload.authors])


def _hash(value: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=8).hexdigest()


def plan_record(one: CheckedRecord, key: ItemKey | None = None) -> Planned:
    """Return the record to create, or with `key` the one that updates the item identified by it."""
    record, fields = one.record, dict(one.payload.fields)
    doi = record.metadata.doi
    if key is None:
        named = (doi, fields.get("resource_doi"), record.key, record.link)
        dois = tuple(dict.fromkeys(filter(None, map(doi_in, filter(None, named)))))
    else:
        dois = (doi,) if key == "doi" and doi is not None else ()
        if dois:
            del fields["doi"]  # it names the item, and may be that of a version
    return Planned(
        key=record.key,
        line=record.line,
        title=record.metadata.title,
        payload=msgspec.structs.replace(one.payload, fields=fields),
        link=record.link,
        dois=dois,
        source_id=record.source_id if key is None else "",
    )
