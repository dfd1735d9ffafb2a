"""Thousands of small files in one item: the relevant cost is API requests per file, which are limited."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contenders import CHECKOUT, peers_python
from benchmarks.harness import Measurement, Spread, in_turn, measure
from benchmarks.report import Bar, Column, Report
from tests.support.environment import clean_environment
from tests.support.sandbox import Sandbox

KB = 1000
MIB = 1 << 20
BUDGET = 20.0
"""API requests per second in the rounds with a budget: more than Figshare allows, or they would take hours."""
NO_BUDGET = 100_000.0


@dataclass(frozen=True)
class Many:
    """The number of files and their cost; `requests` are those to the API, without parts."""

    files: int
    cost: Measurement
    requests: int


def run(work: Path, *, quick: bool, **other: object) -> Report:
    """10,000 files of 20 KB and 1,000 of 1 MB: API requests a file, files a second with a budget and without."""
    small, large, budgeted = (60, 20, 40) if quick else (10_000, 1_000, 1_000)
    folders = {
        f"{count:,} × {each // KB:,} KB": folder_of(work, count, each)
        for count, each in ((small, 20 * KB), (large, 1000 * KB), (budgeted, 20 * KB))
    }
    runs: dict[str, Callable[[], Many]] = {}
    for name, folder in list(folders.items())[:2]:
        runs[f"{name}: figup"] = partial(figup, folder, work, NO_BUDGET)
        runs[f"{name}: pyfigshare, 8 files at a time"] = partial(pyfigshare, folder, work)
    last, folder = list(folders.items())[-1]
    runs[f"{last}: figup at {BUDGET:g} requests a second"] = partial(figup, folder, work, BUDGET)
    measured, missing = in_turn(1, runs)
    return Report(
        "many-files",
        "Many small files in one item",
        [
            Column("API requests a file", 2, plot=True),
            Column("files a second", 1, plot=True),
            Column("hours for 10,000 files at 1 request a second", 1),
            Column("CPU ms a file", 1),
            Column("peak memory, MiB"),
        ],
        {name: [_row(one) for one in zip(*map(_values, rounds), strict=True)] for name, rounds in measured.items()},
        [
            Bar(f"{name}: API requests a file", rounds[0].requests / rounds[0].files, most=2.1)
            for name, rounds in measured.items()
            if "figup" in name.partition(": ")[2].split() and rounds[0].files >= 10_000
        ],
        [*missing, "To a plain sandbox on the same machine. All names, sizes and MD5s in the item were compared."],
    )


def _values(many: Many) -> tuple[float, ...]:
    each = many.requests / many.files
    cost = many.cost
    return (
        each,
        many.files / cost.seconds,
        10_000 * each / 3600,
        1000 * cost.cpu_seconds / many.files,
        (cost.peak_memory / MIB),
    )


def _row(values: Iterable[float]) -> Spread:
    return Spread.of(list(values))


def folder_of(work: Path, count: int, size: int) -> Path:
    """A folder with this number of different files."""
    folder = work / f"{count}-files-of-{size}"
    if not folder.exists():
        folder.mkdir()
        for number in range(count):
            (folder / f"file-{number:05d}.dat").write_bytes(os.urandom(size))
    return folder


def figup(folder: Path, work: Path, api_rate: float) -> Many:
    """`figup upload` of all files of the folder."""
    files = sorted(folder.iterdir())
    command = [sys.executable, "-m", "uploader", "upload", *files, "--title", "many", "--json"]
    return _sent(folder, work, [*command, "--api-rate", f"{api_rate:g}"])


def pyfigshare(folder: Path, work: Path) -> Many:
    """pyfigshare's library on the folder, 8 files at a time; it has no budget of requests."""
    script = CHECKOUT / "benchmarks" / "peers" / "pyfigshare_upload.py"
    return _sent(folder, work, [peers_python(), script, "ENDPOINT", folder, 1, 8])


def _sent(folder: Path, work: Path, command: list[Any]) -> Many:
    return send_to_sandbox(work, command, len(list(folder.iterdir())), partial(compare, folder))


def send_to_sandbox(work: Path, command: Sequence[object], files: int, check: Callable[[Sandbox], None]) -> Many:
    """Run a command that sends this many files to a new sandbox, whose address replaces ENDPOINT; check what it has."""
    with tempfile.TemporaryDirectory(dir=work) as place:
        home = Path(place)
        delays = [f"--{state}-delay=0" for state in ("created", "checking", "success", "moving", "md5")]
        sandbox = Sandbox(home / "sandbox", args=delays)
        sandbox.start()
        try:
            environment = clean_environment(home) | {
                "FIGSHARE_ENDPOINT": sandbox.url,
                "FIGSHARE_TOKEN": sandbox.token,
                "FIGUP_STATE_DIR": str(home / "state"),
            }
            words = [sandbox.url if word == "ENDPOINT" else str(word) for word in command]
            cost, _ = measure(words, env=environment)
            requests = len(sandbox.requests(service="api"))
            check(sandbox)
        finally:
            sandbox.stop()
    return Many(files, cost, requests)


def compare(folder: Path, sandbox: Sandbox) -> None:
    """Raise RuntimeError unless the item has exactly the files of the folder, by the sandbox's MD5s."""
    there = {name.rpartition("/")[2]: (size, md5) for name, size, md5 in sandbox_files(sandbox)}
    here = {
        path.name: (path.stat().st_size, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
        for path in folder.iterdir()
    }
    if there != here:
        raise RuntimeError(f"{len(here)} files were sent, and the item holds {len(there)}, or others")


def sandbox_files(sandbox: Sandbox) -> list[tuple[str, int, str]]:
    """Name, size and MD5 of all files of the one item, as the API lists them."""

    def get(address: str) -> Any:
        request = urllib.request.Request(  # noqa: S310 - this machine's own sandbox
            f"{sandbox.url}/account/articles{address}", headers={"Authorization": f"token {sandbox.token}"}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.load(answer)

    (item,) = get("")
    found: list[tuple[str, int, str]] = []
    page = 1
    while files := get(f"/{item['id']}/files?page={page}&page_size=1000"):
        found += [(file["name"], file["size"], file["computed_md5"]) for file in files]
        page += 1
    return found
