"""The lab page: a dossier as one self-contained page for the lab book, on a screen and on paper. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from uploader import units
from uploader.cli.lab_options import options_words
from uploader.cli.markup import Child, Element, el, page
from uploader.cli.output.summary import reason_words
from uploader.cli.report_plot import plot, run_rates
from uploader.sources.models import remote_path
from uploader.text import printable
from uploader.transfer.records.build_report import Described, FileEntry, Incident, JobReport, RunEntry

_STYLE = Path(__file__).with_name("lab_page.css")
_OUTCOMES = {
    "verified": "all verified",
    "killed": "cut off: the process was killed, or the machine went down",
    "running": "still at work when this page was made",
    "interrupted": "stopped by a signal",
}
_PUBLISHED = {"public": "yes", "embargoed": "when its embargo ends", "review": "handed in for review"}
_KINDS = {"restarted": "sent again", "failed": "failed", "warning": "warning"}
_INCIDENTS = 200
"""Incidents that the page shows at most; the JSON has all."""


def report_html(job: JobReport) -> str:
    """The page."""
    title = job.title or f"Item {job.item_id}"
    return page(
        f"{title}: what figup sent to Figshare",
        _STYLE.read_text("utf-8"),
        el("p", "What figup sent to Figshare", class_="over"),
        el("h1", title),
        _verdict(job),
        _facts(job),
        *_throughput(job),
        *_runs(job),
        *_retries(job),
        *_incidents(job.incidents),
        *_left(job),
        *_skipped(job),
        *_replaced(job),
        *_files(job),
        _footer(job),
    )


# --- what is so -----------------------------------------------------------------------------------------------------


def _verdict(job: JobReport) -> Element:
    verified, linked, total = job.counts.get("verified", 0), job.counts.get("linked", 0), len(job.files)
    also = f" {units.format_count(linked, 'more file')} linked: only the address is there." if linked else ""
    if verified + linked == total:
        text = f"{_all(verified)} on Figshare and verified: the MD5 computed there equals that of the source."
        return el("p", text + also if verified else also.strip(), class_="verdict")
    others = ", ".join(f"{n} {status}" for status, n in job.counts.items() if status != "verified")
    text = f"{verified} of {units.format_count(total, 'file')} verified; {others}. State of the job: {job.state}."
    return el("p", text, class_="verdict bad")


def _all(total: int) -> str:
    return "The file is" if total == 1 else f"All {total} files are"


def _facts(job: JobReport) -> Element:
    item: Child = "not created yet"
    if job.item_id is not None:
        item = el("span", f"{job.item_id} ", _link(job.item_url or ""))
    versions = sorted({job.version, *(run.version for run in job.runs)})
    facts: list[tuple[str, Child]] = [
        ("Item", item),
        ("Service", job.endpoint),
        ("Amount", f"{units.format_count(len(job.files), 'file')}, {_exactly(job.bytes_total)}"),
        *_release(job),
        ("Begun", _utc(job.planned)),
    ]
    if job.runs:
        pauses = f", over {len(job.runs)} runs" if len(job.runs) > 1 else ""
        facts += [
            ("Last work", _utc(job.runs[-1].ended)),
            ("Time worked", f"{units.format_duration(job.seconds)}{pauses}"),
            ("Handed to the network", _network(job)),
        ]
    facts += [
        ("Sent from", ", ".join(sorted({run.host for run in job.runs})) or "not known"),
        ("Sent by", f"figup {', '.join(versions)}"),
        *([("Acted for", f"account {job.account}")] if job.account is not None else []),
        *([("Options", options_words(job.options))] if job.options else []),
        *([("Metadata", _metadata(job.description))] if job.description is not None else []),
        *([("List of MD5s", el("code", job.manifest))] if job.manifest is not None else []),
        ("Job", el("code", job.job)),
    ]
    return el("dl", *(part for name, value in facts for part in (el("dt", name), el("dd", value))))


def _release(job: JobReport) -> list[tuple[str, Child]]:
    """The DOI, and what became of publishing."""
    facts: list[tuple[str, Child]] = [("DOI", job.doi)] if job.doi else []
    if job.published:
        version = f", version {job.published_version}" if job.published_version is not None else ""
        when = f", {_utc(job.published_at)}" if job.published_at else ""
        facts.append(("Published", f"{_PUBLISHED.get(job.published, job.published)}{version}{when}"))
    return facts


def _metadata(given: Described) -> str:
    state = "" if given.done else "; the item does not say so yet"
    return f"{', '.join(given.fields) or 'nothing'} (mark {given.mark}){state}"


def _link(address: str) -> Child:
    """Only what leads to a page is a link: the address is a server's word."""
    return el("a", address, href=address) if address.startswith(("https://", "http://")) else address


def _exactly(count: int) -> str:
    return f"{units.format_bytes(count)} ({count:,} bytes)" if count >= 1000 else units.format_bytes(count)


def _network(job: JobReport) -> str:
    rate = f", {units.format_rate(job.bytes_sent / job.seconds)} on average" if job.seconds and job.bytes_sent else ""
    least = "at least " if any(run.outcome == "killed" for run in job.runs) else ""
    return f"{least}{units.format_bytes(job.bytes_sent)}, what had to be sent again included{rate}"


# --- what it was like -----------------------------------------------------------------------------------------------


def _throughput(job: JobReport) -> list[Element]:
    curve = run_rates(job.runs)
    if not curve:
        return []
    peak = max(max(stretch.rates) for stretch in curve)
    words = f"Bytes handed to the network a second, at most {units.format_rate(peak)}."
    if len(curve) > 1:
        words += " Dashed lines are pauses between runs; a run's beginning stands above it, in UTC."
    return [el("h2", "Throughput"), el("figure", plot(curve), el("figcaption", words))]


def _runs(job: JobReport) -> list[Element]:
    if not job.runs:
        return [el("p", "Of this job's runs nothing was recorded.", class_="soft")]
    rows: list[list[Child]] = [
        [_fixed(_moment(run.began)), _num(units.format_duration(run.seconds)), _num(units.format_bytes(run.sent)),
         _outcome(run), f"process {run.pid} on {run.host}, figup {run.version}"]
        for run in job.runs
    ]  # fmt: skip
    return [el("h2", "Runs"), _table(["Began (UTC)", "#Lasted", "#Sent", "Ended", "By"], rows)]


def _outcome(run: RunEntry) -> Element:
    known = _OUTCOMES.get(run.outcome)
    text = known or f"{run.message or run.outcome} ({run.outcome})"
    return el("td", text)


def _retries(job: JobReport) -> list[Element]:
    if not job.faults:
        return []
    rows: list[list[Child]] = [
        [fault.reason, _num(str(fault.times)), _fixed(_moment(fault.first)), _fixed(_moment(fault.last))]
        for fault in job.faults
    ]
    heading = "What went wrong on the way, and was tried again"
    return [el("h2", heading), _table(["Reason", "#Times", "First (UTC)", "Last (UTC)"], rows)]


def _incidents(incidents: Sequence[Incident]) -> list[Element]:
    if not incidents:
        return []
    rows: list[list[Child]] = [
        [_fixed(_moment(one.at)), _fixed(_KINDS.get(one.kind, one.kind)), _path(one.path or ""),
         _without(one.message, one.path)]
        for one in incidents[:_INCIDENTS]
    ]  # fmt: skip
    more = len(incidents) - len(rows)
    rest = el("p", f"And {more} more, which the report as JSON has.", class_="soft") if more else None
    made = [el("h2", "Incidents"), _table(["When (UTC)", "What", "File", "Why"], rows)]
    return made + ([rest] if rest is not None else [])


# --- the files ------------------------------------------------------------------------------------------------------


def _left(job: JobReport) -> list[Element]:
    left = [file for file in job.files if file.problem is not None]
    if not left:
        return []
    rows: list[list[Child]] = [
        [_path(file.path), _num(units.format_bytes(file.size)), file.status, _without(file.problem or "", file.path)]
        for file in left
    ]
    return [el("h2", "Files that failed"), _table(["File", "#Size", "Status", "Why"], rows)]


def _skipped(job: JobReport) -> list[Element]:
    if not job.skipped:
        return []
    rows: list[list[Child]] = [[_path(skip.path), reason_words(skip.reason)] for skip in job.skipped]
    return [el("h2", "Skipped"), _table(["File or folder", "Why"], rows)]


def _replaced(job: JobReport) -> list[Element]:
    rows: list[list[Child]] = [
        [_path(remote_path(file.folder, file.name)), _num(str(old)), _num(str(file.file_id))]
        for file in job.files
        for old in file.replaced
    ]
    if not rows:
        return []
    heading = "Files of the item that were replaced, and removed from it"
    return [el("h2", heading), _table(["File", "#Removed id", "#Id now"], rows)]


def _files(job: JobReport) -> list[Element]:
    folder = _common_folder([file.path for file in job.files if file.status != "linked"])
    rows = [_file(file, folder) for file in job.files]
    below = el("p", *(("Sources are below ", _path(folder), ". ") if folder else ()), "Times are UTC.", class_="soft")
    return [el("h2", "Files"), below, _table(["File", "#Bytes", "MD5", "#File id", "Verified"], rows)]


def _file(file: FileEntry, folder: str) -> list[Child]:
    there = remote_path(file.folder, file.name)
    below = file.path if file.status == "linked" else os.path.relpath(file.path, folder or "/")
    renamed = file.status == "linked" or not file.path.endswith(f"/{there}")
    source = el("span", "from ", el("code", below), class_="from") if renamed else None
    if file.status in ("verified", "linked"):
        when = _moment(file.verified) if file.verified else "yes"
        state = el("td", f"{when}, was there before" if file.found else when)
    else:
        state = el("td", file.status, class_="bad")
    return [
        el("td", there, source),
        _num(f"{file.size:,}" if file.status != "linked" else "-"),
        el("td", el("code", file.md5) if file.md5 else "linked" if file.status == "linked" else "-", class_="fixed"),
        _num(str(file.file_id) if file.file_id is not None else "-"),
        state,
    ]


def _common_folder(paths: Sequence[str]) -> str:
    """The folder that all are in; "" for none."""
    folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120 - a string, perhaps of another machine
    return os.path.commonpath(folders) if folders else ""


def _footer(job: JobReport) -> Element:
    check = None
    if job.item_id is not None:
        check = el(
            "p", "To compare the sources with Figshare again: ", el("code", f"figup verify {job.item_id} PATH...")
        )
    return el(
        "footer",
        check,
        el("p", f"Made {_utc(job.made)} by figup {job.made_by} from the records of job {job.job}."),
    )


# --- pieces ---------------------------------------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Iterable[Sequence[Child]]) -> Element:
    """A heading that begins with # stands over numbers; a cell that is no td yet becomes one."""
    head = el("tr", *(el("th", h.lstrip("#"), class_="num" if h.startswith("#") else None) for h in heads))
    return el("table", el("thead", head), el("tbody", *(el("tr", *map(_cell, row)) for row in rows)))


def _cell(child: Child) -> Element:
    return child if isinstance(child, Element) and child.tag == "td" else el("td", child)


def _num(text: str) -> Element:
    return el("td", text, class_="num")


def _fixed(text: str) -> Element:
    """A cell that is not broken into lines."""
    return el("td", text, class_="fixed")


def _without(message: str, path: str | None) -> str:
    """The message without the file that it begins with, which stands beside it."""
    head, colon, rest = message.partition(": ")
    own = printable(path or "")
    return rest if colon and (head == own or own.endswith(f"/{head}")) else message


def _utc(moment: str) -> str:
    return f"{_moment(moment)} UTC"


def _path(path: str) -> Element:
    return el("code", path)


def _moment(moment: str) -> str:
    """ISO 8601 as a person reads it, in UTC."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
