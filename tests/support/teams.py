"""Several processes on one job in one event loop: any of them can be killed, frozen, woken or started at any time.

Time is virtual, and sending a part takes some of it. The upload service locks a part while it is being received, until
its sender is silent for too long.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

from tests.fakes.clock import VirtualClock
from tests.fakes.figshare import PART_SIZE, FakeFigshare, Killed, StoredFile
from tests.fakes.world import KILLED, KillableDisk, World, md5
from uploader.cluster import member as member_module
from uploader.cluster import team as team_module
from uploader.cluster.team import JoinedTeam
from uploader.errors import FigupError
from uploader.figshare.models import Part
from uploader.figshare.outcomes import PartFailed, PartLocked
from uploader.transfer import client as client_module
from uploader.transfer import engine
from uploader.transfer.client import Client
from uploader.transfer.options import Options
from uploader.transfer.report import RunFailed
from uploader.transfer.store import lock

PATIENCE = 40.0
"""Seconds for which the upload service waits for a sender that sends nothing."""
TIME_LIMIT = 50_000.0
"""Seconds of virtual time after which a job must be done."""

process: ContextVar[str] = ContextVar("process", default="")


class TeamFigshare(FakeFigshare):
    """A Figshare whose parts take time to send. `speed`: bytes per second of each connection of a process."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.speed: Callable[[str], float] = lambda _: 4.0
        self.duration: Callable[[str, int], float] = lambda who, size: size / self.speed(who)
        """Seconds that a process needs for a part of this size that it begins now."""
        self.sent: list[tuple[str, int, int, float]] = []
        """Process, file id, part number and time of each part that was accepted."""
        self.connections = self.most_connections = 0
        self._receiving: dict[tuple[int, int], float] = {}

    def _expire(self, file: StoredFile) -> None:
        for (file_id, no), since in tuple(self._receiving.items()):
            if file_id == file.id and self.clock.monotonic() - since > PATIENCE:
                del self._receiving[file_id, no]
                file.locked.discard(no)

    async def carry(self, who: str, size: int, on_accepted: Callable[[int], None] | None) -> bool:
        """Let a part of this size pass; True if `on_accepted` was called with its bytes."""
        await self.clock.sleep(self.duration(who, size))
        return False

    async def part(self, upload_url: str, no: int) -> Part:
        self._expire(self._upload(upload_url))
        return await super().part(upload_url, no)

    async def send_part(
        self,
        upload_url: str,
        part: Part,
        chunks: Callable[[], AsyncIterator[bytes | memoryview]],
        *,
        on_accepted: Callable[[int], None] | None = None,
        fresh_connection: bool = False,
    ) -> None:
        file = self._upload(upload_url)
        self._expire(file)
        key, began = (file.id, part.no), self.clock.monotonic()
        if key in self._receiving:
            raise PartLocked("another sender")
        self._receiving[key] = began
        file.locked.add(part.no)
        self.connections += 1
        self.most_connections = max(self.connections, self.most_connections)
        try:
            accepted = await self.carry(process.get(), part.size, on_accepted)
            if self._receiving.get(key) != began:
                raise PartFailed("the connection was closed")
            file.locked.discard(part.no)
            await super().send_part(upload_url, part, chunks, on_accepted=None if accepted else on_accepted)
            self.sent.append((process.get(), file.id, part.no, self.clock.monotonic()))
        finally:
            self.connections -= 1
            if self._receiving.get(key) == began:
                del self._receiving[key]
                file.locked.discard(part.no)


class CrashingDisk(KillableDisk):
    """A disk whose process is killed at a point of its writes to the files of a team, counted from 1; 0: nowhere.

    Each write has a point before it and one after it; one that appends also one at which half of it is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.crash_at = 0
        self.points = 0

    def _reach(self) -> None:
        self.points += 1
        if self.points == self.crash_at:
            self.dead = True
            raise Killed

    def put(self, path: Path, data: bytes) -> None:
        in_team = "team" in path.parts
        if in_team:
            self._reach()
        super().put(path, data)
        if in_team:
            self._reach()

    def append(self, path: Path, data: bytes) -> None:
        if "team" not in path.parts:
            super().append(path, data)
            return
        self._reach()
        super().append(path, data[: len(data) // 2])
        self._reach()
        super().append(path, data[len(data) // 2 :])
        self._reach()


@dataclass(kw_only=True)
class Member:
    """A process. `status` is its exit status once it has ended."""

    name: str
    scope: anyio.CancelScope
    disk: CrashingDisk
    status: int | None = None
    error: FigupError | None = None
    client: Client | None = None
    awake: anyio.Event = field(default_factory=anyio.Event)


class Crew:
    """A job and its processes. `strangers`: each is on a separate machine, and no kernel lock reaches another one."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, contents: Mapping[str, bytes], *, strangers: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.world = World(folder, patch)
        self.clock = self.world.clock
        self.figshare = TeamFigshare(self.clock)
        self.world.figshare = self.figshare
        self.contents = contents
        self.sources = [self.world.source(name, content) for name, content in contents.items()]
        self.members: dict[str, Member] = {}
        self.options = Options()
        self.target: dict[str, object] = {"title": "title"}
        self.slowed: set[str] = set()
        self._numbers = itertools.count()
        self._tasks: TaskGroup
        patch.setattr(client_module, "Disk", self._new_disk)
        for module in (engine, member_module):
            patch.setattr(module, "TICK", 2.0)
        self.world.gate = self._wait_awake
        self.figshare.gate = self._wait_awake
        self.clock.gate = self._wait_awake
        if strangers:
            patch.setattr(lock, "try_flock", lambda _: True)
            for module in (lock, team_module):
                patch.setattr(module, "machine_id", lambda _: process.get())

    def _new_disk(self) -> CrashingDisk:
        return self.members[process.get()].disk

    async def _wait_awake(self, _: str = "") -> None:
        member = self.members.get(process.get())
        if member is not None:
            await member.awake.wait()

    # --- what can happen ------------------------------------------------------------------------------------------

    def start(
        self, *, may_lead: bool = True, share: tuple[int, int] | None = None, crash_at: int = 0, tasks: int = 1
    ) -> str:
        """Start a process; its name."""
        name = f"p{next(self._numbers)}"
        member = Member(name=name, scope=anyio.CancelScope(), disk=CrashingDisk())
        member.awake.set()
        member.disk.crash_at = crash_at
        self.members[name] = member
        self._tasks.start_soon(self._live, member, may_lead, share, tasks)
        return name

    async def _live(self, member: Member, may_lead: bool, share: tuple[int, int] | None, tasks: int) -> None:
        process.set(member.name)
        with member.scope:
            try:
                async with self.world.client(self.options) as client:
                    member.client = client
                    client.team = JoinedTeam(may_lead=may_lead, task=member.name, share=share, tasks=tasks)
                    report = await client.upload(self.sources, on_event=self.world.notices.append, **self.target)  # type: ignore[arg-type]
                    member.status = report.exit_status
            except RunFailed as failed:
                member.error, member.status = failed.error, failed.error.exit_status
            except FigupError as error:
                member.error, member.status = error, error.exit_status
            except Killed:
                member.status = KILLED
            except BaseExceptionGroup as group:
                if group.subgroup(Killed) is None:
                    raise
                member.status = KILLED
        if member.scope.cancelled_caught:
            member.status = KILLED

    def kill(self, name: str) -> None:
        """Kill a process: nothing that it would still write reaches the disk."""
        member = self.members[name]
        member.disk.dead = True
        member.awake.set()
        member.scope.cancel()

    def freeze(self, name: str) -> None:
        """Suspend a process."""
        if self.members[name].awake.is_set():
            self.members[name].awake = anyio.Event()

    def wake(self, name: str) -> None:
        """Continue a suspended process."""
        self.members[name].awake.set()

    def slow_down(self, name: str) -> None:
        """Let a process's connections be slow from now on, if `figshare.speed` heeds `slowed`."""
        self.slowed.add(name)

    def stop(self, name: str) -> None:
        """Send SIGTERM."""
        client = self.members[name].client
        if client is not None:
            client.stop()

    @property
    def running(self) -> list[str]:
        """Names of the processes that have not ended."""
        return [name for name, member in self.members.items() if member.status is None]

    # --- a play ---------------------------------------------------------------------------------------------------

    async def play_together(self, number: int) -> None:
        """Start this many processes at once, and wait until all have ended."""

        async def script(crew: Crew) -> None:
            for _ in range(number):
                crew.start()

        await self.play(script)

    async def play(self, script: Callable[[Crew], object], time_limit: float = 60) -> None:
        """Run `script`, an async function of this crew, and wait until all processes have ended.

        `time_limit`: in real seconds.
        """
        with anyio.fail_after(time_limit):
            async with anyio.create_task_group() as self._tasks:
                await script(self)  # type: ignore[misc]
                for member in self.members.values():
                    self.wake(member.name)
                while self.running:
                    assert self.clock.monotonic() < TIME_LIMIT, f"still running: {self.running}"
                    await self.clock.sleep(10)

    def check(self) -> None:
        """Everything is there once, and nothing was sent that Figshare had."""
        (item,) = self.figshare.stored_items
        wanted = sorted((name, md5(content)) for name, content in self.contents.items())
        assert self.world.contents(item) == wanted
        assert self.figshare.resent_parts == []
        assert len(self.world.jobs()) == 1


def some_contents(choice: random.Random, *, big: int, small: int) -> dict[str, bytes]:
    """Big files of 20 to 40 parts, which are given in runs, and small ones, which are given whole."""
    big_ones = {f"big{n}": choice.randbytes(choice.randrange(20, 40) * PART_SIZE + 5) for n in range(big)}
    return big_ones | {f"small{n}": choice.randbytes(choice.randrange(1, 3 * PART_SIZE)) for n in range(small)}
