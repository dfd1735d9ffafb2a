"""Calls cancelled natively (`task.cancel()`) at any await: nothing stays open or locked, nothing is lost."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import uploader
from tests.support.invariants import check_exactly_once
from tests.support.open_files import open_files
from tests.support.sandbox import Sandbox
from tests.support.sandbox_api import TOKEN, sandbox_api
from uploader.clock import Clock
from uploader.concurrency import run_isolated
from uploader.disk import Disk
from uploader.errors import Interrupted
from uploader.figshare.settings import Settings
from uploader.sources.models import Sources
from uploader.sources.select import select
from uploader.transfer.client import Client
from uploader.transfer.job import OpenJob
from uploader.transfer.journal.plan import Target, plan_events
from uploader.transfer.notices import Notice
from uploader.transfer.options import Options
from uploader.transfer.report import RunFailed
from uploader.transfer.store.jobs import JobStore

pytestmark = pytest.mark.anyio


class Canceller:
    """Cancels a task before, during or after the n-th call that code makes in a thread; every await of ours is one,
    or waits for the network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, point: int, when: str) -> None:
        self._real: Callable[..., Awaitable[Any]] = anyio.to_thread.run_sync
        self._point, self._when = point, when
        self._calls = itertools.count(1)
        self.struck = False
        self.task: asyncio.Task[Any] | None = None
        monkeypatch.setattr(anyio.to_thread, "run_sync", self._run_sync)

    async def _run_sync(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.task is None or next(self._calls) != self._point:
            return await self._real(work, *args, **kwargs)
        self.struck = True
        if self._when == "during":
            loop, arrived = asyncio.get_running_loop(), threading.Event()
            work = self._with_strike(work, loop, arrived)
        if self._when == "before":
            self.task.cancel()
        result = await self._real(work, *args, **kwargs)
        if self._when == "after":
            self.task.cancel()
        return result

    def _with_strike(
        self, work: Callable[..., Any], loop: asyncio.AbstractEventLoop, arrived: threading.Event
    ) -> Callable[..., Any]:
        def settle(turns: int) -> None:
            # The loop has processed the cancellation completely before the thread continues.
            if turns:
                loop.call_soon(settle, turns - 1)
            else:
                arrived.set()

        def strike() -> None:
            if self.task is not None:
                self.task.cancel()
            settle(20)

        def struck(*args: Any) -> Any:
            loop.call_soon_threadsafe(strike)
            arrived.wait(10)
            return work(*args)

        return struck


def locked(folder: Path) -> list[Path]:
    """Return the lock files below a folder that are locked."""
    stored = []
    for path in folder.rglob("lock"):
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stored.append(path)
        finally:
            os.close(fd)
    return stored


@pytest.mark.parametrize("when", ["before", "during", "after"])
async def test_a_job_that_is_being_opened_or_closed(when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"a")
    target = Target(endpoint="https://example.org/v2", item=None, title="title")
    selection = await asyncio.to_thread(select, Sources(paths=(str(source),)))
    plan = await asyncio.to_thread(plan_events, target, selection, "job")
    for point in itertools.count(1):
        states = JobStore(tmp_path / f"state {point}", Disk())

        async def work(states: JobStore = states) -> None:
            async with OpenJob(states, "job", Clock(), lambda: plan, new=True) as job:
                await job.journal.commit()

        with monkeypatch.context() as patch:
            canceller = Canceller(patch, point, when)
            canceller.task = asyncio.create_task(run_isolated(work))
            await asyncio.wait([canceller.task])
        assert open_files(tmp_path) == [], point
        assert await asyncio.to_thread(locked, tmp_path) == [], point
        if not canceller.struck:
            break
    assert point > 5


@pytest.mark.parametrize("when", ["before", "during", "after"])
async def test_an_upload_cancelled_anywhere_can_be_resumed(
    when: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(os.urandom(600_000))
    state = tmp_path / "state"
    options = Options(settle_timeout=1, connections=2)
    async with Client(
        sandbox.token, settings=Settings(sandbox.url, api_rate=None), options=options, state_dir=state
    ) as client:
        cancelled = 0
        for point in itertools.count(1, 3):
            with monkeypatch.context() as patch:
                canceller = Canceller(patch, point, when)
                canceller.task = asyncio.create_task(client.upload(source, title="Title"))
                await asyncio.wait([canceller.task])
            cancelled += canceller.task.cancelled()
            assert open_files(state) == [], point
            assert open_files(source) == [], point
            assert await asyncio.to_thread(locked, state) == [], point
            if not canceller.struck:
                break
        assert cancelled > 5
        report = await client.upload(source, title="Title")
    assert report.exit_status == 0
    await asyncio.to_thread(check_exactly_once, sandbox, source)


async def test_a_report_cancelled_anywhere_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock and its database are opened in threads."""
    async with (
        sandbox_api(tmp_path / "sandbox", seed_items=3) as api,
        uploader.Client(TOKEN, endpoint=api.at.url, state_dir=tmp_path / "state") as client,
    ):
        for point in itertools.count(1, 3):
            with monkeypatch.context() as patch:
                canceller = Canceller(patch, point, "during")
                canceller.task = asyncio.create_task(client.report("own", tmp_path / f"{point}.csv"))
                await asyncio.wait([canceller.task])
            assert open_files(tmp_path / "state") == [], point
            assert await asyncio.to_thread(locked, tmp_path / "state") == [], point
            if not canceller.struck:
                break
        assert point > 10
        assert canceller.task is not None
        assert canceller.task.result().listed


async def test_a_second_cancellation_is_awaited_too() -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(0.05)
                done.append("cleaned up")

    task = asyncio.create_task(run_isolated(work))
    for _ in range(4):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["cleaned up"]


async def test_a_stopped_client_can_be_used_again(sandbox: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(os.urandom(100_000))
    async with Client(sandbox.token, endpoint=sandbox.url, state_dir=tmp_path / "state") as client:
        client.stop()

        def stop_at_once(_: Notice) -> None:
            client.stop()

        with pytest.raises(RunFailed) as stopped:
            await client.upload(source, title="Title", on_event=stop_at_once)
        report = await client.upload(source, title="Title")
    assert isinstance(stopped.value.error, Interrupted)
    assert report.exit_status == 0
    await asyncio.to_thread(check_exactly_once, sandbox, source)
