"""The library in event loops other than asyncio's own: uvloop, and trio, which cannot run it."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import uvloop

import uploader
from tests.support.hostile import Answer, Asked, Hostile, Stream, answer, hostile
from uploader import errors
from uploader.figshare.settings import RetryPolicy, Settings
from uploader.transfer.options import Options

TOKEN = "c4nary-t0ken-4d5e6f"
SIZE = 5_000_000
OPTIONS = Options(settle_timeout="0.5s", verify_timeout="0.5s")


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as made:
        yield made


@pytest.fixture
def upload(server: Hostile, tmp_path: Path) -> Callable[[], Awaitable[uploader.Report]]:
    """One upload of SIZE bytes to the server, for any loop."""
    (tmp_path / "data.bin").write_bytes(b"x" * SIZE)
    settings = Settings(server.url, retry=RetryPolicy(first_delay=0.05, elapsed_cap=2), stall_timeout=1)

    async def call() -> uploader.Report:
        client = uploader.Client(
            TOKEN, endpoint=server.url, state_dir=tmp_path / "state", options=OPTIONS, settings=settings
        )
        async with client:
            return await client.upload([tmp_path / "data.bin"], title="In another loop")

    return call


async def _reset(writer: asyncio.StreamWriter) -> None:
    handle = writer.transport.get_extra_info("socket")
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _half(writer: asyncio.StreamWriter) -> None:
    writer.write(answer(200, b"OK")[:-1])
    await writer.drain()
    writer.close()


def first(fault: Answer, kind: str, server: Hostile, times: int = 2) -> None:
    """Inject this fault into the first requests of a kind."""
    left = [fault] * times

    def say(asked: Asked) -> Answer:
        return left.pop() if left else server.honest(asked)

    server.answers[kind] = say


FAULTS: dict[str, Answer] = {"a reset": _reset, "half an answer": _half, "closed": None, "busy": answer(503)}


@pytest.mark.parametrize("kind", ["put", "item", "upload"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_faults_of_the_network_under_uvloop(
    server: Hostile, upload: Callable[[], Any], fault: Answer | Stream, kind: str
) -> None:
    first(fault, kind, server)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(upload())
    assert [file.status for file in report.files] == ["verified"]
    # The item is requested twice more at the end: for the folders of its files, and since its listing lacks one.
    assert server.kinds().count(kind) == (5 if kind == "item" else 3)


def test_an_upload_cancelled_under_uvloop_can_be_resumed(server: Hostile, upload: Callable[[], Any]) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(upload())
        while "put" not in server.kinds():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def silence(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server.answers["put"] = lambda _: silence
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(cancelled())
        server.answers.clear()
        assert [file.status for file in runner.run(upload()).files] == ["verified"]
    assert server.kinds().count("create") == 1


def test_under_trio_a_clear_error_is_raised(server: Hostile, upload: Callable[[], Any], tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="asyncio event loop") as caught:
        trio.run(upload)
    assert "trio.to_thread.run_sync" in (caught.value.hint or "")
    call = functools.partial(
        uploader.upload, [tmp_path / "data.bin"], title="In a thread", token=TOKEN, endpoint=server.url,
        state_dir=tmp_path / "state",
    )  # fmt: skip
    report = trio.run(trio.to_thread.run_sync, call)
    assert [file.status for file in report.files] == ["verified"]


def test_a_blocking_call_under_trio_raises_a_clear_error(tmp_path: Path) -> None:
    async def call() -> None:
        uploader.upload("a", token="t0ken", state_dir=tmp_path)

    with pytest.raises(errors.UsageError, match="blocks and cannot be called inside") as caught:
        trio.run(call)
    assert "trio.to_thread.run_sync" in (caught.value.hint or "")
