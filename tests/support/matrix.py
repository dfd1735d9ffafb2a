"""The fault matrix: every request of an upload × every possible fault, once and repeatedly.

`python -m tests.support.matrix` runs all cells and writes `tests/FAULTS.md`, the table of expected outcomes.
"""

from __future__ import annotations

import itertools
import json
import random
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.crashing import Crasher, Order, Outcome
from tests.support.invariants import ask, files, items, md5_of
from tests.support.matrix_cells import REQUESTS, Cell, cells
from tests.support.sandbox import Sandbox
from tests.support.secrets import TOKEN, UploadSecrets, check_silent

PAGE = Path(__file__).parents[1] / "FAULTS.md"
SECOND_PART = "# Two processes"
"""The heading of the other part of that page, which `two_processes` writes."""
STAGES = 5
"""Number of cells run at the same time; odd, because quick and slow cells alternate."""
SIZE = 700_000
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Result:
    """The outcome of a cell: `verified` (`cancelled`), or the error's code and exit status, and its message."""

    outcome: str
    exit_status: int
    message: str


@dataclass(frozen=True)
class Play:
    """A cell on a rig: its request, and the files of others in the user's item."""

    cell: Cell
    order: Order
    theirs: list[dict[str, Any]]


class Stage:
    """One sandbox with one forking process, which runs cells one after another."""

    options = "--part-size 300KiB --lock-linger 0.1 --md5-delay 0 --checking-delay 0 --success-delay 0 --moving-delay 0"
    """Of the sandbox."""

    def __init__(self, folder: Path, name: str) -> None:
        self.sandbox = Sandbox(folder / f"sandbox-{name}", token=TOKEN, args=[*self.options.split(), "--control"])
        self.sandbox.start()
        self._secrets = UploadSecrets(self.sandbox)
        self._crasher = Crasher()
        self._folder = folder / name
        self._numbers = itertools.count()
        self._theirs: set[int] = set()
        self._project: int = ask(self.sandbox, "/account/projects", {"title": "a project"})["entity_id"]

    def close(self) -> None:
        """End both."""
        self._crasher.close()
        self.sandbox.stop()

    def play(self, cell: Cell) -> Result:
        """Run a cell, remove the fault, run again and check the invariants. Raises AssertionError with the cell."""
        (first,) = self.run(cell)
        return Result(_outcome(cell, first), first.exit_status, first.error)

    def run(self, cell: Cell) -> list[Outcome]:
        """The same; how each process ended under the fault."""
        play = self._prepare(cell)
        order, made = play.order, len(self._secrets.after())
        self.control("POST", cell.rules)
        first = self.upload(cell.hurried(order))
        seen = {row["fault"]: row["seen"] for row in self.control("GET")}
        self.control("DELETE")
        again = self.upload(cell.hurried(order) if cell.fault == "no MD5" else order)
        assert seen[cell.rules[-1]] >= cell.request.first, f"{cell.key}: the fault never struck"
        self._check_runs(cell, first, again)
        self._check_item(play, first)
        errors = [outcome.error for outcome in (*first, *again)]
        check_silent(Path(order.log).parent, errors, [TOKEN, *self._secrets.after(made)])
        return first

    def upload(self, order: Order) -> list[Outcome]:
        """Run an upload; the outcome of each of its processes."""
        return [self._crasher.upload(order)]

    def attempts(self, order: Order, rule: str) -> tuple[Outcome, int, float]:
        """Run an upload under one rule: its outcome, the number of requests that matched, and the seconds from first to
        last.
        """
        before = len(self.sandbox.requests())
        self.control("POST", [rule])
        outcome = self._crasher.upload(order)
        self.control("DELETE")
        met = [request for request in self.sandbox.requests()[before:] if request["fault"] is not None]
        moments = [datetime.fromisoformat(request["time"]) for request in met]
        return outcome, len(met), (max(moments) - min(moments)).total_seconds()

    def order(self, name: str) -> Order:
        """A separate upload: source, title, state directory."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir(parents=True)
        source = folder / "data.bin"
        source.write_bytes(random.Random(name).randbytes(SIZE))
        order = Order(self.sandbox.url, self.sandbox.token, str(folder / "state"), str(source), str(folder))
        order.log = str(folder / "figup.log")
        return order

    def check_all(self) -> None:
        """Invariants after all cells: nothing sent twice, the token only sent to the API, files of others untouched."""
        assert self.sandbox.requests(kind="put-part", part_before="COMPLETE") == []
        assert self.sandbox.requests(service="upload", authorization=True) == []
        for kind in ("delete-file", "put-part", "complete"):
            assert not self._theirs & {request["file_id"] for request in self.sandbox.requests(kind=kind)}, kind

    # --- before -------------------------------------------------------------------------------------------------------

    def _prepare(self, cell: Cell) -> Play:
        row = cell.request
        order = self.order(str(cell.key))
        order.ordered, order.link, order.on_conflict = row.ordered, row.link, "keep"
        order.project = self._project if row.project else None
        if row.link:
            order.source = f"https://example.org/{order.title}"
        theirs = []
        if row.given:
            order.item = ask(self.sandbox, "/account/articles", {"title": order.title})["entity_id"]
            theirs = self._leave_files(order.item)
        if row.earlier:
            self.control("POST", list(row.earlier))
            earlier = self._crasher.upload(order)
            assert earlier.exit_status in (1, 3), f"{cell.key}: {earlier}"
            self.control("DELETE")
        order.cancel = row.cancel
        return Play(cell, order, theirs)

    def _leave_files(self, item: int) -> list[dict[str, Any]]:
        """Unfinished files of others, one of them with the same name and size."""
        for name in ("data.bin", "other.bin"):
            ask(self.sandbox, f"/account/articles/{item}/files", {"name": name, "size": SIZE})
        theirs = files(self.sandbox, item)
        self._theirs |= {file["id"] for file in theirs}
        return theirs

    # --- after --------------------------------------------------------------------------------------------------------

    def _check_runs(self, cell: Cell, first: list[Outcome], again: list[Outcome]) -> None:
        for outcome in first:
            assert outcome.exit_status in (0, 1, 2, 3, 4, 5, 6, 7, 75), f"{cell.key}: {outcome}"
            assert outcome.seconds < cell.longest, f"{cell.key}: took {outcome.seconds} s"
            if cell.words and outcome.exit_status:
                assert "Fault injected by the sandbox" in outcome.error, (
                    f"{cell.key}: its own words are missing in {outcome.error}"
                )
        # Rerunning the command does not compute a checksum that was never computed.
        wanted = 7 if cell.fault == "no MD5" else 0
        assert {outcome.exit_status for outcome in again} == {wanted}, f"{cell.key}: then {again} after {first}"

    def _check_item(self, play: Play, first: list[Outcome]) -> None:
        cell, order = play.cell, play.order
        mine = [item for item in items(self.sandbox) if item["title"] == order.title]
        assert len(mine) == 1, f"{cell.key}: {len(mine)} items"
        found = files(self.sandbox, mine[0]["id"])
        ids = {file["id"] for file in play.theirs}
        assert [file for file in found if file["id"] in ids] == play.theirs, f"{cell.key}: {found}, after {first}"
        stored = [file for file in found if file["id"] not in ids]
        shown = [f["download_url"] if f["is_link_only"] else (f["name"], f["computed_md5"]) for f in stored]
        assert shown == self._expected(play), f"{cell.key}: {shown}, after {first}"
        if order.ordered:
            self._check_description(cell, mine[0]["id"])

    def _expected(self, play: Play) -> list[str | tuple[str, str]]:
        if play.order.cancel:
            return []
        if play.order.link:
            return [play.order.source]
        return [("data.bin", "" if play.cell.fault == "no MD5" else md5_of(Path(play.order.source)))]

    def _check_description(self, cell: Cell, item_id: int) -> None:
        item = ask(self.sandbox, f"/account/articles/{item_id}")
        authors = [author["full_name"] for author in item["authors"]]
        assert (authors, item["description"], item["tags"]) == (["Jane Doe", "John Doe"], "<p>d</p>", ["a"]), cell.key
        assert (item["version"], item["is_public"], bool(item["doi"])) == (1, True, True), cell.key
        assert len(ask(self.sandbox, f"/account/articles/{item_id}/private_links")) == 1, cell.key

    def control(self, method: str, rules: list[str] | None = None) -> list[dict[str, Any]]:
        """Ask the control address: the rules that are in force."""
        address = self.sandbox.url.removesuffix("/v2") + "/sandbox/faults"
        headers = {"Authorization": f"token {self.sandbox.token}", "Content-Type": "application/json"}
        body = json.dumps({"faults": rules}).encode() if rules else None
        request = urllib.request.Request(address, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            rows: list[dict[str, Any]] = json.loads(answer.read() or b"[]")
        return rows


def _outcome(cell: Cell, outcome: Outcome) -> str:
    if outcome.exit_status == 0:
        return "cancelled" if cell.request.cancel else "verified"
    return f"{outcome.error.split(':')[0]} ({outcome.exit_status})"


def exit_status(outcome: str) -> int:
    """The exit status that an outcome names."""
    return 0 if outcome in ("verified", "cancelled") else int(outcome.rpartition("(")[2].rstrip(")"))


@contextmanager
def stages(folder: Path, count: int) -> Iterator[list[Stage]]:
    """This number of rigs, stopped at the end."""
    made: list[Stage] = []
    try:
        made.extend(Stage(folder, str(number)) for number in range(count))
        yield made
    finally:
        for stage in made:
            stage.close()


def play_all(some: Iterable[Cell], folder: Path, count: int) -> dict[Key, Result]:
    """Run cells on several rigs at once (they mostly wait). Raises all AssertionErrors after the last cell."""
    todo = list(some)
    wrong: list[AssertionError] = []
    with stages(folder, count) as made:

        def play_every(number: int) -> dict[Key, Result]:
            results = {}
            for cell in todo[number::count]:
                try:
                    results[cell.key] = made[number].play(cell)
                except AssertionError as error:
                    wrong.append(error)
            try:
                made[number].check_all()
            except AssertionError as error:
                wrong.append(error)
            return results

        with ThreadPoolExecutor(count) as pool:
            results = {key: result for part in pool.map(play_every, range(count)) for key, result in part.items()}
    assert not wrong, "\n".join(str(error) for error in wrong)
    return results


def page(results: dict[Key, Result]) -> str:
    """The table as a page."""
    lines = [
        "# How figup handles every fault",
        "",
        "Every request of a job under every fault that can happen to it, once and every time. `verified` means",
        "that the fault was retried successfully. Otherwise the cell has the error's code and exit status, and the",
        "same command, rerun without the fault, always ends verified: one item, one file of the name, equal MD5s,",
        "no part sent that Figshare already had, and no other file changed. The item named by the user (`a given",
        "item`) also contains unfinished files of another user, one of them of the same name and size. `cancelled`",
        "means that `figup cancel` removed the job's unfinished files and nothing else. The retry time is a few",
        "seconds here, so that `every time` ends.",
        "",
        "The cells of uploads of files also hold for two processes with `--join`: each ends with the status of the",
        "cell, or with 0 if the other one, or a second try, finished the job. Only one that always fails to look at a",
        "part may end with 75: a process looks at each part that another one had before; and with 6 one that sees in",
        "time that the quota is full.",
        "",
        "Rows that are variations of others have one fault of each kind.",
        "",
        "This page is generated by `python -m tests.support.matrix`; `./scripts/test --all` compares all cells.",
    ]
    for request in REQUESTS:
        lines += ["", f"## {request.title}", "", "| fault | once | every time |", "|---|---|---|"]
        for fault in request.faults:
            once, often = (results[request.title, fault, how].outcome for how in ("once", "every time"))
            lines.append(f"| {fault} | {once} | {often} |")
    return "\n".join([*lines, ""])


def expected() -> dict[Key, str]:
    """The expected outcomes on the page."""
    outcomes = {}
    title = ""
    for line in PAGE.read_text("utf-8").partition(SECOND_PART)[0].splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| fault"):
            fault, once, often = (cell.strip() for cell in line.strip("|").split("|"))
            outcomes[title, fault, "once"], outcomes[title, fault, "every time"] = once, often
    return outcomes


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        _, heading, other_part = PAGE.read_text("utf-8").partition(SECOND_PART)
        first_part = page(play_all(cells(), Path(place), STAGES))
        PAGE.write_text(f"{first_part}\n{heading}{other_part}" if heading else first_part, "utf-8")
