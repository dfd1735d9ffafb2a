"""How an item is to be described, in what Figshare's API takes. Values only; they are kept in the job's journal."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec


class ItemSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """`fields` are those of ArticleCreate and ArticleUpdate, without title and authors.

    `authors` are to be the authors, and nobody else; None leaves them as they are. `embargo` likewise, as in
    ArticleEmbargoUpdater.
    """

    fields: dict[str, Any] = {}
    authors: list[dict[str, Any]] | None = None
    embargo: dict[str, Any] | None = None

    @property
    def mark(self) -> str:
        """Tells one description from another."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]
