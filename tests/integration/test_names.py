"""A host name that stops resolving: a short failure is waited out, a longer one is 75, and a rerun continues."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.invariants import check_exactly_once
from tests.support.sandbox import Sandbox
from uploader.errors import Interrupted, Unreachable
from uploader.figshare.settings import RetryPolicy, Settings
from uploader.transfer.client import Client
from uploader.transfer.notices import FileStarted, Notice
from uploader.transfer.report import RunFailed

pytestmark = pytest.mark.anyio


class Names:
    """This machine's resolver; `fails(n)` says whether the n-th question (from 1) for `localhost` has no answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], bool]) -> None:
        self._honest = socket.getaddrinfo
        self._fails = fails
        self.asked = 0
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "localhost":
            self.asked += 1
            if self._fails(self.asked):
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self._honest(host, *args, **kwargs)


def client(sandbox: Sandbox, state: Path, retry_timeout: float = 60) -> Client:
    endpoint = sandbox.url.replace("127.0.0.1", "localhost")
    retry = RetryPolicy(first_delay=0.05, elapsed_cap=retry_timeout)
    return Client(sandbox.token, settings=Settings(endpoint, api_rate=None, retry=retry), state_dir=state)


async def test_a_short_outage_is_retried(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(os.urandom(1000))
    names = Names(monkeypatch, lambda n: n <= 3)
    async with client(sandbox, tmp_path / "state") as session:
        report = await session.upload(source, title="Title")
    assert (report.exit_status, names.asked > 3) == (0, True)
    await asyncio.to_thread(check_exactly_once, sandbox, source)


async def test_after_a_job_was_begun(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(os.urandom(1000))
    async with client(sandbox, tmp_path / "state") as session:

        def stop(notice: Notice) -> None:
            if isinstance(notice, FileStarted):
                session.stop()

        with pytest.raises(RunFailed) as stopped:
            await session.upload(source, title="Title", on_event=stop)
    assert isinstance(stopped.value.error, Interrupted)
    with monkeypatch.context() as patch:
        Names(patch, lambda _: True)
        async with client(sandbox, tmp_path / "state", retry_timeout=0.2) as session:
            with pytest.raises(RunFailed, match="its name cannot be resolved") as caught:
                await session.upload(source, title="Title")
    assert isinstance(caught.value.error, Unreachable)
    assert caught.value.exit_status == 75
    async with client(sandbox, tmp_path / "state") as session:
        await session.upload(source, title="Title")
    await asyncio.to_thread(check_exactly_once, sandbox, source)
