"""Metadata for jobs in memory."""

from __future__ import annotations

from uploader.items.payload import ItemPayload
from uploader.items.service import Lookup


class Metadata:
    """Metadata without names to look up."""

    fingerprint = "fixed"

    async def resolve(
        self, _: Lookup, *, publish: bool = False, item: int | None = None, project: int | None = None
    ) -> ItemPayload:
        fields = {"description": "<p>d</p>", "keywords": ["a"], "categories": [7], "license": 1}
        return ItemPayload(fields=fields, authors=[{"name": "Jane Doe"}])
