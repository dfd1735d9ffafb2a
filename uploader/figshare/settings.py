"""The settings of a session with Figshare: values only."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """All in seconds but `factor` and `retries`, the most retries of a request (None: any number).

    `elapsed_cap` counts from the first failure of a request.
    """

    first_delay: float = 0.5
    max_delay: float = 60.0
    factor: float = 2.0
    elapsed_cap: float = 900.0
    retries: int | None = None


THROTTLED = RetryPolicy(first_delay=120.0, max_delay=600.0, elapsed_cap=3600.0, retries=5)
"""For public requests that Figshare throttles without saying for how long: waits of one to ten minutes."""


@dataclass(frozen=True)
class Settings:
    """`endpoint` is the API address with its path (/v2). Times are seconds.

    `api_rate` is API requests a second (None: unlimited), `api_burst` the requests that can be saved up.
    `answer_timeout` limits the time without any byte of an answer, `stall_timeout` the time in which a part's
    connection accepts nothing, `visibility_timeout` how long a 404 right after a 201 is retried. `ca_file` replaces the
    system's certificate authorities. `impersonate` is the id of the account to act for, which an institution's
    administrator may; None for the token's own. `bind` is the local IP address that connections come from, None for
    any. `throttled` is the retry policy of public requests that Figshare
    throttles without saying for how long.
    """

    endpoint: str
    _: KW_ONLY
    api_rate: float | None = 1.0
    api_burst: int = 20
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    throttled: RetryPolicy = THROTTLED
    connect_timeout: float = 30.0
    answer_timeout: float = 60.0
    stall_timeout: float = 60.0
    ca_file: Path | None = None
    insecure_http: bool = False
    visibility_timeout: float = 30.0
    impersonate: int | None = None
    bind: str | None = None
