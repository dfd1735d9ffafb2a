"""Options that send files as archives, and that compare files with archives of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, get_args

import click
from click.core import ParameterSource

from uploader import units
from uploader.cli.options import grouped, with_options
from uploader.cli.parameters import ParsedParam
from uploader.sources.archive.layout import Format
from uploader.sources.models import Packing


def _parse_size(text: str) -> int:
    """Parse bytes, more than 0. Raises ValueError."""
    size = units.parse_size(text)
    if not size:
        raise ValueError("the size must be more than 0")
    return size


_SIZE = ParsedParam("size", _parse_size)
_pack = grouped("Packing")
_CHOICES = (
    _pack("--pack-name", metavar="NAME", help="Name of the archive.  [default: that of the first path]"),
    _pack("--pack-below", metavar="SIZE", type=_SIZE,
          help="Pack only files smaller than SIZE, such as 50M, and send the others as they are."),
    _pack("--pack-limit", metavar="SIZE", type=_SIZE,
          help="Make several archives, none larger than SIZE: NAME-001.zip, NAME-002.zip ..."),
)  # fmt: skip
_PACKING = [
    _pack("--pack", type=click.Choice(get_args(Format)),
          help="Send the files as one archive, which is made while it is sent and never stored here: two requests "
               "in total instead of two per file. Not compressed. Prefer zip, whose content Figshare's page can list."),
    *_CHOICES,
    _pack("--no-pack-manifest", "pack_manifest", is_flag=True, flag_value=False, default=True,
          help="Do not add MANIFEST.md5, a list of the MD5s of all members, to archives. The job keeps them anyway."),
]  # fmt: skip
_PACKED = [
    _pack("--packed", is_flag=True, help="Compare with the archive that `figup upload --pack` made of the files."),
    *_CHOICES,
]  # fmt: skip


def packing_options(command: Callable[..., int]) -> Any:
    """Add the options for packing, which become some of `options`."""

    @functools.wraps(command)
    def collected(**values: Any) -> int:
        _check_packing("--pack", present=values["pack"] is not None)
        return command(**values)

    return with_options(collected, _PACKING)


def packed_options(command: Callable[..., int]) -> Any:
    """Add the options for comparing with archives, as the argument `packing`: see `Client.verify`."""

    @functools.wraps(command)
    def collected(*, packed: bool, pack_name: str | None, **values: Any) -> int:
        _check_packing("--packed", present=packed)
        below, limit = values.pop("pack_below"), values.pop("pack_limit")
        packing = Packing(format="zip", name=pack_name, below=below, limit=limit) if packed else None
        return command(packing=packing, **values)

    return with_options(collected, _PACKED)


def _check_packing(needed: str, *, present: bool) -> None:
    """Raise UsageError if options about archives are given without the one that asks for archives."""
    context = click.get_current_context()
    for param in context.command.params if not present else ():
        name = param.name or ""
        if name.startswith("pack_") and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} needs {needed}")
