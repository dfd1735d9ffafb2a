"""Connections of sources that do not answer: lent to other files, and counted again afterwards."""

from __future__ import annotations

import os
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.fakes.figshare import PART_SIZE
from tests.fakes.world import World
from uploader import concurrency
from uploader.sources.source import Source
from uploader.transfer.notices import AnyNotice, FileVerified
from uploader.transfer.options import Options
from uploader.transfer.parts import worker
from uploader.transfer.parts.worker import Connections
from uploader.transfer.run import context

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("call", ["fill", "open", "stamp"])
async def test_a_source_that_hangs_holds_up_no_other_file(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str, connections: int
) -> None:
    """Its storage answers only once the other file is verified."""
    hanging = world.source("hanging.bin", os.urandom(9 * PART_SIZE))
    other = world.source("other.bin", os.urandom(5 * PART_SIZE))
    answers, inline, held_up = anyio.Event(), anyio.to_thread.run_sync, 0

    async def run(func: Any, *args: Any, **options: Any) -> Any:
        nonlocal held_up
        subject = getattr(func, "__self__", None) if call == "fill" else args[0] if args else None
        is_it = getattr(func, "__name__", "") == call and getattr(subject, "path", None) == hanging
        if is_it and not answers.is_set():
            held_up += 1
            await answers.wait()
        return await inline(func, *args, **options)

    def on_event(notice: AnyNotice) -> None:
        if isinstance(notice, FileVerified) and notice.path == other:
            answers.set()

    monkeypatch.setattr(anyio.to_thread, "run_sync", run)
    monkeypatch.setattr(Source, "read_into", lambda *_: 0)  # nothing is in memory
    monkeypatch.setattr(worker, "PATIENCE", 0.01)
    monkeypatch.setattr(concurrency, "PATIENCE", 0.01)
    monkeypatch.setattr(context, "_EXAMINED", 1)
    async with world.client(Options(connections=connections)) as client:
        report = await client.upload([hanging, other], on_event=on_event)
    assert [file.status for file in report.files] == ["verified", "verified"]
    assert held_up == (max(connections, 2) if call == "fill" else 1)
    assert world.figshare.resent_parts == []


async def test_a_lent_connection_counts_again_once_its_source_answers() -> None:
    connections = Connections(2)
    for holder in ("one", "other"):
        await connections.slots.acquire_on_behalf_of(holder)
    with connections.lent():
        assert (connections.in_use, connections.slots.available_tokens) == (1, 1)
        connections.allow(1)
        assert (connections.in_use, connections.slots.available_tokens) == (1, 0)
    assert (connections.in_use, connections.slots.available_tokens) == (2, -1)
