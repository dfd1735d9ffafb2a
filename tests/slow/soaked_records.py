"""A file of records in the soak: `figup records create` is rerun until it exits with 0."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.slow.chaos import Chaos, delete
from tests.slow.soaked import Soaked
from tests.support.command import Result
from tests.support.invariants import ask, files, history_of, items
from tests.support.sandbox import Sandbox

_HEAD = "title,doi,authors,link,keywords,categories,description,license"


class SoakedRecords(Soaked):
    """Two to twelve records, each with a link, to become new items; sometimes published."""

    def __init__(self, name: str, seed: str, folder: Path, chaos: Chaos) -> None:
        super().__init__(name, seed, folder, chaos)
        self._table = self._folder / "works.csv"
        titles = [f"{name} record {number}" for number in range(self._choice.randint(2, 12))]
        self._links = {title: f"https://example.org/{title.replace(' ', '-')}" for title in titles}
        rows = [
            f"{title},10.1234/{title.replace(' ', '-')},Jane Doe,{link},dam,animal behaviour,About it,MIT"
            for title, link in self._links.items()
        ]
        self._table.write_text("\n".join([_HEAD, *rows, ""]), "utf-8")
        self._publish = self._choice.random() < 0.4
        self.deletable = not self._publish
        self.tally[f"jobs: records{', published' if self._publish else ''}"] += 1

    def _command(self) -> list[str]:
        words = ["records", "create", str(self._table), "--json"]
        words += ["--api-rate", self._choice.choice(["20", "1000"])]
        words += ["--retry-timeout", self._choice.choice(["1", "5", "20"])]
        return [*words, "--publish"] if self._publish else words

    def _play(self) -> None:
        self._run_until_0()
        with self._chaos.calm() as sandbox:
            made = [item for item in items(sandbox) if item["title"] in self._links]
            titles = Counter(item["title"] for item in made)
            doubled, lost = [title for title, count in titles.items() if count > 1], self._links.keys() - titles.keys()
            self.tally.update({"lost": len(lost), "doubled": len(doubled)})
            assert not lost, lost
            assert not doubled, f"{doubled}\n{history_of(sandbox, *(item['id'] for item in made))}"
            self.found = {item["id"]: {f["name"]: "" for f in files(sandbox, item["id"])} for item in made}
            self._titles = {item["id"]: item["title"] for item in made}
            self.check(sandbox)
        self.tally["records"] += len(self._links)

    def _react(self, result: Result, *, disturbed: bool) -> None:
        pass

    def check(self, sandbox: Sandbox) -> None:
        """Each item has its link once, and is published once if it is to be."""
        for item, title in self._titles.items():
            stored = files(sandbox, item)
            right = [file["download_url"] for file in stored if file["is_link_only"]] == [self._links[title]]
            self.tally["wrong"] += not right or len(stored) != 1
            assert right, f"{title}: {stored}\n{history_of(sandbox, item)}"
            assert len(stored) == 1, f"{title}: {stored}\n{history_of(sandbox, item)}"
            version = ask(sandbox, f"/account/articles/{item}")["version"]
            assert version == self._publish, f"{title}: version {version}\n{history_of(sandbox, item)}"

    def delete(self, sandbox: Sandbox) -> None:
        for item in self.found:
            delete(sandbox, f"/account/articles/{item}")
