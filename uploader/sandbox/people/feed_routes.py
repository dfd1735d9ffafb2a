"""Files that an institution's administrator uploads: the HR feed and the values of a custom field.

Both take effect at once; the real service does it later. One feed a day and one file of values an hour, as documented.
"""

from __future__ import annotations

import sqlite3

from aiohttp import web

from uploader.sandbox.answers import ApiError, json_answer, not_found
from uploader.sandbox.people import accounts, author_body, authors, feeds
from uploader.sandbox.people.accounts import AccountFilter, NewAccount
from uploader.sandbox.people.feeds import Person
from uploader.sandbox.people.institution_routes import administrator
from uploader.sandbox.reference_data import GROUPS, TOP_GROUP
from uploader.sandbox.routes import Route

_VALUES = r"/v2/account/institution/custom_fields/{custom_field_id:\d{1,18}}/items/upload"
_DAY, _HOUR = 86400.0, 3600.0
_DONE = {"code": 200, "message": "OK"}
_NOT_COMPLETE = {
    "message": "Previous feed import not complete.",
    "data": None,
    "errcode": "FigshareAPIException",
}


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("upload-hr-feed", "POST", "/v2/institution/hrfeed/upload", hr_feed),
        Route("upload-field-values", "POST", _VALUES, field_values),
    ]


async def hr_feed(request: web.Request) -> web.Response:
    """Create and update accounts; those that the feed does not name stay as they are (*choice*)."""
    context = administrator(request)
    raw = await request.read()
    people = feeds.people(feeds.file_in(request.headers.get("Content-Type", ""), raw, "hrfeed"))
    taken = await context.db.run(_import, people, context.now())
    return json_answer(_DONE) if taken else json_answer(_NOT_COMPLETE, 400)


async def field_values(request: web.Request) -> web.Response:
    """Add values to a large list. ApiError 404, 400 for a field of another type, 409 within an hour of the last."""
    context = administrator(request)
    number = int(request.match_info["custom_field_id"])
    known = {one.id: one for one in context.settings.custom_fields}
    if number not in known:
        raise not_found("Custom field")
    if known[number].kind != "dropdown_large_list":
        raise ApiError(400, "BadRequest", "This custom field cannot be updated via this method")
    raw = await request.read()
    values = feeds.values(feeds.file_in(request.headers.get("Content-Type", ""), raw, "external_file"))
    context.added_values = await context.db.run(_add_values, number, values, context.now())
    return json_answer(_DONE)


def added_values(db: sqlite3.Connection) -> dict[int, tuple[str, ...]]:
    """Return the values that were added to large lists, by the id of the field."""
    found: dict[int, tuple[str, ...]] = {}
    for row in db.execute("SELECT field_id, value FROM field_values ORDER BY rowid"):
        found[row["field_id"]] = (*found.get(row["field_id"], ()), row["value"])
    return found


def _add_values(db: sqlite3.Connection, number: int, values: list[str], now: float) -> dict[int, tuple[str, ...]]:
    if not _record_feed(db, "values", now, _HOUR):
        raise ApiError(409, "PreviousCustomFieldUploadNotComplete", "Previous import still in progress!")
    db.executemany("INSERT OR IGNORE INTO field_values VALUES (?, ?)", ((number, value) for value in values))
    return added_values(db)


def _import(db: sqlite3.Connection, people: list[Person], now: float) -> bool:
    """Return False for the second feed within a day."""
    if not _record_feed(db, "hr", now, _DAY):
        return False
    for one in people:
        _store(db, one, now)
    return True


def _record_feed(db: sqlite3.Connection, kind: str, now: float, pause: float) -> bool:
    """Record a file of this kind; False if the last one was too recent."""
    row = db.execute("SELECT created FROM feeds WHERE kind = ?", (kind,)).fetchone()
    if row is not None and row["created"] > now - pause:
        return False
    db.execute("INSERT OR REPLACE INTO feeds VALUES (?, ?)", (kind, now))
    return True


def _store(db: sqlite3.Connection, one: Person, now: float) -> None:
    """Create an account, or update the one of this id; an address that another account has is left out."""
    group = next((id_ for id_, group in GROUPS.items() if one.criteria and group["name"] == one.criteria), TOP_GROUP)
    known = accounts.page(db, AccountFilter(institution_user_id=one.unique_id), 1, 0)
    if known:
        account_id, author_id = known[0].id, known[0].author_id
        accounts.update(db, account_id, group_id=group, active=one.active, now=now)
    elif accounts.taken(db, one.email):
        return
    else:
        new = NewAccount(
            email=one.email, first_name=one.first_name, last_name=one.last_name, institution_user_id=one.unique_id,
            symplectic_user_id="", group_id=group, quota=one.quota, active=one.active,
        )  # fmt: skip
        account_id = accounts.create(db, new, now)
        author_id = authors.get_by_account(db, account_id)
    if one.quota is not None:
        accounts.set_quota(db, account_id, one.quota)
    author = authors.get(db, author_id)
    authors.update(
        db,
        author_id,
        first_name=one.first_name,
        last_name=one.last_name,
        orcid_id=author_body.orcid_of(one.orcid) or ("" if author is None else author.orcid_id),
        job_title="" if author is None else author.job_title,
    )
