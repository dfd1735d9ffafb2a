"""The output thread: does all writing to stdout and stderr, in order.

A paused terminal (Ctrl-S) or a full pipe blocks only this thread: the upload continues and signals are handled.
"""

from __future__ import annotations

import io
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple, TextIO

from uploader.redaction import redact
from uploader.text import printable

RED, GREEN, YELLOW = "31", "32", "33"


class Mark(NamedTuple):
    """A word whose first occurrence in a text is colored on a terminal."""

    word: str
    color: str


class OutputThread:
    """Runs output actions in order in a daemon thread."""

    def __init__(self, *, color: bool = True) -> None:
        """With `color`, marks are colored on terminals with colors unless NO_COLOR is set."""
        self._color = color and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
        for stream in (sys.stdout, sys.stderr):
            # Characters that the output's encoding lacks must not end an upload.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self.line_sink: Callable[[str], None] | None = None
        """Writes a line above the progress bars while they are shown. Set and called in the output thread."""
        self._todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.truncated = False
        """True if output to stdout was lost, other than by a reader that closed the pipe."""
        self._lost: set[int] = set()
        self._threaded = True
        """False if the system starts no thread: then the caller writes, and may block."""
        try:
            threading.Thread(target=self._work, name="figup-output", daemon=True).start()
        except RuntimeError:
            self._threaded = False

    @property
    def blocked(self) -> bool:
        """True while output is waiting; optional output should then be skipped."""
        return not self._todo.empty()

    def do(self, action: Callable[[], None]) -> None:
        """Queue an action. An error of its stream ends the stream and is not raised."""
        self._todo.put(action)
        if not self._threaded:
            self._do_next()

    def out(self, text: str, mark: Mark | None = None) -> None:
        """Write one or more lines to stdout; control characters in them are escaped."""
        self.do(lambda: self._write(sys.stdout, plain(redact(text)), mark))

    def out_parts(self, parts: Iterable[str]) -> None:
        """Write one line to stdout in parts, which are made when they are written; each without line ends."""
        self.do(lambda: self._write_parts(parts))

    def err(self, text: str, mark: Mark | None = None) -> None:
        """Write to stderr like `out`, above the progress bars if there are any."""
        self.do(lambda: self._write(sys.stderr, plain(redact(text)), mark))

    def end_echo(self) -> None:
        """Begin a line after the "^C" that a terminal echoes. Bars leave room for it, and are drawn again."""
        if sys.stderr is not None and sys.stderr.isatty():
            self.do(lambda: None if self.line_sink is not None else self._write(sys.stderr, ""))

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until everything is written; False if that takes longer than `timeout` seconds. Blocks."""
        done = threading.Event()
        self.do(done.set)
        return done.wait(timeout)

    def _work(self) -> None:
        while True:
            self._do_next()

    def _do_next(self) -> None:
        try:
            self._todo.get()()
        except (OSError, ValueError, MemoryError):
            # Bars on a terminal that was closed.
            self.line_sink = None

    def _write_parts(self, parts: Iterable[str]) -> None:
        if self.line_sink is not None:
            self._write(sys.stdout, redact("".join(parts)))
            return
        for part in parts:
            self._write(sys.stdout, redact(part), end="")
        self._write(sys.stdout, "")

    def _write(self, stream: TextIO | None, line: str, mark: Mark | None = None, *, end: str = "\n") -> None:
        if stream is None or id(stream) in self._lost:
            return
        try:
            if mark is not None and self._color and stream.isatty():
                line = line.replace(mark.word, f"\x1b[{mark.color}m{mark.word}\x1b[0m", 1)
            if self.line_sink is not None and stream.isatty():
                self.line_sink(line)
            else:
                stream.write(line + end)
                if end:
                    stream.flush()
        except (OSError, ValueError) as fault:
            self._lost.add(id(stream))
            redirect_to_devnull(stream)
            if stream is sys.stdout and not isinstance(fault, BrokenPipeError):
                # The run continues, but a reader of the output must learn that it is incomplete.
                self.truncated = True
                why = (isinstance(fault, OSError) and fault.strerror) or fault
                self._write(sys.stderr, f"figup: cannot write to stdout: {why}")


def plain(text: str) -> str:
    """Remove control characters except line ends, so that text cannot control the terminal."""
    return text if text.isprintable() else "\n".join(printable(line) for line in text.split("\n"))


def redirect_to_devnull(stream: TextIO) -> None:
    """Discard buffered output of a closed pipe (`figup … | head`) or full disk; otherwise the interpreter reports an
    error at exit.
    """
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
