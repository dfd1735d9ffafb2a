"""Options that select local files, shared by the commands that read them."""

from __future__ import annotations

import functools
import glob
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import click

from uploader.cli.options import grouped, with_options
from uploader.cli.parameters import LocalPath
from uploader.errors import Facts, SourceNotFound, UsageError
from uploader.sources.models import STDIN, Sources
from uploader.system import path_error
from uploader.text import printable

_send = grouped("Files")
_FILE = LocalPath(readable=False, dir_okay=False)
_SELECTION = [
    click.argument("paths", metavar="[PATH]...", nargs=-1, type=LocalPath(readable=False)),
    _send("--from-file", metavar="LIST", type=LocalPath(readable=False, allow_dash=True),
          help="Read more paths from this file, one per line; - reads stdin."),
    _send("-0", "--null", "nul", is_flag=True, help="Paths in lists are separated by NUL (find -print0)."),
    _send("--base", metavar="DIR", type=LocalPath(readable=False),
          help="Listed paths are relative to DIR and keep their folders below it.  [default: current folder]"),
    _send("--manifest", metavar="FILE", type=_FILE,
          help="Read more files from this table (.csv, .json, .yaml): path, name, folder, md5."),
    _send("--include", metavar="PATTERN", multiple=True,
          help="Only files that match, in the syntax of .gitignore; may be repeated."),
    _send("--exclude", metavar="PATTERN", multiple=True,
          help="Skip files and folders that match, in the syntax of .gitignore; may be repeated."),
    _send("--hidden", is_flag=True, help="Include files and folders whose names start with a dot."),
    _send("--follow-symlinks", is_flag=True, help="Include the targets of symbolic links in folders."),
]  # fmt: skip
LINK = _send(
    "--link", "links", metavar="URL", multiple=True,
    help="Add a file elsewhere on the web as a link; may be repeated.",
)  # fmt: skip


def source_options(*, optional: bool = False) -> Callable[[Callable[..., int]], Any]:
    """Add the options that select files, as one argument `sources`; `optional`: no file is required."""

    def decorate(command: Callable[..., int]) -> Any:
        @functools.wraps(command)
        def collected(**values: Any) -> int:
            own = {name: values.pop(name) for name in _NAMES}
            sources = Sources(**own, links=values.get("links", ()))
            if not (sources.named or optional):
                raise click.UsageError("no files given: use PATH, --from-file, --manifest or --link")
            if STDIN in sources.paths and not os.path.lexists(STDIN):
                raise click.UsageError(
                    "file - not found; data is not read from stdin, but `--from-file -` reads a list of paths"
                )
            for path in sources.paths:
                _check_meaning(path, may_link="links" in values)
            if sources.nul and sources.from_file is None and not values.get("failed_to"):
                raise click.UsageError("-0 is for --from-file and --failed-to")
            values.pop("links", None)
            return command(sources=sources, **values)

        return with_options(collected, _SELECTION)

    return decorate


def _check_meaning(path: str, *, may_link: bool) -> None:
    """Explain a path that does not exist and was probably not meant as a path. `may_link`: the command takes links.

    Raises UsageError, SourceNotFound.
    """
    if os.path.lexists(path):
        return
    if path.lower().startswith(("http://", "https://")):
        how = f"; to add it to the item as a link, use --link {path}" if may_link else ", and no file"
        raise click.UsageError(f"{path} is an address{how}")
    missing = f"{printable(path)}: no such file"
    if may_link and path.isdecimal():
        raise SourceNotFound(missing, facts=Facts("number-as-path"), path=path)


def check_present(sources: Sources) -> None:
    """Raise SourceNotFound for a named path that does not exist. Blocks."""
    for path in sources.paths:
        if not (glob.has_magic(path) or os.path.lexists(path)):
            absolute = os.path.abspath(path)  # noqa: PTH100 - a path may be a name that pathlib would change
            raise SourceNotFound(f"{printable(absolute)}: no such file", path=absolute)


_NAMES = ("paths", "from_file", "nul", "base", "manifest", "include", "exclude", "hidden", "follow_symlinks")


def read_stdin(sources: Sources, checksums: str | None = None) -> bytes:
    """Read the list of files or checksums from stdin if an option asks for it. Blocks. Raises UsageError."""
    return _stdin(lambda stream: stream.read()) if STDIN in (sources.from_file, checksums) else b""


def read_stdin_line() -> bytes:
    """Read one line from stdin. Blocks. Raises UsageError."""
    return _stdin(lambda stream: stream.readline())


def _stdin(read: Callable[[BinaryIO], bytes]) -> bytes:
    if sys.stdin is None:
        raise UsageError("stdin is closed", hint="Something is read from it: see the command's help.")
    try:
        return read(sys.stdin.buffer)
    except OSError as fault:
        raise path_error(fault, "stdin") from fault
