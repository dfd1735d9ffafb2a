"""Separate tables of what a record has several of: authors, categories, files and others, by the record's id. Pure.

One row an entry, in the record's order. Empty cells are empty. Those of groups and accounts have the rows of the
institution's lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from uploader.catalog.report import values as v
from uploader.catalog.report.columns import Column, ColumnKind, Entry
from uploader.catalog.report.known_columns import ACCOUNTS
from uploader.catalog.report.values import Raw
from uploader.figshare.records import RowKind
from uploader.figshare.statistics_api import COUNTERS


@dataclass(frozen=True, kw_only=True)
class SideTable:
    """One separate table. `parts` yields its rows of a record, which its columns read.

    `lookup`: its rows are instead all of this list, each an entry of its own.
    """

    name: str
    columns: tuple[Column, ...]
    parts: Callable[[Entry], Iterable[Raw]] = lambda _: ()
    lookup: RowKind | None = None


def _cell(name: str, meaning: str, key: str | None = None, kind: ColumnKind = "text") -> Column:
    key = key or name
    if kind == "number":
        return Column(name=name, meaning=meaning, read=lambda _, part: v.number(part.get(key)), kind=kind)
    if kind == "flag":
        return Column(name=name, meaning=meaning, read=lambda _, part: v.flag(part.get(key)), kind=kind)
    return Column(name=name, meaning=meaning, read=lambda _, part: v.text(part.get(key)))


def _number(name: str, meaning: str, key: str | None = None) -> Column:
    return _cell(name, meaning, key, "number")


_KEY = (
    Column(name="record_type", meaning="item, collection or project", read=lambda entry, _: entry.kind),
    Column(name="id", meaning="id of the record", read=lambda entry, _: v.number(entry.raw.get("id")), kind="number"),
    Column(name="version", meaning="version of the record", read=lambda entry, _: v.number(entry.raw.get("version")),
           kind="number"),
)  # fmt: skip
_POSITION = _number("position", "place in the record's list, from 1")


def _numbered(rows: Iterable[object]) -> Iterator[Raw]:
    """Yield objects, or texts as objects, with their positions."""
    for at, one in enumerate(rows, start=1):
        yield {**(one if isinstance(one, Mapping) else {"value": one}), "position": at}


def _objects(name: str) -> Callable[[Entry], Iterator[Raw]]:
    """Return a function that yields the objects or texts of a list."""
    return lambda entry: _numbered(v.entries(entry.raw, name))


def _tags(entry: Entry) -> Iterator[Raw]:
    return _objects("tags" if v.entries(entry.raw, "tags") else "keywords")(entry)


def _files(entry: Entry) -> Iterator[Raw]:
    folders = v.inner(entry.raw, "folder_structure")
    for one in _objects("files")(entry):
        yield {**one, "folder": folders.get(str(one.get("id")))}


def _custom(entry: Entry) -> Iterator[Raw]:
    for name, values in v.custom_fields(entry.raw).items():
        for at, one in enumerate(values, start=1):
            yield {"name": name, "position": at, "value": one}


def _timeline(entry: Entry) -> Iterator[Raw]:
    for name, moment in v.inner(entry.raw, "timeline").items():
        yield {"name": name, "value": moment}


def _items(entry: Entry) -> Iterator[Raw]:
    return _numbered(entry.items)


def _countries(entry: Entry) -> Iterator[Raw]:
    for name, views in entry.countries.items():
        yield {"name": name, "views": views}


def _months(entry: Entry) -> Iterator[Raw]:
    for name, events in v.inner(entry.numbers or {}, "months").items():
        yield {**events, "name": name}


def _table(name: str, parts: Callable[[Entry], Iterable[Raw]], *columns: Column) -> SideTable:
    return SideTable(name=name, columns=(*_KEY, *columns), parts=parts)


SIDE_TABLES: tuple[SideTable, ...] = (
    _table(
        "authors", _objects("authors"), _POSITION, _number("author_id", "id of the author", "id"),
        _cell("name", "full name", "full_name"), _cell("first_name", "first name"), _cell("last_name", "last name"),
        _cell("orcid", "ORCID iD", "orcid_id"), _cell("is_active", "whether the author has an account", kind="flag"),
        _cell("url_name", "name in the address of the page"),
    ),
    _table(
        "categories", _objects("categories"), _POSITION, _number("category_id", "id of the category", "id"),
        _cell("title", "title"), _number("parent_id", "id of the category above it"),
        _cell("path", "ids of the categories above it"), _cell("source_id", "code in the taxonomy"),
        _number("taxonomy_id", "id of the taxonomy"),
    ),
    _table("tags", _tags, _POSITION, _cell("tag", "keyword", "value")),
    _table(
        "files", _files, _POSITION, _number("file_id", "id of the file", "id"), _cell("name", "name"),
        _cell("folder", "folder"), _number("size", "bytes"), _cell("is_link_only", "whether it is a link", kind="flag"),
        _cell("mimetype", "type of its contents"), _cell("download_url", "address of its bytes"),
        _cell("supplied_md5", "MD5 as supplied"), _cell("computed_md5", "MD5 as computed by Figshare"),
    ),
    _table(
        "funding", _objects("funding_list"), _POSITION, _number("funding_id", "id of the grant", "id"),
        _cell("title", "title"), _cell("grant_code", "code"), _cell("funder_name", "funder"),
        _cell("is_user_defined", "whether it was typed by hand", kind="flag"), _cell("url", "address"),
    ),
    _table("custom_fields", _custom, _cell("name", "name of the field"), _POSITION, _cell("value", "value")),
    _table("references", _objects("references"), _POSITION, _cell("reference", "address", "value")),
    _table(
        "related_materials", _objects("related_materials"), _POSITION, _cell("identifier", "identifier"),
        _cell("identifier_type", "kind of identifier"), _cell("relation", "relation"), _cell("title", "title"),
        _cell("link", "address"),
    ),
    _table("timeline", _timeline, _cell("name", "which date"), _cell("date", "date; no time zone is stated", "value")),
)  # fmt: skip
"""The separate tables of every report on records."""
COLLECTION_ITEMS = _table(
    "collection_items", _items, _POSITION, _number("item_id", "id of the item", "id"), _cell("title", "its title"),
    _cell("doi", "its DOI"),
)  # fmt: skip
VIEWS_BY_COUNTRY = _table(
    "views_by_country", _countries, _cell("country", "country, as the service names it", "name"),
    _number("views", "views of the period"),
)  # fmt: skip
TIMESERIES = _table(
    "timeseries", _months, _cell("month", "month in which there were any, as 2024-05", "name"),
    *(_number(name, f"{name} of the month") for name in COUNTERS),
)  # fmt: skip
GROUPS = SideTable(
    name="groups", lookup="group",
    columns=(
        _number("id", "id of the group"),
        _cell("name", "name"),
        Column(name="group_path", meaning="names of the groups above it and of its own",
               read=lambda entry, _: entry.added.get("group_path")),
        _number("parent_id", "id of the group above it; 0 for the top group"),
        _cell("resource_id", "id in the institution's feed"),
        _cell("association_criteria", "which accounts the feed puts there"),
    ),
)  # fmt: skip
ACCOUNTS_TABLE = SideTable(name="accounts", lookup="account", columns=ACCOUNTS.default)
