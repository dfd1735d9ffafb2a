"""Options for files about a job: `--report` writes a report, `--failed-to` a list of the failed files."""

from __future__ import annotations

import functools
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import click
import msgspec

from uploader.cli.context import job_store, state_dir
from uploader.cli.hints import NOTHING, Repeated
from uploader.cli.options import GlobalOptions, grouped
from uploader.cli.output.summary import failed
from uploader.cli.parameters import ParsedFile
from uploader.cli.runner import Session
from uploader.disk import Disk
from uploader.errors import FigupError, UsageError
from uploader.sources.models import STDIN, Sources, remote_path
from uploader.system import absolute, write_error
from uploader.text import printable
from uploader.transfer.report import FileReport, Report
from uploader.transfer.store.jobs import JobStore

if TYPE_CHECKING:
    from uploader.transfer.history.build_report import JobReport

_PAGES = (".html", ".htm")
_COMMAND = "# figup upload "
"""Start of the first line of a list of failed files."""


def _report_path(text: str) -> Path:
    if Path(text).suffix.lower() not in (*_PAGES, ".json"):
        raise ValueError(f"{text!r} must end in .html or .json")
    return _file_path(text)


def _file_path(text: str) -> Path:
    path = Path(absolute(text))
    try:
        folders = path.is_dir(), path.parent.is_dir()
    except OSError as fault:
        raise write_error(fault, text) from None
    if folders[0]:
        raise ValueError(f"{text!r} is a folder")
    if not folders[1]:
        raise ValueError(f"{text!r}: folder {str(path.parent)!r} does not exist")
    return path


_reports = grouped("Reports")
report_option = _reports(
    "--report", "reports", metavar="FILE", multiple=True, type=ParsedFile("file", _report_path),
    help="Write a report of the job to FILE.html or FILE.json; may be repeated.",
)  # fmt: skip
_failed_to_option = _reports(
    "--failed-to", metavar="FILE", type=ParsedFile("file", _file_path),
    help="Write the paths of failed files, with the reasons, to FILE; empty if none failed.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Files to write at the end of a job's run."""

    reports: tuple[Path, ...] = ()
    failed_to: Path | None = None
    nul: bool = False
    """Separate the list of failed files by NUL, without comments."""


def report_options(command: Callable[..., int]) -> Any:
    """Add these options to a command that runs a job, as one argument `accounting`."""

    @functools.wraps(command)
    def collected(*, reports: tuple[Path, ...], failed_to: Path | None, **values: Any) -> int:
        return command(accounting=ReportOptions(reports=reports, failed_to=failed_to), **values)

    return report_option(_failed_to_option(collected))


async def write_outputs(session: Session, accounting: ReportOptions, report: Report, *, on_conflict: str) -> None:
    """Write the requested files about a run with this --on-conflict and report where; errors are only reported."""
    states = job_store(session.common)

    def write() -> bool:
        kept = states.folder(report.job).exists()  # a job that has begun nothing is not
        if accounting.failed_to is not None:
            repeated = session.common.repeated if kept else None
            _refuse_sources((accounting.failed_to,), report.files, states.members(report.job))
            write_file(accounting.failed_to, failed_list(report, accounting, repeated, on_conflict))
        if kept:
            write_reports(states, report.job, accounting.reports)
        return kept

    try:
        if not await anyio.to_thread.run_sync(write):
            if accounting.reports:
                session.console.note("no report: nothing was begun")
            return
    except FigupError as error:
        status = session.common.repeated.job_command("status", report.job, "--report", "FILE")
        advice = f"; `{status}` writes one later" if accounting.reports else ""
        session.console.note(printable(error.message) + advice)
        return
    for path in accounting.reports:
        session.console.note(f"report: {printable(str(path))}")


def write_reports(states: JobStore, job: str, paths: tuple[Path, ...]) -> None:
    """Write a job's report to these files. Blocks.

    Raises JobNotFound, JournalDamaged, UsageError, also for a file that is one of the job's sources.
    """
    if not paths:
        return
    from uploader.transfer.history.build_report import build_report

    known = build_report(states, job)
    _refuse_sources(paths, known.files, states.members(job))
    for path in paths:
        write_file(path, _encoded(known, path))


def output_paths(accounting: ReportOptions, common: GlobalOptions) -> tuple[str, ...]:
    """Return what an upload writes on this machine, which is not to be sent."""
    given = (*accounting.reports, accounting.failed_to, common.log_file, state_dir(common))
    return tuple(str(path) for path in given if path is not None)


def check_outputs(accounting: ReportOptions, log_file: Path | None, inputs: Iterable[str | None]) -> None:
    """Raise UsageError for a file that is to be written and also one of `inputs`, which are read."""
    outputs = [*(("--report", path) for path in accounting.reports), ("--failed-to", accounting.failed_to)]
    written = [(option, path) for option, path in [*outputs, ("--log-file", log_file)] if path is not None]
    read = {os.path.realpath(absolute(path)) for path in inputs if path} if written else set()
    for option, output in written:
        if os.path.realpath(absolute(str(output))) in read:
            raise click.UsageError(f"{option} {output} would overwrite a file that is read; name another one")


def _refuse_sources(outputs: Iterable[Path], files: Sequence[FileReport], members: Iterable[str]) -> None:
    """Raise UsageError for a file that is to be written and was found in a folder that is sent. `members` are the
    sources of archives: read only if a file that exists is in the folder of one.
    """
    there = [path for path in outputs if os.path.lexists(path)]
    if not there:
        return
    written = {name: path for path in there for name in (str(path), os.path.realpath(absolute(str(path))))}
    packed = tuple(f"{file.path.rstrip('/')}/" for file in files if file.members is not None)
    inside = [path for name, path in written.items() if name.startswith(packed)]
    sources = itertools.chain((file.path for file in files), members if inside else ())
    try:
        found = next((source for source in sources if source in written), None)
    except FigupError as error:  # the list of members is lost
        text = f"{inside[0]} is in a folder that is sent as an archive, and was not overwritten"
        raise UsageError(text, path=str(inside[0])) from error
    if found is not None:
        path = written[found]
        raise UsageError(f"{path} is one of the files that are sent, and was not overwritten", path=str(path))


def _encoded(known: JobReport, path: Path) -> bytes:
    if path.suffix.lower() in _PAGES:
        from uploader.cli.report_html import report_html

        return report_html(known).encode()
    return msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n"


def failed_list(
    report: Report, accounting: ReportOptions, repeated: Repeated | None = NOTHING, on_conflict: str = "skip"
) -> bytes:
    """Format the failed files for `--from-file`: a comment with the reason, then the path.

    The first line is a comment with the command that sends just these files to their places; it repeats these
    options, and is absent if they are None. With `nul` there are only the paths, each followed by NUL.
    """
    nul = accounting.nul
    files = [file for file in failed(report) if file.path.startswith("/")]  # a link has no path
    if nul:
        return b"".join(os.fsencode(file.path) + b"\0" for file in files)
    command = b"" if repeated is None else _retry_command(report, files, accounting, repeated, on_conflict)
    return command + b"".join(map(_failed_lines, files))


def _retry_command(
    report: Report, files: Sequence[FileReport], accounting: ReportOptions, repeated: Repeated, on_conflict: str
) -> bytes:
    """Return the command as a comment, or what to do if the list cannot reproduce the files' remote paths."""
    if not files:
        return b""
    bases = {file.path.removesuffix(f"/{remote_path(file.folder, file.name)}") for file in files}
    if len(bases) != 1 or report.item_id is None or bases & {file.path for file in files}:
        resume = printable(repeated.job_command("resume", report.job))
        return f"# {resume}: this list lacks the files' names on Figshare\n".encode()
    words = ["upload", "--from-file", str(accounting.failed_to), "--base", bases.pop() or "/"]
    words += ["--item", str(report.item_id)]
    words += ["--on-conflict", on_conflict] if on_conflict != "skip" else []
    return f"# {printable(repeated.command(*words))}\n".encode()


def check_list(sources: Sources) -> None:
    """Raise UsageError for a list written by `--failed-to` that is used without a target item. Blocks briefly."""
    first = sources.stdin.partition(b"\n")[0].decode("utf-8", "replace")
    if sources.from_file not in (None, STDIN):
        with suppress(OSError, ValueError), Path(sources.from_file or "").open(encoding="utf-8") as lines:
            first = lines.readline().rstrip("\n")
    if first.startswith(_COMMAND):
        raise UsageError(
            f"{sources.from_file}: is a list of failed files; on its own it would create a new item",
            hint=f"Use the command in its first line: {first.removeprefix('# ')}",
        )


def _failed_lines(file: FileReport) -> bytes:
    reason = printable(f"{file.error.code}: {file.error.message}") if file.error is not None else file.status
    if "\n" in file.path or "\r" in file.path:
        return f"# {reason}\n# (the name contains a line break: add -0)\n".encode()
    return f"# {reason}\n".encode() + os.fsencode(file.path) + b"\n"


def write_file(path: Path, data: bytes) -> None:
    """Write a file that the user asked for, atomically unless it is a pipe or a terminal; its mode is kept. Blocks.
    Raises UsageError, or StorageUnavailable or ResourcesExhausted for transient errors.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        Disk().replace(path, data, mode=0o666 if mode is None else mode)
        if mode is not None:
            path.chmod(mode)  # also the bits removed by the umask
    except OSError as fault:
        raise write_error(fault, str(path)) from None
    except FigupError as error:
        raise write_error(error.__cause__ or error, str(path)) from None
