"""The calls about items' metadata: what each sends, and how its responses are interpreted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import Service, reply
from uploader.errors import (
    AccountNotFound,
    FigupError,
    ItemNotFound,
    PermissionDenied,
    ProjectNotFound,
    ProtocolViolation,
    RequestRejected,
    TokenRejected,
)
from uploader.figshare.models import Author, Category, CustomField, Embargo, Grant, Group, License, PrivateLink, Project
from uploader.figshare.outcomes import AmbiguousAnswer

UPDATED = reply(205, {"location": "https://api.figshare.com/v2/account/articles/5", "warnings": []})
CREATED = reply(201, {"location": "https://api.figshare.com/v2/account/projects/3/articles/8"})
ITEM = {
    "id": 5, "title": "T", "status": "draft", "version": 0, "doi": "", "handle": None, "description": "<p>d</p>",
    "authors": [{"id": 1, "full_name": "Jane", "orcid_id": ""}], "tags": ["a"], "keywords": None,
    "categories": [{"id": 2, "title": "Z", "parent_id": 1, "path": "/1/2", "source_id": "31", "taxonomy_id": 1}],
    "license": {"value": 1, "name": "CC BY 4.0", "url": "https://x.y"}, "defined_type_name": "dataset",
    "references": ["https://a.b"], "related_materials": [{"identifier": "10.1/x"}, "junk"], "funding": "DFG",
    "funding_list": [], "custom_fields": [{"name": "A", "value": ["b"]}], "group_id": 0,
    "timeline": {"firstOnline": "x"},
    "is_embargoed": True, "embargo_date": "2030-01-01T00:00:00Z", "embargo_type": "file", "created_date": "2024-01-02",
    "url_private_html": "https://figshare.com/account/articles/5", "published_date": None, "size": 7,
}  # fmt: skip


async def test_an_items_detail(service: Service, connect: Connect) -> None:
    service.answers = [reply(200, ITEM)]
    item = await connect().items.detail(5)
    assert (item.id, item.title, item.status, item.license, item.type) == (5, "T", "draft", "CC BY 4.0", "dataset")
    assert item.authors == (Author(id=1, full_name="Jane"),)
    assert item.categories == (Category(id=2, title="Z", parent_id=1, source_id="31"),)
    assert (item.keywords, item.references, item.funding) == (("a",), ("https://a.b",), ("DFG",))
    assert item.related_materials == ({"identifier": "10.1/x"},)
    assert item.custom_fields == {"A": ["b"]}
    assert (item.group_id, item.handle, item.published) == (None, "", None)
    assert item.created == datetime(2024, 1, 2, tzinfo=UTC)
    assert item.embargo == Embargo(until="2030-01-01T00:00:00Z", scope="file")


async def test_lists(service: Service, connect: Connect) -> None:
    items = connect().items
    service.answers = [
        reply(200, [{"id": 1, "title": "A", "is_selectable": False}, {"id": 2, "title": "B", "parent_id": 1}]),
        reply(200, [{"value": 0, "name": "None"}, {"value": 12, "name": "X", "url": "https://x.y"}]),
        reply(200, [{"id": 3, "name": "G"}]),
        reply(
            200, [{"id": "ab", "is_active": False, "html_location": ""}, {"id": 4, "html_location": "https://f/s/1"}]
        ),
    ]
    assert await items.categories() == [
        Category(id=1, title="A", is_selectable=False),
        Category(id=2, title="B", parent_id=1),
    ]
    assert await items.licenses() == [License(id=0, name="None"), License(id=12, name="X", url="https://x.y")]
    assert await items.groups() == [Group(id=3, name="G")]
    assert await items.private_links(5) == [
        PrivateLink(id="ab", active=False),
        PrivateLink(id="4", url="https://f/s/1"),
    ]
    assert [asked.path for asked in service.asked] == [
        "/v2/account/categories",
        "/v2/account/licenses",
        "/v2/account/institution/groups",
        "/v2/account/articles/5/private_links",
    ]


async def test_what_a_description_may_name(service: Service, connect: Connect) -> None:
    items = connect().items
    fields = [
        {"name": "A", "field_type": "text", "settings": {"validations": {"min_length": 1, "max_length": 9}}},
        {"name": "B", "field_type": "dropdown", "settings": {"options": ["x", {"value": "y"}, {"name": "z"}, 3]},
         "is_mandatory": True},
        {"id": 3, "name": "C", "settings": None, "is_mandatory": 0},
    ]  # fmt: skip
    grant = {"id": 6, "title": "T", "grant_code": "C", "funder_name": "F", "is_user_defined": 1, "url": ""}
    service.answers = [
        reply(200, {"id": 1, "institution_id": 15}), reply(200, {"id": 1, "institution_id": None}), reply(200, fields),
        reply(200, []), reply(200, {"id": 4}), reply(404, {"message": "no"}), reply(200, [grant]),
        reply(200, {"id": 3, "title": "P", "role": "Viewer", "group_id": 0}), reply(404, {"message": "no"}),
    ]  # fmt: skip
    assert [await items.institution(), await items.institution()] == [15, None]
    assert await items.custom_fields() == [
        CustomField(name="A", kind="text", min_length=1, max_length=9),
        CustomField(name="B", kind="dropdown", options=("x", "y", "z"), is_mandatory=True),
        CustomField(name="C"),
    ]
    assert await items.custom_fields(7) == []
    assert [await items.has_author(4), await items.has_author(5)] == [True, False]
    assert await items.grants("T") == [Grant(id=6, title="T", code="C", funder="F", is_user_defined=True)]
    assert await items.project(3) == Project(id=3, title="P", role="Viewer")
    with pytest.raises(ProjectNotFound, match="no project 9"):
        await items.project(9)
    assert [(asked.method, asked.path.removeprefix("/v2/account")) for asked in service.asked[2:]] == [
        ("GET", "/institution/custom_fields"),
        ("GET", "/institution/custom_fields?group_id=7"),
        ("GET", "/authors/4"),
        ("GET", "/authors/5"),
        ("POST", "/funding/search"),
        ("GET", "/projects/3"),
        ("GET", "/projects/9"),
    ]
    assert service.asked[6].json() == {"search_for": "T"}


async def test_custom_fields_of_an_item_that_say_nothing(service: Service, connect: Connect) -> None:
    fields = [
        {"name": "A", "value": "", "is_mandatory": True}, {"name": "B", "value": "b", "is_mandatory": True},
        {"name": "C", "value": [], "is_mandatory": False}, {"name": "D", "value": None, "is_mandatory": True},
    ]  # fmt: skip
    service.answers = [reply(200, {**ITEM, "custom_fields": fields})]
    item = await connect().items.detail(5)
    assert (item.custom_fields, item.lacking_fields) == ({"B": "b"}, ("A", "D"))


async def test_what_is_set(service: Service, connect: Connect) -> None:
    items = connect().items
    service.answers = [*[UPDATED] * 4, *[reply(204)] * 5]
    await items.update(5, {"title": "New"})
    await items.set_authors(5, [{"id": 1}])
    await items.set_embargo(5, {"is_embargoed": True})
    await items.set_thumbnail(5, 2, 9)
    await items.lift_embargo(5)
    await items.remove_author(5, 1)
    await items.remove_category(5, 2)
    await items.remove_private_link(5, "ab")
    await items.remove_from_collection(3, 5)
    assert [(asked.method, asked.path.removeprefix("/v2/account/")) for asked in service.asked] == [
        ("PATCH", "articles/5"),
        ("PUT", "articles/5/authors"),
        ("PUT", "articles/5/embargo"),
        ("PUT", "articles/5/versions/2/update_thumb"),
        ("DELETE", "articles/5/embargo"),
        ("DELETE", "articles/5/authors/1"),
        ("DELETE", "articles/5/categories/2"),
        ("DELETE", "articles/5/private_links/ab"),
        ("DELETE", "collections/3/articles/5"),
    ]
    assert [asked.json() for asked in service.asked[:4]] == [
        {"title": "New"},
        {"authors": [{"id": 1}]},
        {"is_embargoed": True},
        {"file_id": 9},
    ]


async def test_what_is_created(service: Service, connect: Connect) -> None:
    items = connect().items
    service.answers = [
        CREATED,
        reply(200, {"doi": "10.5072/FK2"}),
        reply(201, {"location": "https://a.b", "html_location": "https://figshare.com/s/1", "token": "1"}),
        reply(201, {"location": "https://a.b"}),
        reply(201, {}),
    ]
    assert await items.create({"title": "T"}, project=3) == 8
    assert await items.reserve_doi(5) == "10.5072/FK2"
    assert await items.create_private_link(5, expires="2030-01-01 00:00:00") == "https://figshare.com/s/1"
    await items.publish(5)
    await items.add_to_collection(3, [5, 6])
    assert [
        (asked.path.removeprefix("/v2/account/"), asked.json() if asked.body else None) for asked in service.asked
    ] == [
        ("projects/3/articles", {"title": "T"}),
        ("articles/5/reserve_doi", None),
        ("articles/5/private_links", {"expires_date": "2030-01-01 00:00:00"}),
        ("articles/5/publish", {}),
        ("collections/3/articles", {"articles": [5, 6]}),
    ]


async def test_lost_responses_are_ambiguous(service: Service, connect: Connect) -> None:
    items = connect().items
    service.answers = [None, None, None, None]
    for call in (
        items.publish(5),
        items.create_private_link(5),
        items.add_to_collection(3, [5]),
        items.create({"title": "T"}),
    ):
        with pytest.raises(AmbiguousAnswer):
            await call
    assert len(service.asked) == 4
    service.answers = [None, UPDATED]
    await items.update(5, {"title": "T"})
    assert len(service.asked) == 6


async def test_the_servers_message_about_a_missing_object(service: Service, connect: Connect) -> None:
    items = connect().items
    words = {"code": "EntityNotFound", "message": "Not allowed to set category 7"}
    service.answers = [reply(200, ITEM), reply(404, words), reply(404, words), reply(403, {"message": "no"})]
    await items.detail(5)
    with pytest.raises(RequestRejected, match="Not allowed to set category 7"):
        await items.update(5, {"categories": [7]})
    with pytest.raises(ItemNotFound, match="no item 6"):
        await items.detail(6)
    with pytest.raises(PermissionDenied):
        await items.groups()


async def test_whether_an_item_exists(service: Service, connect: Connect) -> None:
    items = connect().items
    gone = reply(404, {"code": "EntityNotFound"})
    service.answers = [reply(200, ITEM), gone, reply(200, ITEM), gone, gone]
    assert [await items.exists(5), await items.exists(6), await items.exists(7)] == [True, True, False]
    assert [asked.path.removeprefix("/v2") for asked in service.asked[1:3]] == ["/account/articles/6", "/articles/6"]


async def test_responses_without_the_requested_value(service: Service, connect: Connect) -> None:
    items = connect().items
    service.answers = [reply(200, ITEM), reply(200, {"doi": None}), reply(201, {"html_location": "javascript:1"})]
    await items.detail(5)
    with pytest.raises(ProtocolViolation):
        await items.reserve_doi(5)
    with pytest.raises(ProtocolViolation):
        await items.create_private_link(5)


@pytest.mark.parametrize(
    ("first", "about_the_account", "error"),
    [
        (reply(404, {}), reply(404, {}), AccountNotFound),
        (reply(403, {}), reply(403, {}), PermissionDenied),
        (reply(400, {}), reply(422, {}), PermissionDenied),
        (reply(404, {}), reply(200, {"id": 12}), ItemNotFound),
    ],
    ids=["no such account", "not allowed", "refused", "about something else"],
)
async def test_errors_that_may_concern_impersonation_are_checked_once(
    service: Service, connect: Connect, first: bytes, about_the_account: bytes, error: type[FigupError]
) -> None:
    figshare = connect(impersonate=12)
    service.answers = [first, reply(200, {"id": 1}), about_the_account]
    with pytest.raises(error) as raised:
        await figshare.items.detail(5)
    assert [asked.path.removeprefix("/v2") for asked in service.asked][1:] == ["/account", "/account?impersonate=12"]
    if error is ItemNotFound:
        service.answers = [reply(404, {})]
        with pytest.raises(ItemNotFound):
            await figshare.items.detail(5)
    else:
        assert "account 12" in raised.value.message


async def test_a_first_403_is_about_the_token_only_if_the_account_is_rejected_too(
    service: Service, connect: Connect
) -> None:
    service.answers = [reply(403, {"message": "not you"}), reply(200, {"id": 1}), reply(403, {})]
    figshare = connect()
    for _ in range(2):
        with pytest.raises(PermissionDenied, match="lacks permission for item 5"):
            await figshare.items.detail(5)
    asked = [one.path.removeprefix("/v2") for one in service.asked]
    assert asked == ["/account/articles/5", "/account", "/account/articles/5"]
    service.answers = [reply(403, {}), reply(403, {})]
    with pytest.raises(TokenRejected):
        await connect().items.detail(5)


async def test_an_invalid_token_is_not_blamed_on_the_account(service: Service, connect: Connect) -> None:
    service.answers = [reply(403, {}), reply(403, {})]
    with pytest.raises(TokenRejected):
        await connect(impersonate=12).account()


async def test_impersonation(service: Service, connect: Connect) -> None:
    figshare = connect(impersonate=12)
    service.answers = [reply(200, ITEM), reply(200, []), UPDATED, reply(201, {}), reply(204), reply(202, "<html>")]
    await figshare.items.detail(5)
    _ = [row async for row in figshare.own_items()]
    await figshare.items.update(5, {"title": "New"})
    await figshare.items.publish(5)
    await figshare.items.lift_embargo(5)
    await figshare.complete(5, 6)
    assert [(asked.path.partition("?")[2], asked.json() if asked.body else None) for asked in service.asked] == [
        ("impersonate=12", None),
        ("page=1&page_size=1000&impersonate=12", None),
        ("", {"title": "New", "impersonate": 12}),
        ("", {"impersonate": 12}),
        ("impersonate=12", None),
        ("", {"impersonate": 12}),
    ]
