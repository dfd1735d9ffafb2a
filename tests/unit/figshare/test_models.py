"""The interpretation of Figshare's JSON; any other JSON is a clear error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import ProtocolViolation
from uploader.figshare import models, parts
from uploader.figshare.decode import NotJson, parse_list, parse_object
from uploader.figshare.responses import server_message

KEYS = st.sampled_from(
    [
        *("id", "size", "status", "name", "title", "quota", "parts", "partNo", "startOffset", "endOffset", "locked"),
        *("created_date", "token", "entity_id", "location", "message", "upload_url", "computed_md5", "is_public"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=8),
    max_leaves=20,
)
PARSERS: list[Callable[[bytes], Any]] = [
    *(partial(parse_object, kind, resource="it") for kind in (models.Account, models.Item, models.File)),
    *(partial(parse_object, kind, resource="it") for kind in (models.ItemDetail, models.CustomField, models.Project)),
    *(partial(parse_list, kind, resource="them") for kind in (models.ItemRow, models.File, models.PrivateLink)),
    parts.parse_upload,
    parts.parse_part,
]

# Recorded from the live service, 2019 to 2025; names shortened.
ACCOUNT = {
    "id": 1171695,
    "first_name": "A",
    "last_name": "B",
    "email": "a@b.c",
    "active": 1,
    "institution_id": 15,
    "quota": 7516192768,
    "used_quota": 5449733418,
    "used_quota_private": 5449733418,
    "pending_quota_request": False,
    "maximum_file_size": 0,
    "created_date": "2015-04-27T13:47:14Z",
}
FRESH_FILE = {
    "upload_token": "6cc7f07c",
    "upload_url": "https://fup-eu-west-1.figshare.com/upload/6cc7f07c",
    "status": "created",
    "preview_state": "preview_not_available",
    "viewer_type": "",
    "id": 60137825,
    "name": "data.csv",
    "size": 625,
    "is_link_only": False,
    "download_url": "https://ndownloader.figshare.com/files/60137825",
    "supplied_md5": "cc624d72ede85ef061afa494d9951f6f",
    "computed_md5": "",
    "mimetype": "undefined",
}


T = TypeVar("T", bound=msgspec.Struct)


def parsed(kind: type[T], value: object) -> T:
    return parse_object(kind, encoded(value), "it")


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.search
@given(JSON, st.sampled_from(PARSERS))
def test_any_json_is_a_value_or_a_clear_error(value: object, parse: Callable[[bytes], Any]) -> None:
    with contextlib.suppress(ProtocolViolation, NotJson):
        parse(encoded(value))


@given(st.binary(max_size=200), st.sampled_from(PARSERS))
def test_any_bytes_are_a_value_or_a_clear_error(body: bytes, parse: Callable[[bytes], Any]) -> None:
    with contextlib.suppress(ProtocolViolation, NotJson):
        parse(body)


@pytest.mark.search
@given(JSON | st.builds(lambda text: {"message": text}, st.text()))
def test_any_server_message_fits_one_line(value: object) -> None:
    words = server_message(encoded(value))
    assert len(words) <= 300
    assert words == "" or words.isprintable()
    words.encode()


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id": 1', b"[" * 100_000, b"\xff\xfe", b'{"id": 1}{'])
@pytest.mark.parametrize("parse", PARSERS)
def test_invalid_json_is_reported(body: bytes, parse: Callable[[bytes], Any]) -> None:
    with pytest.raises(NotJson):
        parse(body)


def test_the_recorded_account() -> None:
    account = parsed(models.Account, ACCOUNT)
    assert account == models.Account(
        id=1171695,
        email="a@b.c",
        first_name="A",
        last_name="B",
        institution_id=15,
        quota=7516192768,
        used_quota=5449733418,
        maximum_file_size=None,
    )


@pytest.mark.parametrize("value", [None, "", -1, 2**63, "many", 1.5, [], True])
def test_a_size_of_zero_is_unknown(value: object) -> None:
    assert parsed(models.Account, {**ACCOUNT, "maximum_file_size": value}).maximum_file_size is None
    assert parsed(models.Account, {**ACCOUNT, "quota": value}).quota is None


def test_an_exhausted_quota_is_not_unknown() -> None:
    assert parsed(models.Account, {**ACCOUNT, "quota": 0}).quota == 0


def test_the_recorded_file_before_and_after_completion() -> None:
    fresh = parsed(models.File, FRESH_FILE)
    assert (fresh.id, fresh.name, fresh.size, fresh.status) == (60137825, "data.csv", 625, "created")
    assert fresh.upload_url == FRESH_FILE["upload_url"]
    assert fresh.computed_md5 is None
    assert fresh.supplied_md5 == "cc624d72ede85ef061afa494d9951f6f"
    done = parsed(models.File, {**FRESH_FILE, "upload_url": "", "computed_md5": "CC", "status": "new_word"})
    assert (done.upload_url, done.computed_md5, done.status) == (None, "cc", "new_word")


@pytest.mark.parametrize("key", ["upload_url", "computed_md5", "supplied_md5"])
def test_null_empty_and_absent_are_alike(key: str) -> None:
    without = {k: v for k, v in FRESH_FILE.items() if k != key}
    found = [parsed(models.File, row) for row in (without, {**without, key: None}, {**without, key: ""})]
    assert found[0] == found[1] == found[2]
    assert getattr(found[0], key) is None


def test_a_link_has_no_upload() -> None:
    link = parsed(models.File, {"id": 1, "name": "x", "is_link_only": True, "download_url": "https://a.b"})
    assert link.is_link_only
    assert link.upload_url is None


@pytest.mark.parametrize("value", [None, 0, -1, 2**63, True, "x", 1.5, {}])
def test_an_id_must_be_valid(value: object) -> None:
    for kind in (models.Account, models.Item, models.File):
        with pytest.raises(ProtocolViolation, match="no valid id"):
            parsed(kind, {"id": value})


def test_an_item_has_the_address_of_its_page() -> None:
    row = {"id": 5, "title": "T", "status": "draft", "is_public": False, "created_date": "2025-12-05T10:00:00Z"}
    pages = {"figshare_url": "https://f/a", "url_private_html": "https://f/p"}
    item = parsed(models.Item, {**row, **pages})
    assert item.url == "https://f/p"
    assert item.created == datetime(2025, 12, 5, 10, tzinfo=UTC)
    assert parsed(models.Item, {**row, "figshare_url": "https://f/a", "url_private_html": ""}).url == "https://f/a"
    assert parsed(models.Item, {**row, "created_date": "yesterday"}).created is None


def test_rows_distinguish_published_from_draft() -> None:
    rows = parse_list(
        models.ItemRow,
        encoded([{"id": 1, "published_date": None}, {"id": 2, "published_date": "2025-01-01T00:00:00Z"}, {"id": 3}]),
        "them",
    )
    assert [(row.id, row.published) for row in rows] == [(1, False), (2, True), (3, False)]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (
            {"entity_id": 30801242, "location": "https://a/v2/x"},
            models.Created(entity_id=30801242, location="https://a/v2/x"),
        ),
        ({"location": "/v2/x"}, models.Created(location="/v2/x")),
        ({"entity_id": -1}, models.Created()),
        ([], models.Created()),
    ],
)
def test_the_response_to_a_create(body: object, found: object) -> None:
    assert models.parse_created(encoded(body)) == found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "Over quota\nTraceback: …", "code": "X"}, "Over quota"),
        ({"message": "", "code": "EntityNotFound"}, "EntityNotFound"),
        ({"error": "invalid_grant", "error_description": "too late"}, "too late"),
        ({"message": "a\x1b[31mb"}, "a [31mb"),
        ({"message": {"a": 1}}, ""),
        ("text", ""),
    ],
)
def test_the_servers_message_is_kept(body: object, words: str) -> None:
    assert server_message(encoded(body)) == words


def test_a_lone_surrogate_is_printable() -> None:
    body = b'{"id": 1, "name": "a\\ud800b"}'
    with contextlib.suppress(NotJson):
        parse_object(models.File, body, "it").name.encode()


def test_no_repr_contains_secrets() -> None:
    assert "6cc7f07c" not in repr(parsed(models.File, FRESH_FILE))
    assert "6cc7f07c" not in repr(models.Upload(token="6cc7f07c", status="pending", size=0))


@pytest.mark.parametrize(
    "page", ["https://x/\nfigup: done", "https://x/\x1b[2J", "https://x/\u202e", "javascript:x", 5]
)
def test_an_unprintable_url_counts_as_absent(page: object) -> None:
    assert parsed(models.Item, {"id": 1, "url_private_html": page}).url == ""
    good = {"id": 1, "url_private_html": page, "figshare_url": "https://x/1"}
    assert parsed(models.Item, good).url == "https://x/1"


@pytest.mark.parametrize("bad", [b"\\ud83d", b"\xff", b"\\ude00\\ud83d"])
def test_a_bad_character_in_one_name_does_not_hide_the_others(bad: bytes) -> None:
    body = b'[{"id": 1, "name": "a%s.txt"}, {"id": 2, "name": "\\ud83d\\ude00"}]' % bad
    names = [file.name for file in parse_list(models.File, body, resource="the files")]
    assert names == ["a" + "\ufffd" * (len(bad) // 5 or 1) + ".txt", "\U0001f600"]
