"""Seeded records: the same for the same seed, several institutions, and everything that is odd in real ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_api import Api, sandbox_api
from uploader.sandbox.seeds import FIRST_ITEM, ODD, orcid

pytestmark = pytest.mark.anyio

COUNT = 400


async def public(api: Api) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await api.call("GET", "/articles?page_size=1000", headers={}))[1]
    return rows


async def odd(api: Api, title: str) -> dict[str, Any]:
    """The public object of the odd item with a title that begins so."""
    number = next(place for place, one in enumerate(ODD) if str(one.metadata["title"]).startswith(title))
    status, found = await api.call("GET", f"/articles/{FIRST_ITEM + number}", headers={})
    assert status == 200, title
    item: dict[str, Any] = found
    return item


async def test_the_same_seed_gives_the_same_records(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        async with sandbox_api(tmp_path / name, seed_items=COUNT, seed=seed) as api:
            found.append(
                [(row["id"], row["title"], row["published_date"], row["group_id"]) for row in await public(api)]
            )
    assert found[0] == found[1] != found[2]


async def test_a_sandbox_is_seeded_once_and_takes_new_items(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", seed_items=100, institution=True) as api:
        before = len(await public(api))
        item = await api.item("Mine")
        assert int(item.rpartition("/")[2]) > FIRST_ITEM
        assert (await api.get("/account/articles"))[0]["title"] == "Mine"
    async with sandbox_api(tmp_path / "s", seed_items=100, institution=True) as api:
        assert len(await public(api)) == before
        assert len(await api.get("/account/institution/groups")) > 3


async def test_several_institutions_with_groups_and_accounts(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", seed_items=COUNT, institution=True) as api:
        known = await api.get("/altmetric/institutions")
        assert [one["id"] for one in known] == [2000, 2300, 2400, 2500]
        rows = await public(api)
        listed = {one["id"]: await api.get(f"/articles?institution={one['id']}&page_size=1000") for one in known}
        assert sum(map(len, listed.values())) == len(rows)
        assert all(len(found) > 5 for found in listed.values())
        assert {row["group_id"] for row in listed[2400]} <= set(range(2410, 2460))
        groups = {one["id"]: one for one in await api.get("/account/institution/groups")}
        assert {one["parent_id"] for one in groups.values()} - {0} <= groups.keys()
        assert {row["group_id"] for row in listed[2000]} - groups.keys() == {2153}
        accounts = await api.get("/account/institution/accounts?page_size=1000")
        assert [one["id"] for one in accounts] == sorted({one["id"] for one in accounts})
        assert len(accounts) == COUNT // 4 + 2
        last = accounts[-1]["id"]
        assert [one["id"] for one in await api.get(f"/account/institution/accounts?id_gte={last}")] == [last]
        assert {one["active"] for one in accounts} == {0, 1}
        everything = await api.get("/account/institution/articles?page_size=1000")
        assert {row["id"] for row in listed[2000]} < {row["id"] for row in everything}
        assert await api.get("/account/institution/reviews?status=pending&limit=1000")


async def test_pages_of_accounts_end_silently(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", seed_items=COUNT, institution=True, page_cap=50) as api:
        path = "/account/institution/accounts?page_size=20"
        assert [len(await api.get(f"{path}&page={page}")) for page in (1, 2, 3, 4)] == [20, 20, 10, 0]


async def test_odd_records(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", seed_items=COUNT, institution=True) as api:
        undated = await odd(api, "Public without a date")
        assert (undated["published_date"], undated["timeline"], undated["is_public"]) == (None, {}, True)
        assert (await odd(api, ".RData"))["doi"] == ""
        assert (await odd(api, "In a journal"))["doi"] == "10.1371/journal.pone.0123456.s001"
        assert len((await odd(api, "Very long"))["description"]) > 19_000
        fields = {one["name"]: one["value"] for one in (await odd(api, "Long field"))["custom_fields"]}
        assert len(fields["Methods"]) == 40_000
        assert len((await odd(api, "Many hands"))["authors"]) == 300
        assert (await odd(api, "Embargoed files"))["files"] is None
        assert (await odd(api, "Catalogue record"))["files"] == []
        for name, status in (("Embargoed wholly", 404), ("Taken back", 404), ("Still a draft", 404)):
            number = FIRST_ITEM + next(place for place, one in enumerate(ODD) if one.metadata["title"] == name)
            assert (await api.call("GET", f"/articles/{number}", headers={}))[0] == status
            private = await api.get(f"/account/articles/{number}")
            assert bool(private["published_date"]) is (name == "Taken back")
        rows = await public(api)
        for mark in ("<", "\n", "=1", "\x01", "\u2028", "\U0001f9ab"):
            assert any(mark in row["title"] for row in rows), mark
        assert max(Counter(row["published_date"] for row in rows).values()) >= 5
        does = (await api.call("POST", "/articles/search", {"search_for": ':author: "Jane Doe"'}, headers={}))[1]
        assert does


def test_orcids_have_valid_check_digits() -> None:
    assert orcid(6_825_009) == "0000-0002-1825-0097"
    assert any(orcid(number).endswith("X") for number in range(100))
