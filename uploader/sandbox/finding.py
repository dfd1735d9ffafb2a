"""Which records a listing or search finds, and in which order: filters, search, order and paging in one statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from aiohttp import web

from uploader.sandbox import filters, numbers
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.listing import Order, Slice, order_of
from uploader.sandbox.paging import rows_of
from uploader.sandbox.search import Dialect, query_of
from uploader.sandbox.settings import Settings
from uploader.sandbox.sql import Sql, all_of

T = TypeVar("T")


class Found(NamedTuple):
    """A record: its id, and the number of its version; 0 for a private copy and for projects."""

    id: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where records of a kind come from: `tables` has the documents as `d` and the records as `s`.

    The others are columns. `extension`: see uploader.sandbox.search.Dialect.
    """

    kind: str
    tables: str
    modified: str
    since: str
    """From when on it can be seen."""
    extension: str | None = None


# CROSS JOIN keeps the order of the tables, so that the first can be read in the order of the answer.
_VERSION: Final = (
    " CROSS JOIN {versions} v ON v.{key} = s.id AND v.number ="
    " (SELECT MAX(number) FROM {versions} WHERE {key} = s.id AND visible <= :now)"
    " CROSS JOIN documents d ON d.kind = '{kind}' AND d.id = s.id AND d.number = v.number"
)
_COPY: Final = "{table} s CROSS JOIN documents d ON d.kind = '{kind}' AND d.id = s.id AND d.number = 0"

PUBLIC_ITEMS: Final = Source(
    kind="articles",
    tables="items s" + _VERSION.format(versions="versions", key="item_id", kind="articles"),
    modified="v.visible",
    since="v.visible",
    extension="EXISTS (SELECT 1 FROM published_files f WHERE f.item_id = d.id AND f.number = d.number"
    " AND f.name LIKE ? ESCAPE '!')",
)
OWN_ITEMS: Final = Source(
    kind="articles",
    tables=_COPY.format(table="items", kind="articles"),
    modified="s.modified",
    since="s.created",
    extension="EXISTS (SELECT 1 FROM files f WHERE f.item_id = d.id AND f.name LIKE ? ESCAPE '!')",
)
PUBLIC_COLLECTIONS: Final = Source(
    kind="collections",
    tables="collections s" + _VERSION.format(versions="collection_versions", key="collection_id", kind="collections"),
    modified="v.visible",
    since="v.visible",
)
OWN_COLLECTIONS: Final = Source(
    kind="collections",
    tables=_COPY.format(table="collections", kind="collections"),
    modified="s.modified",
    since="s.created",
)
_PROJECTS: Final = _COPY.format(table="projects", kind="projects")
PUBLIC_PROJECTS: Final = Source(kind="projects", tables=_PROJECTS, modified="s.modified", since="s.published")
OWN_PROJECTS: Final = Source(kind="projects", tables=_PROJECTS, modified="s.modified", since="s.created")
_PUBLIC: Final = (PUBLIC_ITEMS, PUBLIC_COLLECTIONS, PUBLIC_PROJECTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query for records. `criteria` is as uploader.sandbox.filters reads it; `now` is seconds since the epoch.

    `account_id`: whose private copies; None: of all. `search`: a search, which an index answers that may lag.
    """

    source: Source
    criteria: Mapping[str, Any]
    order: Order
    rows: Slice
    now: float
    account_id: int | None = None
    search: bool = False


def in_search(
    request: web.Request, body: dict[str, Any], orders: tuple[str, ...]
) -> tuple[dict[str, Any], Slice, Order]:
    """Return the criteria, rows and order of a search with this body. ApiError 400 or 422."""
    criteria = filters.read(body, context_of(request).settings.query_length)
    return criteria, rows_of(request, body), order_of(body, orders)


def find(db: sqlite3.Connection, query: Query, context: Context) -> list[Found]:
    """Return the records of the asked rows."""
    context.refresh(db)
    source = query.source
    where = all_of(_conditions(query, context.settings))
    before, after = (Sql(text.replace(":now", "?"), (query.now,) * text.count(":now")) for text in (
        source.tables, _ordering(query.order, source)
    ))  # fmt: skip
    rows = db.execute(
        f"SELECT s.id, d.number FROM {before.text} WHERE {where.text}"  # noqa: S608 - values are bound
        f" ORDER BY {after.text} LIMIT ? OFFSET ?",
        (*before.values, *where.values, *after.values, query.rows.limit, query.rows.offset),
    )
    return [Found(row["id"], row["number"]) for row in rows]


def records(
    db: sqlite3.Connection, query: Query, context: Context, get: Callable[[sqlite3.Connection, int], T | None]
) -> list[T]:
    """Return the records of the asked rows, each read by `get`."""
    found = [get(db, one.id) for one in find(db, query, context)]
    return [one for one in found if one is not None]


def _conditions(query: Query, settings: Settings) -> list[Sql]:
    source, criteria = query.source, query.criteria
    found = filters.conditions(
        criteria, source.kind, published="s.published", modified=source.modified,
        inclusive=settings.since == "inclusive",
    )  # fmt: skip
    if source in _PUBLIC:
        found.append(Sql("s.published <= ?", (query.now,)))
    if source is PUBLIC_ITEMS:
        found.append(Sql("NOT s.withdrawn"))
    if query.account_id is not None:
        found.append(Sql("s.account_id = ?", (query.account_id,)))
    if query.search and settings.index_lag:
        found.append(Sql(f"{source.since} <= ?", (query.now - settings.index_lag,)))
    if "search_for" in criteria:
        dialect = Dialect(published="s.published", extension=source.extension, stems=settings.stems)
        found.append(query_of(criteria["search_for"], dialect))
    return found


def _ordering(order: Order, source: Source) -> str:
    """Return the ORDER BY of an order. Rows without a value come last in both directions; ids decide among equals."""
    direction = "DESC" if order.descending else "ASC"
    columns = {"published_date": "s.published", "created_date": "s.created", "modified_date": source.modified}
    column = columns.get(order.field)
    if column is None:
        counted = f"'{order.field}', '{numbers.KINDS[source.kind]}', s.id, s.published, :now"
        return f"figures({counted}) {direction}, s.id {direction}"
    last = " NULLS LAST" if not order.descending else ""
    return f"{column} {direction}{last}, s.id {direction}"
