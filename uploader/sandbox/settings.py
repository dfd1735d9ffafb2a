"""Every setting of the sandbox: meaning, unit, default. No I/O."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from pathlib import Path

from uploader.sandbox.custom_fields import DEFAULTS, CustomField
from uploader.sandbox.faults import Rule
from uploader.sandbox.parts import PartPlan, Uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """How long after its completion a file stays in each state, in seconds.

    `md5` counts from the completion, too; None: `computed_md5` stays empty.
    """

    created: float = 0.0
    checking: float = 0.1
    success: float = 0.1
    moving: float = 0.2
    md5: float | None = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One sandbox. Sizes are bytes, times are seconds.

    The defaults are Figshare's observed behavior; where that is unknown, a setting offers both.
    """

    directory: Path
    token: str
    host: str = "127.0.0.1"
    port: int = 0
    upload_port: int = 0
    public_url: str | None = None
    """The API's URL for clients, including /v2; None: from the Host header of the request."""
    public_upload_url: str | None = None
    """The upload service's URL for clients, including /upload; None: the request's host and the upload port."""
    request_log: Path | None = None

    part_plan: PartPlan = field(default_factory=lambda: Uniform(10 * 2**20))
    delays: Delays = field(default_factory=Delays)
    latency: float = 0.0
    """Delay before every response of the API."""
    public_delay: float = 0.0
    """Delay until a published item becomes visible."""
    connection_rate: int = 0
    """Bytes per second read from one PUT of a part; 0: no limit."""
    hidden_gets: int = 0
    """Number of GETs of a new file that respond 404; until then listings omit it."""
    hidden_for: float = 0.0
    """How long a new file is invisible after its 201."""
    lock_linger: float = 1.0
    """How long a part stays locked after its connection broke."""
    short_body_timeout: float = 5.0
    """How long to wait for the rest of a short body before closing the connection."""
    idle_timeout: float = 60.0
    """How long a body may stall before the connection is closed."""

    quota: int = 10**12
    max_file_size: int = 0
    """0: no limit, as on observed accounts."""
    quota_counts: str = "initiated"
    """Which files use quota: "initiated" (all) or "completed"."""
    quota_status: int = 422
    auth_status: int = 403
    empty_files: str = "refuse"
    """"refuse" (422) or "accept"."""
    mixed_links: str = "refuse"
    """Linked and uploaded files in one item: "refuse" (422) or "accept"."""
    reput: str = "accept"
    """A PUT of a part that is COMPLETE: "accept" or "refuse" (409)."""
    incomplete: str = "refuse"
    """Completing with parts missing: "refuse" (400) or "accept" (202, the file stays created)."""
    uncategorized: str = "refuse"
    """Publishing an item without a category: "refuse" (400) or "accept", as seen with an institution."""
    md5: str = "optional"
    """The MD5 in an initiate: "optional" or "require" (422 without one); the documentation can be read either way."""
    upload_auth: str = "ignore"
    """The API's token in requests to the upload service: "ignore", "require" or "refuse" (403)."""
    put: str = "keep"
    """What a PUT of an item does with the fields that it does not name: "keep" or "wipe" them."""
    folders: str = "structure"
    """Where a file's folder is shown: "structure" (folder_structure of its item) or "names" (before its name)."""
    faults: tuple[Rule, ...] = ()
    control: bool = False
    """Whether faults can be set over HTTP."""
    institution: bool = False
    """Whether the account belongs to an institution and administers it: it may impersonate, and has groups."""
    review: str = "none"
    """The institution's answer to a request to publish: "none" (no review), "approve" (published at once, with an
    approved review), or "pending" (the review is never decided)."""
    custom_fields: tuple[CustomField, ...] = DEFAULTS
    """Custom fields of the institution; ignored without one."""
    stats_port: int = 0
    """Port of the statistics service."""
    stats_password: str = "statistics"  # noqa: S105 - of a sandbox, and documented
    """The password of every institution there; its name is its string id."""
    stats_combined: bool = True
    """Whether one request gives all counters: undocumented, and seen to work."""
    stats_timeline_limits: bool = False
    """Whether timelines are limited like breakdowns, for which alone that is documented."""
    stats_auth_totals: bool = False
    """Whether an institution's totals need its password; sources contradict each other."""
    oauth_client: str = "sandbox"
    """The id of the one application that may ask for consent; its secret is the token."""
    oauth_lifetime: float = 3600.0
    """How long an access token is valid; the default is the documentation's example."""
    rotate_refresh: bool = False
    """Whether a refresh replaces the refresh token; the real behavior is unknown."""
    https_redirects: bool = False
    """Whether a redirect_uri must be https, as was enforced in 2016, or may be http on this machine."""
    seed_items: int = 0
    """How many records of several institutions to fill an unseeded sandbox with; they stay."""
    seed: int = 1
    """Which records: the same number gives the same ones."""
    hourly_limit: int = 0
    """How many public requests without a token are served in an hour, the others being 403 with a page; 0: all."""
    page_cap: int | None = 9000
    """How many rows of a list of records can be reached by pages; None: all."""
    page_cap_status: int = 422
    """The response beyond it: 422 as today, or 400, as in older documentation."""
    cursor_lifetime: float = 300.0
    """How long an X-Cursor is accepted."""
    since: str = "exclusive"
    """Whether `published_since` and `modified_since` include their own second: "exclusive" or "inclusive"."""
    stems: bool = False
    """Whether searches compare stems of words, as the real service does, or find words within words."""
    query_length: int = 10_000
    """Maximum number of characters of a search."""
    index_lag: float = 0.0
    """How long a new record is not found by searches."""
    row_dates: bool = True
    """Whether public rows have `created_date` and `modified_date`; those recorded in 2022 had neither."""
    item_files: int = 1000
    """Maximum number of files in the item object: 10 are documented, 326 were observed."""

    @property
    def page_key(self) -> str:
        """The key in the addresses of private pages. It opens nothing else: the token cannot be derived from it."""
        return hmac.digest(self.token.encode(), b"pages", "sha256").hex()[:32]
