"""Items, collections, projects, authors, accounts and institutions as records.

A record has typed fields for what figup reads, and in `raw` the JSON object as it was received: unknown keys are kept
there, and so is the difference between null, "" and an absent key. Decoded as tolerantly as `models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from uploader.figshare.decode import From
from uploader.figshare.ids import SEGMENTS, Kind
from uploader.figshare.models import Count, Id, Time, Timeline, Url


def _whole(row: Any) -> Any:
    return row


Raw = Annotated[Mapping[str, Any], From(""), _whole]
"""The object as received."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An item, a collection or a project, as a row of a list or in full. Times are aware, UTC, None if not stated.

    Observed: a public item may have no `published`, and one that was unpublished keeps it in private lists. Public rows
    had neither `created` nor `modified` in 2023. `url` is the public page, else any other.
    """

    id: Id
    title: str = ""
    doi: str = ""
    handle: str = ""
    url: Annotated[Url, From("url_public_html", "figshare_url", "url_private_html", "url")] = ""
    type: Annotated[str, From("defined_type_name")] = ""
    type_id: Annotated[Id | None, From("defined_type")] = None
    group_id: Id | None = None
    published: Annotated[Time, From("published_date")] = None
    created: Annotated[Time, From("created_date")] = None
    modified: Annotated[Time, From("modified_date")] = None
    timeline: Timeline = {}
    resource_doi: str = ""
    resource_title: str = ""
    citation: str = ""
    raw: Raw = {}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list. `unusable` describes the rows without a valid id, which cannot be records."""

    rows: list[Record]
    unusable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows) + len(self.unusable)


class VersionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One public version of an item or a collection; `url` is its address in the API."""

    version: Id
    url: Url = ""
    raw: Raw = {}


class AuthorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An author known to Figshare. The id is that of statistics and pages, not that of an account."""

    id: Id
    full_name: str = ""
    orcid: Annotated[str, From("orcid_id")] = ""
    institution_id: Id | None = None
    group_id: Id | None = None
    job_title: str = ""
    raw: Raw = {}


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An account of an institution. `id` is for impersonation, `author_id` (the API: user_id) for authorship.

    Sizes are bytes, None if not stated. `group_id` is only in a single account's answer.
    """

    id: Id
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    active: bool = False
    group_id: Id | None = None
    quota: Count | None = None
    used_quota: Count | None = None
    institution_user_id: str = ""
    orcid: Annotated[str, From("orcid_id")] = ""
    author_id: Annotated[Id | None, From("user_id")] = None
    raw: Raw = {}

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


class Institution(msgspec.Struct, frozen=True, kw_only=True):
    """An institution with its portal's host, "" if not stated."""

    id: Id
    name: str = ""
    domain: Annotated[str, From("custom_domain", "domain")] = ""


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A role that accounts can have in a group."""

    id: Id
    name: str = ""
    category: str = ""
    description: str = ""


RowKind: TypeAlias = Kind | Literal["account", "group", "review"]
"""The kind of record in the rows of a list."""
SliceKey: TypeAlias = Literal["published", "modified"]
"""The date by which a list can be read in slices: it is sorted by it, and filtered with the `…_since` of it."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A list of records. `method` GET sends filters in the query, POST in a JSON body.

    `public`: no token is needed, and a 403 without JSON is throttling. `key` is None for a list that cannot be read in
    slices. `resource` names it in messages. `paging`: by number of page, by offset, by the least id of a page, or all
    rows at once. `changes`: it can be limited to records that were modified since some time.
    """

    path: str
    kind: RowKind
    resource: str
    method: Literal["GET", "POST"] = "GET"
    public: bool = False
    key: SliceKey | None = None
    paging: Literal["page", "offset", "id", "whole"] = "page"
    changes: bool = False

    @property
    def is_paged(self) -> bool:
        """Whether it has pages that are counted: rows move between them while others are added or removed."""
        return self.paging in ("page", "offset")

    @property
    def shifts(self) -> bool:
        """Whether rows may be missed for that: lists with a key are read in slices."""
        return self.key is None and self.is_paged


def search_of(kind: Kind, *, own: bool = False) -> Listing:
    """Return the search of public records, or of the account's own ones."""
    path = f"/account/{SEGMENTS[kind]}/search" if own else f"/{SEGMENTS[kind]}/search"
    whose = "own" if own else "public"
    key: SliceKey | None = None if own else "published"
    return Listing(
        path=path, kind=kind, resource=f"the search of {whose} {kind}s", method="POST", public=not own, key=key,
        changes=kind != "project",
    )  # fmt: skip


def own_list(kind: Kind) -> Listing:
    """Return the list of the account's own records, drafts included. Items: owned ones only (documented)."""
    return Listing(path=f"/account/{SEGMENTS[kind]}", kind=kind, resource=f"the list of own {kind}s")


def items_of(kind: Literal["collection", "project"], container: int, *, public: bool) -> Listing:
    """Return the list of the items of a collection or a project."""
    path = f"{'' if public else '/account'}/{SEGMENTS[kind]}/{container}/articles"
    return Listing(path=path, kind="item", resource=f"the items of {kind} {container}", public=public)


INSTITUTION_ITEMS = Listing(
    path="/account/institution/articles", kind="item", resource="the list of the institution's items", key="modified",
    changes=True,
)  # fmt: skip
"""All items of the institution, drafts included; for its administrators."""
INSTITUTION_ACCOUNTS = Listing(
    path="/account/institution/accounts", kind="account", resource="the list of the institution's accounts", paging="id"
)
INSTITUTION_GROUPS = Listing(
    path="/account/institution/groups", kind="group", resource="the list of the institution's groups", paging="whole"
)
"""The groups that the account administers; items of others have a number without a name."""
REVIEWS = Listing(
    path="/account/institution/reviews", kind="review", resource="the list of reviews", paging="offset"
)  # fmt: skip
