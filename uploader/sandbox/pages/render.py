"""Data and rendering of the web pages; the templates are next to this module."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

_BLOCKS = frozenset({"p", "br", "div", "li", "ul", "ol", "h1", "h2", "h3", "h4", "blockquote", "pre", "tr"})

Link = tuple[str, str | None]
"""A text and a URL; the template links only http(s) URLs."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A contiguous run of parts in the same state; `weight` is their number."""

    style: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A file on an item's page. `md5` is "" until it is known; `bar` is empty if there are no parts to show.

    `note` describes the parts; `supplied` is the MD5 that the client gave.
    """

    name: str
    folder: str
    size: int
    status: str
    md5: str
    supplied: str
    link: str | None
    bar: Sequence[Segment]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """An item in the index."""

    number: int
    title: str
    status: str
    files: int
    size: int
    modified: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """The number of this page of a long table, from 1, and whether there is a next one.

    `key` is in the links to other pages; "" where the reader may not know it.
    """

    number: int
    more: bool
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPage:
    """An item's page. `item` is the object that the API shows; the other fields are not part of it.

    `pending` counts the versions that are not public yet; `refresh` reloads the page every two seconds.
    """

    row: ItemRow
    item: Mapping[str, Any]
    versions: Sequence[Link]
    files: Sequence[FileRow]
    paging: Paging
    project: str | None = None
    collections: Sequence[str] = ()
    pending: int = 0
    private_links: Sequence[Link] = ()
    refresh: bool = False


def index(items: Sequence[ItemRow], paging: Paging, usage: str) -> str:
    """Render the list of items; `usage` describes the account's quota."""
    return _environment().get_template("index.html.j2").render(items=items, paging=paging, usage=usage)


def item(page: ItemPage) -> str:
    """Render an item's page."""
    shown = page.item
    return _environment().get_template("item.html.j2").render(
        item=shown,
        row=page.row,
        authors=[(one["full_name"], _orcid(one["orcid_id"])) for one in shown["authors"]],
        references=[(one, one) for one in shown["references"]],
        materials=[(_material(one), one["link"]) for one in shown["related_materials"]],
        timeline=[f"{name}: {date}" for name, date in shown["timeline"].items()],
        custom_fields=[f"{one['name']}: {_value(one['value'])}" for one in shown["custom_fields"] if one["value"]],
        embargo=[_embargo(shown)] if shown["is_embargoed"] else [],
        project=[] if page.project is None else [page.project],
        collections=page.collections,
        versions=page.versions,
        pending=page.pending,
        private_links=page.private_links,
        files=page.files,
        paging=page.paging,
        refresh=page.refresh,
    )  # fmt: skip


def segments(buckets: Iterable[tuple[int, int]], locked: Sequence[int]) -> list[Segment]:
    """Build a bar from (COMPLETE, all) for each bucket of parts, in order; `locked` has the numbers of locked parts.

    Adjacent segments in the same state are merged.
    """
    bar: list[Segment] = []
    first = 1
    for complete, count in buckets:
        if any(first <= number < first + count for number in locked):
            look = "locked"
        elif complete == count:
            look = "complete"
        else:
            look = "some" if complete else "pending"
        first += count
        if bar and bar[-1].style == look:
            bar[-1] = Segment(look, bar[-1].weight + count)
        else:
            bar.append(Segment(look, count))
    return bar


def format_size(size: int) -> str:
    """Format bytes in decimal units, as Figshare shows them."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1000
    return f"{value:.2f} TB"


def plain_text(html: str) -> str:
    """Return the text of a description without markup, one line per block."""
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.found).split("\n"))
    return "\n".join(line for line in lines if line)


def consent(client: str, redirect: str, ticket: str) -> str:
    """Render the page on which the owner allows or refuses an application."""
    return _environment().get_template("consent.html.j2").render(client=client, redirect=redirect, ticket=ticket)


def pin(number: str) -> str:
    """Render the page that shows the verifier of OAuth 1."""
    return _environment().get_template("pin.html.j2").render(pin=number)


@functools.cache
def _environment() -> jinja2.Environment:
    # Imported with the first page: most sandboxes never show one.
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"bytes": format_size, "plain_text": plain_text}
    return made


def _orcid(orcid: str) -> str | None:
    return f"https://orcid.org/{orcid}" if orcid else None


def _material(one: Mapping[str, Any]) -> str:
    title = f"{one['title']}, " if one["title"] else ""
    return f"{one['relation']}: {title}{one['identifier_type']} {one['identifier']}"


def _value(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _embargo(item: Mapping[str, Any]) -> str:
    until = f"until {item['embargo_date']}" if item["embargo_date"] else "permanently"
    what = "the whole item" if item["embargo_type"] == "article" else "the files"
    rest = [item["embargo_title"], item["embargo_reason"], *(one["type"] for one in item["embargo_options"])]
    return "; ".join([f"{what}, {until}", *(one for one in rest if one)])


class _TextReader(HTMLParser):
    """Collect the text of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Skip `<![…>` as browsers do; the standard parser fails at most of them."""
        return self.parse_bogus_comment(i, report)
