"""What network errors say: not more of an address than the host, and which host it was."""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from uploader.figshare.transport import ExchangeFailed, LostConnection, failure_of, without_connection_reuse

FAULT = aiohttp.ClientOSError(errno.EPIPE, "Can not write request body for http://h/upload/secret/2")


@pytest.mark.anyio
async def test_error_texts_with_urls_are_replaced() -> None:
    async def broken(_: aiohttp.ClientRequest) -> aiohttp.ClientResponse:
        raise FAULT

    with pytest.raises(LostConnection, match=r"^Broken pipe$"):
        await without_connection_reuse(cast(Any, None), broken)
    failure = failure_of(FAULT, "h")
    assert isinstance(failure, ExchangeFailed)
    assert failure.reason == "the connection broke (Broken pipe)"


class _NoNames(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def close(self) -> None:
        pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        (None, "its name cannot be resolved"),
        ("http://Proxy.example:3128", "the name of the proxy proxy.example cannot be resolved"),
    ],
)
async def test_a_name_that_cannot_be_resolved_is_the_hosts_or_the_proxys(proxy: str | None, reason: str) -> None:
    connector = aiohttp.TCPConnector(resolver=_NoNames())
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await session.get("https://api.example/v2", proxy=proxy)
    failure = failure_of(caught.value, "api.example")
    assert isinstance(failure, ExchangeFailed)
    assert failure.reason == reason
