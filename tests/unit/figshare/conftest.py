"""Fixtures of the HTTP layer's tests: a scripted service, and sessions with it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.unit.figshare.service import TOKEN, FakeClock, Service, listening
from uploader.figshare.auth import Token
from uploader.figshare.client import Figshare
from uploader.figshare.settings import Settings


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def service(anyio_backend: str) -> AsyncIterator[Service]:
    made = Service()
    async with listening(made.handle) as made.port:
        yield made


@pytest.fixture
def refusing() -> Iterator[str]:
    """An endpoint that accepts no connection: a socket that does not listen holds its port."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v2"


Connect = Callable[..., Figshare]


@pytest.fixture
async def connect(service: Service, clock: FakeClock) -> AsyncIterator[Connect]:
    """Sessions with the service: `connect(on_retry=…, answer_timeout=…)`; closed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        sessions: list[Figshare] = []

        def make(*, on_retry: Callable[[str, float], None] | None = None, **settings: Any) -> Figshare:
            settings.setdefault("endpoint", service.endpoint)
            settings.setdefault("api_rate", None)
            session = Figshare(Settings(**settings), Token(TOKEN), clock=clock, on_retry=on_retry)
            stack.push_async_callback(session.close)
            sessions.append(session)
            return session

        yield make
