"""An item's metadata as the API takes it. Values only; they are stored in the job's journal."""

from __future__ import annotations

from typing import Any

import msgspec

MIN_TITLE, MAX_TITLE = 3, 1000
"""Characters in an item's title (official API description, ArticleCreate)."""
_NOT_IN_PROJECTS = frozenset({"group_id", "is_metadata_record", "metadata_reason"})


class ItemPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`fields` are those of ArticleCreate and ArticleUpdate, without title and authors.

    `authors` replace the item's authors; None leaves them unchanged. `embargo` likewise, as in ArticleEmbargoUpdater.
    """

    fields: dict[str, Any] = {}
    authors: list[dict[str, Any]] | None = None
    embargo: dict[str, Any] | None = None

    @property
    def present_fields(self) -> tuple[str, ...]:
        """The API's names of the fields that are set."""
        return tuple(self.values)

    @property
    def values(self) -> dict[str, Any]:
        """The fields that are set, by the API's names, authors and embargo included."""
        more = {"authors": self.authors, "embargo": self.embargo}
        return {**self.fields, **{name: value for name, value in more.items() if value is not None}}

    def creation_fields(self, *, in_project: bool) -> dict[str, Any]:
        """Return the fields allowed when creating the item; fewer in a project (ArticleProjectCreate)."""
        return {name: value for name, value in self.fields.items() if not (in_project and name in _NOT_IN_PROJECTS)}
