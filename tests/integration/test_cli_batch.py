"""`figup batch`: real commands with reports that the sandbox writes, and its page in a real browser."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.test_report_html_in_a_browser import browse
from tests.support.command import Figup
from tests.support.pages import parse
from tests.support.served import Served, served

FAST = ("--api-rate", "10000", "--retry-timeout", "1s")


@pytest.fixture(scope="module")
def figshare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("batch") / "sandbox"
    with served(folder, institution=True, seed_items=120, control=True) as running:
        yield running


@pytest.fixture
def figup(bare_figup: Figup, figshare: Served) -> Figup:
    bare_figup.env |= {"FIGSHARE_ENDPOINT": figshare.url, "FIGSHARE_STATS_ENDPOINT": figshare.api.at.stats_url}
    return bare_figup


def export(figshare: Served, path: Path, **query: str) -> Path:
    """Download a metadata report from the sandbox."""

    async def get() -> bytes:
        headers = {"Authorization": f"token {figshare.token}"}
        address = f"{figshare.url.removesuffix('/v2')}/sandbox/batch.csv"
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(address, params=query, raise_for_status=True) as answer,
        ):
            return await answer.read()

    path.write_bytes(figshare.portal.call(get))
    return path


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_every_shape_gives_the_table_of_a_report(figup: Figup, figshare: Served) -> None:
    figup.run("report", "public", "--institution", "2000", "--output", "public.csv", *FAST).expect(0)
    public = rows_of(figup.cwd / "public.csv")
    asked = len(figshare.kinds())
    columns = ["title", "authors", "orcids", "categories", "keywords", "licence_url", "description", "references",
               "funding", "resource_doi", "is_metadata_record", "custom:Site", "type", "linked_file"]  # fmt: skip
    for name, query in (
        ("a.csv", {}), ("b.csv", {"encoding": "utf-8-sig", "dates": "eu"}), ("c.csv", {"encoding": "utf-16"}),
        ("d.zip", {"zip": "1", "dates": "us"}), ("e.csv", {"shape": "python"}),
    ):  # fmt: skip
        file = export(figshare, figup.cwd / name, **query)
        done = figup.run("batch", "convert", file, "--output", "t.csv", "--force").expect(0)
        found = rows_of(figup.cwd / "t.csv")
        assert f"{len(found)} of {len(found)} records written to t.csv" in done.stdout
        assert (figup.cwd / "t.csv").stat().st_mode & 0o777 == 0o600
        assert public.keys() < found.keys()
        for number, row in public.items():
            got = {column: found[number][column] for column in columns}
            assert {column: got[column] or "false" if "is_" in column or column == "linked_file" else got[column]
                    for column in columns} == {column: row[column] for column in columns}, (name, number)  # fmt: skip
        if "dates" in query:
            assert "dates that a spreadsheet had rewritten" in done.stderr
    assert figshare.kinds()[asked:].count("get-public-item") == 0
    figup.run("batch", "convert", "a.csv", "--output", "t.csv").expect(2)
    figup.run("batch", "convert", "a.csv", "--output", "t.xlsx", "--tables").expect(0)
    figup.run("batch", "convert", "a.csv", "--output", "s.csv", "--tables").expect(0)
    with (figup.cwd / "s.authors.csv").open(encoding="utf-8-sig", newline="") as side:
        authors = [row["name"] for row in csv.DictReader(side) if row["id"] == next(iter(public))]
    assert authors == [name.partition(" (ORCID")[0] for name in public[next(iter(public))]["authors"].split(" | ")]
    windows = export(figshare, figup.cwd / "w.csv", encoding="cp1252")
    assert "read as Windows-1252" in figup.run("batch", "convert", windows, "--output", "w.jsonl").expect(0).stderr


def test_numbers_and_funders_are_added_and_an_interruption_is_continued(figup: Figup, figshare: Served) -> None:
    file = export(figshare, figup.cwd / "a.csv")
    address = f"{figshare.url.removesuffix('/v2')}/sandbox/faults"
    figshare.call("POST", address, {"fault": "get-public-item:30..=500"})
    words = ("batch", "convert", file, "--output", "t.csv", "--stats", "--funders", *FAST)
    figup.run(*words).expect(75)
    figshare.call("DELETE", address)
    before = [figshare.kinds().count(kind) for kind in ("get-public-item", "stats-totals")]
    figup.run(*words).expect(0)
    rows = rows_of(figup.cwd / "t.csv")
    public = [row for row in rows.values() if row["status"] == "public"]
    assert figshare.kinds().count("get-public-item") - before[0] == len(public) - 29
    assert figshare.kinds().count("stats-totals") == before[1]
    assert all(row["views"] for row in public)
    assert not any(row["views"] for row in rows.values() if row["status"] != "public")


def test_a_summary_as_text_json_and_a_page_for_browsers(figup: Figup, figshare: Served) -> None:
    file = export(figshare, figup.cwd / "a.csv")
    text = file.read_text("utf-8").replace("Public without a date", "<script>alert(1)</script>")
    evil = figup.cwd / "<img src=x onerror=alert(1)>.csv"
    evil.write_text(text.replace("/licenses/by/4.0/", "/<script>alert(2)</script>"), "utf-8")
    shown = figup.run("batch", "summary", evil, "--html", "s.html", "--stats", *FAST).expect(0).stdout
    assert "\nLicences, with views, downloads and views a record\n" in shown
    summary: dict[str, Any] = figup.run("batch", "summary", evil, "--json").expect(0).summary["records"]
    assert summary["found"] == sum(one["records"] for one in summary["licences"])
    assert summary["metadata_only"] == 1
    assert summary["linked_share"] == summary["linked_to_publication"] / summary["found"]
    assert f"{summary['linked']:>9}  Linked file" in shown
    seen = browse(figup.cwd / "s.html", "--dump-dom")
    assert "CONSOLE" not in seen.stderr, "the page must not violate its own policy"
    dom = parse(seen.stdout)
    assert not {element.tag for element in dom.all()} & {"script", "img"}
    assert dom.one("h1").text == evil.name
    plots = list(dom.all("svg"))
    assert len(plots) == 2 * len(list(dom.all("h2")))
    assert any("<script>" in text.text for plot in plots for text in plot.all("text"))
    assert "exists" in figup.run("batch", "summary", evil, "--html", "s.html").expect(2).stderr


def test_broken_files_and_cells_are_reported(figup: Figup, figshare: Served) -> None:
    file = export(figshare, figup.cwd / "a.csv")
    ragged = figup.cwd / "r.csv"
    ragged.write_bytes(file.read_bytes() + b"7,8\r\n")
    result = figup.run("batch", "convert", ragged, "--output", "t.csv").expect(2)
    assert ": 2 cells instead of " in result.stderr
    assert not (figup.cwd / "t.csv").exists()
    cut = figup.cwd / "c.csv"
    cut.write_text('article_id,title,authors\n5,A,"[{""id"": 1"\n6,B,[]\n')
    result = figup.run("batch", "convert", cut, "--output", "t.jsonl").expect(1)
    assert "cells of authors that could not be read: 1" in result.stderr
    rows = [json.loads(line) for line in (figup.cwd / "t.jsonl").read_text().splitlines()]
    assert [row["_figup"].get("missing") for row in rows] == ["authors: neither JSON nor a Python literal", None]
    assert rows[0]["authors"] == '[{"id": 1'
    figup.run("batch", "convert", "none.csv", "--output", "t.csv").expect(4)
    figup.run("batch", "convert", cut, "--output", "t.ods").expect(2)
    assert "--scope needs --stats" in figup.run("batch", "summary", cut, "--scope", "x").expect(2).stderr
