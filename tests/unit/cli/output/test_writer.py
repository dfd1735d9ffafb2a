"""Nothing that figup says controls a terminal, wherever its words come from."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from uploader.cli.output.logging_setup import start_logging
from uploader.cli.output.writer import OutputThread, plain

NASTY = "a\x1b[31m\x9b\u202e\rb\nc\tü\u2028\udc80"
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
