"""The soak's sandbox, and a thread that disturbs it with faults, restarts and kills until it is stopped."""

from __future__ import annotations

import random
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.control import add_faults, drop_faults
from tests.support.invariants import ask
from tests.support.sandbox import Sandbox
from tests.support.servers import free_ports

PLANS = ("64KiB", "300KiB", "1MiB", "random:7", "random:11", "1MiB,3,200KiB", "10MiB", "17KiB,400KiB")
REQUESTS = (
    *("get-account", "create-item", "list-items", "get-item", "list-files", "initiate", "get-file", "complete"),
    *("update-item", "publish-item", "list-item-authors"),
)
PARTS = ("get-upload", "put-part", "get-part")
ANYWHERE = (
    "404",
    "408",
    "425",
    "429",
    "429,retry-after=1",
    "500",
    "502,body=html",
    "503",
    "503,retry-after=1",
    "504,body=html",
    "400",
    "redirect,to=https://example.org/v2",
    "html",
    "waf-202",
    "waf-403",
    "reset",
    "reset-mid-body",
    "lost-answer",
    "cut-answer",
    "hang,seconds=0.7",
    "hang-mid-answer,seconds=0.5",
    "stall,seconds=0.7",
    "trickle,seconds=0.001",
    "truncated-json",
    "invalid-json",
)
PARTICULAR = (
    "put-part=flip-bit",
    "put-part:3=flip-bit",
    "put-part:2=lock,seconds=0.7",
    "get-part=lock,seconds=0.7",
    "put-part:4=lose-upload",
    "get-upload=lose-upload",
    "get-upload=abort-upload",
    "put-part:2=404,body=empty",
    "complete=wrong-md5",
    "complete:..2=wrong-md5",
    "complete=abort-upload",
    "initiate=hide,seconds=0.6",
    "initiate=hide,seconds=1.7",
    "list-files=stale,seconds=1.5",
    "list-files:..3=stale,seconds=1.5",
    "list-files:2=stale,seconds=1.5",
    "get-file:..2=stale,seconds=1.5",
    "get-item:..2=stale,seconds=1.5",
    "publish-item=lost-answer",
    "publish-item=late,seconds=1.5",
    "create-item=late,seconds=1.5",
    "initiate=late,seconds=1.5",
    "list-items:..3=stale,seconds=1.5",
    "initiate=quota-full",
    "get-account=revoke-token",
    "delete-file=503",
    "delete-file=lost-answer",
    "delete-file=404",
    "delete-file=cut-answer",
    "delete-file:..2=500",
    "delete-file=hang,seconds=0.7",
    "delete-file=reset",
)
_SHORT = (
    "--lock-linger 0.2 --short-body-timeout 0.5 --md5-delay 0.1 --checking-delay 0.05 --success-delay 0.05"
    " --moving-delay 0.05 --control"
)


class Chaos:
    """A sandbox and the thread that disturbs it. `tally` counts what it did."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.tally: Counter[str] = Counter()
        self._choice = random.Random(f"{seed}: chaos")
        self._turn = threading.RLock()
        self._over = threading.Event()
        self._quiet = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._disturb, name="chaos", daemon=True)
        self.sandbox = Sandbox(folder / "sandbox", args=self._args(), ports=free_ports(3))
        self.sandbox.start()
        self.error: BaseException | None = None

    def begin(self) -> None:
        """Start disturbing."""
        self._thread.start()

    def end(self) -> None:
        """Stop disturbing and remove all faults; the sandbox keeps running."""
        self._over.set()
        self._quiet.wait()
        if self.error is None:
            drop_faults(self.sandbox)

    def close(self) -> None:
        """End the sandbox, too."""
        self._over.set()
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self.sandbox.stop()

    @contextmanager
    def calm(self) -> Iterator[Sandbox]:
        """Yield the sandbox, undisturbed during the block."""
        with self._turn:
            drop_faults(self.sandbox)
            yield self.sandbox

    def _args(self) -> list[str]:
        plan, hidden = self._choice.choice(PLANS), self._choice.choice(["0", "0", "0.3", "1"])
        rate = self._choice.choice(["0", "0", "700KiB"])
        return [
            *("--part-plan", plan, "--hidden-for", hidden, "--connection-rate", rate),
            *_SHORT.split(),
        ]

    def _disturb(self) -> None:
        try:
            while not self._over.wait(self._choice.uniform(0.1, 0.9)):
                with self._turn:
                    self._act(self._choice.random())
        except BaseException as error:  # noqa: BLE001 - raised again where the soak ends
            self.error = error
        finally:
            self._quiet.set()
        # A sandbox that this thread started ends with this thread.
        self._closed.wait()

    def _act(self, dice: float) -> None:
        if dice < 0.04:
            self.tally["sandbox kills"] += 1
            self.sandbox.kill()
            self.sandbox.restart(*self._args())
        elif dice < 0.07:
            self.tally["sandbox restarts"] += 1
            self.sandbox.restart(*self._args())
        elif dice < 0.2:
            drop_faults(self.sandbox)
        else:
            rules = [self._rule() for _ in range(self._choice.randint(2, 6))]
            self.tally["faults set"] += len(rules)
            add_faults(self.sandbox, *rules)

    def _rule(self) -> str:
        choice = self._choice
        if choice.random() < 0.3:
            return choice.choice(PARTICULAR)
        when = choice.choice(["1", "1", "2", "..3", "3..6", "5"])
        return f"{choice.choice(REQUESTS + PARTS * 3)}:{when}={choice.choice(ANYWHERE)}"


def delete(sandbox: Sandbox, path: str) -> None:
    """Remove an item, or a file."""
    headers = {"Authorization": f"token {sandbox.token}"}
    request = urllib.request.Request(f"{sandbox.url}{path}", headers=headers, method="DELETE")
    with urllib.request.urlopen(request, timeout=10):
        pass


def create_item(sandbox: Sandbox, title: str) -> int:
    """Create an item that belongs to no job."""
    created: int = ask(sandbox, "/account/articles", {"title": title})["entity_id"]
    return created
