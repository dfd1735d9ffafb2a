"""The sandbox responds to any input: no body, query or id makes it fail."""

from __future__ import annotations

import copy
import itertools
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.openapi import example_body, operations_with_bodies
from tests.support.populated import FITTING, populate
from tests.support.sandbox_api import sandbox_api
from uploader.sandbox.server import API

pytestmark = pytest.mark.anyio

FIELDS = (
    "title", "description", "tags", "keywords", "references", "related_materials", "categories",
    "categories_by_source_id", "authors", "custom_fields", "custom_fields_list", "defined_type", "funding",
    "funding_list", "license", "doi", "handle", "resource_doi", "resource_title", "timeline", "group_id",
    "is_metadata_record", "metadata_reason", "download_disabled", "name", "size", "md5", "link", "folder_path",
    "articles", "file_id", "is_embargoed", "embargo_date", "embargo_type", "embargo_title", "embargo_options",
    "expires_date", "search_for", "orcid", "page", "page_size", "limit", "offset", "order", "order_direction",
    "published_since", "institution", "item_type", "email", "last_name", "first_name", "quota", "is_active",
    "resource_version", "impersonate",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 7, 24418, 2**63, 2**70, -(2**70), 1.5, 1e300, "", "x", "abc", "\0", "0", "2099-01-01",
    "9" * 40, "https://example.org/x", "((((", ":title: a AND", [], {}, [[]], [None], ["a"], ["\0"], [2**70], [24418],
    [{}], [{"id": 2**70}],
    [{"id": "x"}], [{"id": True}], [{"name": "a"}], [{"name": "a\0"}], [{"name": "k", "value": 2**70}],
    [{"title": "\0"}], [{"identifier": "\0", "identifier_type": "DOI"}], {"a": 2**70}, {"a": [None]},
    {"firstOnline": 1}, {"firstOnline": "9999-99-99"}, [{"id": 2201, "group_ids": [2**70]}],
)  # fmt: skip
NESTED = ("authors", "funding_list", "related_materials", "articles", "custom_fields", "timeline")
VALID: dict[str, Any] = {
    "title": "An item", "name": "a.bin", "size": 4, "is_embargoed": True, "embargo_date": "0", "embargo_type": "file",
    "email": "a@example.org", "last_name": "A",
}  # fmt: skip


KEPT_OUT = {"delete-item", "unpublish-item", "page"}
"""Operations that would remove the objects of the others."""


def _failed(status: int, kind: str) -> bool:
    return status >= 500 and (status, kind) != (501, "unserved")


async def test_no_request_causes_a_server_error(tmp_path: Path) -> None:
    chance = random.Random(20)
    failed: list[tuple[str, str, str, dict[str, Any] | None, int]] = []
    async with sandbox_api(tmp_path / "s", institution=True, review="approve") as api:
        places = await populate(api)
        origin = api.at.url.removesuffix("/v2")
        routes = [route for group in API for route in group.routes() if route.kind not in KEPT_OUT]
        for field, value in itertools.product(NESTED, VALUES):
            path = "/account/collections" if field == "articles" else "/account/articles"
            status, _ = await api.call("POST", path, VALID | {field: value})
            if status >= 500:
                failed.append(("POST", path, "", {field: value}, status))
        for route in routes:
            path = re.sub(r"\{(\w+)(:[^}]*\}?)?\}", lambda match: str(places[match[1]]), route.path)
            for _ in range(8 if route.method in {"POST", "PUT", "PATCH"} else 4):
                odd = {name: chance.choice(VALUES) for name in chance.sample(FIELDS, chance.randint(0, 4))}
                query = "&".join(f"{name}={chance.choice(('', 'x', '-1', '9' * 30, '%00'))}" for name in odd)
                body = (VALID | odd) if route.method in {"POST", "PUT", "PATCH"} else None
                status, answer = await api.call(route.method, f"{origin}{path}?{query}", body)
                if _failed(status, route.kind) or (status >= 400 and not answer):
                    failed.append((route.method, path, query, body, status))
    assert failed == []


ODD: tuple[Any, ...] = (
    None, {}, [], [{}], [[]], {"a": {}}, "", "x\0", "9" * 30, 0, -1, 2**70, 1.5, True, [None], {"id": {}, "title": []},
)  # fmt: skip


def variants(body: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every location in a body with its value: the body itself and everything nested in it."""
    yield (), body
    pairs: Iterable[tuple[str | int, Any]] = ()
    if isinstance(body, dict):
        pairs = body.items()
    elif isinstance(body, list):
        pairs = enumerate(body)
    for name, value in pairs:
        for place, inner in variants(value):
            yield (name, *place), inner


def replaced(body: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """The body with another value at this place."""
    if not place:
        return value
    copied = copy.copy(body)
    copied[place[0]] = replaced(body[place[0]], place[1:], value)
    return copied


async def test_no_nested_body_causes_a_server_error(tmp_path: Path) -> None:
    """Every location in the documented body of every operation gets other values in turn."""
    turn = itertools.cycle(ODD)
    failed: list[tuple[str, str, Any, int]] = []
    sent = 0
    async with sandbox_api(tmp_path / "s", institution=True, review="approve") as api:
        places = await populate(api)
        for method, template in operations_with_bodies():
            if template.endswith("/unpublish"):
                continue
            path = re.sub(r"\{(\w+)\}", lambda match: str(places[match[1]]), template)
            whole = example_body(method, template)
            whole = {name: FITTING.get(name, value) for name, value in whole.items()}
            if (method, template) == ("POST", "/account/articles"):
                status, answer = await api.call(method, path, whole)
                assert status == 201, f"the others are not about what is nested deeply: {answer}"
            for place, _ in variants(whole):
                for value in itertools.islice(turn, 3):
                    body = replaced(whole, place, value)
                    status, _ = await api.call(method, path, body)
                    sent += 1
                    if status >= 500:
                        failed.append((method, path, body, status))
    assert failed == []
    assert sent > 1000


async def test_no_form_causes_a_server_error(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        origin = api.at.url.removesuffix("/v2")
        pages = (f"{origin}/account/applications/authorize", f"{origin}/v1/pbl/oauth/authorize", f"{api.at.url}/token")
        kinds = ("application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x")
        for url, kind, form in itertools.product(pages, kinds, (b"", b"\xff", b"ticket=%ff&ticket=", b"--x", b"{}")):
            async with api.http.post(url, data=form, headers={"Content-Type": kind}) as answer:
                assert answer.status == 400, (url, kind, form)
