"""Upload addresses are secrets, and some of aiohttp's messages contain them."""

from __future__ import annotations

import errno
from typing import Any, cast

import aiohttp
import pytest

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
