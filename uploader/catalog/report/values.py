"""Values of a record as a table has them: text of HTML, states, entries of lists. Pure.

Everything reads the JSON as Figshare sent it, in which any value may be missing, null or of another type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import unescape
from html.parser import HTMLParser
from typing import Any, TypeAlias

Raw: TypeAlias = Mapping[str, Any]
Cell: TypeAlias = str | int | float | bool | None
"""The value of one cell; None is an empty one."""
Values: TypeAlias = tuple[str, ...]
"""The values of a list, which share one cell."""
STATES = ("public", "embargoed-file", "embargoed-item", "metadata-only", "linked", "draft", "unpublished")
"""The states of a record; see `state`."""
PUBLISHED_STATES = frozenset(STATES) - {"draft", "unpublished"}

_BLOCKS = frozenset(
    {"p", "div", "li", "ul", "ol", "tr", "table", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}
)
_HIDDEN = frozenset({"script", "style"})
_BLANKS = re.compile(r"[ \t\r\f\v\n\xa0]+")
_MARKUP = re.compile(r"<[a-zA-Z/!]|&[#a-zA-Z]")


class _TextOfHtml(HTMLParser):
    """Collects text: blocks become lines, and a link is followed by its address."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS or tag == "br":
            self.pieces.append("\n")
        elif tag == "a":
            self._links.append((dict(attrs).get("href") or "", len(self.pieces)))
        self._hidden += tag in _HIDDEN

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag == "a" and self._links:
            address, begin = self._links.pop()
            if address.startswith(("http://", "https://")) and address not in "".join(self.pieces[begin:]):
                self.pieces.append(f" ({address})")
        self._hidden = max(0, self._hidden - (tag in _HIDDEN))

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(_BLANKS.sub(" ", data))

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Skip `<![…>` as browsers do; the standard parser fails at most of them."""
        return self.parse_bogus_comment(i, report)


_MAX_HTML = 100_000
"""Characters of HTML that are parsed, five times as many as Figshare allows; longer ones are shown as they are."""
_MAX_DIGITS = 19
"""Digits of a number that a table can hold as one."""


def plain_text(html: object) -> str:
    """Return the text of HTML: paragraphs as lines, entities resolved, links with their addresses."""
    if not isinstance(html, str):
        return ""
    if not _MARKUP.search(html) or len(html) > _MAX_HTML:
        return html.strip()
    # A tag that has no end is text; the parser would look for its end again at each "<".
    end = html.rfind(">") + 1
    reader = _TextOfHtml()
    reader.feed(html[:end])
    reader.close()
    reader.handle_data(unescape(html[end:]))
    lines = [_BLANKS.sub(" ", line).strip() for line in "".join(reader.pieces).split("\n")]
    return "\n".join(line for line in lines if line)


def text(value: object) -> str | None:
    """Return a value as text, None if there is none."""
    if value is None or value == "" or isinstance(value, Mapping | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def number(value: object) -> int | float | None:
    """Return a number, also one that is written as text; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**_MAX_DIGITS:
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS:
        return int(value)
    return None


def flag(value: object) -> bool | None:
    """Return a truth value, also of 0 and 1; None for anything else."""
    return bool(value) if isinstance(value, bool) or value in (0, 1) else None


def entries(record: Raw, name: str) -> Sequence[Any]:
    """Return a list of the record, empty if it is missing or no list."""
    value = record.get(name)
    return value if isinstance(value, list) else ()


def texts(record: Raw, name: str, key: str | None = None) -> Values:
    """Return the texts of a list; with `key`, those of its objects that have it."""
    if key is None:
        found = [text(one) for one in entries(record, name)]
    else:
        found = [text(one.get(key)) for one in entries(record, name) if isinstance(one, Mapping)]
    return tuple(one for one in found if one is not None)


def part(record: Raw, name: str, key: str) -> object:
    """Return a value of an object inside the record, None if there is none."""
    value = record.get(name)
    return value.get(key) if isinstance(value, Mapping) else None


def authors(record: Raw) -> Values:
    """Return each author as "Name (ORCID: iD)", in their order."""
    found = []
    for one in entries(record, "authors"):
        if isinstance(one, Mapping):
            name = text(one.get("full_name")) or text(one.get("name")) or ""
            orcid = text(one.get("orcid_id"))
            found.append(f"{name} (ORCID: {orcid})" if orcid else name)
    return tuple(found)


def related(record: Raw) -> Values:
    """Return each related material as "relation: identifier", or its title if it has no identifier."""
    found = []
    for one in entries(record, "related_materials"):
        if isinstance(one, Mapping):
            what = text(one.get("identifier")) or text(one.get("link")) or text(one.get("title")) or ""
            relation = text(one.get("relation"))
            found.append(f"{relation}: {what}" if relation else what)
    return tuple(found)


def custom_fields(record: Raw) -> dict[str, Values]:
    """Return the values of the record's custom fields by name, empty ones included, in their order."""
    found: dict[str, Values] = {}
    for one in entries(record, "custom_fields"):
        if isinstance(one, Mapping) and (name := text(one.get("name"))) is not None:
            value = one.get("value")
            values = value if isinstance(value, list) else [value]
            known = tuple(shown for each in values if (shown := text(each)) is not None)
            found[name] = found.get(name, ()) + known
    return found


def is_public(record: Raw) -> bool | None:
    """Return whether a record is public, None if it does not say; own collections call it otherwise."""
    return flag(record.get("is_public", record.get("public")))


def state(record: Raw) -> str:
    """Return whether and how a record that was read in full is public: one of `STATES`.

    An item that was published and withdrawn keeps its date of publication, so the date alone says nothing (observed).
    Only of an own project, which has nothing else, it is decisive.
    """
    public = is_public(record)
    if public is None and "role" in record and "status" not in record:
        public = bool(record.get("published_date"))
    if public is False or (public is None and record.get("status") not in (None, "public")):
        # What is wholly under embargo is published, but not public.
        if (
            flag(record.get("is_embargoed"))
            and record.get("embargo_type") == "article"
            and record.get("status") != "draft"
        ):
            return "embargoed-item"
        return "unpublished" if record.get("published_date") else "draft"
    if flag(record.get("is_embargoed")):
        return "embargoed-file" if record.get("embargo_type") == "file" else "embargoed-item"
    if flag(record.get("is_metadata_record")):
        return "metadata-only"
    return "linked" if flag(record.get("has_linked_file")) else "public"


def size(record: Raw) -> int | float | None:
    """Return the bytes of the record's files; as stated by the record if their list is not shown."""
    sizes = [number(one.get("size")) for one in entries(record, "files") if isinstance(one, Mapping)]
    return sum(one or 0 for one in sizes) if sizes else number(record.get("size"))


def inner(record: Raw, name: str) -> Raw:
    """Return an object inside the record, empty if there is none."""
    value = record.get(name)
    return value if isinstance(value, Mapping) else {}


def value(record: Raw, name: str) -> Cell | Values:
    """Return any value: of objects their name, of lists one text for each entry."""
    found = record.get(name)
    if isinstance(found, list):
        return tuple(shown for one in found if (shown := _shown(one)) is not None)
    return _shown(found) if isinstance(found, Mapping) else found if isinstance(found, int | float) else text(found)


def _shown(one: object) -> str | None:
    if isinstance(one, Mapping):
        return next(filter(None, (text(one.get(key)) for key in ("full_name", "name", "title", "id"))), None)
    return text(one)


def embargo_problem(record: Raw) -> str | None:
    """Return the problem with the end of an embargo."""
    end, published = record.get("embargo_date"), record.get("published_date")
    if not end:
        return "no end"
    return "ended before publication" if isinstance(published, str) and str(end)[:10] < published[:10] else None


def used_percent(record: Raw) -> float | None:
    """Return the used share of a quota in percent, None without a quota."""
    used, quota = number(record.get("used_quota")), number(record.get("quota"))
    return round(100 * used / quota, 1) if used is not None and quota else None
