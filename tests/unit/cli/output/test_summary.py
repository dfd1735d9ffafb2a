"""The summary of a successful job."""

from __future__ import annotations

import msgspec
import pytest

from uploader.cli.output.summary import MAX_LISTED, skipped_lines, summary_text
from uploader.transfer.report import FileReport, Report

FILE = FileReport(path="/a\n", name="a\n", file_id=1, size=2_500_000, md5="0" * 32, status="verified", parts_total=5)
REPORT = Report(
    job="k3",
    item_id=7,
    item_url="https://x/7",
    files=(FILE,),
    bytes_sent=1_000_000,
    bytes_total=2_500_000,
    seconds=2.0,
    exit_status=0,
)


@pytest.mark.parametrize(
    ("found", "sent", "done", "words"),
    [
        (0, 5, 5, "Parts: 0 already there, 5 sent."),
        (3, 2, 5, "Parts: 3 already there, 2 sent."),
        (0, 0, 5, "Parts: 5 already there, 0 sent."),
        (0, 0, 2, "Parts: 2 already there, 0 sent."),
        (0, 0, 0, "Parts: 0 already there, 0 sent."),
    ],
    ids=["sent", "continued", "verified earlier", "interrupted before it was looked at", "interrupted after it began"],
)
def test_parts_that_figshare_has_were_already_there(found: int, sent: int, done: int, words: str) -> None:
    file = msgspec.structs.replace(FILE, parts_found=found, parts_sent=sent, parts_done=done)
    text = summary_text(msgspec.structs.replace(REPORT, files=(file,)), sent_before=False)
    assert text.splitlines() == [
        f"a\\n: 2.50 MB (2500000 bytes), MD5 {'0' * 32}, verified",
        "Item 7: https://x/7",
        f"{words} 1.00 MB sent in 2 s (500 kB/s).",
    ]


def test_a_finished_job_reports_that_nothing_was_sent() -> None:
    assert summary_text(REPORT, sent_before=True).splitlines()[-1] == (
        "Job k3 was already finished and its files are unchanged; nothing was sent."
    )


def test_counts_are_singular_or_plural() -> None:
    assert skipped_lines([("/a", "link"), ("/b", "empty-folder"), ("/c", "empty-folder")]) == [
        "Skipped: 1 symbolic link (--follow-symlinks includes its target):",
        "  /a",
        "Skipped: 2 empty folders (Figshare has no empty folders):",
        "  /b",
        "  /c",
    ]


def test_replaced_files_are_counted_and_the_first_listed() -> None:
    files = tuple(
        msgspec.structs.replace(FILE, path=f"/d/{n}", name=str(n), folder="d", replaced=(n, 1000 + n))
        for n in range(MAX_LISTED + 2)
    )
    lines = summary_text(msgspec.structs.replace(REPORT, files=files)).splitlines()
    begin = lines.index(f"Replaced and removed from the item: {2 * MAX_LISTED + 4} files of the same names:")
    assert lines[begin + 1] == "  d/0: files 0, 1000"
    assert lines[begin + MAX_LISTED : begin + MAX_LISTED + 2] == [
        f"  d/{MAX_LISTED - 1}: files {MAX_LISTED - 1}, {999 + MAX_LISTED}",
        "  and those of 2 more names; --json has all",
    ]
