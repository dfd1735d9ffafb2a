"""The pages for people: contents, size and escaping."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.support.sandbox_api import Api, sandbox_api
from uploader.sandbox.parts import Uniform

pytestmark = pytest.mark.anyio


class Seen(HTMLParser):
    """The text, links and tags of a page, whose tags must be balanced."""

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
        if tag not in {"meta", "col", "br", "img"}:
            self.open.append(tag)
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


async def page(api: Api, url: str) -> str:
    """Get a page as a browser without a token does."""
    async with api.http.get(url) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return await answer.text()


async def test_item_page_at_the_address_in_the_api(tmp_path: Path) -> None:
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


async def test_names_are_escaped(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\nb", "x" * 2000, "日本語", "&amp;"]
    async with sandbox_api(tmp_path / "s") as api:
        item = await api.item("'\"><svg onload=alert(1)>", description="<script>")
        for name in names:
            await api.send(item, b"x", name, folder_path=name)
        for url in ((await api.get(item))["url_private_html"], api.at.pages_url):
            seen = Seen(await page(api, url))
            assert not {"script", "img", "svg"} & set(seen.tags)
            if url == api.at.pages_url:
                continue
            for name in names:
                assert name in seen.text


async def test_item_page_shows_the_metadata(tmp_path: Path) -> None:
    """Every field is shown as text, and only http(s) URLs become links."""
    evil = "<script>alert(1)</script>"
    async with sandbox_api(tmp_path / "s", institution=True) as api:
        project = (await api.call("POST", "/account/projects", {"title": "River " + evil}))[1]["location"]
        fields = {
            "title": "Dams", "description": f"<p>Positions &amp; <b>heights</b></p><p>{evil} more</p>",
            "authors": [{"name": "Ann <i>Bee</i>", "orcid_id": "0000-0002-1825-0097"}], "categories": [24418],
            "keywords": ["dam", evil], "references": ["https://example.org/?a=1&b=%22><script>"], "license": 2,
            "related_materials": [
                {"identifier": "10.1/x", "identifier_type": "DOI", "relation": "Cites", "title": evil},
                {"identifier": "javascript:alert(1)", "identifier_type": "URL"},
            ],
            "funding_list": [{"title": "Grant " + evil}], "custom_fields": {"Site": ["North"], "Instrument": evil},
            "timeline": {"firstOnline": "2026-01-02"}, "group_id": 2101,
        }  # fmt: skip
        made = (await api.call("POST", f"{project}/articles", fields))[1]["location"]
        item = f"/account/articles/{made.rpartition('/')[2]}"
        file = await api.available(await api.send(item, b"0123", "a.png"))
        number = int(item.rpartition("/")[2])
        await api.call("POST", "/account/collections", {"title": "Gathered " + evil, "articles": [number]})
        link = (await api.call("POST", f"{item}/private_links"))[1]["html_location"]
        url = (await api.get(item))["url_private_html"]
        await api.call("POST", f"{item}/publish")
        await api.call("PUT", f"{item}/versions/1/update_thumb", {"file_id": file["id"]})
        embargo = {"is_embargoed": True, "embargo_date": "0", "embargo_type": "file", "embargo_reason": "why " + evil}
        await api.call("PUT", f"{item}/embargo", embargo)
        seen = Seen(await page(api, url))
        for expected in (
            "Positions & heights", "Ann <i>Bee</i>", "Animal physiological ecology", evil, "CC0", "Cites", "10.1/x",
            "Grant " + evil, "Site: North", "Instrument: " + evil, "firstOnline: 2026-01-02", "2101",
            "River " + evil, "public",
            "Gathered " + evil, "the files, permanently; why " + evil, "10.5072/FK2.figshare.", "javascript:alert(1)",
        ):  # fmt: skip
            assert expected in seen.text, expected
        assert "script" not in seen.tags
        assert seen.tags.count("img") == 1
        assert {"https://orcid.org/0000-0002-1825-0097", "https://doi.org/10.1/x", link} < set(seen.links)
        assert not any(one.startswith("javascript") for one in seen.links)


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


async def test_long_tables_are_paged(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", quota=10**9) as api:
        item = await api.item()
        for number in range(251):
            await api.initiate(item, f"{number}.bin", 1)
        url = (await api.get(item))["url_private_html"]
        first, second = Seen(await page(api, url)), Seen(await page(api, f"{url}&page=2"))
        assert "251 files" in first.text
        assert ("249.bin" in first.text, "250.bin" in first.text, "250.bin" in second.text) == (True, False, True)
        key = url.partition("?")[2]
        assert (f"?page=2&{key}" in first.links, f"?page=1&{key}" in second.links) == (True, True)
        assert "250.bin" not in Seen(await page(api, f"{url}&page=nonsense")).text


async def test_the_index_lists_the_items(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        index = api.at.pages_url
        assert "No items yet" in await page(api, index)
        item = await api.item("First")
        await api.item("Second")
        seen = Seen(await page(api, index))
        assert seen.text.index("Second") < seen.text.index("First")
        (link,) = (one for one in seen.links if one.startswith(item.removeprefix("/")))
        shown = Seen(await page(api, urljoin(index, link)))
        assert "no files" in shown.text
        assert "Second" in await page(api, urljoin(urljoin(index, link), shown.links[0]))


async def test_only_public_items_have_a_page_for_everyone(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", uncategorized="accept") as api:
        draft, item = await api.item("Secret"), await api.item("Shared", description="d", keywords=["k"])
        await api.available(await api.send(item, b"0123", "old.bin"))
        await api.call("POST", f"{item}/private_links")
        link = (await api.get(f"{item}/private_links"))[0]["html_location"]
        await api.call("POST", f"{item}/publish")
        await api.call("PUT", item, {"title": "Renamed"})
        await api.send(item, b"0123", "new.bin")
        origin = api.at.url.removesuffix("/v2")
        for path in (
            "/",
            draft,
            "/account/articles/9",
            f"{draft}?key=",
            f"{draft}?key={api.at.context.settings.token}",
        ):
            async with api.http.get(origin + path) as answer:
                assert (answer.status, "Secret" in await answer.text()) == (403, False), path
        whole = await api.get(item)
        assert whole["url_public_html"] == origin + item
        assert whole["url_private_html"] == whole["figshare_url"] == f"{origin}{item}{api.at.pages_url[-37:]}"
        anyone, owner = await page(api, whole["url_public_html"]), await page(api, whole["url_private_html"])
        reader = await page(api, link)
        shown = [
            ["Renamed" in one, "old.bin" in one, "new.bin" in one, link in one, "key=" in one]
            for one in (anyone, owner, reader)
        ]
        assert shown == [[False, True, False, False, False], [True] * 5, [True, True, True, False, False]]
        async with api.http.get(api.at.url + item.removeprefix("/account")) as answer:
            assert "key=" not in await answer.text()


async def test_page_of_an_unknown_item(tmp_path: Path) -> None:
    async with (
        sandbox_api(tmp_path / "s") as api,
        api.http.get(api.at.pages_url.replace("?", "account/articles/1?")) as a,
    ):
        assert a.status == 404
