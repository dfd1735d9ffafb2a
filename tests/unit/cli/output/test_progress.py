"""How a display shows a job's notices."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.unit.cli.output.test_progress_lines import Clock, progress
from uploader.cli.errors import Failure
from uploader.cli.output import progress as displays
from uploader.cli.output.console import Console
from uploader.cli.output.progress import Display
from uploader.cli.output.summary import LIST_THEM, MAX_LISTED
from uploader.transfer import notices as no


class Heard(Console):
    """A console that records its calls."""

    def __init__(self, *, json: bool = False) -> None:
        super().__init__(json=json, quiet=False)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.notes: list[str] = []
        self.failures: list[Failure] = []

    def event(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def failure(self, failure: Failure) -> None:
        self.failures.append(failure)


class Bars:
    """A progress display that records its calls."""

    def __init__(self) -> None:
        self.seen: list[no.Progress] = []
        self.closed = False

    def job_started(self, notice: no.JobStarted) -> None:
        pass

    def file_started(self, notice: no.FileStarted) -> None:
        pass

    def update(self, notice: no.Progress) -> None:
        self.seen.append(notice)

    def close(self) -> None:
        self.closed = True


def test_progress_events_come_every_ten_seconds_at_most() -> None:
    clock, console = Clock(), Heard(json=True)
    display = Display(console, None, clock)
    for _ in range(81):
        display.show(progress())
        clock.now += 0.25
    assert [name for name, _ in console.events] == ["progress"] * 3


def test_progress_events_need_json() -> None:
    console, bars = Heard(), Bars()
    display = Display(console, bars, Clock())
    display.show(progress())
    assert console.events == []
    assert len(bars.seen) == 1
    display.close()
    assert bars.closed


@pytest.mark.parametrize(
    ("terminal", "pause"), [(True, displays.SAME_RETRY_EVERY), (False, displays.SAME_RETRY_LOGGED_EVERY)]
)
def test_retries_with_one_cause_are_printed_rarely(
    terminal: bool, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    clock, console = Clock(), Heard()
    display = Display(console, None, clock)
    for part in range(32):
        display.show(no.Retrying(f"/a.bin, part {part}: connection refused", 3.0))
        display.show(no.Retrying(f"/set/{part}.bin, part 1: connection refused", 3.0))
    display.show(no.Retrying("/b.bin, part 1: another reason", 0.2))
    assert console.notes == [
        "/a.bin, part 0: connection refused; next attempt in 3 s",
        "/b.bin, part 1: another reason; trying again",
    ]
    clock.now += pause - 0.1
    display.show(no.Retrying("/a.bin, part 7: connection refused", 3.0))
    assert len(console.notes) == 2
    clock.now += 0.1
    display.show(no.Retrying("/a.bin, part 7: connection refused", 3.0))
    assert len(console.notes) == 3


def test_a_retry_says_for_how_long_it_is_tried() -> None:
    console = Heard()
    displays.Display(console, None, patience=120.0).show(no.Retrying("127.0.0.1: no connection: refused", 0.4))
    assert console.notes == ["127.0.0.1: no connection: refused; trying again (for up to 2 min 00 s)"]


def test_with_json_every_retry_is_an_event_and_none_a_note() -> None:
    console = Heard(json=True)
    display = Display(console, None, Clock())
    for part in range(3):
        display.show(no.Retrying(f"/a.bin, part {part}: reset", 3.0))
    assert [name for name, _ in console.events] == ["retry"] * 3
    assert console.notes == []


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        (no.Warned(message="the journal\nwas damaged"), "the journal\\nwas damaged"),
        (
            no.ReadProgress(path="/a\x1b[2J", bytes_done=5 << 30, bytes_total=10 << 30),
            "/a\\x1b[2J: read 50 % of 10.7 GB",
        ),
        (no.FileRestarted("/a\x1b[2J", "lost"), "/a\\x1b[2J: restarting from the beginning: lost"),
    ],
)
def test_notes_are_single_escaped_lines(notice: no.AnyNotice, words: str) -> None:
    console = Heard()
    Display(console, None, Clock()).show(notice)
    assert console.notes == [words]


def test_a_failed_file_is_printed_and_an_event() -> None:
    for json in (True, False):
        console = Heard(json=json)
        Display(console, None, Clock()).show(
            no.FileFailed(code="conflict", message="a: other\nfile", hint="Rename it.", path="/a")
        )
        assert [f.fields() for f in console.failures] == [
            {"code": "conflict", "message": "a: other\\nfile", "hint": "Rename it.", "path": "/a"}
        ]
        assert console.events == []


def test_only_the_first_failures_are_printed_and_all_are_events() -> None:
    console = Heard()
    display = Display(console, None, Clock())
    for number in range(500):
        display.show(
            no.FileFailed(code="conflict", message=f"{number}: other file", hint="Rename it.", path=f"/{number}")
        )
    assert [failure.path for failure in console.failures] == [f"/{number}" for number in range(MAX_LISTED)]
    assert console.notes == [f"more files failed and are not listed here; {LIST_THEM}"]
    assert [fields["path"] for _, fields in console.events] == [f"/{number}" for number in range(MAX_LISTED, 500)]


def test_restarts_with_one_cause_are_not_all_printed() -> None:
    console = Heard()
    display = Display(console, None, Clock())
    for number in range(500):
        display.show(no.FileRestarted(f"/{number}", "Figshare aborted the upload"))
    assert console.notes == ["/0: restarting from the beginning: Figshare aborted the upload"]


def test_files_verified_by_earlier_runs_count_at_once() -> None:
    display = Display(Heard(), None, Clock())
    display.show(no.JobStarted(job="k3", resumed=True, files=4, bytes_total=1000, files_done=2, bytes_done=600))
    display.show(no.FileVerified(path="/a", file_id=1, md5="0" * 32))
    assert display.summary_line() == "600 bytes of 1.00 kB (60 %), 3 of 4 files verified"


def test_a_file_finished_at_once_ends_at_100_percent() -> None:
    console, bars = Heard(), Bars()
    display = Display(console, bars, Clock())
    display.show(no.JobStarted(job="k3", resumed=False, files=1, bytes_total=1000))
    assert bars.seen == []
    display.show(no.FileVerified(path="/a", file_id=1, md5="0" * 32))
    assert display.summary_line() == "1.00 kB of 1.00 kB (100 %), 1 of 1 file verified"
    assert len(bars.seen) == 1


def test_the_last_progress_counts_the_file_just_verified() -> None:
    console, bars = Heard(), Bars()
    display = Display(console, bars, Clock())
    assert display.summary_line() == "nothing was sent yet"
    display.show(progress(1000, waiting=True))
    display.show(no.FileVerified(path="/a", file_id=1, md5="0" * 32))
    assert (bars.seen[-1].files_done, bars.seen[-1].active) == (1, ())
    assert display.summary_line() == "1.00 kB of 1.00 kB (100 %), 1 of 1 file verified"
    display.show(no.FileVerified(path="/a", file_id=1, md5="0" * 32))
    assert bars.seen[-1].files_done == 1
