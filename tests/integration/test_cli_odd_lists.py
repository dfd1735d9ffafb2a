"""Searches whose answers are cut, wrong, capped or shifting: each record is found once, or the command says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.command import Figup
from tests.support.lists import ListServer, list_server, record

ALL = ("search", "--limit", "all", "--api-rate", "1000", "--retry-timeout", "0")
PAGE = b"<html>Please wait</html>"


@pytest.fixture
def server() -> Iterator[ListServer]:
    with list_server() as made:
        yield made


@pytest.fixture
def figup(bare_figup: Figup, server: ListServer) -> Figup:
    bare_figup.env["FIGSHARE_ENDPOINT"] = server.url
    return bare_figup


def written(figup: Figup) -> list[int]:
    lines = (figup.cwd / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["id"] for line in lines]


def test_a_list_longer_than_figshare_shows_is_read_in_slices(figup: Figup, server: ListServer) -> None:
    server.rows = [*map(record, range(1, 3501)), record(4000, published_date=None)]
    server.cap = 1000
    done = figup.run(*ALL, "--output", "rows.jsonl", "--json").expect(0)
    assert written(figup) == [*range(1, 3501), 4000]
    assert done.summary["records"]["complete"]
    assert len(server.asked) <= 6


def test_records_that_go_and_come_while_one_reads_cost_no_other(figup: Figup, server: ListServer) -> None:
    server.rows = [record(no) for no in range(1, 2501)]

    def change(count: int) -> None:
        if count == 2:
            server.rows = [*server.rows[500:], record(9000)]

    server.before = change
    figup.run(*ALL, "--output", "rows.jsonl").expect(0)
    assert written(figup) == [*range(1, 2501), 9000]


def test_own_records_that_move_between_pages_are_found(figup: Figup, server: ListServer) -> None:
    figup.env["FIGSHARE_TOKEN"] = "t0ken"
    server.rows = [record(no) for no in range(1, 2501)]

    def change(count: int) -> None:
        if count == 2:
            server.rows = server.rows[500:]

    server.before = change
    figup.run(*ALL, "--own", "--output", "rows.jsonl").expect(0)
    assert sorted(written(figup)) == [*range(1, 2501)]


def test_a_cap_in_the_middle_is_not_the_end(figup: Figup, server: ListServer) -> None:
    server.rows, server.cap = [record(no) for no in range(1, 2501)], 2000
    done = figup.run(*ALL, "--order", "views", "--output", "rows.jsonl").expect(1)
    assert len(written(figup)) == 2000
    assert done.stderr == (
        "figup: the list may not be complete: Figshare lists only the first 2000 records this way. "
        "Narrow the search, for example with --since and --until, or by --type.\n"
    )


def test_more_records_of_one_moment_than_figshare_lists_are_reported(figup: Figup, server: ListServer) -> None:
    same = record(1)["published_date"]
    server.rows, server.cap = [record(no, published_date=same) for no in range(1, 1501)] + [record(2000)], 1000
    done = figup.run(*ALL, "--output", "rows.jsonl").expect(1)
    assert "more than 1000 records are dated about 2015-01-01T01:00:00Z: some may be missing" in done.stderr
    assert 2000 in written(figup)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--type", "software"), "type"),
        (("--group", "5"), "group"),
        (("--since", "2020-01-01"), "since"),
        (("--until", "2014-01-01"), "until"),
        (("--doi", "10.1234/x"), "doi"),
        (("--title", "otters"), "title"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_all_records_of_figshare_are_not_an_answer(
    figup: Figup, server: ListServer, words: tuple[str, ...], name: str
) -> None:
    server.rows = [record(no, group_id=4, doi="10.5/a.v1") for no in range(1, 50)]
    server.filters = False
    done = figup.run("search", *words, "--output", "rows.jsonl").expect(5)
    assert f"Figshare ignored the filter '{name}'" in done.stderr
    assert not (figup.cwd / "rows.jsonl").exists()


ODD: list[Any] = [
    pytest.param(
        (200, {"message": "oops", "code": "X", "data": {}}), 75, "the search of public items: oops", id="object"
    ),
    pytest.param(PAGE, 75, "Figshare throttles this computer (127.0.0.1 answered 200 with a web page)", id="html"),
    pytest.param(b'[{"id": 1, "tit', 75, "with no JSON instead", id="cut"),
    pytest.param((403, None), 75, "Figshare throttles this computer", id="403"),
    pytest.param((429, {"message": "slow down"}), 75, "answered 429: slow down", id="429"),
    pytest.param((500, {"message": "down"}), 75, "answered 500: down", id="500"),
    pytest.param((403, {"message": "no"}), 3, "lacks permission for the search of public items", id="403-json"),
    pytest.param((400, {"message": "Invalid value received for order"}), 1, "Invalid value received", id="400"),
    pytest.param((200, ["no object"]), 1, "unexpected response from Figshare for the search", id="no-object"),
]


@pytest.mark.parametrize(("odd", "status", "message"), ODD)
def test_a_response_that_is_not_a_list_is_reported(
    figup: Figup, server: ListServer, odd: Any, status: int, message: str
) -> None:
    server.rows = [record(no) for no in range(1, 1200)]
    server.odd = lambda count: odd if count >= 2 else None
    done = figup.run(*ALL, "--output", "rows.jsonl").expect(status)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (figup.cwd / "rows.jsonl").exists()
    server.odd = lambda _: None
    figup.run(*ALL, "--output", "rows.jsonl").expect(0)
    assert len(written(figup)) == 1199


def test_what_passes_is_asked_again(figup: Figup, server: ListServer) -> None:
    server.rows = [record(no) for no in range(1, 1200)]
    odd = {2: (500, {}), 3: b"[{", 4: (200, {"message": "oops"})}
    server.odd = odd.get  # type: ignore[assignment]
    done = figup.run("search", "--limit", "all", "--api-rate", "1000", "--output", "rows.jsonl").expect(0)
    assert len(written(figup)) == 1199
    assert "next attempt in" in done.stderr


def test_items_of_which_one_is_an_author_are_listed_once(figup: Figup, server: ListServer) -> None:
    figup.env["FIGSHARE_TOKEN"] = "t0ken"
    server.rows = [record(no) for no in range(1, 5)]
    own = [record(2), record(9, published_date=None)]
    server.paths = {"/v2/account": {"id": 1, "orcid_id": "0000-0002-1825-0097"}, "/v2/account/articles": own}
    done = figup.run("item", "list", "--as-author").expect(0)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["2", "9", "1", "3", "4"]
    assert server.asked[0]["search_for"] == ":orcid:0000-0002-1825-0097"
