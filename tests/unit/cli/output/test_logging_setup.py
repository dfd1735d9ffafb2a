"""What reaches a log, on stderr or in a file: no secrets and no control characters, from messages and tracebacks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from uploader import redaction
from uploader.cli.output.logging_setup import start_logging

TOKEN = "c4nary-t0ken-4d5e6f"


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], Path]]:
    """Lines and file of a log of everything; the logger is left as it was."""
    monkeypatch.setattr(redaction, "_SECRETS", redaction._Secrets())
    redaction.add_secret(TOKEN)
    logger, lines = logging.getLogger("uploader"), list[str]()
    before, level, propagate = list(logger.handlers), logger.level, logger.propagate
    start_logging(2, tmp_path / "log", lines.append)
    yield lines, tmp_path / "log"
    for handler in set(logger.handlers) - set(before):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)
    logger.propagate = propagate


def test_secrets_and_control_characters_never_reach_a_log(logged: tuple[list[str], Path]) -> None:
    lines, path = logged
    log = logging.getLogger("uploader.test")
    log.info("sent %s\x1b[31m", f"Authorization: token {TOKEN}")
    log.error("failed", exc_info=ValueError(f"bad token {TOKEN}"))
    for text in ("\n".join(lines), path.read_text("utf-8")):
        assert TOKEN not in text
        assert "\x1b" not in text
        assert "sent Authorization: token ..." in text
        assert "ValueError: bad token ..." in text


def test_a_log_file_is_private(logged: tuple[list[str], Path]) -> None:
    assert logged[1].stat().st_mode & 0o777 == 0o600
