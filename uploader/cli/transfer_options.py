"""Options of commands that send files: declared, recorded with the job, and restored by `figup resume`."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import msgspec
from click.core import ParameterSource

from uploader import units
from uploader.cli.options import ADVANCED, grouped, with_options
from uploader.cli.parameters import ParsedParam
from uploader.cli.report_files import ReportOptions
from uploader.transfer.options import (
    Limit,
    OnConflict,
    Options,
    RequestOptions,
    parse_api_rate,
    parse_connections,
    parse_deadline,
    parse_limit,
)

log = logging.getLogger("uploader.cli.transfer_options")

_REPORTED = (
    *("title", "item", "project", "metadata", "update_metadata", "found_metadata", "links"),
    *("from_file", "manifest", "base", "include", "exclude", "hidden", "follow_symlinks"),
)
_MIN_PLAIN_RATE = 1000
DEADLINE_HELP = (
    "Exit with 75 before this time (17:30, 2026-12-01T17:30) or after this long (90min), and begin nothing that cannot "
    "be finished by then. auto: before the end of the batch job.  [default: no deadline]"
)
_DEADLINE_SOURCE = "uploader.cli.deadline_source"
"""Key in click's context: the source of the batch job's end, "" if there is none."""
_NOT_RECORDED = {"restart_changed", "forget_missing", "reread", "deadline"}
"""Options that discard sent or planned files, read everything again, or are about the time apply to one run only."""


def _parse_limit(text: str) -> Limit | None:
    """Parse a rate limit; refuse a small number without a unit, which was probably not meant as bytes."""
    limit = parse_limit(text)
    for word in re.split(r"[\s,]+", text):
        if word.isdecimal() and 0 < int(word) < _MIN_PLAIN_RATE:
            raise ValueError(f"{word} is {word} bytes per second; write {word}M for megabytes, or {word}B for bytes")
    return limit


def _parse_deadline(text: str) -> datetime | None:
    """Parse a deadline; find that of the batch job for "auto", None if there is none. Blocks for that."""
    if text != "auto":
        deadline = parse_deadline(text)
        try:
            return datetime.now(UTC) + timedelta(seconds=deadline) if isinstance(deadline, float) else deadline
        except OverflowError:
            raise ValueError(f"invalid deadline {text!r}: too far in the future") from None
    from uploader.cluster.scheduler import job_end

    end = job_end(os.environ)
    click.get_current_context().meta[_DEADLINE_SOURCE] = end.source if end is not None else ""
    return end.at if end is not None else None


def log_deadline(options: Options) -> None:
    """Log the deadline and where it is from, or that none was found."""
    source = click.get_current_context().meta.get(_DEADLINE_SOURCE)
    if isinstance(options.deadline, datetime):
        at = options.deadline.astimezone(UTC).isoformat(" ", "seconds")
        log.info("deadline %s%s", at, f" ({source})" if source else "")
    elif source is not None:
        log.info("no deadline: no scheduler reports when this process must end")


LIMIT_RATE = ParsedParam("rate", _parse_limit)
DEADLINE = ParsedParam("time", _parse_deadline)
_SECONDS = ParsedParam("time", units.parse_duration)
_conflicts, _speed, _advanced = grouped("Conflicts"), grouped("Speed"), grouped(ADVANCED)
_API_RATE = (
    _advanced("--api-rate", metavar="N", type=ParsedParam("number", parse_api_rate),
              help="API requests per second, with a burst of 20; parts do not count.  [default: 1; no limit with "
                   "--sandbox]")
)  # fmt: skip


def _retry_timeout(default: str) -> Any:
    return _advanced("--retry-timeout", metavar="TIME", type=_SECONDS, default=default, show_default=True,
                     help="How long to retry a request that keeps failing.")  # fmt: skip


_REQUEST_OPTIONS = [_API_RATE, _retry_timeout("15min")]
_OPTIONS = [
    _conflicts("--on-conflict", type=click.Choice(get_args(OnConflict)), default="skip", show_default=True,
               help="If the item has a file of that name: skip an identical one and refuse a different one; replace it "
                    "once the new one is verified; keep both; or fail."),
    _conflicts("--restart-changed", is_flag=True,
               help="If a file changed after its upload began, restart it."),
    _conflicts("--forget-missing", is_flag=True,
               help="Do without files of the job that no longer exist here and are not in the item, and members "
                    "of archives that no longer exist, instead of failing on them."),
    _conflicts("--reread", is_flag=True,
               help="Read every file again and compare it with what was sent, even if its times are unchanged."),
    _conflicts("--max-errors", metavar="N", type=click.IntRange(min=0),
               help="Stop after more than N failed files; files in progress can be resumed.  [default: no limit]"),
    _speed("--connections", metavar="auto|N", type=ParsedParam("connections", parse_connections), default="auto",
           show_default=True, help="Parts sent at the same time."),
    _speed("--limit-rate", metavar="RATE", type=LIMIT_RATE,
           help="Maximum bytes per second: 50M, 50Mi, 400mbit; or by the time of day: \"08:00,20M 19:00,off\". "
                "SIGUSR2 lifts the limit and restores it.  [default: no limit]"),
    _speed("--deadline", metavar="auto|TIME", type=DEADLINE, help=DEADLINE_HELP),
    _speed("--hash-first", is_flag=True,
           help="Compute the MD5 before sending and send it to Figshare; reads the file twice."),
    *_REQUEST_OPTIONS,
    _advanced("--stall-timeout", metavar="TIME", type=_SECONDS, default="60s", show_default=True,
              help="Retry a part after its connection accepted nothing for this long."),
    _advanced("--verify-timeout", metavar="TIME", type=_SECONDS, default="15min", show_default=True,
              help="How long to wait for Figshare's checksum after the last byte."),
    _advanced("--grace", metavar="TIME", type=_SECONDS, default="10s", show_default=True,
              help="How long parts in flight may continue after Ctrl-C or SIGTERM."),
    _advanced("--settle-timeout", metavar="TIME", type=_SECONDS, default="30s", show_default=True,
              help="How long to look for the effect of a request whose response was lost, and for a file that was just "
                   "created."),
]  # fmt: skip


def transfer_options(command: Callable[..., int]) -> Any:
    """Add the options for sending, as the arguments `options` and `requests`."""

    @functools.wraps(command)
    def collected(**values: Any) -> int:
        job_values, request_values = (
            {field.name: values[field.name] for field in dataclasses.fields(kind) if field.name in values}
            for kind in (Options, RequestOptions)
        )
        rest = {name: value for name, value in values.items() if name not in job_values | request_values}
        return command(options=Options(**job_values), requests=RequestOptions(**request_values), **rest)

    return with_options(collected, _OPTIONS)


def request_options(command: Callable[..., int]) -> Any:
    """Add the options on requests that commands which read much take, as the argument `requests`.

    A person waits for the output, and one record that keeps failing must not hold up thousands of others.
    """
    options = [_API_RATE, _retry_timeout("2min")]

    @functools.wraps(command)
    def collected(*, api_rate: float | None, retry_timeout: float, **values: Any) -> int:
        return command(requests=RequestOptions(api_rate=api_rate, retry_timeout=retry_timeout), **values)

    return with_options(collected, options)


def given_options(options: Options, requests: RequestOptions, accounting: ReportOptions) -> dict[str, Any]:
    """Return the options that the command line gives, in a form for the job's journal.

    Those about the selection and the item are for reports: a resumed job has their effect in its plan.
    """
    context = click.get_current_context()
    sending = {name: getattr(kind, name) for kind in (options, requests) for name in _names(kind) if _is_given(name)}
    writing = {name: value for name in _names(accounting) if (value := getattr(accounting, name))}
    reported = {name: context.params[name] for name in _REPORTED if name in context.params and _is_given(name)}
    return {name: _plain(value) for name, value in (reported | sending | writing).items() if name not in _NOT_RECORDED}


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a resumed job; `names` are those taken from its journal, as on the command line."""

    options: Options
    requests: RequestOptions
    accounting: ReportOptions
    names: list[str]


def with_recorded(
    options: Options, requests: RequestOptions, accounting: ReportOptions, recorded: Mapping[str, Any]
) -> Restored:
    """Take the options that the command line does not give from the journal.

    A recorded value that this version cannot read is ignored.
    """
    used: set[str] = set()
    restored = [_restore(container, recorded, used) for container in (options, requests, accounting)]
    params = {param.name: param.opts[0] for param in click.get_current_context().command.params}
    return Restored(
        options=restored[0],
        requests=restored[1],
        accounting=restored[2],
        names=sorted(params[name] for name in used if name in params),
    )


def _restore(options: Any, recorded: Mapping[str, Any], used: set[str]) -> Any:
    types, values = get_type_hints(type(options)), {}
    for name in _names(options) & recorded.keys():
        if not _is_given(name):
            with suppress(msgspec.ValidationError):
                values[name] = msgspec.convert(recorded[name], types[name], dec_hook=_path)
    used.update(values)
    return dataclasses.replace(options, **values)


def _path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise msgspec.ValidationError("not a path")
    return Path(value)


def _names(options: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(options)}


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
