"""One job of the soak: sources, a command, and all disturbances until the command exits with 0."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.slow.chaos import Chaos, delete
from tests.support.command import Figup, Result, Running
from tests.support.environment import plugged
from tests.support.invariants import download, files, history_of, md5_of
from tests.support.sandbox import Sandbox

DISTURBED = 20
"""Runs of one command that are disturbed; later ones are not."""
MOST = 60
"""Maximum number of runs until the command exits with 0."""
_TAKEN_OVER = 0.8
"""Seconds without a heartbeat after which the other machine takes over a job: four beats."""
_LONGEST = 150.0
"""Maximum seconds of a run."""
_PASSING = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 0, 1, 2, 3, 4, 5, 6, 7, 75, 130}
"""8 only if a second process works on the job."""
_MACHINE = """
import fcntl, os
import uploader.transfer.store.lease as lease
fcntl.flock = lambda fd, how: None
lease.machine_id = lambda folder: os.environ["MACHINE"]
lease.HEARTBEAT = 0.2
"""
"""Makes a process believe that it is on another machine that shares no locks."""
_NAMES = ("data.bin", "dätä set.csv", "results.h5")


class SoakedJob:
    """A job with one to five files for a new item, or for the given one."""

    def __init__(self, name: str, seed: str, folder: Path, chaos: Chaos, item: int | None) -> None:
        self.name = name
        self._choice = choice = random.Random(seed)
        self._chaos = chaos
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self._figup = Figup(self._folder, endpoint=chaos.sandbox.url, token=chaos.sandbox.token)
        # All jobs share one state directory, like those of one user.
        self._figup.env["FIGUP_STATE_DIR"] = str(folder / "state")
        self.item = item
        self.tally: Counter[str] = Counter()
        self._content: dict[Path, bytes] = {}
        self.history: list[str] = []
        self.expected: dict[str, str] = {}
        """MD5s of the sources by their names on Figshare, once the job is finished; `bytes_total` is their size."""
        self.bytes_total = 0
        for number in range(choice.choice([1, 1, 2, 5])):
            plain = item is None and number < len(_NAMES)
            self._write(self._folder / (_NAMES[number] if plain else f"{name} {number}.bin"), self._size())
        # Many new items have the same title, from the same file name in another folder.
        self._target = ["--item", str(item)] if item is not None else []
        if item is None and choice.random() < 0.3:
            self._target = ["--title", f"the title of {name}"]
        self._restart = False
        self._changed: dict[Path, bytes] = {}
        self._deleted = False
        """True once a file of the job was removed on the web: the next run may report that."""
        self._machines = choice.random() < 0.25
        """True if two machines run the job, one of which takes it over while the other is suspended."""
        if self._machines:
            self._figup.env["PYTHONPATH"] = plugged(self._folder / "plug", _MACHINE)

    def play(self) -> int:
        """Rerun the command until it exits with 0, and compare; then delete the sources. Return the item's id."""
        try:
            item = self._finished(self._run_until_0())
        except BaseException as error:
            error.add_note(f"job {self.name} in {self._folder}: " + "\n  ".join(self.history))
            raise
        self._content.clear()
        shutil.rmtree(self._folder)
        return item

    def _run_until_0(self) -> Result:
        for number in range(1, MOST + 1):
            result = self._run_once(disturbed=number <= DISTURBED)
            self.tally["runs"] += 1
            if result.returncode == 0:
                return result
            self._react(result, disturbed=number <= DISTURBED)
        raise AssertionError(f"it did not say 0 in {MOST} runs: {result.stdout[-2000:]}{result.stderr[-2000:]}")

    # --- runs -----------------------------------------------------------------------------------------------------

    def _command(self) -> list[str]:
        choice = self._choice
        words = ["upload", *map(str, self._content), *self._target, "--json", "--api-rate", "1000"]
        words += ["--settle-timeout", "2", "--stall-timeout", "2", "--verify-timeout", "20"]
        words += ["--retry-timeout", choice.choice(["1", "5", "20"]), "--grace", choice.choice(["0", "1", "10"])]
        if choice.random() < 0.6:
            words += ["--limit-rate", choice.choice(["400k", "1M", "4M"])]
        if choice.random() < 0.2:
            words.append("--hash-first")
        if choice.random() < 0.4:
            words += ["--connections", choice.choice(["1", "3", "8"])]
        return [*words, "--restart-changed"] if self._restart else words

    def _run_once(self, *, disturbed: bool) -> Result:
        self._figup.env["MACHINE"] = self._choice.choice(["one", "two"])
        run = self._figup.start(*self._command())
        second = self._start_second(run) if disturbed and self._choice.random() < 0.2 else None
        signals = 0
        if disturbed and self._choice.random() < 0.7:
            signals = self._choice.choice([1, 1, 1, 2])
        deadline = time.monotonic() + _LONGEST
        for _ in range(signals):
            try:
                run.process.wait(self._choice.choice([0.3, 0.8, 1.5, 3.0]) * self._choice.uniform(0.5, 1.5))
            except subprocess.TimeoutExpired:
                signum = self._choice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
                self.tally[f"figup {signum.name}"] += 1
                run.send_signal(signum)
        try:
            result = run.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            run.process.end()
            raise AssertionError(
                f"a run took over {_LONGEST} s: {run.process.stdout.text[-3000:]}{run.process.stderr.text[-3000:]}"
            ) from None
        if second is not None:
            other = second.wait(_LONGEST)
            self._look_at(other, alone=False)
            # The one that exited with 0 has finished the job.
            result = other if other.returncode == 0 and result.returncode != 0 else result
        self._look_at(result, alone=second is None)
        return result

    def _start_second(self, run: Running) -> Running:
        """Start the same command beside a run: at once, or on another machine while the run is suspended."""
        name = self._figup.env["MACHINE"]
        if not self._machines:
            self.tally["second process beside a run"] += 1
            time.sleep(self._choice.uniform(0, 0.5))
            return self._figup.start(*self._command())
        time.sleep(self._choice.uniform(0.2, 2.0))
        run.send_signal(signal.SIGSTOP)
        self._figup.env["MACHINE"] = {"one": "two", "two": "one"}[name]
        second = self._figup.start(*self._command())
        frozen = self._choice.uniform(0.5, 6.0)
        time.sleep(frozen)
        run.send_signal(signal.SIGCONT)
        self.tally[f"freeze {'longer' if frozen > _TAKEN_OVER else 'shorter'} than a lease"] += 1
        self.history.append(f"frozen for {frozen:.1f} s on {name}")
        return second

    def _look_at(self, result: Result, *, alone: bool) -> None:
        codes = [event["code"] for event in result.events if event["event"] == "error"]
        self.history.append(f"{' '.join(result.args[-4:])}: {result.returncode} {codes}")
        self.tally.update(f"error {code}" for code in codes)
        assert result.returncode in _PASSING or (result.returncode == 8 and not alone), result
        assert "internal" not in codes, result
        assert "conflict" not in codes or self._deleted, result
        # Before the command is loaded, Python itself handles Ctrl-C.
        by_python = "KeyboardInterrupt" in result.stderr and "uploader/cli" not in result.stderr
        assert "Traceback" not in result.stderr or by_python, result
        # A signal that arrives before the command is loaded ends it without output.
        if result.returncode >= 0 and (result.stdout or not (by_python or result.returncode in (75, 130))):
            assert result.summary["exit_status"] == result.returncode, result

    # --- sources --------------------------------------------------------------------------------------------------

    def _size(self) -> int:
        choice = self._choice
        return choice.choice([choice.randint(1, 2000), choice.randint(200_000, 400_000), choice.randint(1, 5_000_000)])

    def _write(self, path: Path, size: int) -> None:
        self._content[path] = self._choice.randbytes(size)
        path.write_bytes(self._content[path])

    def _delete_on_the_web(self, item: int) -> None:
        """Remove one of the job's files from its item, whatever its state."""
        with self._chaos.calm() as sandbox:
            held = [f for f in files(sandbox, item) if f["name"] in {path.name for path in self._content}]
            if held:
                one = self._choice.choice(held)
                delete(sandbox, f"/account/articles/{item}/files/{one['id']}")
                self._deleted = True
                self.tally["files removed on the web"] += 1
                self.history.append(f"removed {one['name']} ({one['status']}) on the web")

    def _react(self, result: Result, *, disturbed: bool) -> None:
        """Do what a user would do next: fix what was refused; or change a source."""
        codes = {event["code"] for event in result.events if event["event"] == "error"}
        item = next((event["item_id"] for event in result.events if event["event"] == "item"), None)
        if disturbed and item is not None and self._choice.random() < 0.1:
            self._delete_on_the_web(item)
        missing = [path for path in self._content if not path.exists()]
        if missing:
            if "source-missing" in codes or not disturbed:
                self._put_back(missing)
        elif "source-changed" in codes:
            if self._changed and not self._restart and self._choice.random() < 0.4:
                self._put_back(list(self._changed))
            else:
                self._restart = True
        elif disturbed and self._choice.random() < 0.2:
            self._disturb(self._choice.choice(list(self._content)))

    def _put_back(self, paths: list[Path]) -> None:
        self.tally["sources put back"] += 1
        for path in paths:
            path.with_name("aside").write_bytes(self._changed.pop(path, self._content[path]))
            path.with_name("aside").replace(path)
            self._content[path] = path.read_bytes()
        self.history.append(f"put back {[path.name for path in paths]}")

    def _disturb(self, path: Path) -> None:
        choice = self._choice
        before = path.stat()
        act = choice.choice(["touch", "copy", "other", "grow", "shrink", "unseen", "remove"])
        self.tally[f"source: {act}"] += 1
        self.history.append(f"{act} {path.name}")
        old = self._content[path]
        if act in ("other", "grow", "shrink", "unseen"):
            self._changed.setdefault(path, old)
        if act == "touch":
            path.touch()
        elif act == "remove":
            path.unlink()
        elif act == "unseen":
            at = choice.randrange(len(old))
            path.write_bytes(old[:at] + bytes([old[at] ^ 255]) + old[at + 1 :])
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        else:
            new = {"copy": old, "grow": old + b"more", "shrink": old[: max(1, len(old) // 2)]}
            path.with_name("aside").write_bytes(new.get(act) or choice.randbytes(len(old)))
            path.with_name("aside").replace(path)
        if act != "remove":
            self._content[path] = path.read_bytes()

    # --- the end --------------------------------------------------------------------------------------------------

    def _finished(self, result: Result) -> int:
        item: int = result.summary["item_id"]
        assert self.item in (None, item), result
        assert {file["status"] for file in result.summary["files"]} == {"verified"}, result
        self.expected = {path.name: md5_of(path) for path in self._content}
        self.bytes_total = sum(path.stat().st_size for path in self._content)
        with self._chaos.calm() as sandbox:
            self.check(sandbox, item, downloads=True)
            if self._choice.random() < 0.3:
                again = self._figup.run(*self._command(), timeout=_LONGEST)
                assert (again.returncode, again.summary["bytes_sent"]) == (0, 0), again
        self.tally["jobs"] += 1
        self.tally["files"] += len(self.expected)
        self.tally["bytes"] += self.bytes_total
        return item

    def check(self, sandbox: Sandbox, item: int, *, downloads: bool = False) -> None:
        """The item has every source exactly once with its bytes, and nothing else if the job created it."""
        deadline = time.monotonic() + 20
        while any(f["status"] != "available" for f in self._held(sandbox, item)):
            assert time.monotonic() < deadline, f"{self._held(sandbox, item)}\n{history_of(sandbox, item)}"
            time.sleep(0.02)
        held = self._held(sandbox, item)
        right = sorted((f["name"], f["computed_md5"]) for f in held) == sorted(self.expected.items())
        assert right, f"{held}\n{history_of(sandbox, item)}"
        for file in held if downloads else ():
            content = download(sandbox, file)
            assert hashlib.md5(content, usedforsecurity=False).hexdigest() == self.expected[file["name"]]

    def delete(self, sandbox: Sandbox, item: int) -> None:
        """Remove this job's files from the sandbox, so that the disk does not fill up."""
        if self.item is None:
            delete(sandbox, f"/account/articles/{item}")
            return
        for file in self._held(sandbox, item):
            delete(sandbox, f"/account/articles/{item}/files/{file['id']}")

    def _held(self, sandbox: Sandbox, item: int) -> list[dict[str, Any]]:
        return [f for f in files(sandbox, item) if self.item is None or f["name"] in self.expected]
