"""Reports of an account's items as XLSX: request one, list them, download. One a day, as documented.

The columns are a *choice*: those of Figshare's report are not documented. It is not documented either whether the
download needs a token; here the address suffices, as in a storage service.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import ApiError, json_answer, moment, not_found
from uploader.sandbox.context import context_of
from uploader.sandbox.items import store, view
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.routes import Route
from uploader.sandbox.spreadsheet import spreadsheet

_PATH = "/v2/account/articles/export"
_FILE = r"/reports/{token:[0-9a-f]{1,64}}/report-{report_id:\d{1,18}}.xlsx"
_DAY = 86400.0
_COLUMNS = (
    "id", "title", "doi", "handle", "defined_type_name", "group_id", "published_date", "created_date", "modified_date",
    "url_public_html",
)  # fmt: skip
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-reports", "GET", _PATH, listing),
        Route("create-report", "POST", _PATH, create),
        Route("download-report", "GET", _FILE, download, public=True),
    ]


async def listing(request: web.Request) -> web.Response:
    """Return the reports of the account, which are all done; with `group_id` those of the group."""
    context = context_of(request)
    group = _group(request.query)
    rows = await context.db.run(_list, account_of(request))
    at = context.addresses(request)
    return json_answer([_shown(row, at) for row in rows if group in {0, row["group_id"]}])


async def create(request: web.Request) -> web.Response:
    """Request a report and return it as pending. ApiError 429 for a second one within a day."""
    context = context_of(request)
    group = _group(request.query)
    row = await context.db.run(_create, account_of(request), group, context.now())
    return json_answer({**_shown(row, context.addresses(request)), "status": "pending", "download_url": ""})


async def download(request: web.Request) -> web.Response:
    context = context_of(request)
    at, now = context.addresses(request), context.now()

    def table(db: sqlite3.Connection) -> bytes:
        row = db.execute(
            "SELECT * FROM reports WHERE id = ? AND token = ?",
            (int(request.match_info["report_id"]), request.match_info["token"]),
        ).fetchone()
        if row is None:
            raise not_found("Report")
        items = [view.row(item, at, now) for item in store.page(db, row["account_id"], -1, 0)]
        chosen = [item for item in items if row["group_id"] in {0, item["group_id"]}]
        return spreadsheet([_COLUMNS, *([item[name] for name in _COLUMNS] for item in chosen)])

    return web.Response(body=await context.db.run(table), content_type=_TYPE)


def _group(query: Mapping[str, str]) -> int:
    """Return the requested group, 0 for none. ApiError 400."""
    text = query.get("group_id", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ApiError(400, "BadRequest", "Invalid value received for group_id", {"invalid_params": "group_id"})
    return int(text)


def _list(db: sqlite3.Connection, account_id: int) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM reports WHERE account_id = ? ORDER BY id DESC", (account_id,)).fetchall()


def _create(db: sqlite3.Connection, account_id: int, group: int, now: float) -> sqlite3.Row:
    earlier = _list(db, account_id)
    if earlier and earlier[0]["created"] > now - _DAY:
        raise ApiError(429, "TooManyRequests", "Only one report a day can be requested")
    db.execute(
        "INSERT INTO reports (account_id, group_id, token, created) VALUES (?, ?, ?, ?)",
        (account_id, group, secrets.token_hex(20), now),
    )
    return _list(db, account_id)[0]


def _shown(row: sqlite3.Row, at: Addresses) -> dict[str, Any]:
    return {
        "id": row["id"],
        "account_id": row["account_id"],
        "created_date": moment(row["created"]),
        "status": "done",
        "download_url": f"{at.origin}/reports/{row['token']}/report-{row['id']}.xlsx",
        "group_id": row["group_id"],
    }
