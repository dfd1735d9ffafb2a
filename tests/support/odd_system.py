"""Runs figup on a system where the name of a path selects its error: every call on `…/ESTALE/…` fails with ESTALE.

`python -m tests.support.odd_system PLACE WORD...`: PLACE is the current folder, "removed" or "deep" for one that is no
longer there, or whose path is longer than a path may be; the words are those of the command.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any
from unittest import mock

ERRORS = {name: getattr(errno, name) for name in ("EACCES", "ENOTCONN", "ESTALE", "EIO", "EMFILE")}
"""Errors that a path may name. Others can be caused for real."""
_CALLS = dict.fromkeys(("open", "stat", "lstat", "scandir", "listdir", "mkdir", "readlink", "unlink", "access"), 1)
_CALLS |= {"rename": 2, "replace": 2, "link": 2}
"""Calls of `os`, and the number of their path arguments."""


def _refusing(call: Callable[..., Any], paths: int) -> Callable[..., Any]:
    def refuse_or_call(*args: Any, **settings: Any) -> Any:
        for path in args[:paths]:
            if isinstance(path, str | bytes | os.PathLike):
                for name in ERRORS.keys() & set(os.fsdecode(path).split("/")):
                    raise OSError(ERRORS[name], os.strerror(ERRORS[name]), os.fspath(path))
        return call(*args, **settings)

    return refuse_or_call


def _spoil() -> None:
    for name, paths in _CALLS.items():
        mock.patch.object(os, name, _refusing(getattr(os, name), paths)).start()
    opening = _refusing(io.open, 1)
    mock.patch.object(io, "open", opening).start()
    mock.patch.object(builtins, "open", opening).start()


def _go_to(place: str) -> None:
    if place == "removed":
        os.chdir(folder := tempfile.mkdtemp())
        os.rmdir(folder)  # noqa: PTH106
    elif place == "deep":
        os.chdir(tempfile.mkdtemp())
        for _ in range(20):
            os.mkdir("d" * 250)  # noqa: PTH102
            os.chdir("d" * 250)
    else:
        os.chdir(place)


def main() -> None:
    """Run the command."""
    from uploader.cli.main import main as figup

    _go_to(sys.argv.pop(1))
    _spoil()
    sys.argv[0] = "figup"
    figup()


if __name__ == "__main__":
    main()
