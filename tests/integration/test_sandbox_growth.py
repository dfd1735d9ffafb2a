"""The database cost of a request does not grow with the number of files or parts of an item."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.sandbox_api import Api, sandbox_api
from uploader.sandbox import files_db
from uploader.sandbox.files_db import NewFile
from uploader.sandbox.parts import Span

pytestmark = pytest.mark.anyio

FEW, MANY = 20, 4000
STEP = 10
"""Instructions of SQLite's machine between counts."""


def fill(db: sqlite3.Connection, item_id: int, count: int) -> None:
    """Give an item this number of finished files, and as many links."""
    for number in range(count):
        for link in (None, "https://example.org"):
            made = files_db.create(
                db,
                NewFile(
                    item_id=item_id, name=f"{number}.bin", size=4, supplied_md5="", folder_path="", link=link,
                    token=f"{item_id}-{number}-{link}", blob=None, created=1.0, hidden_until=0.0, hidden_gets=0,
                    parts=[] if link else [Span(number=1, start=0, end=3)],
                ),
            )  # fmt: skip
            files_db.complete(db, made, 1.0)
            files_db.hashed(db, made, "0" * 32, 1.0)


@asynccontextmanager
async def counted(api: Api) -> AsyncIterator[Callable[[Callable[[], Awaitable[object]]], Awaitable[int]]]:
    """Counts the steps that the database takes for a call."""
    steps = 0

    def tick() -> int:
        nonlocal steps
        steps += STEP
        return 0

    async def cost(call: Callable[[], Awaitable[object]]) -> int:
        nonlocal steps
        steps = 0
        await call()
        return steps

    await api.at.context.db.run(sqlite3.Connection.set_progress_handler, tick, STEP)
    yield cost


async def costs(directory: Path, count: int) -> dict[str, int]:
    """The cost of each request of an upload where the item has `count` files already."""
    async with sandbox_api(directory, quota=10**9, mixed_links="accept") as api:
        item = await api.item()
        await api.at.context.db.run(fill, int(item.rpartition("/")[2]), count)
        async with counted(api) as cost:
            found = {"initiate": await cost(lambda: api.initiate(item, size=4))}
            file = await api.initiate(item, size=4)
            upload = await api.upload_url(file)
            found |= {
                "get-file": await cost(lambda: api.get(file)),
                "get-upload": await cost(lambda: api.get(upload)),
                "put-part": await cost(lambda: api.put(upload, 1, b"0123")),
                "link": await cost(lambda: api.call("POST", f"{item}/files", {"link": "https://example.org/x"})),
                "get-account": await cost(lambda: api.get("/account")),
                "list-items": await cost(lambda: api.get("/account/articles")),
                "first page": await cost(lambda: api.get(f"{item}/files?page_size=10")),
                "delete-file": await cost(lambda: api.call("DELETE", file)),
            }
            return found


async def test_the_cost_of_a_request(tmp_path: Path) -> None:
    few, many = await costs(tmp_path / "few", FEW), await costs(tmp_path / "many", MANY)
    grown = {kind: (cost, many[kind]) for kind, cost in few.items() if many[kind] > 3 * cost + 10 * STEP}
    assert grown == {}
    assert all(few.values()), "the steps were counted"


async def test_pages_of_a_listing(tmp_path: Path) -> None:
    """Each row once, on any page; the rows before a page cost almost nothing."""
    async with sandbox_api(tmp_path / "s", quota=10**9) as api:
        item = await api.item()
        await api.at.context.db.run(fill, int(item.rpartition("/")[2]), MANY)
        async with counted(api) as cost:
            first = await cost(lambda: api.get(f"{item}/files?page_size=1000&page=1"))
            last = await cost(lambda: api.get(f"{item}/files?page_size=1000&page=8"))
        assert last < 4 * first
        whole = await api.get(item)
        assert (len(whole["files"]), whole["size"]) == (1000, 2 * MANY * 4)
        pages = [await api.get(f"{item}/files?page_size=1000&page={number}") for number in range(1, 10)]
        ids = [file["id"] for page in pages for file in page]
        assert ([len(page) for page in pages], ids) == ([1000] * 8 + [0], sorted(set(ids)))
