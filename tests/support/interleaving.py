"""Two processes in one event loop, interleaved by a schedule: each can be suspended at any step.

A step is a request, or a call that reads or writes what processes share: lock, lease, journal, turns. A suspended
process does nothing at all, while time passes.
"""

from __future__ import annotations

import fcntl
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from tests.fakes.records import RecordWorld
from tests.fakes.world import World, md5
from uploader.disk import Disk
from uploader.transfer.options import Options
from uploader.transfer.store import lock
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import list_jobs, summarize

SHARED = ("JobStore.", "JobLock.", "Journal.", "OpenJob.", "PlaceLog.")
"""Calls that read or write what processes share, by the beginning of their names."""
TIME_LIMIT = 100.0
"""Seconds after which a running process is assumed to wait for the next one."""
TRIES = 6
"""Runs of each command after which everything must be complete."""

CONTENTS = {"a": bytes(range(100)), "b": b"b" * 50}
"""The sources, by name: one of two parts, and one of one."""

process: ContextVar[str] = ContextVar("process")


def _nothing(_: World) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Turn:
    """A process runs this number of steps; None: until it ends, or waits for another."""

    who: str
    steps: int | None = None


class Scheduler:
    """Runs processes in turns; after the last turn all run concurrently."""

    def __init__(self, world: World | RecordWorld, turns: Iterable[Turn]) -> None:
        self.steps: dict[str, list[str]] = {}
        """The steps of each process, by its name."""
        self.stood: set[str] = set()
        """Steps before which a process was suspended."""
        self._clock = world.clock
        self._turns = list(turns)
        self._since = 0.0
        self._left: int | None = None
        self._changed = anyio.Event()
        self._ended: set[str] = set()
        world.gate = self._call
        world.figshare.gate = self._request
        world.clock.gate = self._woken
        self._begin()

    def end(self) -> None:
        """Let everything run from now on."""
        self._turns.clear()
        self._changed.set()

    def ended(self, who: str) -> None:
        """Note that a process has ended."""
        self._ended.add(who)
        if self._turns and self._turns[0].who == who:
            self._next()

    async def _request(self, name: str) -> None:
        await self._step(name)

    async def _call(self, name: str) -> None:
        if name.startswith(SHARED):
            await self._step(name)
        else:
            await self._woken()

    async def _step(self, name: str) -> None:
        who = process.get("")
        await self._woken()
        if self._turns and self._turns[0].who == who and self._left is not None:
            if self._left == 0:
                self._next()
                self.stood.add(name)
                await self._woken()
            else:
                self._left -= 1
        self.steps.setdefault(who, []).append(name)

    async def _woken(self) -> None:
        """Wait until it is this process's turn."""
        who = process.get("")
        if self._turns and self._turns[0].who == who and self._clock.monotonic() - self._since > TIME_LIMIT:
            self._next()
        while who and self._turns and self._turns[0].who != who:
            await self._changed.wait()

    def _next(self) -> None:
        self._turns.pop(0)
        self._begin()

    def _begin(self) -> None:
        while self._turns and self._turns[0].who in self._ended:
            self._turns.pop(0)
        self._left = self._turns[0].steps if self._turns else None
        self._since = self._clock.monotonic()
        self._changed.set()
        self._changed = anyio.Event()


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of one process: which files it sends, where its state is, and what it sends them to."""

    who: str
    names: tuple[str, ...]
    state: str = "state"
    options: Options = field(default_factory=Options)
    target: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Two commands, and the expected end. `named`: they send to an item that the user names, with files of others.
    `titles`: of the items that they create. `locks`: the two see each other's kernel locks, as on one machine.
    """

    name: str
    commands: tuple[Command, Command]
    named: bool = False
    titles: tuple[str, ...] = ()
    locks: bool = True


@dataclass(frozen=True)
class Played:
    """How both commands ended, the steps and reruns of each, and the versions published."""

    statuses: tuple[int, int]
    steps: Mapping[str, Sequence[str]]
    again: int
    versions: int


class Stage:
    """Runs scenes, each in its own world. Raises AssertionError if something is lost, duplicated or wrong."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patch = patch
        self._numbers = itertools.count()

    async def play(self, scene: Scene, turns: Sequence[Turn], prepare: Callable[[World], None] = _nothing) -> Played:
        """Run both commands in this order, rerun both until they exit with 0, and check the result."""
        with self._patch.context() as patch:
            play = _Play(World(self._folder / str(next(self._numbers)), patch), scene, patch)
            prepare(play.world)
            try:
                return await play.run(turns)
            except AssertionError as error:
                steps = {who: list(enumerate(steps)) for who, steps in play.scheduler.steps.items()}
                raise AssertionError(f"{scene.name}: {turns}: {error}\n{steps}") from error


class _Play:
    def __init__(self, world: World, scene: Scene, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self._scene = scene
        world.folder.mkdir(parents=True)
        for name, content in CONTENTS.items():
            world.source(name, content)
        self._item = world.figshare.add_item("given") if scene.named else None
        self._theirs: list[tuple[str, str]] = []
        if self._item is not None:
            for name, status in (("other", "available"), ("unfinished", "created")):
                world.figshare.add_file(self._item, name, b"theirs", status=status)
            self._theirs = world.contents(self._item.id)
        if not scene.locks:
            patch.setattr(fcntl, "flock", lambda *_: None)
            patch.setattr(lock, "machine_id", lambda _: process.get())
        world.figshare.on_request["publish"] = lambda _: self._check_published()

    async def run(self, turns: Sequence[Turn]) -> Played:
        self.scheduler = Scheduler(self.world, turns)
        statuses: dict[str, int] = {}

        async def run(command: Command) -> None:
            try:
                statuses[command.who] = await self._run(command)
            except BaseException:
                # Otherwise the other one would be suspended forever, even while it is cancelled.
                self.scheduler.end()
                raise
            self.scheduler.ended(command.who)

        async with anyio.create_task_group() as tasks:
            for command in self._scene.commands:
                tasks.start_soon(run, command)
        self._check_records()  # the further runs write them anew
        steps = {who: tuple(steps) for who, steps in self.scheduler.steps.items()}
        first = [statuses[command.who] for command in self._scene.commands]
        again = 0
        while any(statuses.values()):
            again += 1
            assert again < TRIES, f"still {statuses} after {again} further runs: {self.world.error}"
            for command in self._scene.commands:
                statuses[command.who] = await self._run(command)
        for command in self._scene.commands:
            assert await self._run(command) == 0, self.world.error
        self._check_end()
        versions = max(item.version for item in self.world.figshare.stored_items.values())
        return Played((first[0], first[1]), steps, again, versions)

    async def _run(self, command: Command) -> int:
        """Run a command; if it exits with 0, everything must be complete at that moment."""
        process.set(command.who)
        target = {"item": self._item.id} if self._item is not None else {}
        what = [str(self.world.folder / name) for name in command.names]
        status = await self.world.upload(what, state=command.state, options=command.options, **target, **command.target)
        assert status in (0, 1, 8, 75), self.world.error
        if status == 0:
            assert self.world.report is not None
            assert self.world.report.item_id is not None
            stored = Counter(self.world.contents(self.world.report.item_id))
            for name in command.names:
                assert stored[name, md5(CONTENTS[name])] >= 1, f"{command.who} said 0, but {name} is not there"
        return status

    def _check_published(self) -> None:
        for item in self.world.figshare.stored_items.values():
            names = {name for c in self._scene.commands if c.target.get("title") == item.title for name in c.names}
            stored = self.world.contents(item.id)
            missing = [name for name in names if (name, md5(CONTENTS[name])) not in stored]
            assert not item.version or not missing, "published without everything"

    def _states(self, command: Command) -> JobStore:
        return JobStore(self.world.folder / command.state, Disk())

    def _check_records(self) -> None:
        """Check that what is kept beside each journal is what its state leads to, in whatever order they wrote."""
        for command in self._scene.commands:
            states = self._states(command)
            for listed in list_jobs(states):
                kept, summary = msgspec.structs.asdict(listed), msgspec.structs.asdict(summarize(states, listed.job))
                assert kept == {name: summary[name] for name in kept}, "the overview is not the job's"
                if listed.state != "done":
                    continue
                local, remote, _ = states.manifest_paths(listed.job)
                names = sorted(Path(file.path).name for file in summarize(states, listed.job).files)
                for path in (local, remote):
                    lines = path.read_text("utf-8").splitlines()
                    found = sorted((line[:32], line.rpartition("/")[2].rpartition(" ")[2]) for line in lines)
                    assert found == sorted((md5(CONTENTS[name]), name) for name in names), f"{path.name} is wrong"

    def _check_end(self) -> None:
        self._check_records()
        assert all(
            listed.state == "done" for command in self._scene.commands for listed in list_jobs(self._states(command))
        )
        items = self.world.figshare.stored_items.values()
        if self._item is not None:
            names = {name for command in self._scene.commands for name in command.names}
            sent = [(name, md5(CONTENTS[name])) for name in names]
            assert self.world.contents(self._item.id) == sorted([*sent, *self._theirs])
            assert len(items) == 1
            return
        assert sorted(item.title for item in items) == sorted(self._scene.titles)
        wanted = [sorted((name, md5(CONTENTS[name])) for name in c.names) for c in self._scene.commands]
        stored = [self.world.contents(item.id) for item in items]
        assert sorted(stored) == sorted(wanted)[: len(stored)] or sorted(stored) == sorted(wanted)
        # Figshare has no conditional requests, so a request in flight has its effect whatever happened meanwhile.
        most = 1 + ("publish" in self.scheduler.stood)
        assert all(item.version <= most for item in items)
