"""Connections of sources that do not answer: lent to other files, and taken again afterwards."""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest

from tests.fakes.clock import VirtualClock
from tests.fakes.figshare import PART_SIZE
from tests.fakes.world import World
from uploader.concurrency import PATIENCE
from uploader.figshare.models import Part
from uploader.sources.source import Source
from uploader.transfer.notices import AnyNotice, FileVerified
from uploader.transfer.options import Options
from uploader.transfer.parts.connections import Connections
from uploader.transfer.parts.reader import PartReader
from uploader.transfer.parts.worker import Slot
from uploader.transfer.run import context
from uploader.transfer.run.stop import Stop
from uploader.transfer.run.throttle import Throttle

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("call", ["fill", "open", "stamp"])
async def test_a_source_that_hangs_holds_up_no_other_file(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str, connections: int
) -> None:
    """Its storage answers only once the other file is verified."""
    hanging = world.source("hanging.bin", os.urandom(9 * PART_SIZE))
    other = world.source("other.bin", os.urandom(5 * PART_SIZE))
    answers, inline = anyio.Event(), anyio.to_thread.run_sync

    async def run(func: Any, *args: Any, **options: Any) -> Any:
        subject = getattr(func, "__self__", None) if call == "fill" else args[0] if args else None
        is_it = getattr(func, "__name__", "") == call and getattr(subject, "path", None) == hanging
        if is_it and not answers.is_set():
            await answers.wait()
        return await inline(func, *args, **options)

    def on_event(notice: AnyNotice) -> None:
        if isinstance(notice, FileVerified) and notice.path == other:
            answers.set()

    monkeypatch.setattr(anyio.to_thread, "run_sync", run)
    monkeypatch.setattr(Source, "read_into", lambda *_: 0)  # nothing is in memory
    monkeypatch.setattr(context, "_EXAMINED", 1)
    async with world.client(Options(connections=connections)) as client:
        report = await client.upload([hanging, other], on_event=on_event)
    assert [file.status for file in report.files] == ["verified", "verified"]
    assert world.figshare.resent_parts == []


@pytest.fixture
def connections() -> Connections:
    return Connections(1)


@pytest.fixture
def slot(connections: Connections) -> Slot:
    run: Any = SimpleNamespace(stop=Stop(), clock=VirtualClock(), new_backoff=lambda: None)
    return Slot(run, connections)


class Hanging:
    """A source that answers when it is told to; it stands for its file, too."""

    def __init__(self) -> None:
        self.answers, self.continued = anyio.Event(), anyio.Event()
        self.held_up = nullcontext

    async def read(self, slot: Slot) -> None:
        sending: Any = self
        async with slot.waiting(sending):
            await self.answers.wait()
        self.continued.set()


async def test_a_part_waits_for_a_connection_once_its_source_answers(connections: Connections, slot: Slot) -> None:
    source, began = Hanging(), anyio.Event()

    async def begin() -> None:
        await connections.take()
        began.set()

    await slot.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.read, slot)
        await anyio.wait_all_tasks_blocked()
        connections.lend(PATIENCE - 0.1)
        assert (connections.in_use, connections.lent) == (1, 0)
        connections.lend(PATIENCE)
        assert (connections.in_use, connections.lent) == (0, 1)
        await connections.take()
        tasks.start_soon(begin)
        source.answers.set()
        await anyio.wait_all_tasks_blocked()
        assert (connections.in_use, connections.lent, source.continued.is_set()) == (1, 0, False)
        connections.release()
        await anyio.wait_all_tasks_blocked()
        assert (connections.in_use, source.continued.is_set(), began.is_set()) == (1, True, False)
        slot.release()
    assert (connections.in_use, began.is_set()) == (1, True)


async def test_a_read_that_outlasts_its_attempt_leaves_the_next_attempt_alone(
    connections: Connections, slot: Slot
) -> None:
    abandoned, present = Hanging(), Hanging()
    await slot.take()
    async with anyio.create_task_group() as tasks:
        first = anyio.CancelScope()

        async def read_shielded() -> None:
            with first:
                await abandoned.read(slot)

        tasks.start_soon(read_shielded)
        await anyio.wait_all_tasks_blocked()
        slot.release()
        await slot.take()
        connections.lend(PATIENCE)
        assert (connections.in_use, connections.lent) == (1, 0)
        tasks.start_soon(present.read, slot)
        await anyio.wait_all_tasks_blocked()
        connections.lend(PATIENCE)
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert (connections.in_use, connections.lent) == (0, 1)
        present.answers.set()
    assert (connections.in_use, connections.lent) == (1, 0)


async def test_who_stops_waiting_for_a_connection_holds_none(connections: Connections) -> None:
    await connections.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connections.take)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        connections.release()  # it gets the connection, and is cancelled before it knows
    assert connections.in_use == 0


@pytest.mark.parametrize("advances", [True, False])
async def test_a_digest_that_advances_slowly_is_waited_for(
    connections: Connections, slot: Slot, *, advances: bool
) -> None:
    """Only one whose storage hangs lets other files go ahead: more files would make a slow disk slower."""
    waited, clock = anyio.Event(), VirtualClock()
    digest: Any = SimpleNamespace(position=0, advance=lambda _: None)
    digest.awaited = lambda *_: 0 if waited.is_set() else 1
    digest.wait_for_position = lambda _: waited.wait()
    source: Any = SimpleNamespace(read_into=lambda _, buffer: len(buffer))
    waiting = partial(slot.waiting, cast("Any", Hanging()))
    part, throttle = Part(no=1, start=0, end=7), Throttle(None, clock)
    reader = PartReader(source, digest, part, throttle, run_start=0, waiting=waiting)
    await slot.take()
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            assert b"".join([bytes(chunk) async for chunk in reader.chunks()]) == bytes(8)

        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        for now in range(1, 20):
            digest.position += advances
            connections.lend(now)
        assert connections.lent == (not advances)
        waited.set()
    assert (connections.in_use, connections.lent) == (1, 0)
