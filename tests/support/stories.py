"""Scenarios: uploads that end at a chosen point and are resumed, and their invariants."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.crashing import Crasher, Order, Outcome
from tests.support.invariants import ask, files, items, md5_of
from tests.support.sandbox import Sandbox
from tests.support.secrets import UploadSecrets, check_silent


class Story:
    """One upload with its own source, title and state directory, ended and resumed. `crashes` counts the runs that
    ended by SIGKILL at their point.
    """

    def __init__(
        self,
        crasher: Crasher,
        sandbox: Sandbox,
        folder: Path,
        name: str,
        *,
        size: int = 700_000,
        ordered: bool = False,
    ) -> None:
        folder.mkdir(parents=True)
        self.source = folder / "data.bin"
        self.source.write_bytes(random.Random(name).randbytes(size))
        self.title = f"title {name}"
        self.order = Order(sandbox.url, sandbox.token, str(folder / "state"), str(self.source), self.title)
        self.order.ordered, self.order.log = ordered, str(folder / "figup.log")
        self._secrets = UploadSecrets(sandbox)
        self._made = len(self._secrets.after())
        self._errors: list[str] = []
        self.crashes = 0
        self._crasher, self._sandbox = crasher, sandbox
        self._theirs: list[dict[str, Any]] = []

    def name_item(self) -> None:
        """Send to an existing item with unfinished files of others, one of them with the same name and size."""
        item = ask(self._sandbox, "/account/articles", {"title": self.title})["entity_id"]
        for name in ("data.bin", "other.bin"):
            ask(self._sandbox, f"/account/articles/{item}/files", {"name": name, "size": self.source.stat().st_size})
        self._theirs = files(self._sandbox, item)
        self.order.item, self.order.on_conflict = item, "keep"

    def make_folder(self, names: Sequence[str], size: int) -> Path:
        """Send a folder with these files instead; returns it."""
        top = self.source.parent / "set"
        for number, name in enumerate(names):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(bytes([number]) * size)
        self.order.source = str(top)
        return top

    def run(self, point: int = 0, how: str = "kill", *, name: str = "") -> Outcome:
        """Run the upload, to end at this point; with `name`, at this one of the points of that name."""
        self.order.point, self.order.how, self.order.name = point, how, name
        outcome = self._crasher.upload(self.order)
        self.crashes += outcome.signal == 9
        self._errors.append(outcome.error)
        return outcome

    def finish(self) -> None:
        """Run it to its end; its files contain no secret."""
        outcome = self.run()
        assert (outcome.exit_status, outcome.error) == (0, ""), self.title
        secrets = [self._sandbox.token, *self._secrets.after(self._made)]
        check_silent(Path(self.order.log).parent, self._errors, secrets)

    def item(self) -> int:
        """The one item of this title."""
        mine: list[int] = [item["id"] for item in items(self._sandbox) if item["title"] == self.title]
        assert len(mine) == 1, f"{len(mine)} items called {self.title}"
        return mine[0]

    def check(self) -> None:
        """One item of this title with one file with equal MD5s; files of others unchanged."""
        found = files(self._sandbox, self.item())
        theirs = {file["id"] for file in self._theirs}
        assert [file for file in found if file["id"] in theirs] == self._theirs, self.title
        stored = [(f["name"], f["computed_md5"]) for f in found if f["id"] not in theirs]
        assert stored == [("data.bin", md5_of(self.source))], (self.title, found)

    def in_folders(self) -> dict[str, list[str]]:
        """Return the MD5s of the files in each place of the item, "" for a pending one."""
        return in_folders(self._sandbox, self.order.item or self.item())

    def check_orders(self, versions: int = 1) -> None:
        """Assert the requested metadata, this number of published versions, and one private link."""
        path = f"/account/articles/{self.item()}"
        item = ask(self._sandbox, path)
        assert [author["full_name"] for author in item["authors"]] == ["Jane Doe", "John Doe"], self.title
        assert (item["description"], item["tags"], item["license"]["name"]) == ("<p>d</p>", ["a"], "MIT"), self.title
        assert (item["version"], item["is_public"]) == (versions, True), self.title
        assert item["doi"], self.title
        assert len(ask(self._sandbox, f"{path}/private_links")) == 1, self.title


def in_folders(sandbox: Sandbox, item: int) -> dict[str, list[str]]:
    """Return the MD5s of the files in each place of an item, "" for a pending one."""
    folders = ask(sandbox, f"/account/articles/{item}").get("folder_structure") or {}
    found: dict[str, list[str]] = {}
    for file in files(sandbox, item):
        place = f"{folders.get(str(file['id']), '').strip('/')}/{file['name']}".strip("/")
        found.setdefault(place, []).append(file["computed_md5"])
    return found


def distinct(names: Sequence[str]) -> list[int]:
    """The points (counted from 1) whose state differs from that of the point before. "After" one action and "before"
    the next one are the same moment.
    """
    return [
        number
        for number, name in enumerate(names, start=1)
        if number == 1 or not (name.startswith("before ") and names[number - 2].startswith("after "))
    ]


def one_turn(names: Sequence[str], turn: int, turns: int) -> list[int]:
    """A sample of the distinct points: every n-th of those of a common name, one of a rare one. Over all turns, each
    point occurs at least once.
    """
    points = distinct(names)
    totals, seen = Counter(names[point - 1] for point in points), Counter[str]()
    chosen = []
    for point in points:
        name = names[point - 1]
        if seen[name] % turns == turn % min(turns, totals[name]):
            chosen.append(point)
        seen[name] += 1
    return chosen
