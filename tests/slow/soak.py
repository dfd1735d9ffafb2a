"""The soak: many jobs at once under faults, kills, restarts and changing sources, each rerun until it exits with 0.

Jobs are uploads to new and shared items, in one process, in two at once, on two hosts that take over from each other,
or in several with `--join`; packed, published, with journals that are cut; and records with links.

`python -m tests.slow.soak --minutes 60 [--seed S]` prints a tally, and exits with 1 if anything was lost, doubled or
wrong. The seed determines the events; their timing depends on the machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from tests.slow.chaos import Chaos, create_item
from tests.slow.soaked import Soaked
from tests.slow.soaked_job import SoakedJob
from tests.slow.soaked_records import SoakedRecords
from tests.support.command import Figup
from tests.support.environment import clean_environment
from tests.support.hosts import Host, two_hosts, what_hosts_lack
from tests.support.invariants import ask, files, history_of
from tests.support.processes import Process
from tests.support.usage import usage_of

WORKERS = 3
KEPT_BYTES = 300_000_000
"""Maximum bytes of finished jobs on the sandbox's disk; beyond that the oldest are checked once more and removed."""
RESIDENT_TOLERANCE = 16 << 20
SANDBOX_TOLERANCE = 64 << 20
SANDBOX_FILES = 8
"""Descriptors of a database being written, and of files being stored."""
SOCKET_TOLERANCE = 32
"""Connections that a client may keep alive: as many as it may use."""
_LAST_RUNS = 120.0
"""Seconds allowed at the end for the running upload and for the program."""


class Soak:
    """One soak on one folder. `tally` counts events; `play` raises if an invariant is violated."""

    def __init__(self, folder: Path, seed: str, minutes: float) -> None:
        self.tally: Counter[str] = Counter()
        self._folder = folder
        self._seed = seed
        self._seconds = minutes * 60
        self._deadline = time.monotonic() + self._seconds
        self._chaos = Chaos(folder, seed)
        self._kept: list[Soaked] = []
        self._by_library: dict[int, dict[str, str]] = {}
        self._errors: list[BaseException] = []
        self._lock = threading.Lock()
        self._hosts: tuple[Host, Host] | None = None

    def play(self) -> None:
        """Run the soak and check its end."""
        with ExitStack() as hosts:
            if (lacking := what_hosts_lack()) is None:
                self._hosts = hosts.enter_context(self._two_hosts())
            else:
                self.tally[f"no two hosts without {lacking}"] += 1
            self._play()

    def _two_hosts(self) -> AbstractContextManager[tuple[Host, Host]]:
        home = self._folder / "hosts"
        home.mkdir()
        sandbox = self._chaos.sandbox
        return two_hosts(home, Figup(home, endpoint=sandbox.url, token=sandbox.token))

    def _play(self) -> None:
        try:
            self._shared = [create_item(self._chaos.sandbox, f"shared {number}") for number in range(2)]
            library = self._start_library()
            workers = [threading.Thread(target=self._work, args=(n,), name=f"worker {n}") for n in range(WORKERS)]
            self._chaos.begin()
            for worker in workers:
                worker.start()
            while time.monotonic() < self._deadline and not self._errors and self._chaos.error is None:
                workers[0].join(0.5)
            self._chaos.end()
            for worker in workers:
                worker.join()
            if self._chaos.error is not None:
                self._errors.insert(0, self._chaos.error)
            if self._errors:
                library.end()
                raise self._errors[0]
            self._check_library(library)
            self._check_store()
            self._check_requests()
            self._check_sandbox()
        finally:
            self.tally.update(self._chaos.tally)
            self._chaos.close()

    def report(self) -> str:
        """The tally, a line each; what matters most at the end."""
        first = ("rounds", "runs", "kills", "lost", "doubled", "wrong")
        rows = [(what, self.tally[what]) for what in sorted(self.tally.keys() - set(first))]
        rows += [(what, self.tally[what]) for what in first]
        return "\n".join(f"{count:>14,}  {what}" for what, count in rows)

    # --- jobs -----------------------------------------------------------------------------------------------------

    def _work(self, worker: int) -> None:
        choice = random.Random(f"{self._seed}: worker {worker}")
        number = 0
        try:
            while time.monotonic() < self._deadline and not self._errors:
                number += 1
                name = f"job {worker}-{number}"
                item = choice.choice([None, None, *self._shared])
                seed = f"{self._seed}: {name}"
                job: Soaked
                if choice.random() < 0.15:
                    job = SoakedRecords(name, seed, self._folder, self._chaos)
                else:
                    job = SoakedJob(name, seed, self._folder, self._chaos, item, self._hosts)
                try:
                    job.play()
                finally:
                    with self._lock:
                        self.tally.update(job.tally)
                with self._lock:
                    self._kept.append(job)
                self._make_room()
        except BaseException as error:  # noqa: BLE001 - raised again where the soak ends
            with self._lock:
                self._errors.append(error)

    def _make_room(self) -> None:
        with self._lock:
            surplus = sum(job.bytes_total for job in self._kept) - KEPT_BYTES
            old: list[Soaked] = []
            for job in [job for job in self._kept if job.deletable]:
                if surplus > 0:
                    self._kept.remove(job)
                    old.append(job)
                    surplus -= job.bytes_total
        for job in old:
            with self._chaos.calm() as sandbox:
                job.check(sandbox)
                job.delete(sandbox)

    # --- the library ----------------------------------------------------------------------------------------------

    def _start_library(self) -> Process:
        place = self._folder / "library"
        place.mkdir()
        env = clean_environment(place) | {
            "FIGSHARE_ENDPOINT": self._chaos.sandbox.url,
            "FIGSHARE_TOKEN": self._chaos.sandbox.token,
            "FIGUP_STATE_DIR": str(place / "state"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        command = [sys.executable, "-m", "tests.slow.long_lived", str(place), str(self._seconds), self._seed]
        return Process(command, env=env, cwd=place)

    def _check_library(self, process: Process) -> None:
        try:
            status = process.wait(_LAST_RUNS)
        except subprocess.TimeoutExpired:
            raise AssertionError("the library's program does not end") from None
        finally:
            process.end()
        assert status == 0, process.stdout.text[-2000:] + process.stderr.text
        *done, end = [json.loads(line) for line in process.stdout.text.splitlines()]
        for upload in done:
            self._by_library[upload["item"]] = {upload["name"]: upload["md5"]}
        before, after = end["before"], end["after"]
        self.tally.update(end["tally"])
        self.tally["client resident bytes before"] = before["resident"]
        self.tally["client resident bytes after"] = after["resident"]
        self.tally["client open files before"] = before["others"]
        self.tally["client open files after"] = after["others"]
        assert after["others"] == before["others"], end
        assert after["sockets"] <= SOCKET_TOLERANCE, end
        assert after["resident"] - before["resident"] <= RESIDENT_TOLERANCE, end

    # --- the end --------------------------------------------------------------------------------------------------

    def _check_store(self) -> None:
        """Check that exactly the expected items exist, each with the right files once."""
        sandbox = self._chaos.sandbox
        expected: dict[int, dict[str, str]] = {item: {} for item in self._shared} | self._by_library
        for job in self._kept:
            for item, stored in job.found.items():
                expected.setdefault(item, {}).update(stored)
        listed = self._all_items()
        lost, doubled = expected.keys() - listed.keys(), listed.keys() - expected.keys()
        wrong = {
            item: found
            for item, right in expected.items()
            if item in listed
            and (found := sorted((f["name"], f["computed_md5"]) for f in files(sandbox, item))) != sorted(right.items())
        }
        self.tally.update({"lost": len(lost), "doubled": len(doubled), "wrong": len(wrong)})
        history = history_of(sandbox, *(lost | doubled | wrong.keys()))
        assert not lost, f"lost: {lost}\n{history}"
        assert not doubled, f"doubled: {[listed[item] for item in doubled]}\n{history}"
        assert not wrong, f"wrong: {wrong}\n{history}"

    def _check_sandbox(self) -> None:
        """Check that the sandbox uses about as many resources as a fresh one."""
        sandbox = self._chaos.sandbox
        after = usage_of(sandbox.process.pid)
        sandbox.restart()
        fresh = usage_of(sandbox.process.pid)
        for what in ("resident", "others"):
            self.tally[f"sandbox {what} at the end"], self.tally[f"sandbox {what} afresh"] = after[what], fresh[what]
        assert after["others"] <= fresh["others"] + SANDBOX_FILES, (after, fresh)
        assert after["sockets"] <= fresh["sockets"] + SOCKET_TOLERANCE, (after, fresh)
        assert after["resident"] - fresh["resident"] <= SANDBOX_TOLERANCE, (after, fresh)

    def _all_items(self) -> dict[int, dict[str, Any]]:
        rows: dict[int, dict[str, Any]] = {}
        for page in itertools.count(1):
            more = ask(self._chaos.sandbox, f"/account/articles?page={page}&page_size=1000")
            rows |= {row["id"]: row for row in more}
            if len(more) < 1000:
                break
        return rows

    def _check_requests(self) -> None:
        kinds: Counter[str] = Counter()
        again: list[str] = []
        with self._chaos.sandbox.request_log_file.open(encoding="utf-8") as log:
            for line in log:
                entry = json.loads(line)
                kinds["requests"] += 1
                kinds["requests with a fault"] += entry["fault"] is not None
                if entry["kind"] == "put-part" and entry["part_before"] == "COMPLETE":
                    again.append(line)
                kinds["tokens on the upload service"] += entry["service"] == "upload" and entry["authorization"]
        kinds["COMPLETE parts sent again"] = len(again)
        for what, count in kinds.items():
            self.tally[what] = count
        assert not again, f"parts were sent that Figshare had: {''.join(again)}"
        assert kinds["tokens on the upload service"] == 0


def soak(minutes: float, seed: str, folder: Path) -> str:
    """Soak, print and return the tally. Raises AssertionError if an invariant is violated."""
    story = Soak(folder, seed, minutes)
    started = time.monotonic()
    try:
        story.play()
    finally:
        print(f"soak of {minutes} minutes ({time.monotonic() - started:.0f} s), seed {seed}\n{story.report()}")
    return story.report()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--folder", type=Path, help="an empty one, which is kept; else a temporary one")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
        soak(given.minutes, given.seed, given.folder)
    else:
        with tempfile.TemporaryDirectory(prefix="figup-soak-") as place:
            soak(given.minutes, given.seed, Path(place))
    print("soak: all good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
