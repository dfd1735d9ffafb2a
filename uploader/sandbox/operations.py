"""The names of all requests, for the request log and for faults, and groups of them."""

from __future__ import annotations

from typing import Final

PART_REQUESTS: Final = frozenset({"get-part", "put-part", "delete-part"})
UPLOAD_REQUESTS: Final = PART_REQUESTS | {"get-upload"}
FILE_REQUESTS: Final = frozenset({"get-file", "complete", "delete-file"})
READINGS: Final = frozenset({"list-files", "list-items", "get-item", "get-file"})
"""Requests that a lagging replica may answer."""
_FILES = FILE_REQUESTS | {"list-files", "initiate", "download"}
_ITEMS = frozenset(
    {
        "list-items", "search-items", "create-item", "get-item", "update-item", "delete-item", "publish-item",
        "reserve-item-doi", "get-embargo", "update-embargo", "delete-embargo", "update-thumbnail",
        "get-own-version", "update-version", "unpublish-item",
        "get-confidentiality", "update-confidentiality", "delete-confidentiality", "reserve-item-handle",
        "set-item-resource", "download-item",
    }
)  # fmt: skip
_PUBLIC_ITEMS = frozenset(
    {
        "list-public-items", "search-public-items", "get-public-item", "list-versions", "get-version",
        "get-version-embargo", "get-version-confidentiality", "download-public-item", "list-institution-public-items",
        "list-public-files", "list-version-files", "get-public-file",
    }
)  # fmt: skip
_PEOPLE = frozenset(
    {
        "get-account",
        "get-token",
        "search-authors",
        "get-author",
        "create-token",
        "authorize",
        "consent",
        "v1-request-token",
        "v1-authorize",
        "v1-consent",
        "v1-access-token",
        "v1-list",
        "v1-search",
        "v1-details",
        "update-profile",
        "list-reports",
        "create-report",
        "download-report",
    }
)
_INSTITUTION = frozenset(
    {
        "get-institution", "list-groups", "list-embargo-options", "list-custom-fields", "list-group-fields",
        "list-accounts", "list-institution-items", "create-account", "search-accounts", "get-institution-account",
        "update-account", "get-institution-user", "list-roles", "list-account-roles", "add-account-roles",
        "delete-account-role", "upload-hr-feed", "upload-field-values",
        "list-reviews", "get-review", "list-review-comments", "create-review-comment",
    }
)  # fmt: skip
RECORD_REQUESTS: Final = frozenset(
    {
        "get-item", "get-public-item", "get-version", "list-versions", "get-public-collection", "stats-total",
        "stats-totals", "stats-timeline", "stats-breakdown",
    }
)  # fmt: skip
"""Requests about one record, for which a fault may name its id."""
LIST_REQUESTS: Final = frozenset({"list-public-items", "search-public-items", "list-institution-items"})
_STATISTICS = frozenset(
    {"stats-total", "stats-totals", "stats-timeline", "stats-breakdown", "stats-top", "stats-count"}
)
_LISTS = frozenset({"list-licenses", "list-categories", "list-item-types", "search-funding", "list-institutions"})


_RESOURCE_OPERATIONS = (
    "list-{}-authors", "add-{}-authors", "replace-{}-authors", "delete-{}-author",
    "list-{}-categories", "add-{}-categories", "replace-{}-categories", "delete-{}-category",
    "list-{}-links", "create-{}-link", "update-{}-link", "delete-{}-link",
)  # fmt: skip
"""Operations of both items and collections."""
_PROJECTS = frozenset(
    {
        "list-projects", "create-project", "get-project", "update-project", "delete-project", "publish-project",
        "list-project-items", "create-project-item", "get-project-item", "delete-project-item", "list-project-files",
        "get-project-file", "search-projects", "list-collaborators", "invite-collaborator", "remove-collaborator",
        "leave-project", "list-notes", "create-note", "get-note", "update-note", "delete-note",
        "search-public-projects", "list-public-projects", "get-public-project", "list-public-project-items",
    }
)  # fmt: skip
_COLLECTIONS = frozenset(
    {
        "list-collections", "create-collection", "get-collection", "update-collection", "delete-collection",
        "reserve-collection-doi", "publish-collection", "list-collection-items", "add-collection-items",
        "search-collections", "reserve-collection-handle", "set-collection-resource", "search-public-collections",
        "replace-collection-items", "delete-collection-item", "get-collection-link", "list-public-collections",
        "get-public-collection", "list-collection-versions", "get-collection-version", "list-public-collection-items",
    }
)  # fmt: skip

REQUESTS: Final = (
    UPLOAD_REQUESTS | _FILES | _ITEMS | _PUBLIC_ITEMS | _PEOPLE | _LISTS
    | {"unserved"} | _STATISTICS | _INSTITUTION | _PROJECTS | _COLLECTIONS
    | {name.format(word) for name in _RESOURCE_OPERATIONS for word in ("item", "collection")}
)  # fmt: skip
"""Every request that a fault can be set for; `any` means all of them."""
