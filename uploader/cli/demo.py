"""`figup demo`: run the real command against a sandbox, kill it half way and run it again, in one minute.

Every claim at the end is measured: from the sandbox's request log, from its API and from the file.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from uploader import units
from uploader.cli.demo_steps import Demo
from uploader.cli.options import FigupCommand, GlobalOptions, output_options
from uploader.cli.parameters import LocalPath, ParsedParam
from uploader.cli.runner import Session, run
from uploader.cli.sandbox_process import local_sandbox
from uploader.disk import temporary_errors
from uploader.errors import UsageError

MIN_SIZE = 1 << 20
_PARTS = 100
_PART_SIZE = 10 << 20
_CLEAN_UP = 8.0
"""Seconds allowed for removing everything after Ctrl-C."""

HELP = """\b
Examples:
  figup demo
  figup demo --size 100Mi --keep

Exit status: 0 if every claim held, else 1.
"""


@click.command("demo", cls=FigupCommand, epilog=HELP)
@click.option(
    "--size",
    metavar="SIZE",
    type=ParsedParam("size", units.parse_size),
    default="1GiB",
    show_default=True,
    help="Size of the file.",
)
@click.option(
    "--dir",
    "parent",
    metavar="DIR",
    type=LocalPath(path_type=Path, exists=True, file_okay=False),
    help="Where to create its folder.  [default: the folder for temporary files]",
)
@click.option("--keep", is_flag=True, help="Keep all files at the end and print where they are.")
@output_options
def demo(size: int, parent: Path | None, keep: bool, common: GlobalOptions) -> int:  # fmt: skip
    """Upload a file to a local Figshare, kill the upload half way, and rerun it.

    Needs no account and no network. Takes twice the size on disk and less than a minute.
    """
    if size < MIN_SIZE:
        raise UsageError(f"--size is {units.format_bytes(size)}; the demo needs at least 1Mi")
    with _folder(parent, size, keep=keep) as folder:
        log = folder / "requests.jsonl"
        part_size = min(_PART_SIZE, max(1 << 12, size // _PARTS))
        more = ("--request-log", str(log), "--part-size", str(part_size))
        with local_sandbox(folder / "sandbox", *more) as sandbox:

            async def work(session: Session) -> int:
                # The child is killed at once; removing the folder takes time.
                session.signals.stop_with(session.scope.cancel, _CLEAN_UP)
                return await Demo(session, folder, sandbox, log, size, keep=keep).run()

            return run(common, work)


@contextlib.contextmanager
def _folder(parent: Path | None, size: int, *, keep: bool) -> Iterator[Path]:
    """Make a folder and remove it at the end unless it is kept. Raises UsageError without enough space."""
    with temporary_errors():
        place = (parent or Path(tempfile.gettempdir())).absolute()
    need, room = 2 * size + (64 << 20), shutil.disk_usage(place).free
    if room < need:
        raise UsageError(
            f"the demo needs {units.format_bytes(need)}; {place} has {units.format_bytes(room)} free",
            hint="Choose a smaller --size, or another folder with --dir.",
        )
    folder = Path(tempfile.mkdtemp(prefix="figup-demo-", dir=place))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
