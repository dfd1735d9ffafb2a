"""`floor_ways.py WAY FILE [PLAN]`: hash a file, or send its parts, and nothing else. PLAN has the parts, as JSON.

It imports nothing of figup or the benchmarks, since the time that this takes is measured, too.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHUNK = 256 << 10
CONNECTIONS = 4


def _hash(source: Path) -> None:
    digest, buffer = hashlib.md5(usedforsecurity=False), memoryview(bytearray(1 << 20))
    with source.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    print(digest.hexdigest())


def _send_by_threads(source: Path, plan: dict[str, Any]) -> None:
    parts = iter(plan["parts"])
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda _: _send_some(source, plan, parts), range(CONNECTIONS)))


def _send_some(source: Path, plan: dict[str, Any], parts: Iterator[dict[str, int]]) -> None:
    """Send parts over one connection until none is left. `parts` are shared; taking one needs no lock."""
    address = urlsplit(plan["upload_url"])
    trust = ssl.create_default_context(cafile=plan["ca_file"])
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=trust)
    buffer = memoryview(bytearray(CHUNK))
    with source.open("rb", buffering=0) as file:
        for part in parts:
            left = part["endOffset"] - part["startOffset"] + 1
            connection.putrequest("PUT", f"{address.path}/{part['partNo']}")
            connection.putheader("Content-Length", str(left))
            connection.endheaders()
            file.seek(part["startOffset"])
            while left:
                count = file.readinto(buffer[: min(CHUNK, left)]) or 0
                connection.send(buffer[:count])
                left -= count
            response = connection.getresponse()
            response.read()
            if response.status >= 300:
                raise RuntimeError(f"part {part['partNo']}: {response.status}")
    connection.close()


async def _send_by_aiohttp(source: Path, plan: dict[str, Any]) -> None:
    import aiohttp

    trust = ssl.create_default_context(cafile=plan["ca_file"])
    parts, fd = iter(plan["parts"]), os.open(source, os.O_RDONLY)

    async def content(part: dict[str, int]) -> AsyncIterator[bytes]:
        for start in range(part["startOffset"], part["endOffset"] + 1, CHUNK):
            yield os.pread(fd, min(CHUNK, part["endOffset"] + 1 - start), start)

    async def send_some(session: aiohttp.ClientSession) -> None:
        for part in parts:
            headers = {"Content-Length": str(part["endOffset"] - part["startOffset"] + 1)}
            url = f"{plan['upload_url']}/{part['partNo']}"
            async with session.put(url, data=content(part), headers=headers, raise_for_status=True) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, limit=CONNECTIONS)) as session:
        await asyncio.gather(*(send_some(session) for _ in range(CONNECTIONS)))
    os.close(fd)


def _main(way: str, source: str, plan: str = "") -> None:
    path = Path(source)
    parts = json.loads(Path(plan).read_text(encoding="utf-8")) if plan else {}
    if way == "md5":
        _hash(path)
    elif way == "threads":
        _send_by_threads(path, parts)
    else:
        asyncio.run(_send_by_aiohttp(path, parts))


if __name__ == "__main__":
    _main(*sys.argv[1:])
