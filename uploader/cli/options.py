"""Options that several commands take, each group as one decorator, and how commands show their help."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from uploader import units
from uploader.transfer.options import Limit, OnConflict, parse_limit

ENVIRONMENT = """\b
Environment:
  FIGSHARE_TOKEN      the token; comes before a stored one
  FIGSHARE_ENDPOINT   the API's address, where --endpoint is not given
  FIGUP_STATE_DIR     where jobs are kept, where --state-dir is not given
"""
"""For the end of a command's help."""


@dataclass(frozen=True)
class GlobalOptions:
    """The options that every command takes. `endpoint_given`: it stands on the command line itself."""

    json: bool
    quiet: bool
    verbose: int
    log_file: Path | None
    no_progress: bool
    endpoint: str | None = None
    endpoint_given: bool = False
    token_file: Path | None = None
    sandbox: bool = False
    state_dir: Path | None = None
    ca_file: Path | None = None
    insecure_http: bool = False
    impersonate: int | None = None


@dataclass(frozen=True)
class Tuning:
    """The options of sending. Times are seconds, rates bytes a second; `connections` None finds the number."""

    connections: int | None
    limit_rate: Limit | None
    api_rate: float
    hash_first: bool
    restart_changed: bool
    on_conflict: OnConflict
    max_errors: int | None
    retry_timeout: float
    stall_timeout: float
    verify_timeout: float
    grace: float
    settle_timeout: float


class ParsedParam(click.ParamType[Any]):
    """A value that a function reads from text, raising ValueError when it cannot."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def _connections(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and 1 <= int(text) <= 32:
        return int(text)
    raise ValueError(f"{text!r} is neither auto nor a number from 1 to 32")


def _api_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f"{text!r} is no number of requests a second")
    return rate


class FigupCommand(click.Command):
    """A command whose help lists its own options before those that all commands have."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings.setdefault("context_settings", {"max_content_width": 100})
        super().__init__(*args, **settings)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                (common if param.name in _COMMON_NAMES else own).append(record)
        for title, records in (("Options", own), ("Options of all commands", common)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


_PATH = click.Path(path_type=Path, readable=False)
_PLACE = [
    click.option("--endpoint", metavar="URL", envvar="FIGSHARE_ENDPOINT", show_envvar=True,
                 help="Address of the API.  [default: https://api.figshare.com/v2]"),
    click.option("--token-file", metavar="PATH", type=_PATH,
                 help="File with the token, readable by you alone. A token is never given on the command line."),
    click.option("--sandbox", is_flag=True,
                 help="Use a local Figshare, kept in STATE-DIR/sandbox; it is started if none runs there."),
    click.option("--state-dir", metavar="DIR", type=_PATH, envvar="FIGUP_STATE_DIR", show_envvar=True,
                 help="Where jobs are kept.  [default: the platform's state directory]"),
    click.option("--ca-file", metavar="PATH", type=_PATH, help="Certificate authorities to trust instead."),
    click.option("--insecure-http", is_flag=True,
                 help="Allow plain http to other machines: everybody on the way can read the token."),
    click.option("--impersonate", metavar="ACCOUNT_ID", type=click.IntRange(min=1),
                 help="Act for this account, as an administrator of its institution."),
]  # fmt: skip
_OUTPUT = [
    click.option("--json", is_flag=True, help="Write JSON Lines to stdout; the last line is the summary."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and what was asked for."),
    click.option("-v", "verbose", count=True, help="Log on stderr what is done; -vv logs every request."),
    click.option("--log-file", metavar="PATH", type=_PATH, help="Append a log of everything, with times in UTC."),
    click.option("--no-progress", is_flag=True, help="Show no progress."),
]  # fmt: skip
_COMMON_NAMES = frozenset({f.name for f in dataclasses.fields(GlobalOptions)} | {"help"})
_SECONDS = ParsedParam("time", units.parse_duration)
_RESTART = click.option(
    "--restart-changed", is_flag=True, help="Send files that changed since they were begun again, from the start."
)
_TUNING = [
    click.option("--connections", metavar="auto|N", type=ParsedParam("connections", _connections), default="auto",
                 show_default=True, help="Parts sent at the same time."),
    click.option("--limit-rate", metavar="RATE", type=ParsedParam("rate", parse_limit),
                 help="Bytes a second at most: 50M, 50Mi, 400mbit; or by the time of day: \"08:00,20M 19:00,off\". "
                 "SIGUSR2 lifts the limit, and puts it in force again.  [default: no limit]"),
    click.option("--api-rate", metavar="N", type=ParsedParam("number", _api_rate), default="1", show_default=True,
                 help="API requests a second, with a burst of 20; parts do not count."),
    click.option("--hash-first", is_flag=True,
                 help="Compute the MD5 before sending, and tell Figshare; reads the file twice."),
    _RESTART,
    click.option("--on-conflict", type=click.Choice(["skip", "replace", "keep", "fail"]), default="skip",
                 show_default=True,
                 help="Where the item holds a file of that name: skip an identical one and refuse a different one; "
                      "replace it, once the new one is verified; keep both; or fail."),
    click.option("--max-errors", metavar="N", type=click.IntRange(min=0),
                 help="Files that may fail; after one more nothing further is tried, and what is under way is ended so "
                      "that it can be gone on with.  [default: any number]"),
    click.option("--retry-timeout", metavar="TIME", type=_SECONDS, default="15min", show_default=True,
                 help="How long a request that keeps failing is tried."),
    click.option("--stall-timeout", metavar="TIME", type=_SECONDS, default="60s", show_default=True,
                 help="A part of which nothing is taken for so long is tried again."),
    click.option("--verify-timeout", metavar="TIME", type=_SECONDS, default="15min", show_default=True,
                 help="How long Figshare's checksum is waited for after the last byte."),
    click.option("--grace", metavar="TIME", type=_SECONDS, default="10s", show_default=True,
                 help="How long parts under way may go on after Ctrl-C or SIGTERM."),
    click.option("--settle-timeout", metavar="TIME", type=_SECONDS, default="30s", show_default=True,
                 help="How long the effect of a request whose answer was lost is looked for, and a file that was just"
                      " announced is waited for."),
]  # fmt: skip


def common_options(command: Callable[..., int]) -> Any:
    """Gives the command the options that all have, as one argument `common`."""
    return with_options(_collected(command), [*_PLACE, *_OUTPUT])


def output_options(command: Callable[..., int]) -> Any:
    """As `common_options`, for a command that knows by itself which Figshare it talks to."""
    return with_options(_collected(command), _OUTPUT)


def _collected(command: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(command)
    def collected(**values: Any) -> int:
        names = {f.name for f in dataclasses.fields(GlobalOptions)} & values.keys()
        source = click.get_current_context().get_parameter_source("endpoint")
        common = GlobalOptions(
            endpoint_given=source is ParameterSource.COMMANDLINE, **{name: values.pop(name) for name in names}
        )
        if common.sandbox and common.endpoint_given:
            raise click.UsageError("--sandbox and --endpoint exclude each other")
        return command(common=common, **values)

    return collected


def tuning_options(command: Callable[..., int]) -> Any:
    """Gives the command the options of sending, as one argument `tuning`."""

    @functools.wraps(command)
    def collected(**values: Any) -> int:
        names = [f.name for f in dataclasses.fields(Tuning)]
        return command(tuning=Tuning(**{name: values.pop(name) for name in names}), **values)

    return with_options(collected, _TUNING)


def with_options(command: Any, options: list[Any]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command
