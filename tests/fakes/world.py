"""A computer in memory: a client whose Figshare, time and threads are fakes; only its files are on a real disk."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from tests.fakes.clock import VirtualClock
from tests.fakes.figshare import FakeFigshare, Killed
from uploader.disk import FILE_MODE, Disk
from uploader.errors import FigupError
from uploader.figshare.settings import Settings
from uploader.sources.models import Sources
from uploader.transfer import client as client_module
from uploader.transfer.arguments import Paths
from uploader.transfer.client import Client
from uploader.transfer.notices import AnyNotice
from uploader.transfer.options import Options
from uploader.transfer.parts import senders as senders_module
from uploader.transfer.report import Report, RunFailed

ENDPOINT = "https://api.example.org/v2"
KILLED = -9


class KillableDisk(Disk):
    """A disk that syncs nothing, and ignores writes of a killed (`dead`) process."""

    def __init__(self) -> None:
        self.dead = False

    def sync(self, fd: int, path: Path) -> None:
        """Nothing here outlives the test."""

    def sync_folder(self, path: Path) -> None:
        """Nothing here outlives the test."""

    def write(self, fd: int, data: bytes, path: Path) -> None:
        if not self.dead:
            super().write(fd, data, path)

    def replace(self, path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
        if not self.dead:
            super().replace(path, data, mode=mode)

    def replace_in_pieces(self, path: Path, pieces: Iterable[bytes], *, mode: int = FILE_MODE) -> None:
        if not self.dead:
            super().replace_in_pieces(path, pieces, mode=mode)

    def create(self, path: Path, data: bytes) -> bool:
        return self.dead or super().create(path, data)

    def append(self, path: Path, data: bytes) -> None:
        if not self.dead:
            super().append(path, data)

    def put(self, path: Path, data: bytes) -> None:
        if not self.dead:
            super().put(path, data)


class World:
    """Where jobs run in milliseconds. `notices` are those of all runs."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.figshare = FakeFigshare(self.clock)
        self.figshare.on_killed = self._kill
        self.notices: list[AnyNotice] = []
        self.report: Report | None = None
        """The report of the last run, None if it did not start."""
        self.error: FigupError | None = None
        """The error that ended the last run."""
        self._disk = KillableDisk()
        self.gate: Callable[[str], Awaitable[None]] = _pass
        """Awaited before each call that blocks, by the qualified name of its function."""
        patch.setattr(anyio.to_thread, "run_sync", self._run_inline)
        patch.setattr(client_module, "Clock", lambda: self.clock)
        patch.setattr(client_module, "Figshare", self._connect)
        patch.setattr(client_module, "Disk", self._new_disk)
        # Each is a task that starts and ends; the few parts of a test need no more.
        patch.setattr(senders_module, "WORKERS", 8)

    def source(self, name: str, content: bytes) -> str:
        """A local file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def client(self, options: Options | None = None, state: str = "state") -> Client:
        """A client of its own process."""
        return Client(
            "t0ken",
            endpoint=ENDPOINT,
            state_dir=self.folder / state,
            options=options or Options(),
            settings=Settings(ENDPOINT),
        )

    async def upload(
        self, what: Paths | Sources, *, state: str = "state", options: Options | None = None, **target: Any
    ) -> int:
        """Run `figup upload`; its exit status, KILLED if the process was killed."""
        return await self.run(
            lambda client: client.upload(what, on_event=self.notices.append, **target), state, options
        )

    async def resume(self, job: str | None = None, *, state: str = "state", options: Options | None = None) -> int:
        """Run `figup resume`; without `job` for the unfinished one."""
        return await self.run(lambda client: client.resume(job, on_event=self.notices.append), state, options)

    async def cancel(self, *, state: str = "state") -> int:
        """Run `figup cancel` for the unfinished job."""
        (job,) = {path.name for path in (self.folder / state / "jobs").iterdir()}
        return await self.run(lambda client: client.cancel(job, on_event=self.notices.append), state, None)

    async def run(self, call: Callable[[Client], Any], state: str, options: Options | None) -> int:
        self._disk.dead = False
        self.report = self.error = None
        try:
            async with self.client(options, state) as client:
                answer = await call(client)
        except Killed:
            return KILLED
        except RunFailed as failed:
            self.report, self.error = failed.report, failed.error
            return self.error.exit_status
        except FigupError as error:
            self.error = error
            return error.exit_status
        except BaseExceptionGroup as group:
            if group.subgroup(Killed) is None:
                raise
            return KILLED
        self.report = answer if isinstance(answer, Report) else None
        return 0

    async def _run_inline(self, func: Callable[..., Any], *args: Any, abandon_on_cancel: bool = False, **_: Any) -> Any:
        """Stands for `anyio.to_thread.run_sync`: one thread, so that time and the order of events are reproducible."""
        await anyio.lowlevel.checkpoint()
        with anyio.CancelScope(shield=not abandon_on_cancel):
            await self.gate(getattr(func, "__qualname__", ""))
        return func(*args)

    def _kill(self) -> None:
        self._disk.dead = True

    def _new_disk(self) -> KillableDisk:
        self._disk = KillableDisk()
        return self._disk

    def _connect(self, *_: object, on_retry: Callable[[str, float], None], **__: object) -> FakeFigshare:
        self.figshare.on_retry = on_retry
        return self.figshare

    def jobs(self, state: str = "state") -> set[Path]:
        """The folders of the jobs."""
        return set((self.folder / state / "jobs").iterdir())

    def contents(self, item_id: int) -> list[tuple[str, str]]:
        """Return path (or address) and MD5 of each of the item's files, in order."""
        found = []
        for file in self.figshare.stored_items[item_id].files.values():
            path = f"{file.folder}/{file.name}" if file.folder else file.name
            md5 = file.md5 if file.status == "available" else file.status
            found.append((file.link, "") if file.link is not None else (path, md5))
        return sorted(found)


def md5(content: bytes) -> str:
    """Return the MD5 in hex."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


async def _pass(_: str) -> None:
    """Make every call at once."""
