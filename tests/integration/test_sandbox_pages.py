"""The pages for people: what they show, that they stay small, and that nothing in them can break out."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.sandbox_api import Api, sandbox_api
from uploader.sandbox.parts import Uniform

pytestmark = pytest.mark.anyio


class Seen(HTMLParser):
    """The text of a page, its links, and whether its tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "col", "br"}:
            self.open.append(tag)
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


async def page(api: Api, url: str) -> str:
    """A page as a browser without a token gets it."""
    async with api.http.get(url) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return await answer.text()


async def test_an_item_has_a_page_where_the_api_says(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("Tides <b>& winds</b>")
        done = await api.available(await api.send(item, b"0123456789", "done.bin", folder_path="a/b"))
        half = await api.initiate(item, "half.bin", 12)
        await api.put(await api.upload_url(half), 2, b"4567")
        whole = await api.get(item)
        assert whole["url_private_html"] == whole["figshare_url"]
        html = await page(api, whole["url_private_html"])
        seen = Seen(html)
        assert "Tides <b>& winds</b>" in seen.text
        for words in ("a/b/done.bin", done["computed_md5"], "10 B", "available", "half.bin", "1 of 3 parts"):
            assert words in seen.text
        assert re.findall(r'<i class="(\w+)" style="flex:(\d+)"', html)[1:] == [
            ("pending", "1"),
            ("complete", "1"),
            ("pending", "1"),
        ]
        assert 'http-equiv="refresh"' in html


async def test_a_finished_item_does_not_refresh(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item()
        await api.available(await api.send(item, b"0123"))
        await api.call("POST", f"{item}/files", {"link": "https://example.org/?a&b"})
        assert "http-equiv" not in await page(api, (await api.get(item))["url_private_html"])


async def test_names_cannot_break_out(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\nb", "x" * 2000, "日本語", "&amp;"]
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("'\"><svg onload=alert(1)>", description="<script>")
        for name in names:
            await api.send(item, b"x", name, folder_path=name)
        for url in ((await api.get(item))["url_private_html"], api.at.url.removesuffix("v2")):
            seen = Seen(await page(api, url))
            assert not {"script", "img", "svg"} & set(seen.tags)
            if url.endswith("/"):
                continue
            for name in names:
                assert name in seen.text


async def test_a_bar_of_ten_thousand_parts_is_small(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", part_plan=Uniform(1)) as api:
        item = await api.item()
        file = await api.initiate(item, size=10_000)
        upload = await api.upload_url(file)
        for number in (1, 2, 5_000):
            assert await api.put(upload, number, b"x") == 200
        html = await page(api, (await api.get(item))["url_private_html"])
        assert "3 of 10000 parts" in html
        assert len(html) < 10_000
        weights = [int(weight) for weight in re.findall(r'<i class="\w+" style="flex:(\d+)"', html)]
        assert sum(weights) == 10_000


async def test_long_tables_are_turned_over(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", quota=10**9) as api:
        item = await api.item()
        for number in range(251):
            await api.initiate(item, f"{number}.bin", 1)
        url = (await api.get(item))["url_private_html"]
        first, second = Seen(await page(api, url)), Seen(await page(api, f"{url}?page=2"))
        assert "251 files" in first.text
        assert ("249.bin" in first.text, "250.bin" in first.text, "250.bin" in second.text) == (True, False, True)
        assert ("?page=2" in first.links, "?page=1" in second.links) == (True, True)
        assert "250.bin" not in Seen(await page(api, f"{url}?page=nonsense")).text


async def test_the_index_lists_the_items(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        origin = api.at.url.removesuffix("v2")
        assert "no items yet" in await page(api, origin)
        item = await api.item("First")
        await api.item("Second")
        seen = Seen(await page(api, origin))
        assert seen.text.index("Second") < seen.text.index("First")
        assert item.removeprefix("/") in seen.links
        assert "no files" in await page(api, origin + item.removeprefix("/"))


async def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    async with (
        sandbox_api(tmp_path / "s") as api,
        api.http.get(api.at.url.removesuffix("v2") + "account/articles/1") as a,
    ):
        assert a.status == 404
