"""The console and its output thread: destinations, order, and broken streams."""

from __future__ import annotations

import json
import threading
from typing import Any

import msgspec
import pytest

from uploader.cli.errors import Failure
from uploader.cli.output.console import MAX_REPORTED, Console, Summary
from uploader.cli.output.rows import FileRows, row_with_hint
from uploader.errors import Facts
from uploader.transfer.report import FileReport, Problem

FAILURE = Failure(code="conflict", message="it is taken", hint=None, path="/a", exit_status=1)


def said(console: Console, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    assert console.output.drain(5)
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_output_for_a_user(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=False, quiet=False)
    console.event("x", a=1)
    console.result("the result")
    console.note("a note")
    console.failure(FAILURE)
    console.summary(Summary())
    assert said(console, capsys) == (["the result"], ["figup: a note", "figup: it is taken"])


def test_output_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=True, quiet=False)
    console.result("the result")
    console.event("x", path="ä\udcff\n")
    console.failure(FAILURE)
    console.summary(Summary(job="j", exit_status=1))
    console.event("late")
    out, err = said(console, capsys)
    events = [json.loads(line) for line in out]
    assert [event["event"] for event in events] == ["x", "error", "summary"]
    assert events[0]["path"] == "ä\udcff\n"
    assert all(line.isascii() for line in out)
    assert all(event["time"].endswith("Z") for event in events)
    assert set(events[2]) == {
        "event", "time", "job", "item_id", "item_url", "doi", "public_url", "private_link", "published", "files",
        "skipped", "totals", "records", "bytes_sent", "bytes_total", "seconds", "exit_status", "manifest",
        "manifest_remote", "manifest_members",
    }  # fmt: skip
    assert err == ["figup: it is taken"]


def test_quiet_prints_only_errors_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=False, quiet=True)
    console.note("a note")
    console.failure(FAILURE)
    assert said(console, capsys) == ([], ["figup: it is taken"])


def test_a_failure_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=True, quiet=False)
    console.failure(FAILURE)
    console.failure(FAILURE)
    out, err = said(console, capsys)
    assert (len(out), len(err)) == (1, 1)


def test_some_of_many_failures_are_printed_and_all_are_events(capsys: pytest.CaptureFixture[str]) -> None:
    many = [msgspec.structs.replace(FAILURE, message=f"line {number} is wrong") for number in range(MAX_REPORTED + 2)]
    console = Console(json=True, quiet=False)
    console.failure(many[0])
    console.report_failures([*many, many[1]])
    out, err = said(console, capsys)
    assert len(out) == len(many)
    assert err[MAX_REPORTED:] == [
        f"figup: line {MAX_REPORTED} is wrong",
        "figup: and 1 more like these; --json has all",
    ]


def test_the_caller_never_waits_for_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=False, quiet=False)
    held = threading.Event()

    def hold() -> None:
        held.wait(10)

    console.output.do(hold)
    console.result("later")
    assert console.output.blocked
    assert not console.output.drain(0.01)
    held.set()
    assert said(console, capsys)[0] == ["later"]


def test_lines_go_above_the_bars(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    above: list[str] = []
    console = Console(json=False, quiet=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    console.output.line_sink = above.append
    console.note("a note")
    console.result("on a stdout that is no terminal")
    out, err = said(console, capsys)
    assert (above, out, err) == (["figup: a note"], ["on a stdout that is no terminal"], [])


def test_the_summary_of_many_files_is_one_line_whose_rows_are_made_as_it_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [
        FileReport(path=f"/data/{number}", name=str(number), size=number, status="verified") for number in range(1001)
    ]
    failed = Problem(code="conflict", message="it is taken", facts=Facts("started-here", job="j"))
    files.append(FileReport(path="/data/x", name="x", size=1, status="failed", error=failed))
    made: list[str] = []

    def to_row(file: FileReport) -> dict[str, Any]:
        made.append(file.path)
        return row_with_hint(file)

    rows = FileRows(files, to_row)
    console = Console(json=False, quiet=False)
    console.summary(Summary(files=rows))
    assert said(console, capsys) == ([], [])
    assert made == [], "they are not made where nobody reads them"
    console = Console(json=True, quiet=False)
    console.summary(Summary(job="j", files=rows))
    (line,), _ = said(console, capsys)
    summary = json.loads(line)
    assert [row["path"] for row in summary["files"]] == [file.path for file in files]
    assert "figup resume j" in summary["files"][-1]["error"]["hint"]
    assert "facts" not in summary["files"][-1]["error"]
    assert [row["size"] for row in rows[1:3]] == [1, 2]


def test_without_a_thread_all_output_is_still_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        console = Console(json=False, quiet=False)
    console.result("the result")
    console.note("a note")
    assert said(console, capsys) == (["the result"], ["figup: a note"])


def test_an_absurdly_long_input_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=False, quiet=False)
    console.note("m" * 1_000_000)
    _, (line,) = said(console, capsys)
    assert len(line) < 5000
    assert "…" in line
