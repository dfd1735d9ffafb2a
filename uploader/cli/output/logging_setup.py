"""Logging for `-v`, `-vv` and `--log-file`. Only the logger "uploader" is configured."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from uploader.cli.output.console import place_in_batch_job
from uploader.cli.output.writer import plain
from uploader.redaction import redact
from uploader.system import PATH_FAULTS, write_error


class _Formatter(logging.Formatter):
    """Removes control characters and secrets, whatever their source (a server, a file name, a traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(redact(super().format(record)))


class _File(logging.FileHandler):
    """A log file; if it cannot be written (disk full), that is reported once and ignored."""

    def __init__(self, path: Path, write: Callable[[str], None]) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._report_failure: Callable[[str], None] | None = write

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        fault = sys.exc_info()[1]
        report, self._report_failure = self._report_failure, None
        if report is not None:
            reason = (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__
            report(f"figup: --log-file: the log is incomplete: {self.baseFilename}: {reason}")


class _Lines(logging.Handler):
    """Writes each record as lines."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self.format(record))
        except Exception:  # noqa: BLE001 - a log line that cannot be made must not end an upload
            self.handleError(record)


def start_logging(verbose: int, log_file: Path | None, write: Callable[[str], None]) -> None:
    """Configure logging as requested. Raises UsageError if the file cannot be written."""
    logger = logging.getLogger("uploader")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    if verbose:
        _add(logger, _Lines(write), logging.INFO if verbose == 1 else logging.DEBUG, "%H:%M:%S")
    if log_file is not None:
        _add(logger, _file_handler(log_file, write), logging.DEBUG, "%Y-%m-%dT%H:%M:%S")


def _add(logger: logging.Logger, handler: logging.Handler, level: int, times: str) -> None:
    place = place_in_batch_job().replace("%", "%%")
    where = f"{place} " if place else ""
    formatter = _Formatter(f"%(asctime)s.%(msecs)03dZ {where}%(levelname)s %(name)s: %(message)s", times)
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.setLevel(level)
    logger.addHandler(handler)
    logger.setLevel(min(level, logger.level or level))


def _file_handler(path: Path, write: Callable[[str], None]) -> logging.Handler:
    """Append to the log file; a new one is readable only by its owner."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        return _File(path, write)
    except PATH_FAULTS as fault:
        raise write_error(fault, str(path)).with_context(prefix="--log-file") from None
