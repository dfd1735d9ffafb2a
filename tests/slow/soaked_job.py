"""An upload of the soak: sources, a command, and all disturbances until the command exits with 0."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

from tests.slow.chaos import Chaos, delete
from tests.slow.soaked import MAX_RUNS, TIME_LIMIT, Soaked, codes_of
from tests.slow.soaked_sources import OTHER, SAME, ChangingSources
from tests.support.command import Result, Running
from tests.support.environment import plugged
from tests.support.hosts import Host
from tests.support.hurry import SOON
from tests.support.invariants import ask, download, history_of, items
from tests.support.sandbox import Sandbox

_NAMES = ("data.bin", "dätä set.csv", "results.h5")
_LARGEST = 5_000_000
_LARGEST_PUBLIC = 500_000
"""Bytes of a file in a public item, which cannot be deleted to make room."""
_UNKNOWN_FILES = re.compile(r"which may be an earlier upload of this job|it is not clear which of them to replace")
"""In messages about files in a job's item that its damaged journal does not know."""
_TAKEN_OVER = 4.0
"""Seconds without a heartbeat after which another host has taken over a job."""
_ABOUT = """
description: All about it.
categories: [animal behaviour]
license: MIT
authors: [Jane Doe]
keywords: [beaver]
"""


class SoakedJob(Soaked):
    """A job with one to five files for a new item, or for the given one.

    `hosts`: two hosts that share a state directory, None if they cannot be made here.
    """

    def __init__(
        self, name: str, seed: str, folder: Path, chaos: Chaos, item: int | None, hosts: tuple[Host, Host] | None
    ) -> None:
        super().__init__(name, seed, folder, chaos)
        choice = self._choice
        self.item = item
        teams = ["alone", "alone", "joined", *(["hosts"] if hosts else []), *(["rival"] if item is not None else [])]
        self._team = choice.choice(teams)
        """Which processes work at the same time: `rival` is another job that sends one of the files to the item."""
        self._hosts = hosts if self._team == "hosts" else None
        self._pack = choice.choice(["zip", "tar"]) if self._team != "rival" and choice.random() < 0.2 else ""
        self._publish = item is None and choice.random() < 0.3
        self.deletable = not self._publish
        self._cuts = self._team != "rival" and choice.random() < 0.3
        """Whether the journal is cut, instead of content being changed."""
        self._cut = self._deleted = self._restart = False
        """True once the journal was cut; a file was removed on the web; changed sources are to be sent again."""
        self._changes = 0
        """Events after which the item may rightly be published once more."""
        self._doubtful: set[str] = set()
        """Ids of unfinished files that may be another user's, according to a run."""
        self._once: list[str] = []
        """Options of the next run alone."""
        self._sources = ChangingSources(choice)
        self._data = self._folder / f"set {name}"
        self._data.mkdir()
        for number in range(choice.choice([2, 5] if self._team == "rival" else [1, 1, 2, 5])):
            plain = item is None and number < len(_NAMES)
            path = self._data / (_NAMES[number] if plain else f"{name} {number}.bin")
            self._sources.add(path, _LARGEST_PUBLIC if self._publish else _LARGEST)
        # Many new items have the same title, from the same file name in another folder.
        self._target = ["--item", str(item)] if item is not None else []
        if item is None and choice.random() < 0.3:
            self._target = ["--title", f"the title of {name}"]
        if self._publish:
            (self._folder / "about.yaml").write_text(_ABOUT, "utf-8")
            self._target += ["--publish", "--metadata", str(self._folder / "about.yaml")]
        if self._pack:
            self._target += ["--pack", self._pack]
        if self._team == "joined":
            self._figup.env["PYTHONPATH"] = plugged(self._folder / "plug", SOON)
            self._target += ["--join"]
        kinds = [self._team, self._pack, "published" if self._publish else "", "cut" if self._cuts else ""]
        self.history.append(" ".join(kind for kind in kinds if kind))
        self.tally.update(f"jobs: {kind}" for kind in kinds if kind)

    def _play(self) -> None:
        self._finished(self._run_until_0())
        if self._team == "rival":
            self._finish_rival()
        if self._publish and self._choice.random() < 0.5:
            self._change("other")
            self._restart = True
            self._finished(self._run_until_0())
            self.tally["changed and published again"] += 1

    # --- runs -----------------------------------------------------------------------------------------------------

    def _command(self) -> list[str]:
        once, self._once = self._once, []
        return ["upload", *map(str, self._sources.content), *self._target, *self._options(), *once]

    def _options(self) -> list[str]:
        choice = self._choice
        words = ["--json", "--api-rate", "1000", "--settle-timeout", "2", "--stall-timeout", "2"]
        words += ["--verify-timeout", "20"]
        words += ["--retry-timeout", choice.choice(["1", "5", "20"]), "--grace", choice.choice(["0", "1", "10"])]
        if choice.random() < 0.6:
            words += ["--limit-rate", choice.choice(["400k", "1M", "4M"])]
        if choice.random() < 0.2:
            words.append("--hash-first")
        if choice.random() < 0.4:
            words += ["--connections", choice.choice(["1", "3", "8"])]
        return [*words, "--restart-changed"] if self._restart else words

    def _run_once(self, *, disturbed: bool) -> list[Result]:
        if self._team == "alone" or (self._team == "rival" and not disturbed):
            return super()._run_once(disturbed=disturbed)
        runs = {"hosts": self._on_hosts, "joined": self._joined, "rival": self._with_rival}[self._team](disturbed)
        if disturbed:
            self._send_signals(runs)
        results = self._ended(runs)
        if self._team == "rival":
            # It is another job, whose exit status 0 says nothing about this one.
            self._look_at(results.pop(), alone=False)
        return results

    def _on_hosts(self, disturbed: bool) -> list[Running]:
        """Run on one of the hosts; sometimes it stands still while the other one runs the same command."""
        assert self._hosts is not None
        one, two = self._choice.sample(self._hosts, 2)
        self.tally["runs"] += 1
        runs = [one.start(*self._command())]
        if disturbed and self._choice.random() < 0.4:
            time.sleep(self._choice.uniform(0.5, 3.0))
            seconds = self._choice.uniform(0.5, 12.0)
            self.tally["runs"] += 1
            runs.append(two.start(*self._command()))
            self._freeze(runs[0], seconds)
            self.tally[f"freezes {'longer' if seconds > _TAKEN_OVER else 'shorter'} than a lease"] += 1
            # What a process requested before it was suspended takes effect, even if it has lost the job.
            self._changes += 1
        return runs

    def _joined(self, disturbed: bool) -> list[Running]:
        """Run in several processes that share the job; sometimes one of them stands still."""
        runs = []
        for _ in range(self._choice.randint(1, 3)):
            runs.append(self._start(*self._command()))
            time.sleep(self._choice.choice([0, 0, 0.5, 2.0]) if disturbed else 0)
        if disturbed and self._choice.random() < 0.3:
            self._freeze(self._choice.choice(runs), self._choice.uniform(0.5, 8.0))
        return runs

    def _with_rival(self, _: bool) -> list[Running]:
        return [self._start(*self._command()), self._start(*self._rival())]

    def _rival(self) -> list[str]:
        first = next(iter(self._sources.content))
        return ["upload", str(first), "--item", str(self.item), *self._options()]

    def _finish_rival(self) -> None:
        for _ in range(MAX_RUNS):
            rival = self._start(*self._rival()).wait(TIME_LIMIT)
            self._look_at(rival, alone=True)
            if rival.returncode == 0:
                break
        assert rival.returncode == 0, rival
        with self._chaos.calm() as sandbox:
            self.check(sandbox)

    def _look_at(self, result: Result, *, alone: bool) -> None:
        super()._look_at(result, alone=alone)
        self._doubtful.update(re.findall(r"holds an unfinished file (\d+) of this name", result.stdout))
        others_may_exist = self._deleted or self._team == "rival" or self._cut
        assert "conflict" not in codes_of(result) or others_may_exist, result

    # --- what a user does between two runs ------------------------------------------------------------------------

    def _react(self, result: Result, *, disturbed: bool) -> None:
        codes, choice, sources = codes_of(result), self._choice, self._sources
        item = next((event["item_id"] for event in result.events if event["event"] == "item"), None)
        if disturbed and item is not None and choice.random() < 0.1:
            self._delete_on_the_web(item)
        if self._cuts and disturbed and choice.random() < 0.4:
            self._cut_journal(result)
        place = self.item if self.item is not None else item
        if place is not None and _UNKNOWN_FILES.search(result.stdout):
            self._settle_conflict(place, result)
        elif "which is published, has its title" in result.stdout:
            # Another job's: this one would have its item on record.
            self._once = ["--new-job"]
            self.tally["published items of the same title"] += 1
        if sources.missing:
            if "source-missing" in codes or not disturbed:
                self._put_back(sources.missing)
        elif "source-changed" in codes:
            if sources.changed and not self._restart and choice.random() < 0.4:
                self._put_back(sources.changed)
            else:
                self._restart = True
        elif disturbed and choice.random() < 0.2:
            self._change(choice.choice(self._possible_changes()))

    def _possible_changes(self) -> tuple[str, ...]:
        if self._cuts or self._team == "rival":
            return SAME
        # Between hosts, sources are compared by size and mtime alone.
        return SAME + tuple(act for act in OTHER if self._team != "joined" or act != "unseen")

    def _change(self, act: str) -> None:
        path = self._choice.choice(list(self._sources.content))
        self._sources.disturb(path, act)
        # An archive is another one if the times of a member are others.
        self._changes += act in OTHER or bool(self._pack)
        self.tally[f"source: {act}"] += 1
        self.history.append(f"{act} {path.name}")

    def _put_back(self, paths: list[Path]) -> None:
        self._sources.put_back(paths)
        self._changes += 1
        self.tally["sources put back"] += len(paths)
        self.history.append(f"put back {[path.name for path in paths]}")

    def _delete_on_the_web(self, item: int) -> None:
        """Remove one of the job's files from its item, whatever its state."""
        with self._chaos.calm() as sandbox:
            # A new item that stays empty because its file is refused has been removed.
            present = self._stored(sandbox, item) if any(row["id"] == item for row in items(sandbox)) else []
            if present:
                one = self._choice.choice(present)
                delete(sandbox, f"/account/articles/{item}/files/{one['id']}")
                self._deleted = True
                self._changes += 1
                self.tally["files removed on the web"] += 1
                self.history.append(f"removed {one['name']} ({one['status']}) on the web")

    def _settle_conflict(self, item: int, result: Result) -> None:
        """Remove what is there from the item, as the error says: the journal does not know it."""
        with self._chaos.calm() as sandbox:
            # What a person has to settle is to be read after the soak, too.
            print(f"{self.name}: settled by hand", *self.history, result, history_of(sandbox, item), sep="\n  ")
            for file in self._stored(sandbox, item):
                delete(sandbox, f"/account/articles/{item}/files/{file['id']}")
        self.tally["conflicts settled after a cut"] += 1
        self.history.append("settled the conflict")

    def _cut_journal(self, result: Result) -> None:
        """Cut the job's journal off anywhere, as a copy or a full disk does."""
        job = next((event["job"] for event in result.events if event["event"] == "job"), None)
        states = self._hosts[0].stored / "state" if self._hosts else self._figup.state_dir
        journal = states / "jobs" / str(job) / "journal"
        if job is not None and journal.exists():
            data = journal.read_bytes()
            at = self._choice.randrange(len(data) + 1)
            journal.write_bytes(data[:at])
            self._cut = True
            self.tally["journals cut"] += 1
            self.history.append(f"cut the journal at {at} of {len(data)}")

    # --- the end --------------------------------------------------------------------------------------------------

    def _finished(self, result: Result) -> None:
        item: int = result.summary["item_id"]
        assert self.item in (None, item), result
        assert {file["status"] for file in result.summary["files"]} == {"verified"}, result
        with self._chaos.calm() as sandbox:
            self._drop_unknown(sandbox, item)
            self.found = {item: self._expected(sandbox, item)}
            self.check(sandbox)
            for file in self._stored(sandbox, item):
                content = download(sandbox, file)
                assert hashlib.md5(content, usedforsecurity=False).hexdigest() == file["computed_md5"]
            if self._choice.random() < 0.3:
                again = self._figup.run(*self._command(), timeout=TIME_LIMIT) if self._hosts is None else None
                assert again is None or (again.returncode, again.summary["bytes_sent"]) == (0, 0), again
                self.check(sandbox)
        self.bytes_total = sum(map(len, self._sources.content.values()))
        self.tally.update({"jobs": 1, "files": len(self._sources.content), "bytes": self.bytes_total})

    def _drop_unknown(self, sandbox: Sandbox, item: int) -> None:
        """In an item that the user named, remove what a job without the record of it, or of a response, only names."""
        for file in self._stored(sandbox, item) if self.item is not None else ():
            if file["status"] == "created" and (self._cut or str(file["id"]) in self._doubtful):
                delete(sandbox, f"/account/articles/{item}/files/{file['id']}")
                self.tally["unfinished files left in a named item"] += 1

    def _expected(self, sandbox: Sandbox, item: int) -> dict[str, str]:
        """The MD5s of the files by name. An archive is unpacked and compared first."""
        content = {path.name: data for path, data in self._sources.content.items()}
        if not self._pack:
            return {name: hashlib.md5(data, usedforsecurity=False).hexdigest() for name, data in content.items()}
        present = self._stored(sandbox, item)
        assert len(present) == 1, present
        found = _unpacked(download(sandbox, present[0]), self._pack)
        found.pop("MANIFEST.md5")
        assert found == content, (sorted(found), present)
        return {present[0]["name"]: present[0]["computed_md5"]}

    def check(self, sandbox: Sandbox) -> None:
        """The item has every source exactly once, and nothing else if the job created it."""
        ((item, wanted),) = self.found.items()
        self._compare(sandbox, item, self._at_rest(sandbox, item), wanted)
        if self._publish:
            self._check_public(sandbox, item, wanted)

    def _check_public(self, sandbox: Sandbox, item: int, wanted: dict[str, str]) -> None:
        about: dict[str, Any] = ask(sandbox, f"/account/articles/{item}")
        assert about["is_public"], about
        assert 1 <= about["version"] <= 1 + self._changes, f"version {about['version']} after {self._changes} changes"
        self._compare(sandbox, item, ask(sandbox, f"/articles/{item}/files"), wanted)

    def delete(self, sandbox: Sandbox) -> None:
        ((item, _),) = self.found.items()
        if self.item is None:
            delete(sandbox, f"/account/articles/{item}")
            return
        for file in self._stored(sandbox, item):
            delete(sandbox, f"/account/articles/{item}/files/{file['id']}")

    def _stored(self, sandbox: Sandbox, item: int) -> list[dict[str, Any]]:
        """In an item that is shared by jobs, those with the name of one of this job's files, or of its archive."""
        present = super()._stored(sandbox, item)
        return [file for file in present if self.item is None or file["name"].startswith(f"{self.name} ")]


def _unpacked(data: bytes, format: str) -> dict[str, bytes]:
    """The members of an archive by name, without folders."""
    if format == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return {Path(name).name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        return {Path(member.name).name: _read(archive, member) for member in members}


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read()
