"""The client for programs reads what Figshare holds: searches, records, and errors that say what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from tests.support.lists import ListServer, list_server, record
from uploader import Client, errors
from uploader.figshare.settings import Settings


@pytest.fixture
def server() -> Iterator[ListServer]:
    with list_server() as made:
        yield made


def client(server: ListServer) -> Client:
    return Client("t0ken", settings=Settings(server.url, api_rate=None))


async def test_a_search_yields_typed_records_with_all_keys(server: ListServer) -> None:
    server.rows = [record(no, new={"key": None}) for no in range(1, 1501)]
    async with client(server) as session:
        found = [one async for one in session.search("river", author=["Jane Doe"], since=date(2015, 1, 2))]
        newest = [one.id async for one in session.search(limit=3)]
    assert [one.id for one in found] == list(range(24, 1501))
    assert (found[0].title, found[0].published and found[0].published.day, found[0].raw["new"]) == (
        "Item 24", 2, {"key": None},
    )  # fmt: skip
    assert newest == [1500, 1499, 1498]
    assert server.asked[0]["search_for"] == 'river AND :author: "Jane Doe"'


async def test_an_incomplete_list_ends_with_an_error(server: ListServer) -> None:
    server.rows, server.cap = [record(no) for no in range(1, 1501)], 1000
    async with client(server) as session:
        with pytest.raises(errors.RecordsMissing, match="lists only the first 1000 records"):
            [one async for one in session.search(order="views")]
        assert len([one async for one in session.search(order="views", limit=900)]) == 900


WRONG: list[dict[str, Any]] = [
    {"kind": "file"}, {"order": "size"}, {"limit": 0}, {"limit": 2**63}, {"institution": 2**63},
    {"orcid": "0000-0002-1825-0098"}, {"since": "2024-02-30"}, {"type": "datset"}, {"title": ""}, {"doi": "x"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
async def test_invalid_values_ask_nothing(server: ListServer, wrong: dict[str, Any]) -> None:
    async with client(server) as session:
        with pytest.raises(errors.UsageError):
            [one async for one in session.search(**wrong)]
        for mistyped in ({"title": 5}, {"limit": True}, {"institution": 1.5}, {"kind": ["item"]}):
            with pytest.raises(TypeError):
                [one async for one in session.search(**mistyped)]
        with pytest.raises(errors.UsageError):
            await session.item("nothing")
    assert server.asked == []
