"""What all commands of the soak have in common: processes that are killed, stopped, frozen and joined by others."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.slow.chaos import Chaos
from tests.support.command import Figup, Result, Running
from tests.support.invariants import files, history_of
from tests.support.sandbox import Sandbox

DISTURBED = 20
"""Runs of one command that are disturbed; later ones are not."""
MAX_RUNS = 60
"""Maximum number of runs until the command exits with 0."""
TIME_LIMIT = 600.0
"""Seconds after which a run counts as hanging: each fault may cost one half a minute, and it may meet many."""
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_LASTING = {"token-refused", "quota-exceeded"}
"""Errors that stay until the user changes something on Figshare."""
_PASSING = {*(-signum for signum in _SIGNALS), 0, 1, 2, 3, 4, 5, 6, 7, 75, 130}
"""8 only if a second process works on the job."""


class Soaked(ABC):
    """A command that is rerun until it exits with 0. `found`: then, the files of its items, as MD5s by name."""

    deletable = True
    """Whether Figshare removes what the command made. A public item stays."""
    bytes_total = 0

    def __init__(self, name: str, seed: str, folder: Path, chaos: Chaos) -> None:
        self.name = name
        self.tally: Counter[str] = Counter()
        self.found: dict[int, dict[str, str]] = {}
        self.history: list[str] = []
        self._choice = random.Random(seed)
        self._chaos = chaos
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self._figup = Figup(self._folder, endpoint=chaos.sandbox.url, token=chaos.sandbox.token)
        # All jobs share one state directory, like those of one user.
        self._figup.state_dir = folder / "state"
        self._figup.env["FIGUP_STATE_DIR"] = str(self._figup.state_dir)

    def play(self) -> None:
        """Rerun the command until it exits with 0, compare, and delete the sources. Raises AssertionError."""
        try:
            self._play()
        except BaseException as error:
            error.add_note(f"{self.name} in {self._folder}: " + "\n  ".join(self.history))
            raise
        self.tally["rounds"] += 1
        shutil.rmtree(self._folder)

    @abstractmethod
    def _play(self) -> None:
        """Set `found` and `bytes_total`, too."""

    @abstractmethod
    def check(self, sandbox: Sandbox) -> None:
        """Raise AssertionError if Figshare does not have everything exactly once."""

    @abstractmethod
    def delete(self, sandbox: Sandbox) -> None:
        """Remove everything from the sandbox, so that the disk does not fill up."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The command of the next run."""

    @abstractmethod
    def _react(self, result: Result, *, disturbed: bool) -> None:
        """Do what a user would do next."""

    # --- runs -----------------------------------------------------------------------------------------------------

    def _run_until_0(self) -> Result:
        for number in range(1, MAX_RUNS + 1):
            disturbed = number <= DISTURBED
            results = self._run_once(disturbed=disturbed)
            for result in results:
                self._look_at(result, alone=len(results) == 1)
            # The one that exited with 0 has finished the job.
            result = next((one for one in results if one.returncode == 0), results[0])
            if result.returncode == 0:
                return result
            if _LASTING & set(codes_of(result)):
                # Faults of this kind end when they are dropped.
                with self._chaos.calm():
                    self.tally["token or quota renewed"] += 1
            self._react(result, disturbed=disturbed)
        raise AssertionError(
            f"it did not exit with 0 in {MAX_RUNS} runs: {result.stdout[-2000:]}{result.stderr[-2000:]}"
        )

    def _run_once(self, *, disturbed: bool) -> list[Result]:
        """Run the command in one process, and disturb it; sometimes the same command is started beside it."""
        runs = [self._start(*self._command())]
        if disturbed and self._choice.random() < 0.2:
            self.tally["second process beside a run"] += 1
            time.sleep(self._choice.uniform(0, 0.5))
            runs.append(self._start(*self._command()))
        if disturbed:
            self._send_signals(runs)
        return self._ended(runs)

    def _start(self, *words: str) -> Running:
        self.tally["runs"] += 1
        return self._figup.start(*words)

    def _send_signals(self, runs: Sequence[Running]) -> None:
        """Kill or stop some of the processes, after some time."""
        signals = self._choice.choice([1, 1, 1, 2]) if self._choice.random() < 0.7 else 0
        for _ in range(signals):
            run = self._choice.choice(runs)
            try:
                run.process.wait(self._choice.choice([0.3, 0.8, 1.5, 3.0]) * self._choice.uniform(0.5, 1.5))
            except subprocess.TimeoutExpired:
                signum = self._choice.choice(_SIGNALS)
                self.tally["kills" if signum == signal.SIGKILL else f"figup {signum.name}"] += 1
                self.history.append(signum.name)
                run.send_signal(signum)

    def _freeze(self, run: Running, seconds: float) -> None:
        """Suspend a process for that long."""
        run.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        run.send_signal(signal.SIGCONT)
        self.tally["freezes"] += 1
        self.history.append(f"frozen for {seconds:.1f} s")

    def _ended(self, runs: Sequence[Running]) -> list[Result]:
        deadline = time.monotonic() + TIME_LIMIT
        try:
            return [run.wait(max(1.0, deadline - time.monotonic())) for run in runs]
        except subprocess.TimeoutExpired:
            for run in runs:
                run.process.end()
            shown = [run.process.stdout.text[-3000:] + run.process.stderr.text[-3000:] for run in runs]
            raise AssertionError(f"a run took over {TIME_LIMIT} s: {shown}") from None

    def _look_at(self, result: Result, *, alone: bool) -> None:
        """Check that a run ended as figup may end."""
        codes = codes_of(result)
        self.history.append(f"{' '.join(result.args[-4:])}: {result.returncode} {codes}")
        self.tally.update(f"error {code}" for code in codes)
        details = f"{result}\nalone: {alone}"
        assert result.returncode in _PASSING or (result.returncode == 8 and not alone), details
        assert not {"internal", "metadata", "usage"}.intersection(codes), details
        # Before the command is loaded, Python itself handles Ctrl-C.
        by_python = "KeyboardInterrupt" in result.stderr and "uploader/cli" not in result.stderr
        assert "Traceback" not in result.stderr or by_python, result
        # A signal that arrives before the command is loaded ends it without output.
        if result.returncode >= 0 and (result.stdout or not (by_python or result.returncode in (75, 130))):
            assert result.summary["exit_status"] == result.returncode, result

    # --- the independent listing ----------------------------------------------------------------------------------

    def _compare(self, sandbox: Sandbox, item: int, stored: list[dict[str, Any]], wanted: dict[str, str]) -> None:
        """Raise AssertionError if these files of an item are not the wanted ones, as MD5s by name; count how."""
        names = Counter(file["name"] for file in stored)
        lost = wanted.keys() - names.keys()
        doubled = {name for name, count in names.items() if count > 1}
        wrong = names.keys() - wanted.keys()
        wrong |= {f["name"] for f in stored if f["computed_md5"] != wanted.get(f["name"])}
        self.tally.update({"lost": len(lost), "doubled": len(doubled), "wrong": len(wrong)})
        assert not lost | doubled | wrong, (
            f"item {item}: lost {lost}, doubled {doubled}, wrong {wrong}; it has {stored}\n{_history(sandbox, item)}"
        )

    def _stored(self, sandbox: Sandbox, item: int) -> list[dict[str, Any]]:
        """The files in the item that have to do with this command."""
        return files(sandbox, item)

    def _at_rest(self, sandbox: Sandbox, item: int) -> list[dict[str, Any]]:
        """The same, once Figshare has moved all to their final place."""
        deadline = time.monotonic() + 20
        stored = self._stored(sandbox, item)
        while any(file["status"] != "available" for file in stored):
            assert time.monotonic() < deadline, f"{stored}\n{_history(sandbox, item)}"
            time.sleep(0.05)
            stored = self._stored(sandbox, item)
        return stored


def _history(sandbox: Sandbox, item: int) -> str:
    """The last requests about an item and its files, without listings in which nothing happened."""
    lines = history_of(sandbox, item).splitlines()
    return "\n".join([line for line in lines if "kind=list-files" not in line or "fault=" in line][-200:])


def codes_of(result: Result) -> list[str]:
    """The codes of the errors that a run reported."""
    return [event["code"] for event in result.events if event["event"] == "error"]
