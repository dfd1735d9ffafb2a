"""The options that a job was begun with: put on its record, so that `figup resume` need not be told them again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

import click
import msgspec
from click.core import ParameterSource

from uploader.cli.options import Tuning
from uploader.cli.report_files import ReportOptions

_TO_BE_SAID_AGAIN = {"restart_changed"}
"""What gives up something that was sent is meant for one run."""


def given(tuning: Tuning, accounting: ReportOptions) -> dict[str, Any]:
    """The options that the command line says, as they can stand in a job's journal."""
    told = {
        name: msgspec.to_builtins(value)
        for name, value in _fields(tuning).items()
        if name not in _TO_BE_SAID_AGAIN and _is_said(name)
    }
    return told | {name: value for name, value in _fields(accounting).items() if value}


def with_recorded(
    tuning: Tuning, accounting: ReportOptions, recorded: Mapping[str, Any]
) -> tuple[Tuning, ReportOptions, list[str]]:
    """The options, those that the command line does not say as they were recorded; and which those are.

    A recorded value that this figup cannot read is left out.
    """
    tuning, taken = _with(tuning, recorded)
    accounting, more = _with(accounting, recorded)
    return tuning, accounting, taken + more


def _with(options: Any, recorded: Mapping[str, Any]) -> tuple[Any, list[str]]:
    types, values = get_type_hints(type(options)), {}
    for name in _fields(options).keys() & recorded.keys():
        if not _is_said(name):
            with suppress(msgspec.ValidationError):
                values[name] = msgspec.convert(recorded[name], types[name], dec_hook=_path)
    params = {param.name: param.opts[0] for param in click.get_current_context().command.params}
    return dataclasses.replace(options, **values), sorted(params[name] for name in values if name in params)


def _path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise msgspec.ValidationError("not a path")
    return Path(value)


def _fields(options: Any) -> dict[str, Any]:
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _is_said(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
