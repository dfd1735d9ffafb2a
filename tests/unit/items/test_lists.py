"""Lists of an item that two processes change at the same time: both changes are kept."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from tests.fakes.clock import VirtualClock
from tests.fakes.figshare import FakeFigshare, Fault, StoredItem
from uploader.errors import Conflict, UsageError
from uploader.figshare.client import Figshare
from uploader.figshare.models import Author
from uploader.items import lists

pytestmark = pytest.mark.anyio


@pytest.fixture
def figshare() -> FakeFigshare:
    return FakeFigshare(VirtualClock())


def api_of(figshare: FakeFigshare) -> Figshare:
    return cast(Figshare, figshare)


def then(figshare: FakeFigshare, request: str, change: Any, *, times: int = 1) -> None:
    """Make a change after each of the next requests of this name, as another process would."""
    left = [change] * times

    def once(_: str) -> None:
        if left:
            left.pop()()

    figshare.on_request[request] = once


def keywords(item: StoredItem) -> list[str]:
    return cast(list[str], item.fields["keywords"])


async def tagged(figshare: FakeFigshare) -> StoredItem:
    item = figshare.add_item()
    item.fields["keywords"] = ["old"]
    return item


async def test_keywords_that_were_overwritten_at_the_same_moment_are_added_again(figshare: FakeFigshare) -> None:
    item = await tagged(figshare)
    found = await figshare.items.detail(item.id)
    then(figshare, "update", lambda: item.fields.update(keywords=["old", "theirs"]))
    assert await lists.change_keywords(api_of(figshare), found, add=["mine"]) == ["old", "theirs", "mine"]
    assert keywords(item) == ["old", "theirs", "mine"]


async def test_keywords_that_figshare_writes_in_its_own_way_are_added_once(figshare: FakeFigshare) -> None:
    item = await tagged(figshare)
    found = await figshare.items.detail(item.id)
    then(figshare, "update", lambda: item.fields.update(keywords=["old", "climate change"]))
    assert await lists.change_keywords(api_of(figshare), found, add=["Climate  Change"]) == ["old", "climate change"]
    assert figshare.log.count("update") == 1


async def test_two_processes_that_read_the_keywords_before_either_set_them_keep_both(figshare: FakeFigshare) -> None:
    item = await tagged(figshare)
    found = await figshare.items.detail(item.id)

    async def add(word: str, seconds: float) -> None:
        await figshare.clock.sleep(seconds)
        await lists.change_keywords(api_of(figshare), found, add=[word])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(add, "mine", 0.0)
        tasks.start_soon(add, "theirs", 1.5)
    assert sorted(keywords(item)) == ["mine", "old", "theirs"]


async def test_keywords_that_appear_again_are_removed_again(figshare: FakeFigshare) -> None:
    item = await tagged(figshare)
    found = await figshare.items.detail(item.id)
    then(figshare, "update", lambda: item.fields.update(keywords=["old", "theirs"]))
    assert await lists.change_keywords(api_of(figshare), found, remove=["old"]) == ["theirs"]
    assert keywords(item) == ["theirs"]


async def test_keywords_that_are_always_overwritten_are_an_error(figshare: FakeFigshare) -> None:
    item = await tagged(figshare)
    found = await figshare.items.detail(item.id)
    then(figshare, "update", lambda: item.fields.update(keywords=["theirs"]), times=9)
    with pytest.raises(Conflict, match="another client"):
        await lists.change_keywords(api_of(figshare), found, add=["mine"])


async def test_an_old_copy_of_the_keywords_is_not_written_back(figshare: FakeFigshare) -> None:
    """After the change a server shows the earlier keywords for a while, and another process adds one meanwhile."""
    item = await tagged(figshare)
    found = await figshare.items.detail(item.id)
    figshare.age("detail", 2)
    await figshare.account()
    then(figshare, "update", lambda: keywords(item).append("theirs"))
    assert await lists.change_keywords(api_of(figshare), found, add=["mine"]) == ["old", "mine", "theirs"]
    assert figshare.log.count("update") == 1


async def test_authors_and_categories_that_are_added_at_the_same_moment_are_kept(figshare: FakeFigshare) -> None:
    item = figshare.add_item()
    found = await figshare.items.detail(item.id)
    then(figshare, "authors", lambda: item.authors.append(Author(id=7, full_name="Somebody Else")))
    item.fields["categories"] = [3]
    await lists.add_authors(api_of(figshare), found, [{"name": "Jane Doe"}])
    await lists.add_categories(api_of(figshare), found, [4, 4])
    assert [one.full_name for one in item.authors] == ["The Owner", "Somebody Else", "Jane Doe"]
    assert item.fields["categories"] == [3, 4]


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
async def test_a_lost_answer_adds_nobody_twice(figshare: FakeFigshare, fault: Fault) -> None:
    item = figshare.add_item()
    found = await figshare.items.detail(item.id)
    figshare.fail("add_authors", fault)
    figshare.fail("add_categories", fault)
    await lists.add_authors(api_of(figshare), found, [{"name": "Jane Doe"}])
    await lists.add_categories(api_of(figshare), found, [4])
    assert [one.full_name for one in item.authors] == ["The Owner", "Jane Doe"]
    assert item.fields["categories"] == [4]


async def test_only_own_authors_are_taken_back(figshare: FakeFigshare) -> None:
    """An ORCID iD turns out to be another person's only when it was added."""
    item = figshare.add_item()
    found = await figshare.items.detail(item.id)
    removed: list[int] = []

    async def remove_author(_: int, author: int) -> None:
        removed.append(author)

    async def authors_with(_: str) -> list[Author]:
        return []

    def add_theirs() -> None:
        item.authors[-1] = Author(id=8, full_name="Xu Li", orcid=ORCID)
        item.authors.append(Author(id=7, full_name="Somebody Else"))

    figshare.items.remove_author = remove_author  # type: ignore[attr-defined]
    figshare.items.authors_with = authors_with  # type: ignore[attr-defined]
    then(figshare, "add_authors", add_theirs)
    with pytest.raises(UsageError, match="belongs to Xu Li"):
        await lists.add_authors(api_of(figshare), found, [{"name": "Jane Doe", "orcid_id": ORCID}])
    assert removed == [8]


ORCID = "0000-0002-1825-0097"


async def test_a_tag_that_the_item_does_not_have_is_called_a_tag(figshare: FakeFigshare) -> None:
    item = await tagged(figshare)
    found = await figshare.items.detail(item.id)
    with pytest.raises(UsageError, match=f"^item {item.id} has no tag 'new'$") as missing:
        await lists.change_keywords(api_of(figshare), found, remove=["new"])
    assert missing.value.hint == "Tags: old."
