"""Archives in jobs that are killed again and again, whose parts are sent in any order, and whose members change.

Whatever happened before, the command that ends with 0 leaves the folder as it is then.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import KILLED, World, md5
from tests.support.archives import read_members
from uploader.errors import ExitStatus
from uploader.figshare.outcomes import PartFailed
from uploader.transfer.options import Options
from uploader.transfer.parts.queue import FileSend

pytestmark = pytest.mark.anyio

BELOW = 700
"""With `--pack-below`: size from which a file is sent beside the archives."""
RUNS = 10
"""Runs of a story before its end, in which nothing happens any more."""
REQUESTS = ("create", "initiate", "files", "file", "upload", "send_part", "complete", "delete_file")
CHANGED = (ExitStatus.INTEGRITY, ExitStatus.NOT_FOUND, ExitStatus.SOME_FAILED)


class Story:
    """One folder and one command, which is repeated."""

    def __init__(self, world: World, seed: int) -> None:
        self.choose = random.Random(seed)
        self.world = world
        self.survey = world.folder / "survey"
        self.kills = 0
        self._changed = False
        for number in range(self.choose.randrange(4, 14)):
            self._add(number)
        (self.survey / "nothing").mkdir()
        self.options = Options(
            pack=self.choose.choice(["zip", "tar"]),
            pack_manifest=self.choose.random() < 0.7,
            pack_limit=self.choose.choice([None, None, 9000]),
            pack_below=self.choose.choice([None, BELOW]),
            hash_first=self.choose.random() < 0.3,
            connections=self.choose.choice([1, 3, 5]),
        )

    async def run(self) -> None:
        """Repeat the command until it ends with 0, at first with faults and changes."""
        restart = False
        for number in range(2 * RUNS):
            self.world.figshare.clear_faults()
            self.world.figshare.on_request.clear()
            self._changed = False
            if number < RUNS:
                self._plan_faults()
                self._plan_change()
            options = replace(self.options, restart_changed=restart, forget_missing=restart)
            status = await self.world.upload(str(self.survey), title="survey", options=options)
            assert status in (0, KILLED, *CHANGED), self.world.error
            assert self._errors() <= {"source-changed", "source-missing"}
            self.kills += status == KILLED
            restart = status in CHANGED
            if status == 0 and not self._changed:
                self._check()
                if number >= RUNS:
                    return
        raise AssertionError("the command never ends with 0")

    def _errors(self) -> set[str]:
        """Return why files failed in the last run."""
        files = self.world.report.files if self.world.report is not None else ()
        return {file.error.code for file in files if file.error is not None}

    def _plan_faults(self) -> None:
        figshare, choose = self.world.figshare, self.choose
        if choose.random() < 0.75:
            request = choose.choice(("send_part", "send_part", *REQUESTS))
            figshare.fail(
                request, choose.choice((Fault.KILLED_AFTER, Fault.KILLED_BEFORE)), first=choose.randrange(1, 25)
            )
        for _ in range(choose.randrange(3)):
            figshare.fail("send_part", PartFailed("refused", 1.0, transient=True), first=choose.randrange(1, 40))

    def _plan_change(self) -> None:
        """Change the folder before the run, or after some request."""
        when = self.choose.random()
        if when < 0.15:
            self._change()
        elif when < 0.4:
            left = self.choose.randrange(10)

            def change(_: str) -> None:
                nonlocal left
                if left == 0:
                    self._change()
                left -= 1

            self.world.figshare.on_request[self.choose.choice(REQUESTS)] = change

    def _files(self) -> list[Path]:
        return sorted(path for path in self.survey.rglob("*") if path.is_file())

    def _add(self, number: int) -> None:
        choose = self.choose
        size = choose.choice([0, 1, choose.randrange(300), choose.randrange(1000)])
        self.world.source(f"survey/{choose.choice('ab')}/{number}", choose.randbytes(size))

    def _change(self) -> None:
        self._changed = True
        path = self.choose.choice(self._files())
        data = path.read_bytes()
        match self.choose.choice(["new", "gone", "grown", "shrunk", "touched", "changed unseen", "copied"]):
            case "new":
                self._add(self.choose.randrange(100, 200))
            case "gone":
                path.unlink()
                self._add(0)
            case "grown":
                rewrite(path, data + b"more")
            case "shrunk":
                rewrite(path, data[:-1])
            case "touched":
                rewrite(path, data)
            case "changed unseen":
                rewrite(path, bytes(reversed(data)), later=0)
            case _:
                copy = shutil.copy2(path, path.with_name("copy"))
                Path(copy).replace(path)

    def _check(self) -> None:
        """Each file is what it is now, in some archive or beside them; each archive's list is right."""
        (item,) = self.world.figshare.stored_items.values()
        packed: dict[str, list[bytes]] = {}
        beside = {}
        for file in item.files.values():
            assert file.status == "available"
            if file.name.endswith((".zip", ".tar")):
                found = read_members(file.content)
                listed = found.pop("MANIFEST.md5", None)
                lines = "".join(f"{md5(content)}  {name}\n" for name, content in found.items())
                assert listed == (lines.encode() if self.options.pack_manifest and found else None)
                for name, content in found.items():
                    packed.setdefault(name, []).append(content)
            else:
                beside[f"{file.folder}/{file.name}"] = file.content
        below = self.options.pack_below or 1 << 30
        for path in self._files():
            name, content = f"survey/{path.relative_to(self.survey)}", path.read_bytes()
            if len(content) < below:
                assert content in packed.get(name, [])
            else:
                assert beside.get(name) == content
        assert self.world.figshare.resent_parts == []


def rewrite(path: Path, data: bytes, *, later: int = 10**9) -> None:
    """Write a file whose mtime is `later` (ns), and whose ctime is not what it was."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + later))


async def tell(world: World, monkeypatch: pytest.MonkeyPatch, seed: int) -> Story:
    story = Story(world, seed)

    def first_readable(sending: FileSend) -> int | None:
        return story.choose.randrange(sending.left) if sending.left else None

    monkeypatch.setattr(FileSend, "_first_readable", first_readable)
    await story.run()
    return story


@pytest.mark.parametrize("seed", range(6))
async def test_what_arrives_is_the_folder(
    world: World, monkeypatch: pytest.MonkeyPatch, save_often: Callable[[int, int], None], seed: int
) -> None:
    save_often(100, 300)
    await tell(world, monkeypatch, seed)


@pytest.mark.exhaustive
async def test_what_arrives_is_the_folder_in_many_stories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: object, save_often: Callable[[int, int], None]
) -> None:
    no_blocking_calls.deactivate()  # type: ignore[attr-defined]
    save_often(100, 300)
    kills = 0
    for seed in range(100, 350):
        with monkeypatch.context() as patch:
            kills += (await tell(World(tmp_path / str(seed), patch), patch, seed)).kills
    assert kills > 100
