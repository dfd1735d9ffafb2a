"""No output of figup controls a terminal, wherever its text comes from."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from uploader.cli.output.logging_setup import start_logging
from uploader.cli.output.writer import RED, Mark, OutputThread, plain

NASTY = "a\x1b[31m\x9b\u202e\rb\nc\tü\u2028\udc80"
NASTY_WORD = "\\x1b[32m"
PLAIN = "a\\x1b[31m\\x9b\\u202e\\rb\nc\\tü\\u2028\\udc80"


def test_only_line_ends_are_kept() -> None:
    assert plain(NASTY) == PLAIN
    assert plain("Größe: 5 kB") == "Größe: 5 kB"


def test_both_streams_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    outlet = OutputThread()
    outlet.out(NASTY)
    outlet.err(NASTY)
    outlet.drain()
    assert capsys.readouterr() == (f"{PLAIN}\n", f"{PLAIN}\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_follows_an_echoed_ctrl_c_begins_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal("[y/N]\n^C"))
    terminal.seek(0, io.SEEK_END)
    outlet = OutputThread()
    outlet.end_echo()
    outlet.err("figup: stopped")
    outlet.drain()
    assert terminal.getvalue() == "[y/N]\n^C\nfigup: stopped\n"
    drawn: list[str] = []
    outlet.line_sink = drawn.append
    outlet.end_echo()
    outlet.drain()
    assert drawn == [], "bars leave room for it"
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    outlet.end_echo()
    outlet.drain()
    assert pipe.getvalue() == ""


@pytest.mark.parametrize(
    ("env", "color", "terminal", "shown"),
    [
        ({"TERM": "xterm"}, True, True, f"a {NASTY_WORD}: \x1b[31mMISSING\x1b[0m: MISSING\n"),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True, f"a {NASTY_WORD}: \x1b[31mMISSING\x1b[0m: MISSING\n"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, True, f"a {NASTY_WORD}: MISSING: MISSING\n"),
        ({"TERM": "dumb"}, True, True, f"a {NASTY_WORD}: MISSING: MISSING\n"),
        ({}, True, True, f"a {NASTY_WORD}: MISSING: MISSING\n"),
        ({"TERM": "xterm"}, False, True, f"a {NASTY_WORD}: MISSING: MISSING\n"),
        ({"TERM": "xterm"}, True, False, f"a {NASTY_WORD}: MISSING: MISSING\n"),
    ],
)
def test_marks_are_colored_only_on_color_terminals(
    env: dict[str, str], color: bool, terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    streams = [Terminal() if terminal else io.StringIO() for _ in range(2)]
    monkeypatch.setattr("sys.stdout", streams[0])
    monkeypatch.setattr("sys.stderr", streams[1])
    outlet = OutputThread(color=color)
    for write in (outlet.out, outlet.err):
        write("a \x1b[32m: MISSING: MISSING", Mark("MISSING", RED))
    assert outlet.drain(5)
    assert [stream.getvalue() for stream in streams] == [shown, shown]


def test_logs_are_plain(tmp_path: Path) -> None:
    logger = logging.getLogger("uploader")
    before, propagates, level = list(logger.handlers), logger.propagate, logger.level
    try:
        start_logging(0, tmp_path / "log", lambda _: None)
        logger.info("%s", NASTY)
    finally:
        for handler in set(logger.handlers) - set(before):
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = propagates
        logger.setLevel(level)
    assert (tmp_path / "log").read_text("utf-8").endswith(f" INFO uploader: {PLAIN}\n")
