"""The names of all requests: in the request log, and for faults, some of which fit a group alone."""

from __future__ import annotations

from typing import Final

PART_REQUESTS: Final = frozenset({"get-part", "put-part", "delete-part"})
UPLOAD_REQUESTS: Final = PART_REQUESTS | {"get-upload"}
FILE_REQUESTS: Final = frozenset({"get-file", "complete", "delete-file"})
_FILES = FILE_REQUESTS | {"list-files", "initiate", "download"}
_ITEMS = frozenset({"list-items", "create-item", "get-item", "update-item", "delete-item"})
_PEOPLE = frozenset({"get-account", "get-token", "search-authors", "get-author"})
_LISTS = frozenset({"list-licenses", "list-categories", "list-item-types", "search-funding"})

REQUESTS: Final = UPLOAD_REQUESTS | _FILES | _ITEMS | _PEOPLE | _LISTS
"""Every request that a fault can be set for; `any` is all of them."""
