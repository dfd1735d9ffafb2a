"""The summary of a run: the result of each file, or counts if there are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from uploader import units
from uploader.sources.models import remote_path
from uploader.text import printable
from uploader.transfer.report import FileReport, Report

MAX_LISTED = 20
"""Maximum number of files listed; if there are more, only that many failed ones."""
_REASONS = {
    "hidden": ("hidden (--hidden includes it)", "hidden (--hidden includes them)"),
    "link": (
        "symbolic link (--follow-symlinks includes its target)",
        "symbolic links (--follow-symlinks includes their targets)",
    ),
    "link-loop": (
        "symbolic link to a folder that contains it",
        "symbolic links to folders that contain them",
    ),
    "empty-folder": ("empty folder (Figshare has no empty folders)", "empty folders (Figshare has no empty folders)"),
    "folder": (
        "folder in a list (only files in the list are sent)",
        "folders in a list (only files in the list are sent)",
    ),
}
_UNCOUNTED_REASONS = {
    "excluded": "excluded by --exclude or .figupignore",
    "own-output": "written by figup itself",
    "not-included": "not matched by --include",
    "vanished": "no longer there",
    "forgotten": "no longer there (--forget-missing)",
}
LIST_THEM = "--failed-to FILE lists them all"


def summary_text(report: Report, *, sent_before: bool = False) -> str:
    """Format the result of a job. `sent_before`: this run found it finished."""
    lines = [_file_line(file) for file in report.files] if len(report.files) <= MAX_LISTED else _counted(report)
    if not sent_before:
        lines += _replaced([file for file in report.files if file.replaced])
    lines += skipped_lines([(skip.path, skip.reason) for skip in report.skipped])
    lines += _failures(failed(report))
    if report.item_id is not None:
        lines.append(f"Item {report.item_id}: {report.item_url or 'its address is not known'}")
    lines += _final_step_lines(report)
    lines += [manifest_line(report.manifest)] if report.manifest is not None else []
    lines += [members_line(report.manifest_members)] if report.manifest_members is not None else []
    if sent_before:
        lines.append(f"Job {report.job} was already finished and its files are unchanged; nothing was sent.")
    else:
        found = sum(_parts_found(file) for file in report.files)
        sent = sum(file.parts_sent for file in report.files)
        rate = report.bytes_sent / report.seconds if report.seconds else 0.0
        lines.append(
            f"Parts: {found} already there, {sent} sent. {units.format_bytes(report.bytes_sent)} sent in "
            f"{units.format_duration(report.seconds)} ({units.format_rate(rate)})."
        )
    return "\n".join(lines)


_PUBLISHED = {
    "public": "Published.",
    "embargoed": "To be published when the embargo ends.",
    "review": "Submitted for publishing; your institution reviews it first.",
}


def _final_step_lines(report: Report) -> list[str]:
    """Describe the final steps of the item."""
    lines = doi_line(report.doi)
    lines += [f"Private link: {report.private_link}"] if report.private_link else []
    return lines + published_line(report.published, report.public_url)


def doi_line(doi: str | None) -> list[str]:
    """Return a line with the DOI, if there is one."""
    return [f"DOI: {printable(doi)}"] if doi else []


def published_line(published: str | None, url: str | None) -> list[str]:
    """Describe the result of publishing, if it was requested: see `Report`."""
    if published is None:
        return []
    return [f"Published: {printable(url)}" if url else _PUBLISHED.get(published, published)]


def manifest_line(path: str) -> str:
    """Format the path of the file with the MD5s."""
    return f"MD5s, for md5sum -c: {printable(path)}"


def members_line(path: str) -> str:
    """Format the path of the file with the MD5s of archives' members."""
    return f"MD5s of the archives' members, for md5sum -c after unpacking: {printable(path)}"


def failed(report: Report) -> list[FileReport]:
    """Return the files that failed in this run, without those whose checksum is only pending."""
    return [file for file in report.files if file.error is not None and file.status != "sent"]


def _counted(report: Report) -> list[str]:
    statuses = Counter(file.status for file in report.files)
    counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
    return [f"{len(report.files)} files, {units.format_bytes(report.bytes_total)}: {counts}."]


def _failures(files: Sequence[FileReport]) -> list[str]:
    lines = [f"Failed: {printable(f.error.message if f.error is not None else f.path)}" for f in files[:MAX_LISTED]]
    more = len(files) - len(lines)
    return [*lines, f"And {more} more failed; {LIST_THEM}."] if more else lines


def _parts_found(file: FileReport) -> int:
    """Return the number of parts already present; those of the journal for a file that this run did not look at."""
    untouched = file.parts_found == file.parts_sent == 0
    return file.parts_done if untouched else file.parts_found


def _file_line(file: FileReport) -> str:
    size = units.format_bytes(file.size)
    exact = f" ({file.size} bytes)" if file.size >= 1000 else ""
    if file.status == "linked":
        return f"{printable(file.path)}: linked"
    location = printable(remote_path(file.folder, file.name))
    size += f"{exact}, {units.format_count(file.members, 'member')}" if file.members is not None else exact
    return f"{location}: {size}, MD5 {file.md5 or 'not known'}, {file.status}"


def _ids(ids: Sequence[int]) -> str:
    """List the remote files that were replaced."""
    return f"file{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"


def _replaced(files: Sequence[FileReport]) -> list[str]:
    """List the item's files that were replaced and removed."""
    if not files:
        return []
    count = units.format_count(sum(len(file.replaced) for file in files), "file")
    lines = [f"Replaced and removed from the item: {count} of the same names:"]
    lines += [f"  {printable(remote_path(f.folder, f.name))}: {_ids(f.replaced)}" for f in files[:MAX_LISTED]]
    more = len(files) - MAX_LISTED
    return [*lines, f"  and those of {more} more names; --json has all"] if more > 0 else lines


def reason_text(reason: str, count: int = 1) -> str:
    """Return the reason for skipping, as shown after the number of paths."""
    one, several = _REASONS.get(reason, (_UNCOUNTED_REASONS.get(reason, reason),) * 2)
    return one if count == 1 else several


def named_in_item(path: str, remote: str) -> str:
    """Format the path of a source, and its path in the item if that does not follow from it."""
    renamed = "" if path == remote or path.endswith(f"/{remote}") else f" as {printable(remote)}"
    return f"{printable(path)}{renamed}"


def skipped_lines(skipped: Sequence[tuple[str, str]]) -> list[str]:
    """List skipped paths by reason; `skipped` has paths with reasons."""
    by_reason: dict[str, list[str]] = {}
    for path, reason in skipped:
        by_reason.setdefault(reason, []).append(path)
    lines = []
    for reason, paths in by_reason.items():
        lines.append(f"Skipped: {len(paths)} {reason_text(reason, len(paths))}:")
        lines += [f"  {printable(path)}" for path in paths[:MAX_LISTED]]
        if len(paths) > MAX_LISTED:
            lines.append(f"  and {len(paths) - MAX_LISTED} more; --json names them all")
    return lines
