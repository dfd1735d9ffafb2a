"""Whether an item is published as it is: a version is compared with the draft, in all that a user can change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.fakes.clock import VirtualClock
from tests.fakes.figshare import FakeFigshare, StoredItem
from uploader.figshare.models import Author, Embargo, ItemDetail
from uploader.items.describe import set_authors
from uploader.items.release import is_published, publish, visibility

pytestmark = pytest.mark.anyio


@pytest.fixture
def figshare() -> FakeFigshare:
    return FakeFigshare(VirtualClock())


async def published(figshare: FakeFigshare) -> StoredItem:
    """A public item with one file."""
    item = figshare.add_item("title")
    item.fields |= {"description": "d", "keywords": ["k"], "categories": [1]}
    figshare.add_file(item, "a", b"content")
    await figshare.items.publish(item.id)
    return item


async def is_same(figshare: FakeFigshare, item: StoredItem, **changed: Any) -> bool | None:
    detail = await figshare.items.detail(item.id)
    return await is_published(figshare, msgspec.structs.replace(detail, **changed))


async def test_an_unchanged_item_is_published(figshare: FakeFigshare) -> None:
    assert await is_same(figshare, await published(figshare)) is True


@pytest.mark.parametrize(
    "change",
    [
        lambda figshare, item: figshare.add_file(item, "b", b"more"),
        lambda figshare, item: figshare.add_file(item, "b", b"more", status="created"),
        lambda _, item: item.files.clear(),
        lambda _, item: setattr(next(iter(item.files.values())), "name", "b"),
        lambda _, item: setattr(next(iter(item.files.values())), "folder", "b"),
        lambda _, item: item.fields.update(description="other"),
        lambda _, item: item.fields.update(categories=[1, 2]),
        lambda _, item: item.authors.reverse(),
        lambda _, item: item.authors.append(Author(id=3, full_name="Jane Doe")),
    ],
    ids=[
        *("file added", "file begun", "file removed", "renamed", "moved"),
        *("description", "category", "authors' order", "author"),
    ],
)
async def test_a_changed_item_is_not(
    figshare: FakeFigshare, change: Callable[[FakeFigshare, StoredItem], object]
) -> None:
    item = figshare.add_item("title")
    item.authors.append(Author(id=2, full_name="Jane Doe"))
    figshare.add_file(item, "a", b"content")
    await figshare.items.publish(item.id)
    assert await is_same(figshare, item) is True
    change(figshare, item)
    assert await is_same(figshare, item) is False


@pytest.mark.parametrize(
    "changed",
    [
        {"title": "other"}, {"keywords": ("other",)}, {"license": "MIT"}, {"type": "software"}, {"references": ("x",)},
        {"resource_doi": "10.1/x"}, {"resource_title": "x"}, {"related_materials": ({"title": "x"},)},
        {"funding": ("x",)}, {"custom_fields": {"x": 1}}, {"group_id": 7}, {"handle": "1/x"}, {"metadata_reason": "x"},
        {"is_metadata_record": True}, {"download_disabled": True},
        {"doi": "10.1/x"}, {"timeline": {"firstOnline": "2020-01-01"}},
    ],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
async def test_each_field_of_a_version_counts(figshare: FakeFigshare, changed: dict[str, Any]) -> None:
    assert await is_same(figshare, await published(figshare), **changed) is False


@pytest.mark.parametrize(
    "changed",
    [{"url": "x"}, {"modified": None}, {"timeline": {"posted": "2020-01-01"}}, {"curation_status": "approved"}],
    ids=lambda changed: next(iter(changed)),
)
async def test_what_figshare_sets_does_not_count(figshare: FakeFigshare, changed: dict[str, Any]) -> None:
    assert await is_same(figshare, await published(figshare), **changed) is True


async def test_an_author_set_again_by_name_is_the_same(figshare: FakeFigshare) -> None:
    item = await published(figshare)
    await set_authors(figshare, item.id, [{"name": author.full_name} for author in item.authors])
    assert await is_same(figshare, item) is True


async def test_another_author_of_the_same_name_is_a_change(figshare: FakeFigshare) -> None:
    item = await published(figshare)
    item.authors = [msgspec.structs.replace(author, id=author.id + 1) for author in item.authors]
    assert await is_same(figshare, item) is False


async def test_a_lifted_embargo_is_a_change(figshare: FakeFigshare) -> None:
    item = await published(figshare)
    item.versions[1].embargo = Embargo(scope="file")
    assert await is_same(figshare, item) is False


@pytest.mark.parametrize("request_name", ["files", "detail"])
async def test_one_look_at_an_old_copy_of_the_draft_is_not_believed(figshare: FakeFigshare, request_name: str) -> None:
    item = await published(figshare)
    figshare.age(request_name, 20)
    await figshare.account()
    if request_name == "files":
        figshare.add_file(item, "b", b"more")
    else:
        item.fields["description"] = "other"
    assert await is_same(figshare, item) is False


@pytest.mark.parametrize("seconds", [1.0, 4.0, 14.0])
async def test_a_change_that_shows_late_is_not_overlooked(figshare: FakeFigshare, seconds: float) -> None:
    """Neither in the first look nor in a second one soon after it."""
    item = await published(figshare)
    figshare.behind = lambda request: seconds if request == "detail" else 0.0
    await figshare.items.update(item.id, {"description": "other"})
    assert await is_published(figshare, await figshare.items.detail(item.id)) is False


async def test_a_version_without_a_file_that_was_sent_is_not_the_item_s(figshare: FakeFigshare) -> None:
    item = await published(figshare)
    detail = await figshare.items.detail(item.id)
    (there,) = item.files
    assert await is_published(figshare, detail, files=[there]) is True
    assert await is_published(figshare, detail, files=[there, there + 1]) is False


async def test_the_doi_of_a_version_is_that_of_the_item(figshare: FakeFigshare) -> None:
    item = await published(figshare)
    item.doi, item.versions[1].doi = "10.1/x", "10.1/x.v1"
    assert await is_same(figshare, item) is True
    item.doi = "10.1/y"
    assert await is_same(figshare, item) is False


@pytest.mark.parametrize("changed", [{"is_public": False}, {"version": 0}, {"embargo": Embargo(scope="file")}], ids=str)
async def test_of_a_draft_or_an_embargo_nothing_is_known(figshare: FakeFigshare, changed: dict[str, Any]) -> None:
    item = await published(figshare)
    detail: ItemDetail = msgspec.structs.replace(await figshare.items.detail(item.id), **changed)
    assert await is_published(figshare, detail) is None
    assert "public_detail" not in figshare.log


async def test_a_version_that_is_not_visible_yet_is_waited_for(figshare: FakeFigshare) -> None:
    item = await published(figshare)
    version = item.versions.pop(1)

    def appear(_: str) -> None:
        item.versions[1] = version

    assert await is_same(figshare, item) is None
    figshare.on_request["detail"] = appear
    assert await is_same(figshare, item) is True


@pytest.mark.parametrize("lag", [0.0, 60.0])
async def test_the_effect_of_an_accepted_request_is_waited_for(figshare: FakeFigshare, lag: float) -> None:
    item = figshare.add_item("title")
    figshare.publish_lag = lag
    before = await figshare.items.detail(item.id)
    assert visibility(await publish(figshare, before, time_limit=30.0)) == "public"
    assert (figshare.clock.monotonic() >= lag, figshare.log.count("publish")) == (True, 1)
    if not lag:
        assert figshare.log == ["detail", "publish", "detail"]


@pytest.mark.parametrize("how", ["review", "review again", "full embargo"])
async def test_what_shows_no_version_is_not_waited_for(figshare: FakeFigshare, how: str) -> None:
    item = figshare.add_item("title")
    if how == "full embargo":
        item.embargo, figshare.publish_lag = Embargo(scope="article"), 1e4
    else:
        figshare.reviews, item.curation_status = True, "pending" if how == "review again" else ""
    before = await figshare.items.detail(item.id)
    assert visibility(await publish(figshare, before)) == ("embargoed" if how == "full embargo" else "review")
    assert figshare.log == ["detail", "publish", "detail"]


async def test_an_effect_that_never_shows_is_given_up(figshare: FakeFigshare) -> None:
    item = figshare.add_item("title")
    figshare.publish_lag = 1e4
    assert visibility(await publish(figshare, await figshare.items.detail(item.id), time_limit=30.0)) == "review"
    assert 90 <= figshare.clock.monotonic() < 100
