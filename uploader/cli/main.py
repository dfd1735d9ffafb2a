"""The command `figup`: find the command and import only that one, so that `--version` is fast. Errors before a command
runs, such as usage errors, are reported here.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from uploader._version import __version__
from uploader.cli.global_options import WITH_VALUE, lacks_command, unknown_command, with_global_options_last
from uploader.cli.startup import end_process, gc_paused, ignore_signals
from uploader.errors import ExitStatus, FigupError, OutputLost

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from uploader.cli.hints import Repeated

COMMANDS: dict[str, tuple[str, str]] = {
    "upload": ("uploader.cli.upload:upload", "Send files to Figshare."),
    "resume": ("uploader.cli.upload:resume", "Continue an interrupted job."),
    "jobs": ("uploader.cli.jobs:jobs", "List the jobs on this machine."),
    "status": ("uploader.cli.jobs:status", "Show one job."),
    "cancel": ("uploader.cli.jobs:cancel", "Cancel a job and remove its unfinished remote files."),
    "verify": ("uploader.cli.verify:verify", "Compare local files with what Figshare holds."),
    "download": ("uploader.cli.download:download", "Download an item's files and verify them."),
    "item": ("uploader.cli.item:item", "List, show, create, describe, publish and delete items."),
    "metadata": ("uploader.cli.metadata:metadata", "Write and check files that describe items."),
    "records": ("uploader.cli.records_jobs:records", "Create many items with linked files from one file."),
    "stats": ("uploader.cli.stats_login:stats", "Count views, downloads, shares and citations."),
    "report": ("uploader.cli.report:report", "Make complete tables of records."),
    "batch": ("uploader.cli.batch:batch", "Convert and summarize the administrators' metadata report."),
    "search": ("uploader.cli.search:search", "Find items, collections and projects."),
    "project": ("uploader.cli.project:project", "List, show and create projects."),
    "collection": ("uploader.cli.collection:collection", "List, show and create collections; add items to them."),
    "author": ("uploader.cli.directory:author", "Find authors and their ids."),
    "group": ("uploader.cli.directory:group", "List the groups of your institution."),
    "institution": ("uploader.cli.directory:institution", "Find institutions and their ids."),
    "account": ("uploader.cli.account:account", "Administer an institution's accounts."),
    "v1": ("uploader.cli.first_api:v1", "List and search through Figshare's first API."),
    "auth": ("uploader.cli.auth:auth", "Log in and out; show whose token is used."),
    "slurm": ("uploader.cli.slurm:slurm", "Write batch scripts for Slurm."),
    "doctor": ("uploader.cli.doctor:doctor", "Check whether uploads can work on this host."),
    "sandbox": ("uploader.cli.sandbox:sandbox", "Run a local Figshare in the foreground."),
    "demo": ("uploader.cli.demo:demo", "Watch an upload survive a kill, without an account."),
    "help": ("uploader.cli.help:help_", "Show a page of the manual, or the help of a command."),
    "completion": ("uploader.cli.help:completion", "Print the completion script of a shell."),
    "version": ("uploader.cli.version:version", "Print the version."),
}
"""Command name → module:attribute and summary in `figup --help`, in order."""
POINTERS = {
    "login": "auth login",
    "logout": "auth logout",
    "whoami": "auth status",
    "ls": "jobs",
    "list": "jobs",
    "get": "download",
    "pull": "download",
    "put": "upload",
    "send": "upload",
    "sync": "upload",
    "cp": "upload",
    "check": "verify",
    "compare": "verify",
    "create": "item create",
    "publish": "item publish",
    "delete": "item delete",
    "rm": "item delete",
    "man": "help",
    "find": "search",
    "query": "search",
}
"""Likely guesses → the command to use."""
_CLICK_COLUMNS, _MIN_COLUMNS = 52, 26
"""The narrowest terminals for which click, and figup, make lines that fit."""
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}

EPILOG = """\b
Start here:
  figup auth login          store your token
  figup upload data.tar     send a file; rerun the same command if interrupted
  figup demo                watch an upload survive a kill, without an account
  figup help                list the pages of the manual

\b
Environment:
  FIGSHARE_TOKEN, FIGSHARE_ENDPOINT, FIGUP_STATE_DIR, FIGUP_PROFILE

`figup COMMAND --help` lists all options of a command.
"""


@contextmanager
def _interrupted_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process: a KeyboardInterrupt raised in a callback of the import system is printed and lost."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler:  # ignored, or handled by another program
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS and ctx.resilient_parsing:
            return None  # completing a line: an error would be printed over it
        if cmd_name in POINTERS:
            ctx.fail(f"unknown command {cmd_name!r}; use 'figup {POINTERS[cmd_name]}'")
        if cmd_name not in COMMANDS:
            ctx.fail(unknown_command(cmd_name, COMMANDS))
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        with _interrupted_at_once(), gc_paused():
            command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[-1] in WITH_VALUE and lacks_command([*args, "value"]):
            ctx.fail(f"option {args[-1]!r} requires an argument")
        if lacks_command(args):
            ctx.fail("no command given")  # click would call the first option unknown
        return super().parse_args(ctx, with_global_options_last(args))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands from the table, so that none is imported."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from uploader.cli.options import common_help, write_options

        super().format_options(ctx, formatter)
        with formatter.section("Global options, before or after the command"):
            write_options(formatter, common_help(ctx))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> NoReturn:
        """Run, and exit with the documented status."""
        words = list(sys.argv[1:] if args is None else args)
        options = words[: words.index("--")] if "--" in words else words
        settings.setdefault("prog_name", "figup")
        settings.setdefault("terminal_width", _narrow_width())
        settings["standalone_mode"] = False
        known: dict[str, Repeated] = {}
        settings["obj"] = known
        try:
            status = super().main(words, *more, **settings)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = error.exit_code
        except (click.ClickException, click.Abort, FigupError, KeyboardInterrupt) as error:
            status = _report(error, options, known)
        except BrokenPipeError:
            _forget_stdout()
            status = 0
        except Exception as error:
            logging.getLogger("uploader.cli").debug("internal error", exc_info=True)
            status = _report(_interrupt(error) or _stdout_error(error) or error, options, known)
        ignore_signals()
        end_process(status if isinstance(status, int) else 0)


def _narrow_width() -> int | None:
    """Return the width of help on a terminal that is narrower than click assumes; None on others, and if unknown."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        return None
    return max(columns, _MIN_COLUMNS) - 2 if 0 < columns < _CLICK_COLUMNS else None


def _report(error: BaseException, options: Sequence[str], known: Mapping[str, Repeated]) -> int:
    """Report an error raised before the command ran, and return the exit status. `known`: see `common_options`."""
    try:
        from uploader.cli.errors import failure_of
        from uploader.cli.hints import NOTHING
        from uploader.cli.output.console import Console, Summary

        failure = failure_of(error, repeated=known.get("repeated", NOTHING))
        console = Console(json="--json" in options, quiet=False, color="--no-color" not in options)
        console.failure(failure)
        console.summary(Summary(exit_status=failure.exit_status))
        console.output.drain()
    except MemoryError:  # not even enough to import what reports it
        os.write(2, b"figup: out of memory. Give the process more memory, then run the same command again.\n")
        return ExitStatus.RESUMABLE
    return failure.exit_status


def _interrupt(error: Exception) -> KeyboardInterrupt | None:
    """Return the Ctrl-C that led to an error while a command was loaded; None for any other error.

    Python 3.11 wraps what is raised while it names the attributes of a class.
    """
    return error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else None


def _stdout_error(error: Exception) -> OutputLost | None:
    """Map click's own write errors on stdout, which name no file, to OutputLost."""
    if not isinstance(error, OSError) or error.errno not in _UNWRITABLE or error.filename is not None:
        return None
    _forget_stdout()
    return OutputLost(f"cannot write to stdout: {error.strerror}")


def _forget_stdout() -> None:
    from uploader.cli.output.writer import redirect_to_devnull

    redirect_to_devnull(sys.stdout)


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="figup")
def main() -> None:
    """Upload large files to Figshare, reliably.

    Rerun the same command until it exits with 0, and every byte is on Figshare exactly once, verified.
    """
