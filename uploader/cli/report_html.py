"""The HTML report of a job: one self-contained page, for the screen and for print. Pure; the page is report.html.j2."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from uploader import units
from uploader.cli.output.summary import reason_text
from uploader.cli.report_plot import plot, px, run_rates
from uploader.sources.models import remote_path
from uploader.text import printable
from uploader.transfer.history.build_report import Described, JobReport, RunEntry
from uploader.transfer.report import FileReport

_OUTCOMES = {
    "verified": "all verified",
    "killed": "killed, or the machine crashed",
    "running": "still running when this report was created",
    "interrupted": "stopped by a signal",
}
_PUBLISHED = {"public": "yes", "embargoed": "when its embargo ends", "review": "submitted for review"}
_EVENTS = {"restarted": "sent again", "failed": "failed", "warning": "warning"}
_MAX_INCIDENTS = 200
"""Incidents on the page; the JSON report has all."""
_INTERNAL_OPTIONS = {"nul", "repeated"}
"""Recorded options about reading lists, not about sending."""
_STEPS = {"reserve_doi": "reserve a DOI", "private_link": "create a private link", "publish": "publish"}
_DURATIONS = {"retry_timeout", "stall_timeout", "verify_timeout", "grace", "settle_timeout"}
"""Options in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    text: str
    good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileRow:
    """A row of the table of files. `source`: the local path where it differs from the remote one, else ""."""

    name: str
    source: str
    size: str
    md5: str | None
    no_md5: str
    file_id: str
    state: str
    good: bool


def report_html(job: JobReport) -> str:
    """Return the report as HTML."""
    folder = _common_folder([file.path for file in job.files if file.status != "linked"])
    curve = run_rates(job.runs)
    return _environment().get_template("report.html.j2").render(
        job=job,
        title=job.title or f"Item {job.item_id}",
        verdict=_overall_outcome(job),
        facts=list(_facts(job)),
        plot=plot(curve) if curve else None,
        job_runs=units.format_count(len(curve), "run"),
        events=_EVENTS,
        max_incidents=_MAX_INCIDENTS,
        failed=[file for file in job.files if file.error is not None],
        replaced=[file for file in job.files if file.replaced],
        folder=folder,
        files=(_file_row(file, folder) for file in job.files),
    )  # fmt: skip


def _environment() -> jinja2.Environment:
    """Create the environment: all template output is made printable, then escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "bytes": units.format_bytes,
        "rate": units.format_rate,
        "duration": units.format_duration,
        "moment": _format_time,
        "outcome": _outcome,
        "px": px,
        "remote_path": _remote,
        "skip_reason": reason_text,
        "without_path": _without_path,
    }
    return made


def _printable(value: object) -> object:
    return printable(value) if type(value) is str else value


def _overall_outcome(job: JobReport) -> _Outcome:
    verified, linked, total = job.counts.get("verified", 0), job.counts.get("linked", 0), len(job.files)
    if verified + linked == total:
        files = "The file is" if verified == 1 else f"All {verified} files are"
        checked = f"{files} on Figshare and verified: the MD5 computed by Figshare matches the source."
        parts = [checked] if verified else []
        if linked:
            parts.append(f"{units.format_count(linked, 'more file')} linked: only the address is stored.")
        return _Outcome(text=" ".join(parts), good=True)
    others = ", ".join(f"{count} {status}" for status, count in job.counts.items() if status != "verified")
    text = f"{verified} of {units.format_count(total, 'file')} verified; {others}. Job state: {job.state}."
    return _Outcome(text=text, good=False)


def _facts(job: JobReport) -> Iterator[tuple[str, str]]:
    yield "Service", job.endpoint
    yield "Size", f"{units.format_count(len(job.files), 'file')}, {_exact_size(job.bytes_total)}"
    if job.doi:
        yield "DOI", job.doi
    if job.public_url:
        yield "Public page", job.public_url
    if job.published:
        version = f", version {job.published_version}" if job.published_version is not None else ""
        when = f", {_format_time(job.published_at)} UTC" if job.published_at else ""
        yield "Published", f"{_PUBLISHED.get(job.published, job.published)}{version}{when}"
    yield "Started", f"{_format_time(job.planned)} UTC"
    if job.runs:
        yield "Last activity", f"{_format_time(job.runs[-1].ended)} UTC"
        pauses = f", over {len(job.runs)} runs" if len(job.runs) > 1 else ""
        yield "Active time", f"{units.format_duration(job.seconds)}{pauses}"
        yield "Sent", _network(job)
    yield "Sent from", ", ".join(sorted({run.host for run in job.runs})) or "unknown"
    yield "Sent by", f"figup {', '.join(sorted({job.version, *(run.version for run in job.runs)}))}"
    yield from _request(job)


def _request(job: JobReport) -> Iterator[tuple[str, str]]:
    """Yield the request: account, project, final steps, options, metadata."""
    if job.account is not None:
        yield "On behalf of", f"account {job.account}"
    if job.project is not None:
        yield "Project", str(job.project)
    if job.final_steps:
        yield "When verified", ", ".join(_STEPS.get(step, step) for step in job.final_steps)
    if job.options:
        yield "Options", _options(job.options)
    if job.description is not None:
        yield "Metadata", _metadata(job.description)
        for name, value in job.description.values.items():
            yield name.replace("_", " ").capitalize(), _metadata_value(value)


def _metadata(given: Described) -> str:
    pending = "" if given.done else "; not applied yet"
    return f"{', '.join(given.fields) or 'nothing'} (fingerprint {given.mark}){pending}"


def _metadata_value(value: Any) -> str:
    """Format a value in the API's form."""
    if isinstance(value, list):
        return "; ".join(_metadata_value(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_metadata_value(one)}" for name, one in value.items())
    return str(value)


def _exact_size(count: int) -> str:
    return f"{units.format_bytes(count)} ({count:,} bytes)" if count >= 1000 else units.format_bytes(count)


def _network(job: JobReport) -> str:
    rate = f", {units.format_rate(job.bytes_sent / job.seconds)} on average" if job.seconds and job.bytes_sent else ""
    at_least = "at least " if any(run.outcome == "killed" for run in job.runs) else ""
    return f"{at_least}{units.format_bytes(job.bytes_sent)}, including repeated parts{rate}"


def _options(options: Mapping[str, Any]) -> str:
    """Return the recorded options in command-line form."""
    shown = {name: value for name, value in options.items() if name not in _INTERNAL_OPTIONS}
    return "; ".join(_option(name, value) for name, value in shown.items()) or "none"


def _option(name: str, value: Any) -> str:
    option = f"--{name.removesuffix('s') if name == 'reports' else name}".replace("_", "-")
    return option if value is True else f"{option} {_option_value(name, value)}"


def _option_value(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if name == "limit_rate":
        return units.format_rate(value) if isinstance(value, int | float) else "by time of day"
    if name in _DURATIONS and isinstance(value, int | float):
        return units.format_duration(value)
    return str(value)


def _outcome(run: RunEntry) -> str:
    return _OUTCOMES.get(run.outcome) or f"{run.message or run.outcome} ({run.outcome})"


def _file_row(file: FileReport, folder: str) -> _FileRow:
    linked, remote = file.status == "linked", _remote(file)
    local = file.path if linked else os.path.relpath(file.path, folder or "/")
    good = file.status in ("verified", "linked")
    state = file.status
    if good:
        state = _format_time(file.verified_at) if file.verified_at else "yes"
        state += ", already on Figshare" if file.found else ""
    if file.members is not None:
        local += f": {file.members} members"
    return _FileRow(
        name=remote,
        source=local if linked or not file.path.endswith(f"/{remote}") else "",
        size="-" if linked else f"{file.size:,}",
        md5=file.md5,
        no_md5="linked" if linked else "-",
        file_id="-" if file.file_id is None else str(file.file_id),
        state=state,
        good=good,
    )


def _remote(file: FileReport) -> str:
    return remote_path(file.folder, file.name)


def _common_folder(paths: Sequence[str]) -> str:
    """Return the deepest folder that contains all paths, or "" without paths."""
    folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120 - a string, perhaps from another machine
    return os.path.commonpath(folders) if folders else ""


def _without_path(message: str, path: str | None) -> str:
    """Remove the path at the start of a message, because it has a column of its own."""
    head, colon, rest = message.partition(": ")
    own = printable(path or "")
    return rest if colon and (head == own or own.endswith(f"/{head}")) else message


def _format_time(moment: str) -> str:
    """Format an ISO 8601 time in UTC."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
