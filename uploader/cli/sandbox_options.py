"""The options of `figup sandbox` by help group, and its help on faults."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from uploader import units
from uploader.cli.options import grouped, with_options
from uploader.cli.parameters import LocalPath, ParsedFile, ParsedParam
from uploader.sandbox.custom_fields import read_definitions
from uploader.sandbox.faults import SPECS, Rule, Spec, Stage, read_rule, read_toml
from uploader.sandbox.operations import REQUESTS
from uploader.sandbox.parts import read_plan
from uploader.text import shorten


def _rules_in(path: str) -> list[Rule]:
    """Read the rules of a TOML file. Raises ValueError if it cannot be read or is invalid."""
    try:
        return read_toml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _cap(text: str) -> int | None:
    """Parse the number of rows that pages reach; None for all of them. Raises ValueError."""
    if text == "none":
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise ValueError(f"invalid number of rows {text!r}; use 1000, 9000 or none")
    return int(text)


def _url(text: str) -> str:
    """Check the address of a service behind a proxy. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(text) > _MAX_URL:
        raise ValueError(f"invalid URL {shorten(text, 100)!r}; use e.g. https://host/v2")
    return text


_MAX_URL = 2000
_SIZE = ParsedParam("size", units.parse_size)
_TIME = ParsedParam("time", units.parse_duration)
_URL = ParsedParam("URL", _url)
_MD5_TIME = ParsedParam("time|never", lambda text: -1.0 if text == "never" else units.parse_duration(text))
_PLAN = ParsedParam("plan", lambda text: read_plan(text, units.parse_size))
_FAULT = ParsedParam("fault", read_rule)
_FAULTS = ParsedFile("faults", _rules_in)
_PORT = click.IntRange(0, 65535)
_CUSTOM = ParsedFile("file", read_definitions)
_CAP = ParsedParam("number|none", _cap)
_CHOICE = click.Choice(["refuse", "accept"])

_where, _limits, _behavior = grouped("Where"), grouped("Limits"), grouped("Behavior")
_stats = grouped("Statistics")
_oauth = grouped("Signing in")
_lists, _times, _faults = grouped("Lists and searches"), grouped("Times"), grouped("Faults")
OPTIONS: list[Callable[[Any], Any]] = [
    _where("--port", metavar="N", type=_PORT, default=0,
           help="Port of the API.  [default: the last one used with this directory if free, else any]"),
    _where("--upload-port", metavar="N", type=_PORT, default=0,
           help="Port of the upload service.  [default: likewise]"),
    _where("--stats-port", metavar="N", type=_PORT, default=0,
           help="Port of the statistics service.  [default: likewise]"),
    _where("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True,
           help="Address to listen on."),
    _where("--dir", "directory", metavar="DIR", type=LocalPath(path_type=Path, file_okay=False),
           help="Data directory, for one sandbox at a time.  [default: STATE-DIR/sandbox]"),
    _where("--token", metavar="T", envvar="FIGUP_SANDBOX_TOKEN", show_envvar=True,
           help="Token that clients must use; not a secret.  [default: generated, stored and printed]"),
    _where("--public-url", metavar="URL", type=_URL,
           help="URL of the API behind a proxy (https://host/v2); other hosts get 421."),
    _where("--public-upload-url", metavar="URL", type=_URL,
           help="URL of the upload service behind a proxy (https://up.host/upload)."),
    _where("--request-log", metavar="FILE", type=LocalPath(path_type=Path, dir_okay=False),
           help="Append one line of JSON per request to FILE."),
    _limits("--quota", metavar="SIZE", type=_SIZE, default="1TB", show_default=True, help="Quota of the account."),
    _limits("--max-file-size", metavar="SIZE", type=_SIZE, default="0", show_default=True,
            help="Maximum file size; 0: no limit, and none reported."),
    _limits("--quota-counts", type=click.Choice(["initiated", "completed"]), default="initiated",
            show_default=True, help="Which files use quota."),
    _limits("--quota-status", type=click.Choice(["422", "403"]), default="422", show_default=True,
            help="Response to an initiate over quota or size."),
    _behavior("--part-size", metavar="SIZE", type=_SIZE, default="10MiB", show_default=True,
               help="Size of all parts."),
    _behavior("--part-plan", metavar="PLAN", type=_PLAN,
               help="Uneven parts: sizes in turn (1MiB,7MiB,3) or random:SEED."),
    _behavior("--hidden-gets", metavar="N", type=click.IntRange(0), default=0, show_default=True,
               help="Number of GETs of a new file that return 404; until then it is not listed."),
    _behavior("--reput", type=_CHOICE, default="accept", show_default=True, help="A PUT of a COMPLETE part."),
    _behavior("--put", type=click.Choice(["keep", "wipe"]), default="keep", show_default=True,
               help="What a PUT of an item does with the fields that it does not name."),
    _behavior("--folders", type=click.Choice(["structure", "names"]), default="structure", show_default=True,
               help="Where a file's folder is shown: in the item, or before the name."),
    _behavior("--incomplete", type=_CHOICE, default="refuse", show_default=True,
               help="Completing with parts missing: 400, or a 202 that changes nothing."),
    _behavior("--md5", type=click.Choice(["optional", "require"]), default="optional", show_default=True,
               help="The MD5 in an initiate."),
    _behavior("--upload-auth", type=click.Choice(["ignore", "require", "refuse"]), default="ignore",
               show_default=True, help="The API's token in requests to the upload service."),
    _behavior("--uncategorized", type=_CHOICE, default="refuse", show_default=True,
               help="Publishing an item without a category."),
    _behavior("--empty-files", type=_CHOICE, default="refuse", show_default=True, help="Files of zero bytes."),
    _behavior("--mixed-links", type=_CHOICE, default="refuse", show_default=True,
               help="Linked and uploaded files in one item."),
    _behavior("--item-files", metavar="N", type=click.IntRange(0), default=1000, show_default=True,
               help="Maximum number of files shown in an item's object."),
    _behavior("--institution", is_flag=True,
               help="The account administers an institution and may impersonate its accounts."),
    _behavior("--custom-fields", metavar="FILE", type=_CUSTOM,
               help="The institution's custom fields: a JSON list in the API's form.  [default: some of each type]"),
    _behavior("--review", type=click.Choice(["none", "approve", "pending"]), default="none", show_default=True,
               help="Before an institution publishes an item: no review, an approved one, or one without end."),
    _behavior("--auth-status", type=click.Choice(["403", "401"]), default="403", show_default=True,
               help="Response to an invalid token."),
    _stats("--stats-password", metavar="P", default="statistics", show_default=True,
           help="Password of each institution; its name is its string id."),
    _stats("--stats-combined/--no-stats-combined", default=True, show_default=True,
           help="Serve all counters of a record in one response."),
    _stats("--stats-timeline-limits/--no-stats-timeline-limits", default=False, show_default=True,
           help="Limit the period of a timeline, like that of places."),
    _stats("--stats-auth-totals/--no-stats-auth-totals", default=False, show_default=True,
           help="Ask for the password for an institution's totals, too."),
    _oauth("--oauth-client", metavar="ID", default="sandbox", show_default=True,
           help="Id of the application, or its consumer key; its secret is the token."),
    _oauth("--oauth-lifetime", metavar="TIME", type=_TIME, default="1h", show_default=True,
           help="How long an access token is valid."),
    _oauth("--rotate-refresh/--no-rotate-refresh", default=False, show_default=True,
           help="Replace the refresh token with every refresh."),
    _oauth("--https-redirects/--no-https-redirects", default=False, show_default=True,
           help="Accept https addresses for redirects only."),
    _lists("--seed-items", metavar="N", type=click.IntRange(0, 10**7), default=0, show_default=True,
           help="Fill a new sandbox with N items of several institutions."),
    _lists("--seed", metavar="N", type=click.IntRange(0, 2**32), default=1, show_default=True,
           help="Seed of the random items: the same N gives the same items."),
    _lists("--hourly-limit", metavar="N", type=click.IntRange(0), default=0, show_default=True,
           help="Public requests an hour without a token; then 403. 0: all."),
    _lists("--page-cap", metavar="N|none", type=_CAP, default="9000", show_default=True,
           help="Maximum number of rows of a list that pages can reach."),
    _lists("--page-cap-status", type=click.Choice(["422", "400"]), default="422", show_default=True,
           help="Response to a page beyond that."),
    _lists("--since", type=click.Choice(["exclusive", "inclusive"]), default="exclusive", show_default=True,
           help="Whether published_since and modified_since include their own second."),
    _lists("--search", type=click.Choice(["words", "stems"]), default="words", show_default=True,
           help="Find words within words, or by their stems, as the real service does."),
    _lists("--query-length", metavar="N", type=click.IntRange(3), default=10_000, show_default=True,
           help="Maximum number of characters of a search."),
    _lists("--row-dates/--no-row-dates", default=True, show_default=True,
           help="Show created_date and modified_date in public lists."),
    _times("--index-lag", metavar="TIME", type=_TIME, default="0", show_default=True,
           help="How long a new record is not found by searches."),
    _times("--cursor-lifetime", metavar="TIME", type=_TIME, default="5min", show_default=True,
           help="How long an X-Cursor is accepted."),
    _times("--hidden-for", metavar="TIME", type=_TIME, default="0", show_default=True,
           help="How long a new file is invisible."),
    _times("--lock-linger", metavar="TIME", type=_TIME, default="1", show_default=True,
           help="How long a part stays locked after its connection broke."),
    _times("--short-body-timeout", metavar="TIME", type=_TIME, default="5", show_default=True,
           help="Time until a connection whose body was too short is closed."),
    _times("--idle-timeout", metavar="TIME", type=_TIME, default="60", show_default=True,
           help="Time until a connection whose body stalls is closed."),
    _times("--created-delay", metavar="TIME", type=_TIME, default="0", show_default=True,
           help="How long a completed file still shows created,"),
    _times("--checking-delay", metavar="TIME", type=_TIME, default="0.1", show_default=True,
           help="then at least ic_checking,"),
    _times("--success-delay", metavar="TIME", type=_TIME, default="0.1", show_default=True,
           help="then ic_success,"),
    _times("--moving-delay", metavar="TIME", type=_TIME, default="0.2", show_default=True,
           help="then moving_to_final, and then it is available."),
    _times("--md5-delay", metavar="TIME|never", type=_MD5_TIME, default="0.2", show_default=True,
           help="Time from completion to computed_md5."),
    _times("--latency", metavar="TIME", type=_TIME, default="0", show_default=True,
           help="Delay of every API response."),
    _times("--public-delay", metavar="TIME", type=_TIME, default="0", show_default=True,
           help="Delay until a published item is public."),
    _times("--connection-rate", metavar="SIZE", type=_SIZE, default="0", show_default=True,
           help="Bytes per second read from one PUT; 0: no limit."),
    _faults("--fault", "fault_rules", metavar="RULE", type=_FAULT, multiple=True,
            help="A fault to inject, see below; may be repeated."),
    _faults("--faults", "fault_files", metavar="FILE", type=_FAULTS, multiple=True,
            help="Read fault rules from a TOML file."),
    _faults("--control", is_flag=True,
            help="Allow changing faults at run time: GET, POST, DELETE /sandbox/faults, with the token."),
]  # fmt: skip


def fault_help() -> str:
    def lines(stage: Stage) -> str:
        names = {name: spec for name, spec in SPECS.items() if spec.stage is stage}
        return "\n".join(_fault_line(name, spec) for name, spec in names.items())

    requests = textwrap.fill(", ".join(sorted(REQUESTS)), 76, initial_indent="  ", subsequent_indent="  ",
                             break_on_hyphens=False)  # fmt: skip
    return f"""\b
RULE is REQUEST[@PART][:WHEN]=FAULT[,OPTION=VALUE]...
  put-part:2=reset-mid-body            the second PUT of any part
  put-part@3:..2=503,retry-after=1     the first two PUTs of part 3
  initiate=lost-answer                 the first initiate (default WHEN: 1)
  get-file:4..=429,retry-after=date:2  from the fourth on
  any:every=hang,seconds=0.3           all of them

\b
REQUEST is any or one of
{requests}

\b
FAULT changes the response (the first matching rule wins):
{lines(Stage.ANSWER)}

\b
or the state, before the request is served:
{lines(Stage.STATE)}

\b
In a TOML file: faults = ["put-part:2=reset", ...], or tables such as
  [[fault]]
  request = "put-part"
  part = 3
  when = "2.."
  fault = 503
  retry-after = 1
"""


def _fault_line(name: str, spec: Spec) -> str:
    usage = " ".join([name, *(f"{option}=" for option in spec.options)])
    if len(usage) < 20:
        return f"  {usage:<20}{spec.words}"
    return f"  {usage}\n{'':22}{spec.words}"


def sandbox_options(function: Callable[..., Any]) -> Any:
    """Add all options of the command."""
    return with_options(function, OPTIONS)
