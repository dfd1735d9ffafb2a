"""Jobs of records in memory: only their journals are on a real disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio.to_thread
import pytest

from tests.fakes.clock import VirtualClock, run_inline
from tests.fakes.figshare import FakeFigshare, Killed, StoredItem
from tests.fakes.world import ENDPOINT, KILLED, KillableDisk
from uploader.disk import FILE_MODE
from uploader.errors import FigupError
from uploader.items.payload import ItemPayload
from uploader.records.job import OpenJob, job_store, plan
from uploader.records.journal import Action, JobState
from uploader.records.plan import Planned
from uploader.records.run import Outcome, Run, RunOptions
from uploader.records.undo import UndoResult, undo
from uploader.transfer.run.stop import Stop

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare


class CrashingDisk(KillableDisk):
    """A disk at which the process is killed: before, in the middle of or after write number `at`, from 1."""

    def __init__(self, at: int = 0, how: str = "") -> None:
        super().__init__()
        self._at, self._how = at, how
        self.writes = 0

    def write(self, fd: int, data: bytes, path: Path) -> None:
        if self._is_reached() and self._how == "torn":
            super().write(fd, data[: len(data) // 2], path)
            self._die()
        self._perhaps_die("before")
        super().write(fd, data, path)
        self._perhaps_die("after")

    def replace(self, path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
        self._is_reached()
        self._perhaps_die("before")
        super().replace(path, data, mode=mode)
        self._perhaps_die("after")

    def _is_reached(self) -> bool:
        self.writes += 1
        return self.writes == self._at

    def _perhaps_die(self, when: str) -> None:
        if self.writes == self._at and self._how == when and not self.dead:
            self._die()

    def _die(self) -> None:
        self.dead = True
        raise Killed


class RecordWorld:
    """Where jobs of records run in milliseconds. `outcomes`, `undone` and `warnings` are those of the last run."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.figshare = FakeFigshare(self.clock)
        self.figshare.on_killed = self._kill
        self.disk = CrashingDisk()
        self.outcomes: list[Outcome] = []
        self.undone: list[UndoResult] = []
        self.warnings: list[str] = []
        self.error: FigupError | None = None
        self.running: Run | None = None
        self.gate: Callable[[str], Awaitable[None]] = _pass
        """Awaited before each call that blocks, by the qualified name of its function."""
        patch.setattr(anyio.to_thread, "run_sync", self._run_inline)

    @property
    def api(self) -> Figshare:
        """The fake, for what takes a client."""
        return cast("Figshare", self.figshare)

    @property
    def job(self) -> str:
        """The name of the job that creates items."""
        return plan(ENDPOINT, 1, "create", self.folder / "records.csv", self.clock).job

    async def run(
        self,
        records: Sequence[Planned],
        options: RunOptions | None = None,
        *,
        action: Action = "create",
        disk: CrashingDisk | None = None,
    ) -> int:
        """Run `figup records create` or `update`; its exit status, KILLED if the process was killed."""
        self.outcomes, self.warnings, self.error = [], [], None
        self.disk = disk or CrashingDisk()
        planned = plan(ENDPOINT, 1, action, self.folder / "records.csv", self.clock)
        states = job_store(self.folder / "state", self.disk)
        try:
            async with OpenJob(states, planned.job, self.clock, planned) as job:
                account = await self.api.account()
                run = self.running = Run(
                    self.api, job, account, records, options or RunOptions(), warn=self.warnings.append
                )
                try:
                    await run.run()
                finally:
                    self.outcomes = list(run.outcomes())
        except Killed:
            return KILLED
        except FigupError as error:
            self.error = error
            return error.exit_status
        except BaseExceptionGroup as group:
            if group.subgroup(Killed) is None:
                raise
            return KILLED
        return 1 if run.failed else 0

    async def undo(self, *, disk: CrashingDisk | None = None) -> list[UndoResult] | None:
        """Run `figup records undo`; None if the process was killed."""
        self.disk = disk or CrashingDisk()
        try:
            states = job_store(self.folder / "state", self.disk)
            async with OpenJob(states, self.job, self.clock) as job:
                self.undone = await undo(self.api, job, Stop(), warn=self.warnings.append)
                return self.undone
        except Killed:
            return None
        except BaseExceptionGroup as group:
            if group.subgroup(Killed) is None:
                raise
            return None

    def state(self) -> JobState:
        """The state of the job as its journal has it."""
        from uploader.records.job import read_state

        return read_state(job_store(self.folder / "state"), self.job)[1]

    def items(self) -> list[StoredItem]:
        """The items on Figshare, in the order of their creation."""
        return sorted(self.figshare.stored_items.values(), key=lambda item: item.id)

    def results(self) -> list[str]:
        """The result of each record of the last run."""
        return [one.result for one in self.outcomes]

    def _kill(self) -> None:
        self.disk.dead = True

    async def _run_inline(self, func: Callable[..., object], *args: object, **more: object) -> object:
        await self.gate(getattr(func, "__qualname__", ""))
        return await run_inline(func, *args, **more)


async def _pass(_: str) -> None:
    """Make every call at once."""


def record(number: int, *, link: bool = True, **fields: object) -> Planned:
    """A record with a DOI, an author and, with `link`, a link."""
    doi = f"10.1234/{number}"
    body = {"description": f"Dam {number}", "keywords": ["dam"], "categories": [1], "doi": doi, **fields}
    return Planned(
        key=doi,
        line=number + 1,
        title=f"A dam {number}",
        payload=ItemPayload(fields=body, authors=[{"name": f"Author {number}"}]),
        link=f"https://doi.org/{doi}" if link else None,
        dois=(doi,),
    )
