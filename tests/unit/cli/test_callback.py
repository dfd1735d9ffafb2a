"""Waiting for the browser: the first answer counts, other requests do not, and there is a limit."""

from __future__ import annotations

import socket

import aiohttp
import anyio
import pytest

from tests.fakes.clock import VirtualClock
from uploader.cli.callback import LIMIT, listening, open_browser
from uploader.errors import Interrupted, UsageError


def free_redirect() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/back?x=1"


async def get(address: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(address) as answer:
        return answer.status


async def test_the_first_answer_counts(anyio_backend: str) -> None:
    redirect = free_redirect()
    async with listening(redirect) as callback:
        assert await get(redirect.replace("/back?x=1", "/favicon.ico?code=1")) == 404
        assert await get(redirect) == 404, "someone opened the address"
        assert not callback.arrived.is_set()
        assert await get(f"{redirect}&code=c%20d&state=s") == 200
        assert await get(f"{redirect}&code=other&state=s") == 200
        assert await callback.address(VirtualClock()) == f"{redirect}&code=c%20d&state=s"


async def test_a_redirect_that_never_comes_ends_in_time(anyio_backend: str) -> None:
    redirect, clock = free_redirect(), VirtualClock()
    async with listening(redirect) as callback:
        with anyio.fail_after(10), pytest.raises(Interrupted, match="within 5 min") as caught:
            await callback.address(clock)
    assert (clock.monotonic(), caught.value.exit_status, caught.value.facts.situation) == (LIMIT, 75, "no-consent")


async def test_a_port_in_use_is_a_usage_error(anyio_backend: str) -> None:
    redirect = free_redirect()
    async with listening(redirect):
        with pytest.raises(UsageError, match=r"cannot listen at .*: address already in use"):
            async with listening(redirect):
                pass


def test_without_a_display_no_browser_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("webbrowser.open", lambda _: pytest.fail("opened"))
    assert open_browser("http://127.0.0.1/") is False
