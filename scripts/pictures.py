"""Draw the README's pictures from a real session: an interrupted and resumed upload in a terminal, and its report.

`python scripts/pictures.py` starts a sandbox, runs a shell on a pseudo-terminal, types the commands, presses Ctrl-C in
the middle, and writes five screens as one animated SVG; without animation the last one is seen. The picture of the
report is made with chromium.
"""

from __future__ import annotations

import itertools
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

import pyte

CHECKOUT = Path(__file__).resolve().parent.parent
IMAGES = CHECKOUT / "uploader" / "manual" / "images"
COLUMNS, ROWS = 92, 26
CELL, LINE, MARGIN = 8.4, 19, 14
SIZE = 120_000_000
COMMAND = "figup upload survey.tar --limit-rate 30M\n"
END = re.compile(r"^0$", re.MULTILINE)
PROMPT = re.compile(r"^\$\Z|^\$\n*\Z", re.MULTILINE)
COLORS = {
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "yellow": "#e5c07b",
    "blue": "#61afef",
    "cyan": "#56b6c2",
}
TEXT, BACKGROUND = "#d7dae0", "#1e2127"


class Terminal:
    """A shell on a pseudo-terminal whose screen is emulated."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self._shell = subprocess.Popen(
            ["setsid", "--ctty", "bash", "--norc", "--noprofile", "-i"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=env,
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        """Type text, as a person would."""
        os.write(self._ours, text.encode())

    def wait_for(self, wanted: str | re.Pattern[str], timeout: float = 60) -> None:
        """Read until `wanted` is on the screen; raises TimeoutError after `timeout` seconds."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + timeout
        while not pattern.search("\n".join(line.rstrip() for line in self.screen.display)):
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{pattern.pattern!r} did not appear:\n" + "\n".join(self.screen.display))
            self._stream.feed(os.read(self._ours, 65536))

    def close(self) -> None:
        """End the shell."""
        self._shell.send_signal(signal.SIGHUP)
        self._shell.wait(10)
        os.close(self._ours)


Frame = list[list[tuple[str, str, bool]]]
"""The characters of a screen, row by row, with color and weight."""


def frame(screen: pyte.Screen) -> Frame:
    """Copy a screen."""
    return [
        [(row[x].data, row[x].fg, row[x].bold) for x in range(COLUMNS)]
        for row in (screen.buffer[y] for y in range(ROWS))
    ]


def rows_used(frame: Frame) -> int:
    """Number of rows down to the last one that is not empty."""
    return max(y for y, row in enumerate(frame) if any(data.strip() for data, _, _ in row)) + 1


def text_of(row: list[tuple[str, str, bool]], y: int) -> str:
    """One row as SVG, a span per run of characters of one style."""
    spans, x = [], 0
    for (color, bold), run in itertools.groupby(row, key=lambda cell: cell[1:]):
        text = "".join(cell[0] for cell in run)
        if shown := text.rstrip():
            weight = ' font-weight="bold"' if bold else ""
            spans.append(
                f'<tspan x="{MARGIN + x * CELL:.1f}" fill="{COLORS.get(color, TEXT)}"{weight} '
                f'textLength="{len(shown) * CELL:.1f}" lengthAdjust="spacingAndGlyphs">{escape(shown)}</tspan>'
            )
        x += len(text)
    return f'<text y="{MARGIN + (y + 0.75) * LINE:.1f}" xml:space="preserve">{"".join(spans)}</text>' if spans else ""


def svg(frames: list[tuple[float, Frame]]) -> str:
    """Frames, each with the seconds that it is shown, as one SVG image."""
    width = COLUMNS * CELL + 2 * MARGIN
    height = max(rows_used(one) for _, one in frames) * LINE + 2 * MARGIN
    total, begin, styles, groups = sum(seconds for seconds, _ in frames), 0.0, [], []
    for number, (seconds, one) in enumerate(frames):
        first, last = 100 * begin / total, 100 * (begin + seconds) / total
        hidden = "" if number == len(frames) - 1 else "opacity:0;"
        styles.append(
            f"@keyframes f{number}{{0%{{opacity:{int(not number)}}}{first:.2f}%{{opacity:1}}{last:.2f}%{{opacity:0}}}}"
            f".f{number}{{{hidden}animation:f{number} {total:.1f}s step-end infinite}}"
        )
        groups.append(f'<g class="f{number}">{"".join(text_of(row, y) for y, row in enumerate(one))}</g>')
        begin += seconds
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">'
        f"<title>An upload, interrupted and resumed by the same command</title><style>{''.join(styles)}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>{"".join(groups)}</svg>\n'
    )


@contextmanager
def sandbox(folder: Path, env: dict[str, str]) -> Iterator[str]:
    """A running sandbox; yields the address of its API."""
    options = ["--token", "t", "--port", "0", "--upload-port", "0", "--part-size", "2M"]
    command: list[str | Path] = [folder / "bin" / "figup", "sandbox", "--dir", folder / "sandbox", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process.stdout.readline().removeprefix("ready ").split()[0] if process.stdout is not None else ""
        finally:
            process.terminate()


def prepare(folder: Path) -> dict[str, str]:
    """Put `figup` and a file to send into the folder, and return the environment of the session."""
    for name in ("bin", "home", "data"):
        (folder / name).mkdir()
    figup = folder / "bin" / "figup"
    run = f"PYTHONPATH={shlex.quote(str(CHECKOUT))} exec {shlex.quote(sys.executable)} -m uploader"
    figup.write_text(f'#!/bin/sh\n{run} "$@"\n')
    figup.chmod(0o755)
    with (folder / "data" / "survey.tar").open("wb") as file:
        file.write(os.urandom(1 << 20) * (SIZE >> 20))
    path = f"{figup.parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(folder / "home"), "TERM": "xterm-256color", "PS1": "$ ", "LANG": "C.UTF-8"}


def record(folder: Path, env: dict[str, str]) -> str:
    """Play the session in `folder` and return its picture."""
    terminal = Terminal(folder / "data", env)
    terminal.wait_for(PROMPT)
    frames = []

    def look(wanted: str | re.Pattern[str], seconds: float) -> None:
        terminal.wait_for(wanted)
        frames.append((seconds, frame(terminal.screen)))

    terminal.type(COMMAND)
    look(re.compile(r"\b3\d ?%"), 1.5)
    look(re.compile(r"\b[5-6]\d ?%"), 1.5)
    terminal.type("\x03")
    look(PROMPT, 3)
    terminal.type(COMMAND)
    look(re.compile(r"\b[89]\d ?%"), 1.5)
    terminal.wait_for(re.compile("verified$", re.MULTILINE))
    terminal.wait_for(PROMPT)
    terminal.type("echo $?\n")
    terminal.wait_for(END)
    look(PROMPT, 6)
    terminal.close()
    return svg(frames)


def photograph(folder: Path, env: dict[str, str]) -> None:
    """Write the HTML report of the session's job, and a picture of it made by Chromium."""
    page = folder / "survey.html"
    subprocess.run(
        [folder / "bin" / "figup", "status", "--report", page], env=env, check=True, stdout=subprocess.DEVNULL
    )
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--hide-scrollbars",
    ]
    place = [f"--user-data-dir={folder / 'browser'}", f"--screenshot={IMAGES / 'report.png'}", "--window-size=900,1080"]
    subprocess.run(["chromium", *options, *place, page.as_uri()], check=True, capture_output=True)


def main() -> None:
    """Write both pictures."""
    folder = Path(tempfile.gettempdir()) / "jane"
    folder.mkdir()
    IMAGES.mkdir(exist_ok=True)
    try:
        env = prepare(folder)
        with sandbox(folder, env) as url:
            env |= {"FIGSHARE_ENDPOINT": url, "FIGSHARE_TOKEN": "t"}
            (IMAGES / "resume.svg").write_text(record(folder, env), "utf-8")
        photograph(folder, env)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
