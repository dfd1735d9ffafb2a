"""The pages for people, as HTML: everything that came from outside is escaped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from uploader.sandbox.item_facts import Fact, Text

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #66727f; --line: #dfe4e9; --paper: #fff; --wash: #f5f7f9;
  --done: #2e8b57; --some: #9fd3b5; --lock: #e0a526; --wait: #dfe4e9; --bad: #c0392b; --link: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #93a0ad; --line: #333d47; --paper: #171c21;
  --wash: #1f262d; --done: #3fa86d; --some: #2b5c43; --wait: #333d47; --bad: #e5766a; --link: #7fb2ea; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 64rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
nav, footer, .soft { color: var(--soft); font-size: .875rem; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .75rem; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0 .25rem; overflow-wrap: anywhere; white-space: pre-wrap; }
.tag { display: inline-block; padding: 0 .5em; border-radius: 1em; font-size: .8125rem; background: var(--wash);
  border: 1px solid var(--line); white-space: nowrap; }
.tag.available, .tag.public { color: var(--done); border-color: currentColor; }
.tag.ic_failure, .tag.aborted { color: var(--bad); border-color: currentColor; }
.thumb { float: right; max-width: 9rem; max-height: 9rem; margin: 0 0 1rem 1rem; border-radius: .5rem;
  border: 1px solid var(--line); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1.25rem; margin: 1rem 0 0;
  font-size: .9375rem; }
dt { color: var(--soft); font-size: .8125rem; line-height: 1.725; }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; margin-top: 1.25rem; table-layout: fixed; }
th { text-align: left; font-size: .8125rem; font-weight: 600; color: var(--soft); }
th, td { padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.name { overflow-wrap: anywhere; white-space: pre-wrap; }
.num { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font: .8125rem ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.bar { display: flex; height: .5rem; margin: .375rem 0 .125rem; border-radius: .25rem; overflow: hidden;
  background: var(--wait); }
.bar i { display: block; min-width: 1px; } .bar .complete { background: var(--done); }
.bar .some { background: var(--some); } .bar .locked { background: var(--lock); }
.key i { display: inline-block; width: .75em; height: .75em; border-radius: .2em; margin: 0 .3em 0 .9em; }
.none { padding: 2rem; text-align: center; color: var(--soft); background: var(--wash); border-radius: .5rem; }
@media (max-width: 40rem) { .wide { display: none; } .thumb { float: none; margin: .5rem 0 0; }
  dl { grid-template-columns: minmax(0, 1fr); row-gap: 0; } dt { margin-top: .375rem; } }
"""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of an upload's parts that look the same; `weight` is its number of parts."""

    look: str
    weight: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file on an item's page. `md5` is "" while it is not known; `bar` is empty where nothing is to be sent."""

    name: str
    folder: str
    size: int
    status: str
    md5: str
    supplied: str
    link: str | None
    bar: Sequence[Segment]
    note: str
    """A few words about the parts."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item in the index."""

    number: int
    title: str
    status: str
    files: int
    size: int
    modified: str


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of a long table this is, from 1, and whether there is another."""

    page: int
    more: bool


def segments(buckets: Sequence[tuple[int, int]], locked: Sequence[int]) -> list[Segment]:
    """A bar from (COMPLETE, all) for each bucket of parts, in order; `locked` has the numbers of locked parts.

    Neighbours that look the same become one.
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
        if bar and bar[-1].look == look:
            bar[-1] = Segment(look, bar[-1].weight + count)
        else:
            bar.append(Segment(look, count))
    return bar


def readable(size: int) -> str:
    """Bytes for people, in decimal units as Figshare shows them."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1000
    return f"{value:.2f} TB"


def index(items: Sequence[ItemRow], turn: Page, total: str) -> str:
    """The list of items. `total` is said of the whole account."""
    rows = "".join(
        f'<tr><td class="name"><a href="account/articles/{item.number}">{escape(item.title)}</a></td>'
        f"<td>{_tag(item.status)}</td>"
        f'<td class="num">{item.files}</td><td class="num">{readable(item.size)}</td>'
        f'<td class="wide soft">{escape(item.modified)}</td></tr>'
        for item in items
    )
    table = (
        '<table><colgroup><col><col style="width:7rem"><col style="width:4.5rem"><col style="width:7rem">'
        '<col class="wide" style="width:12rem"></colgroup><thead><tr><th>Item</th><th>State</th>'
        '<th class="num">Files</th><th class="num">Size</th><th class="wide">Changed</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        if items
        else '<p class="none">There are no items yet.</p>'
    )
    body = f'<h1>Items</h1><p class="soft">{escape(total)}</p>{table}{_turn(turn)}'
    return _page("Items", body, refresh=False)


def item(
    row: ItemRow, facts: Sequence[Fact], picture: str, files: Sequence[FileRow], turn: Page, *, refresh: bool
) -> str:
    """One item with its files. `picture` is the thumbnail's address, or "". `refresh`: look again soon."""
    summary = f"{row.files} file{'' if row.files == 1 else 's'}, {readable(row.size)}"
    thumb = f'<img class="thumb" alt="" src="{escape(picture)}">' if picture else ""
    head = (
        f'<nav><a href="../../">Items</a> / {row.number}</nav><h1>{escape(row.title)}</h1>'
        f'<p class="soft">{_tag(row.status)} {summary} · changed {escape(row.modified)}</p>'
        f"{thumb}<dl>{''.join(map(_fact, facts))}</dl>"
    )
    if not files:
        return _page(row.title, head + '<p class="none">This item has no files.</p>', refresh=refresh)
    table = (
        '<table><colgroup><col><col style="width:6.5rem"><col style="width:8.5rem"></colgroup><thead><tr>'
        '<th>File</th><th class="num">Size</th><th>State</th></tr></thead><tbody>'
        + "".join(map(_file, files))
        + "</tbody></table>"
    )
    return _page(row.title, head + table + _turn(turn) + _KEY, refresh=refresh)


_KEY = (
    '<p class="soft key">Parts:<i style="background:var(--done)"></i>complete'
    '<i style="background:var(--some)"></i>some complete<i style="background:var(--lock)"></i>locked'
    '<i style="background:var(--wait)"></i>pending</p>'
)


def _file(file: FileRow) -> str:
    name = escape(file.name) or "<i>no name</i>"
    if file.link is not None:
        name = f'<a rel="noreferrer" href="{escape(file.link)}">{name}</a>'
    folder = f'<span class="soft">{escape(file.folder)}/</span>' if file.folder else ""
    md5 = f"<br><code>MD5 {escape(file.md5)}</code>" if file.md5 else ""
    if file.supplied and file.md5 and file.supplied != file.md5:
        md5 += f"<br><code>supplied {escape(file.supplied)}</code>"
    bar = "".join(f'<i class="{one.look}" style="flex:{one.weight}"></i>' for one in file.bar if one.weight)
    shown = f'<div class="bar" role="img" aria-label="{escape(file.note)}">{bar}</div>' if bar else ""
    note = f'<span class="soft">{escape(file.note)}</span>' if file.note else ""
    size = "link" if file.link is not None else f'<span title="{file.size} bytes">{readable(file.size)}</span>'
    return (
        f'<tr><td class="name">{folder}{name}{md5}{shown}{note}</td><td class="num">{size}</td>'
        f"<td>{_tag(file.status)}</td></tr>"
    )


def _fact(fact: Fact) -> str:
    return f"<dt>{escape(fact.label)}</dt><dd>{''.join(f'<div>{_text(text)}</div>' for text in fact.texts)}</dd>"


def _text(text: Text) -> str:
    words = escape(text.words)
    # Other schemes could run something.
    if text.href is None or not text.href.startswith(("http://", "https://")):
        return words
    return f'<a rel="noreferrer" href="{escape(text.href)}">{words}</a>'


def _tag(status: str) -> str:
    return f'<span class="tag {escape(status)}">{escape(status)}</span>'


def _turn(turn: Page) -> str:
    links = []
    if turn.page > 1:
        links.append(f'<a href="?{urlencode({"page": turn.page - 1})}">Previous</a>')
    if turn.more:
        links.append(f'<a href="?{urlencode({"page": turn.page + 1})}">Next</a>')
    return f'<p class="soft">Page {turn.page} {" · ".join(links)}</p>' if links else ""


def _page(title: str, body: str, *, refresh: bool) -> str:
    again = '<meta http-equiv="refresh" content="2">' if refresh else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{again}<title>{escape(title)} · figup sandbox</title><style>{STYLE}</style></head>"
        f"<body>{body}<footer>figup sandbox: a Figshare on this machine. Nothing here leaves it.</footer></body></html>"
    )
