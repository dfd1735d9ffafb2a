"""A complete table of an institution's public records: what it costs, also when it is killed, and brought up to date.

The relevant cost is requests, of which Figshare asks for one a second; here they are answered at once.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl

from benchmarks.contenders import CHECKOUT
from benchmarks.harness import Measurement, Spread, measure, of_one_round
from benchmarks.report import Bar, Column, Report
from tests.support.environment import clean_environment
from tests.support.processes import Process
from tests.support.sandbox import Sandbox
from uploader.catalog.report.phase import AT_ONCE, COMMIT_RECORDS

SEEDED = 173_000
"""Items in the sandbox, of which 99,857 are public records of the institution."""
INSTITUTION = "2000"
MIB = 1 << 20
KILLS = 50
HOUR = 3600


@dataclass(frozen=True)
class Run:
    """One run of a command: its cost, the requests that it made, and the rows that it wrote."""

    cost: Measurement
    requests: int
    rows: int


class RequestCount:
    """Counts the sandbox's requests as its log grows."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = self._count = 0

    def now(self) -> int:
        with self._log.open("rb") as file:
            file.seek(self._read)
            added = file.read()
        self._read += len(added)
        self._count += added.count(b"\n")
        return self._count


class Bench:
    """A sandbox with an institution's records, and commands that read them."""

    def __init__(self, work: Path, items: int) -> None:
        self.work = work
        self.sandbox = Sandbox(work / "sandbox", args=["--institution", "--seed-items", str(items)])
        self.sandbox.start(timeout=600)
        self.requests = RequestCount(self.sandbox.request_log_file)
        self._environment = clean_environment(work) | {"FIGSHARE_ENDPOINT": self.sandbox.url}

    def command(self, output: str, *more: str, state: str = "state") -> list[str]:
        report = ["report", "public", "--institution", INSTITUTION, "--output", str(self.work / output), "--force"]
        unlimited = ["--api-rate", "100000", "--state-dir", str(self.work / state), "--json"]
        return [sys.executable, "-m", "uploader", *report, *unlimited, *more]

    def run(self, command: Sequence[str]) -> Run:
        before = self.requests.now()
        cost, printed = measure(command, env=self._environment)
        last = json.loads(printed.splitlines()[-1])
        rows: int = last["records"]["written"] if "records" in last else last["rows"]
        return Run(cost, self.requests.now() - before, rows)

    def figup(self, *words: str, state: str = "state") -> Run:
        return self.run(self.command(*words, state=state))

    def killed(self, records: int, kills: int) -> Run:
        """Make the report once more, killed `kills` times at random; the cost is that of the last run."""
        before = self.requests.now()
        command = self.command("killed.jsonl", state="killed")
        after = [0, *sorted(random.Random(5).sample(range(1, records * 9 // 10), kills))]
        for number, (last, now) in enumerate(itertools.pairwise(after)):
            enough = self.requests.now() + now - last
            running = Process(command, env=self._environment, cwd=self.work)
            while self.requests.now() < enough and running.returncode is None:
                time.sleep(0.01)
            if running.returncode is not None:
                raise RuntimeError(f"it ended before kill {number + 1}: {running.stderr.text}")
            running.kill()
        end = self.figup("killed.jsonl", state="killed")
        return Run(end.cost, self.requests.now() - before, end.rows)

    def notebook(self) -> Run:
        script = CHECKOUT / "benchmarks" / "peers" / "notebook_metadata.py"
        return self.run([sys.executable, str(script), self.sandbox.url, INSTITUTION])

    def change(self, count: int) -> int:
        """Change and publish `count` of the listed records that the account owns; return how many could be."""
        with (self.work / "whole.jsonl").open("rb") as file:
            listed = {json.loads(line)["id"] for line in file}
        changed = page = 0
        while rows := self._ask("GET", f"/account/articles?page_size=1000&page={(page := page + 1)}"):
            for number in [row["id"] for row in rows if row["id"] in listed]:
                # Some odd ones lack what is needed to be published again.
                with suppress(urllib.error.HTTPError):
                    if changed < count:
                        self._ask("PUT", f"/account/articles/{number}", {"description": "Another description."})
                        self._ask("POST", f"/account/articles/{number}/publish", {})
                        changed += 1
        return changed

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"token {self.sandbox.token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.sandbox.url + path, content, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - this machine's own sandbox
            return json.loads(answer.read() or b"null")


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """A report of 100,000 records: killed 50 times, as XLSX, 1 % changed; the notebook's way (--size: K items)."""
    items, kills = (600, 3) if quick else (SEEDED, KILLS)
    bench = Bench(work, size >> 10 if size else items)
    try:
        return _measured(bench, kills)
    finally:
        bench.sandbox.stop()


def _measured(bench: Bench, kills: int) -> Report:
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"  {time.monotonic() - began:5.0f} s  {what}", flush=True)

    say("undisturbed")
    whole = bench.figup("whole.jsonl")
    say(f"killed {kills} times")
    killed = bench.killed(whole.rows, kills)
    same = (bench.work / "whole.jsonl").read_bytes() == (bench.work / "killed.jsonl").read_bytes()
    say("as XLSX")
    sheet = bench.figup("whole.xlsx")
    say("the notebook's way")
    notebook = bench.notebook()
    say("after 1 % changed")
    changed = bench.change(whole.rows // 100)
    update = bench.figup("later.jsonl")
    columns = _columns(bench.work / "whole.xlsx")
    rows = {
        "figup, undisturbed": _row(whole, whole.rows),
        f"figup, killed {kills} times": _row(killed, whole.rows),
        f"figup again, as XLSX of {columns} columns": _row(sheet, whole.rows),
        f"figup again, after {changed:,} records changed": _row(update, whole.rows),
        "the notebook's way": _row(notebook, whole.rows),
    }
    most = max(one.cost.peak_memory for one in (whole, killed, sheet, update)) / MIB
    bars = [
        Bar(f"killed {kills} times: the same bytes (1: yes)", float(same), least=1),
        Bar(f"killed {kills} times: requests more", killed.requests - whole.requests,
            most=kills * (COMMIT_RECORDS + AT_ONCE)),
        Bar("peak memory, MiB", round(most, 1), most=150),
        Bar("XLSX, seconds per 100,000 records of 60 columns",
            round(sheet.cost.seconds * 100_000 / whole.rows * 60 / columns, 1), most=90),
        Bar("after 1 % changed: requests", update.requests, most=1100),
    ]  # fmt: skip
    names = [
        Column("requests", plot=True),
        Column("hours at 1 request a second", 1),
        Column("rows"),
        Column("rows lost", plot=True),
        Column("seconds here", 1),
        Column("CPU seconds", 1),
        Column("peak memory, MiB"),
    ]
    note = (
        "To a sandbox on the same machine, which answers at once. Seconds, CPU and memory of the killed report are "
        "those of its last run. The notebook keeps nothing until its end: a kill costs all of its requests."
    )
    return Report("catalog", f"A table of {whole.rows:,} public records", names, rows, bars, [note])


def _row(run: Run, records: int) -> list[Spread]:
    cost = run.cost
    hours = run.requests / HOUR
    memory = cost.peak_memory / MIB
    return of_one_round(run.requests, hours, run.rows, records - run.rows, cost.seconds, cost.cpu_seconds, memory)


def _columns(path: Path) -> int:
    book = openpyxl.load_workbook(path, read_only=True)
    return len(next(book["Records"].iter_rows(values_only=True, max_row=1)))
