"""The steps of the demo. They run the command as a user would."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiofiles
import anyio
import anyio.abc
import anyio.to_thread

from uploader import units
from uploader.cli.confirm import next_line
from uploader.cli.output.bars import Bars
from uploader.cli.output.progress import has_bars
from uploader.cli.output.writer import GREEN, RED, Mark
from uploader.cli.runner import Session
from uploader.cli.sandbox_process import LocalSandbox, package_home
from uploader.clock import RecentRate
from uploader.errors import FigupError
from uploader.figshare.auth import Token
from uploader.figshare.models import File
from uploader.figshare.settings import Settings
from uploader.transfer import notices as no

_BLOCK = 8 << 20
_FIRST_RUN = 6.0
"""Duration of the first run in seconds if it were not killed: slow enough for a kill half way on a fast machine."""
_POLL_INTERVAL = 0.02
_DRAW = 0.25
_RETRY_TIMEOUT = "30s"


class DemoFailed(FigupError):
    """A claim of the demo does not hold."""

    code = "demo-failed"


@dataclass(frozen=True)
class PartCounts:
    """Parts in the sandbox's request log: accepted in total, and sent although already present."""

    taken: int
    repeated: int


class Demo:
    """One run of the demo."""

    def __init__(
        self, session: Session, folder: Path, sandbox: LocalSandbox, log: Path, size: int, *, keep: bool
    ) -> None:
        self._session = session
        self._console = session.console
        self._folder = folder
        self._sandbox = sandbox
        self._log = log
        self._size = size
        self._keep = keep
        self._file = folder / "demo.bin"
        self._env = {k: v for k, v in os.environ.items() if not k.startswith(("FIGSHARE_", "FIGUP_"))} | {
            "FIGSHARE_ENDPOINT": sandbox.url,
            "FIGSHARE_TOKEN": sandbox.token,
            "FIGUP_STATE_DIR": str(folder / "state"),
        }

    async def run(self) -> int:
        """Run all steps and print the result. Raises DemoFailed."""
        self._write(f"Local Figshare: {self._sandbox.url}.")
        self._write(f"Making a file of {units.format_bytes(self._size)} ({self._size} bytes) of random bytes.")
        await self._make_file()
        upload = ["upload", str(self._file), "--json", "--retry-timeout", _RETRY_TIMEOUT]
        rate = str(round(self._size / _FIRST_RUN))
        self._write(f"$ figup upload {self._file.name}        (limited to {units.format_rate(float(rate))})")
        total, killed_at = await self._run_until_killed([*upload, "--limit-rate", rate])
        self._write(f"  killed with SIGKILL after {killed_at} of {total} parts")
        self._write("$ figup jobs")
        self._write(await self._output("jobs"))
        self._write(f"$ figup upload {self._file.name}        (the same command again)")
        summary = await self._second_run(upload, total)
        return await self._compare(summary)

    # --- the steps ------------------------------------------------------------------------------------------------

    async def _make_file(self) -> None:
        async with aiofiles.open(self._file, "wb") as file:
            with self._bar() as show:
                done = 0
                while done < self._size:
                    block = await anyio.to_thread.run_sync(os.urandom, min(_BLOCK, self._size - done))
                    done += await file.write(block)
                    show(done)

    async def _run_until_killed(self, arguments: list[str]) -> tuple[int, int]:
        """Return the number of parts, and how many were present when the first run was killed."""
        out = self._folder / "first-run.jsonl"
        async with self._started(arguments, out) as process:
            while True:
                total = _parts_total(await _events(out))
                taken = (await self._counted()).taken
                if total and taken * 2 >= total:
                    break
                if process.returncode is not None:
                    raise DemoFailed(
                        f"the first run ended by itself with status {process.returncode}: {self._last_error(out)}"
                    )
                await anyio.sleep(_POLL_INTERVAL)
            process.kill()
            await process.wait()
        return total, taken

    async def _second_run(self, arguments: list[str], total: int) -> dict[str, Any]:
        """Return the summary at its end."""
        out = self._folder / "second-run.jsonl"
        with self._bar() as show:
            async with self._started(arguments, out) as process:
                while process.returncode is None:
                    show(min(self._size, (await self._counted()).taken * self._size // total))
                    with anyio.move_on_after(_DRAW):
                        await process.wait()
        events = await _events(out)
        if process.returncode != 0 or not events or events[-1]["event"] != "summary":
            raise DemoFailed(f"the second run ended with status {process.returncode}: {self._last_error(out)}")
        summary: dict[str, Any] = events[-1]
        return summary

    async def _compare(self, summary: dict[str, Any]) -> int:
        """Check every claim."""
        counted = await self._counted()
        local = await anyio.to_thread.run_sync(_md5, self._file)
        items, files = await self._query_sandbox(summary["item_id"])
        reported = summary["files"][0]
        remote = [file.computed_md5 for file in files if file.name == self._file.name]
        self._session.summary.job, self._session.summary.item_id = summary["job"], summary["item_id"]
        self._session.summary.item_url, self._session.summary.files = summary["item_url"], summary["files"]
        self._session.summary.bytes_sent, self._session.summary.bytes_total = summary["bytes_sent"], self._size
        claims = [
            (f"{reported['parts_found']} parts were already there", reported["parts_found"] > 0),
            (
                f"{reported['parts_sent']} parts were sent by the second run",
                reported["parts_found"] + reported["parts_sent"] == reported["parts_total"],
            ),
            (f"{counted.repeated} parts were sent twice", counted.repeated == 0),
            (f"{counted.taken} parts were accepted by Figshare in total", counted.taken == reported["parts_total"]),
            (f"local MD5   {local}", True),
            (f"remote MD5  {', '.join(md5 or 'not computed' for md5 in remote) or 'none'}", remote == [local]),
            (f"{units.format_count(len(items), 'item')} on Figshare", items == [summary["item_id"]]),
            (f"{units.format_count(len(remote), 'file')} of this name, {len(files)} in total", len(files) == 1),
        ]
        for claim, held in claims:
            self._write(f"  {'ok ' if held else 'NOT'}  {claim}", Mark("ok", GREEN) if held else Mark("NOT", RED))
            self._console.event("claim", claim=claim, holds=held)
        broken = [claim for claim, holds in claims if not holds]
        if broken:
            raise DemoFailed(f"claim failed: {'; '.join(broken)}", hint="Please report it.")
        self._write("Nothing was lost, nothing was sent twice.")
        await self._show_page(summary["item_url"])
        return 0

    async def _show_page(self, url: str) -> None:
        """Let the item's page be opened: on a terminal now, elsewhere later if everything is kept."""
        if self._is_watched():
            self._write(f"The item's page: {url}")
            removes = "" if self._keep else " and removes everything"
            self._write(f"Open it in a browser; Enter stops the local Figshare{removes}.")
            with anyio.CancelScope() as waiting:
                # All is done: Ctrl-C ends the demo as Enter does.
                self._session.signals.stop_with(waiting.cancel)
                await next_line(sys.stdin.fileno())
        if self._keep:
            again = f"`figup sandbox --dir {shlex.quote(str(self._folder / 'sandbox'))}`"
            self._write(f"Files kept in {self._folder}; to see the item's page, {url}, run {again}.")
        elif not self._is_watched():
            self._write("To see the item's page, run it on a terminal or with --keep.")

    def _is_watched(self) -> bool:
        common = self._session.common
        streams = (sys.stdin, sys.stdout)
        return not common.json and all(stream is not None and stream.isatty() for stream in streams)

    # --- the tools ------------------------------------------------------------------------------------------------

    def _write(self, text: str, mark: Mark | None = None) -> None:
        self._console.event("demo", text=text)
        self._console.result(text, mark)

    @contextmanager
    def _bar(self) -> Iterator[Callable[[int], None]]:
        """On a terminal, a progress bar fed with the number of bytes done."""
        common = self._session.common
        if common.json or common.quiet or common.no_progress or not has_bars():
            yield lambda _: None
            return
        bars, speed = Bars(self._console.output), RecentRate()
        try:
            yield lambda done: bars.update(_progress(done, self._size, speed.sample(anyio.current_time(), done)))
        finally:
            bars.close()

    @asynccontextmanager
    async def _started(self, arguments: list[str], out: Path) -> AsyncIterator[anyio.abc.Process]:
        """Run `figup ARGUMENTS` during the block; stdout goes to a file, stderr to another one next to it."""
        command = [sys.executable, "-m", "uploader", *arguments]
        async with aiofiles.open(out, "wb") as stdout, aiofiles.open(out.with_suffix(".err"), "wb") as stderr:
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout.fileno(),
                stderr=stderr.fileno(),
                env=self._env,
                cwd=package_home(),
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            with anyio.CancelScope(shield=True):
                await process.aclose()

    async def _output(self, *arguments: str) -> str:
        out = self._folder / "output.txt"
        async with self._started(list(arguments), out) as process:
            await process.wait()
        async with aiofiles.open(out, encoding="utf-8") as file:
            return (await file.read()).rstrip("\n")

    def _last_error(self, out: Path) -> str:
        """Return the last line that a run wrote to stderr."""
        lines = out.with_suffix(".err").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1].removeprefix("figup: ") if lines else "no output"

    async def _counted(self) -> PartCounts:
        puts = [event for event in await _events(self._log) if event["kind"] == "put-part" and event["status"] == 200]
        return PartCounts(len(puts), sum(put["part_before"] == "COMPLETE" for put in puts))

    async def _query_sandbox(self, item_id: int) -> tuple[list[int], list[File]]:
        """Return the ids of all items on the sandbox and the files of the demo's item, from its API."""
        from uploader.figshare.client import Figshare

        async with Figshare(Settings(self._sandbox.url, api_rate=None), Token(self._sandbox.token)) as figshare:
            items = [item.id async for item in figshare.own_items()]
            return items, [file async for file in figshare.files(item_id)]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


async def _events(path: Path) -> list[dict[str, Any]]:
    """Return the complete JSON Lines of a file."""
    async with aiofiles.open(path, "rb") as file:
        return [json.loads(line) for line in await file.readlines() if line.endswith(b"\n")]


def _parts_total(events: list[dict[str, Any]]) -> int:
    return next((int(event["parts_total"]) for event in events if event["event"] == "file"), 0)


def _progress(done: int, size: int, rate: float | None) -> no.Progress:
    return no.Progress(
        bytes_done=done,
        bytes_total=size,
        files_done=int(done == size),
        files_total=1,
        rate=rate,
        connections=0,
        active=(),
    )
