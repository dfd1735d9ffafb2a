"""Test figup against the Figshare at FIGSHARE_ENDPOINT (default: the public one), with FIGSHARE_TOKEN.

`figup upload` sends a few files of several kinds to a new draft item, is killed half way, rerun, and run once more. The
files are verified, the item is checked through the API and deleted, even after a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uploader.figshare.auth import Token
from uploader.figshare.client import Figshare
from uploader.figshare.settings import Settings

PUBLIC = "https://api.figshare.com/v2"
MIB = 1 << 20
SIZES = {
    "one byte.txt": 1,
    "Größe – 数据 ☃.csv": 70_001,
    "just a part.bin": 10 * MIB,
    "several parts.bin": 25 * MIB,
}
"""Several kinds of names, and sizes below and above the usual part size."""


class Failed(Exception):
    """A check failed."""


def check(what: str, holds: bool) -> None:
    if not holds:
        raise Failed(what)
    print(f"  ok: {what}", flush=True)


class Smoke:
    """One run: its folder with the files and figup's state, and its item's title, which no other item has."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.endpoint = endpoint
        self.title = f"figup live smoke {secrets.token_hex(6)}"
        self.items: set[int] = set()
        self.paths = [str(path) for path in make_files(folder / "files")]
        self.env = os.environ | {"FIGSHARE_ENDPOINT": endpoint, "FIGUP_STATE_DIR": str(folder / "state")}
        self.upload = ["upload", *self.paths, "--title", self.title, "--json"]

    def start(self, *args: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "uploader", *args]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)

    def run(self, *args: str) -> tuple[int, list[dict[str, Any]]]:
        """Its exit status and its events."""
        with self.start(*args) as process:
            events = list(self.events_of(process))
        return process.returncode, events

    def events_of(self, process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
        """The events as they arrive, without a line that a killed process left incomplete."""
        for line in process.stdout or ():
            if line.endswith("\n"):
                event: dict[str, Any] = json.loads(line)
                if event["event"] == "item":
                    self.items.add(event["item_id"])
                yield event

    def kill_half_way(self) -> None:
        """Start a slow upload, and kill it when one of the two large files is complete."""
        with self.start(*self.upload, "--connections", "1", "--limit-rate", "5M") as process:
            for event in self.events_of(process):
                if event["event"] == "sent" and Path(event["path"]).stat().st_size >= 10 * MIB:
                    process.kill()
        check("the first run was killed half way", process.returncode == -9)

    def check_uploads(self) -> None:
        self.kill_half_way()
        status, events = self.run(*self.upload)
        summary = events[-1]
        total = sum(SIZES.values())
        check("the second run ends with 0", status == 0 and summary["exit_status"] == 0)
        check("every file is verified", [file["status"] for file in summary["files"]] == ["verified"] * len(SIZES))
        check(
            f"less than everything was sent again ({summary['bytes_sent']} of {total})", summary["bytes_sent"] < total
        )
        status, events = self.run(*self.upload)
        check("a third run sends nothing and ends with 0", status == 0 and events[-1]["bytes_sent"] == 0)
        status, _ = self.run("verify", str(summary["item_id"]), *self.paths, "--json")
        check("figup verify agrees", status == 0)
        asyncio.run(self.check_item(summary["item_id"]))

    async def check_item(self, item_id: int) -> None:
        """Ask Figshare directly, without the command."""
        async with self.figshare() as figshare:
            items = [item.id async for item in figshare.own_items() if item.title == self.title]
            check("there is exactly one item", items == [item_id])
            files = {file.name: file.size async for file in figshare.files(item_id)}
            count = len([file async for file in figshare.files(item_id)])
        check("it holds exactly the files, with their names and sizes", files == SIZES and count == len(SIZES))

    async def clean_up(self) -> None:
        """Delete the items reported by the runs, and those that a killed run did not report."""
        async with self.figshare() as figshare:
            self.items |= {item.id async for item in figshare.own_items() if item.title == self.title}
            for item in self.items:
                await figshare.delete_item(item)
                print(f"  removed the draft item {item}", flush=True)

    def figshare(self) -> Figshare:
        return Figshare(Settings(endpoint=self.endpoint), Token(os.environ["FIGSHARE_TOKEN"]))


def make_files(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    for name, size in SIZES.items():
        path = folder / name
        path.write_bytes(secrets.token_bytes(size))
        yield path


def confirmed(endpoint: str) -> bool:
    print(f"This makes a draft item with {sum(SIZES.values()) // MIB} MiB of random files at {endpoint}")
    print("with the account of FIGSHARE_TOKEN, and deletes it afterwards. Nothing is published.")
    try:
        return input("Go on? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/live-smoke", description=__doc__.partition("\n")[0])
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args()
    endpoint = os.environ.get("FIGSHARE_ENDPOINT", PUBLIC)
    if not os.environ.get("FIGSHARE_TOKEN"):
        parser.error("FIGSHARE_TOKEN is not set")
    if not options.yes and not confirmed(endpoint):
        print("live smoke: nothing was done")
        return 2

    with tempfile.TemporaryDirectory(prefix="figup-smoke-") as folder:
        smoke = Smoke(Path(folder), endpoint)
        try:
            smoke.check_uploads()
        except Failed as failure:
            print(f"live smoke: FAILED: {failure}")
            return 1
        finally:
            asyncio.run(smoke.clean_up())
    print("live smoke: all good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
