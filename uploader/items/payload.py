"""How an item is to be described, in what Figshare's API takes. Values only; they are kept in the job's journal."""

from __future__ import annotations

from typing import Any

import msgspec

_NOT_IN_PROJECTS = frozenset({"group_id", "is_metadata_record", "metadata_reason"})


class ItemPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """`fields` are those of ArticleCreate and ArticleUpdate, without title and authors.

    `authors` are to be the authors, and nobody else; None leaves them as they are. `embargo` likewise, as in
    ArticleEmbargoUpdater.
    """

    fields: dict[str, Any] = {}
    authors: list[dict[str, Any]] | None = None
    embargo: dict[str, Any] | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """What it says something of, as the API calls it."""
        more = {"authors": self.authors, "embargo": self.embargo}
        return (*self.fields, *(name for name, value in more.items() if value is not None))

    def creation_fields(self, *, in_project: bool) -> dict[str, Any]:
        """The fields that may be said when the item is created: fewer in a project (see ArticleProjectCreate)."""
        return {name: value for name, value in self.fields.items() if not (in_project and name in _NOT_IN_PROJECTS)}
