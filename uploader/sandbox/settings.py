"""Every switch of the sandbox, as data: what it is, its unit, its default. Nothing here does I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from uploader.sandbox.custom_fields import DEFAULTS, CustomField
from uploader.sandbox.faults import Rule
from uploader.sandbox.parts import PartPlan, Uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """How long after its completion a file stays in each state, in seconds.

    `md5` counts from the completion, too; None means that `computed_md5` stays empty for good.
    """

    created: float = 0.0
    checking: float = 0.1
    success: float = 0.1
    moving: float = 0.2
    md5: float | None = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One sandbox. Sizes are bytes, times are seconds.

    Figshare's own behaviour is the default where it was observed; where nobody knows it, a switch has both ways.
    """

    directory: Path
    token: str
    host: str = "127.0.0.1"
    port: int = 0
    upload_port: int = 0
    public_url: str | None = None
    """What clients call the API, including /v2; None: what the Host header of the request says."""
    public_upload_url: str | None = None
    """What clients call the upload service, including /upload; None: the host of the request, the upload port."""
    request_log: Path | None = None

    part_plan: PartPlan = field(default_factory=lambda: Uniform(10 * 2**20))
    delays: Delays = field(default_factory=Delays)
    latency: float = 0.0
    """Waited before every answer of the API."""
    public_delay: float = 0.0
    """A published item is seen by all only after so long."""
    connection_rate: int = 0
    """Bytes a second that one PUT of a part is read at; 0: as fast as it comes."""
    hidden_gets: int = 0
    """So many GETs of a new file answer 404; it is absent from listings until then."""
    hidden_for: float = 0.0
    """A new file is invisible for so long after its 201."""
    lock_linger: float = 1.0
    """A part stays locked for so long after the connection that sent it broke."""
    short_body_timeout: float = 5.0
    """How long a body shorter than its part is waited on before the connection is closed."""
    idle_timeout: float = 60.0
    """A body of which nothing arrives for so long is given up and the connection closed."""

    quota: int = 10**12
    max_file_size: int = 0
    """0: not stated, and no limit, as on accounts seen in the wild."""
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
    put: str = "keep"
    """What a PUT of an item does with the fields that it does not name: "keep" or "wipe" them."""
    faults: tuple[Rule, ...] = ()
    control: bool = False
    """Whether faults can be set over HTTP."""
    institution: bool = False
    """Whether the account belongs to an institution and administers it: it may impersonate, and has groups."""
    custom_fields: tuple[CustomField, ...] = DEFAULTS
    """Those of the institution; without one there are none."""
    item_files: int = 1000
    """How many files the item object shows: the documentation says 10, and 326 were seen."""
