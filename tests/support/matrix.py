"""The fault matrix: every request of an upload × every fault that can happen to it, once and again and again.

`python -m tests.support.matrix` runs all cells and writes `tests/FAULTS.md`, the table that the tests hold figup to.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.crashing import Crasher, Order, Outcome
from tests.support.invariants import ask, files, items, md5_of
from tests.support.sandbox import Sandbox

PAGE = Path(__file__).parents[1] / "FAULTS.md"
SHORT = 1.5
"""Seconds for what is to run out in a cell: the retry time under a fault that strikes every time, the patience with an
answer that hangs, the wait for a checksum or a file that never comes. All else has time in plenty, so that a busy
machine changes no outcome."""
HANGING = ("hang", "stall")
STAGES = 9
"""Cells that are played at the same time; an odd number, for quick and slow cells take turns."""
LONGEST = 120.0
"""Seconds that no run of any cell may take: the retry time is capped, and so is everything else."""


@dataclass(frozen=True)
class Request:
    """A row: which request of the protocol (the sandbox's name), from which occurrence on, and what leads to it."""

    title: str
    kind: str
    first: int = 1
    before: tuple[str, ...] = ()
    given_item: bool = False


REQUESTS = (
    Request("who am I", "get-account"),
    Request("create the item", "create-item"),
    Request("look for a lost item", "list-items", before=("create-item:1=lost-answer",)),
    Request("read the item", "get-item"),
    Request("list the item's files", "list-files", given_item=True),
    Request("initiate the file", "initiate"),
    Request("look for a lost file", "list-files", before=("initiate:1=lost-answer",)),
    Request("read the new file", "get-file"),
    Request("list the parts", "get-upload"),
    Request("send a part", "put-part"),
    Request("look at a part", "get-part", before=("put-part:1=503",)),
    Request("complete", "complete"),
    Request("wait for the MD5", "get-file", first=2),
    Request("remove a bad copy", "delete-file", before=("complete:1=wrong-md5",)),
)

ANYWHERE = {
    "408": "408",
    "425": "425",
    "429": "429",
    "429, Retry-After 1": "429,retry-after=1",
    "429, Retry-After a date": "429,retry-after=date:1",
    "429, Retry-After a day": "429,retry-after=86400",
    "500": "500",
    "500, HTML": "500,body=html",
    "502": "502,body=html",
    "503": "503",
    "503, Retry-After 1": "503,retry-after=1",
    "504": "504,body=html",
    "400": "400",
    "403": "403",
    "404": "404",
    "409": "409,body=empty",
    "413": "413",
    "422": "422",
    "200 with HTML": "html",
    "firewall 202, empty": "waf-202",
    "firewall 403, empty": "waf-403,body=empty",
    "firewall 403, HTML": "waf-403,body=html",
    "truncated JSON": "truncated-json",
    "invalid JSON": "invalid-json",
    "redirect": "redirect,to=https://example.org/v2",
    "reset before reading": "reset",
    "reset in mid-body": "reset-mid-body",
    "done, answer lost": "lost-answer",
    "done, answer cut": "cut-answer",
    "hang before the answer": "hang,seconds=60",
    "hang in the answer": "hang-mid-answer,seconds=60",
    "nothing is read": "stall,seconds=60",
    "trickle": "trickle,seconds=0.0002",
    "token revoked": "revoke-token",
}
ONLY = {
    "initiate": {"invisible for a second": "hide,seconds=1", "quota full": "quota-full"},
    "create-item": {"quota full": "quota-full"},
    "put-part": {
        "stored with a wrong bit": "flip-bit",
        "locked for a while": "lock,seconds=0.4",
        "upload aborted": "abort-upload",
        "upload lost": "lose-upload",
    },
    "get-part": {"locked for a while": "lock,seconds=0.4", "upload lost": "lose-upload"},
    "get-upload": {"upload aborted": "abort-upload", "upload lost": "lose-upload"},
    "complete": {
        "upload aborted": "abort-upload",
        "wrong MD5": "wrong-md5",
        "no MD5": "no-md5",
    },
}
NEVER = {("get-upload", "token revoked"), ("put-part", "token revoked"), ("get-part", "token revoked")}
"""The upload service asks for no token."""


@dataclass(frozen=True)
class Cell:
    """One fault at one request, once or every time from then on."""

    request: Request
    fault: str
    line: str
    often: bool

    @property
    def key(self) -> tuple[str, str, str]:
        """Its place in the table."""
        return self.request.title, self.fault, "every time" if self.often else "once"

    @property
    def rules(self) -> list[str]:
        """What the sandbox is told."""
        when = f"{self.request.first}.." if self.often else str(self.request.first)
        return [*self.request.before, f"{self.request.kind}:{when}={self.line}"]

    def hurried(self, order: Order) -> Order:
        """The order with little time for what this cell lets run out."""
        hurried = copy.copy(order)
        if self.often:
            hurried.retry_timeout = SHORT
        if self.line.startswith(HANGING):
            hurried.patience = SHORT
        if self.often and (self.request.kind, self.fault) == ("get-file", "404"):
            hurried.visibility = SHORT
        if (self.request.kind, self.fault) in (("complete", "no MD5"), ("complete", "200 with HTML")):
            hurried.checksum = SHORT
        return hurried


def cells() -> Iterator[Cell]:
    """All cells, in the order of the table."""
    for request in REQUESTS:
        for fault, line in (ANYWHERE | ONLY.get(request.kind, {})).items():
            if (request.kind, fault) not in NEVER:
                yield Cell(request, fault, line, often=False)
                yield Cell(request, fault, line, often=True)


@dataclass(frozen=True)
class Result:
    """What became of a cell: `verified`, or the error's code and exit status; and how long the run took."""

    outcome: str
    message: str


class Stage:
    """One sandbox with one forking process, on which cells are played one after another."""

    def __init__(self, folder: Path, name: str) -> None:
        quick = (
            "--part-size 300KiB --lock-linger 0.1 --md5-delay 0 --checking-delay 0 --success-delay 0 --moving-delay 0"
        )
        self.sandbox = Sandbox(folder / f"sandbox-{name}", args=[*quick.split(), "--control"])
        self.sandbox.start()
        self._crasher = Crasher()
        self._folder = folder / name
        self._numbers = itertools.count()
        self._foreign = self._make_foreign()

    def close(self) -> None:
        """End both."""
        self._crasher.close()
        self.sandbox.stop()

    def play(self, cell: Cell) -> Result:
        """Play a cell, take the fault away, play on, and see what must hold. Raises AssertionError with the cell."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir(parents=True)
        source = folder / "data.bin"
        source.write_bytes(random.Random(str(cell.key)).randbytes(700_000))
        order = Order(self.sandbox.url, self.sandbox.token, str(folder / "state"), str(source), str(folder))
        if cell.request.given_item:
            order.item = self._create_item(order.title)
        self._control("POST", cell.rules)
        first = self._crasher.upload(cell.hurried(order))
        seen = {row["fault"]: row["seen"] for row in self._control("GET")}
        self._control("DELETE")
        again = self._crasher.upload(cell.hurried(order) if cell.fault == "no MD5" else order)
        self._check(cell, order, source, first, again, seen[cell.rules[-1]])
        return Result(_outcome(first), first.error)

    def _check(self, cell: Cell, order: Order, source: Path, first: Outcome, again: Outcome, seen: int) -> None:
        assert seen >= cell.request.first, f"{cell.key}: the fault never struck"
        assert first.exit_status in (0, 1, 2, 3, 4, 5, 6, 7, 75), f"{cell.key}: {first}"
        assert first.seconds < LONGEST, f"{cell.key}: took {first.seconds} s"
        # A checksum that was never computed is not computed by running the command again.
        assert again.exit_status == (7 if cell.fault == "no MD5" else 0), f"{cell.key}: then {again} after {first}"
        told = re.match(r"4\d\d", cell.line) and "body" not in cell.line and cell.fault != "404"
        if told and first.exit_status:
            assert "This sandbox was told" in first.error, f"{cell.key}: its own words are missing in {first.error}"
        mine = [item for item in items(self.sandbox) if item["title"] == order.title]
        assert len(mine) == 1, f"{cell.key}: {len(mine)} items"
        held = [(f["name"], f["computed_md5"]) for f in files(self.sandbox, mine[0]["id"])]
        wrong_forever = "MD5" in cell.fault
        expected = "" if cell.fault == "no MD5" else md5_of(source)
        assert held == [("data.bin", expected)] or wrong_forever, f"{cell.key}: {held}, after {first}"

    def check_all(self) -> None:
        """What must hold after all cells: nothing sent twice, the token never strayed, nobody else's file touched."""
        assert self.sandbox.requests(kind="put-part", part_before="COMPLETE") == []
        assert self.sandbox.requests(service="upload", authorization=True) == []
        assert files(self.sandbox, self._foreign[0]) == self._foreign[1]

    def _make_foreign(self) -> tuple[int, list[dict[str, Any]]]:
        """An item with an unfinished file in it, as somebody else might have left it."""
        item = self._create_item("somebody else's")
        ask(self.sandbox, f"/account/articles/{item}/files", {"name": "data.bin", "size": 700_000})
        return item, files(self.sandbox, item)

    def _create_item(self, title: str) -> int:
        created: int = ask(self.sandbox, "/account/articles", {"title": title})["entity_id"]
        return created

    def _control(self, method: str, rules: list[str] | None = None) -> list[dict[str, Any]]:
        address = self.sandbox.url.removesuffix("/v2") + "/sandbox/faults"
        headers = {"Authorization": f"token {self.sandbox.token}", "Content-Type": "application/json"}
        body = json.dumps({"faults": rules}).encode() if rules else None
        request = urllib.request.Request(address, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            rows: list[dict[str, Any]] = json.loads(answer.read() or b"[]")
        return rows


def _outcome(outcome: Outcome) -> str:
    return "verified" if outcome.exit_status == 0 else f"{outcome.error.split(':')[0]} ({outcome.exit_status})"


@contextmanager
def stages(folder: Path, count: int) -> Iterator[list[Stage]]:
    """So many stages, ended at the end."""
    made: list[Stage] = []
    try:
        made.extend(Stage(folder, str(number)) for number in range(count))
        yield made
    finally:
        for stage in made:
            stage.close()


def play_all(some: Iterable[Cell], folder: Path, count: int) -> dict[tuple[str, str, str], Result]:
    """Play cells on several stages at once (they mostly wait). Raises the first AssertionError."""
    todo = list(some)
    with stages(folder, count) as made:

        def play_every(number: int) -> dict[tuple[str, str, str], Result]:
            results = {cell.key: made[number].play(cell) for cell in todo[number::count]}
            made[number].check_all()
            return results

        with ThreadPoolExecutor(count) as pool:
            return {key: result for part in pool.map(play_every, range(count)) for key, result in part.items()}


def page(results: dict[tuple[str, str, str], Result]) -> str:
    """The table as a page."""
    lines = [
        "# What figup does about every fault",
        "",
        "Each request of an upload, each fault that can happen to it, once and every time. `verified`: the fault was",
        "ridden out. Otherwise the error's code and its exit status, after which the same command, run again without",
        "the fault, always ends verified: with one item, one file of the name, equal MD5s, no part sent that Figshare",
        "had, and no other file touched. The retry time is cut to seconds here, so that `every time` ends.",
        "",
        "This page is made by `python -m tests.support.matrix`; the tests play every cell and compare.",
    ]
    for request in REQUESTS:
        lines += ["", f"## {request.title}", "", "| fault | once | every time |", "|---|---|---|"]
        for fault in ANYWHERE | ONLY.get(request.kind, {}):
            if (request.title, fault, "once") not in results:
                continue
            once, often = (results[request.title, fault, how].outcome for how in ("once", "every time"))
            lines.append(f"| {fault} | {once} | {often} |")
    return "\n".join([*lines, ""])


def expected() -> dict[tuple[str, str, str], str]:
    """The outcomes that the page holds figup to."""
    outcomes = {}
    title = ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| fault"):
            fault, once, often = (cell.strip() for cell in line.strip("|").split("|"))
            outcomes[title, fault, "once"], outcomes[title, fault, "every time"] = once, often
    return outcomes


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        PAGE.write_text(page(play_all(cells(), Path(place), STAGES)), "utf-8")
