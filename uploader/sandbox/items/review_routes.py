"""Reviews of items before their publication, for an institution's administrator: list, read, comments."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import ApiError, invalid, invalid_is_bad_request, json_answer, moment, not_found
from uploader.sandbox.bodies import body_of, query_of
from uploader.sandbox.items import reviews_db
from uploader.sandbox.items import routes as item_routes
from uploader.sandbox.items.reviews_db import Comment, Review
from uploader.sandbox.listing import slice_of
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.people.institution_routes import administrator
from uploader.sandbox.routes import Route

_BASE = "/v2/account/institution"
_REVIEW = _BASE + r"/review/{review_id:\d{1,18}}"
_STATUSES = ("pending", "approved", "rejected", "closed")


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-reviews", "GET", f"{_BASE}/reviews", listing),
        Route("get-review", "GET", _REVIEW, read),
        Route("list-review-comments", "GET", f"{_REVIEW}/comments", comments),
        Route("create-review-comment", "POST", f"{_REVIEW}/comments", comment),
    ]


async def listing(request: web.Request) -> web.Response:
    """Return a list, as observed; the documentation has a single object."""
    context = administrator(request)
    rows = slice_of(request.query)
    with invalid_is_bad_request():
        known: dict[str, checks.Check] = {"group_id": checks.integer, "article_id": checks.integer, "status": _status}
        criteria = checks.checked(_numbers(request), known)
    found = [_shown(one) for one in await context.db.run(reviews_db.every)]
    matching = [one for one in found if all(one[name] == value for name, value in criteria.items())]
    return json_answer(matching[rows.offset : rows.offset + rows.limit])


async def read(request: web.Request) -> web.Response:
    context = administrator(request)
    at = context.addresses(request)

    def whole(db: sqlite3.Connection) -> dict[str, Any]:
        review = _review(db, request)
        return {**_shown(review), "item": item_routes.read_whole(db, review.item_id, None, context, at)}

    return json_answer(await context.db.run(whole))


async def comments(request: web.Request) -> web.Response:
    """Return a list, although the documentation has a single object."""
    context = administrator(request)
    rows = slice_of(request.query)

    def page(db: sqlite3.Connection) -> list[Comment]:
        return reviews_db.comments(db, _review(db, request).id, rows.limit, rows.offset)

    return json_answer([_comment(one) for one in await context.db.run(page)])


async def comment(request: web.Request) -> web.Response:
    context = administrator(request)
    with invalid_is_bad_request():
        body = await body_of(request)
        if body.get("text") is None:
            raise invalid("Missing mandatory field - text", "text")
        text = checks.text(1, 2000)("text", body["text"])
    account_id, now = account_of(request), context.now()
    await context.db.run(lambda db: reviews_db.comment(db, _review(db, request).id, account_id, text, now))
    return json_answer({})


def _numbers(request: web.Request) -> dict[str, Any]:
    """Return the query with its ids as numbers."""
    query = query_of(request)
    for name in ("group_id", "article_id"):
        text = request.query.get(name, "")
        if text.isascii() and text.isdigit() and len(text) < 19:
            query[name] = int(text)
    return query


def _status(name: str, value: Any) -> str:
    if value not in _STATUSES:
        raise ApiError(400, "BadRequest", f"Invalid value received for {name}", {"invalid_params": name})
    return str(value)


def _review(db: sqlite3.Connection, request: web.Request) -> Review:
    """Return the review that the path names. ApiError 404."""
    found = reviews_db.find(db, int(request.match_info["review_id"]))
    if found is None:
        raise not_found("Review")
    return found


def _shown(review: Review) -> dict[str, Any]:
    return {
        "id": review.id,
        "group_id": review.group_id or 0,
        "account_id": review.account_id,
        "assigned_to": 0,
        "article_id": review.item_id,
        "version": review.version,
        "comments_count": review.comments,
        "status": review.status,
        "created_date": moment(review.created),
        "modified_date": moment(review.modified),
        "request_number": review.number,
        "resolution_comment": "",
    }


def _comment(one: Comment) -> dict[str, Any]:
    date = moment(one.created)
    return {
        "id": one.id,
        "account_id": one.account_id,
        "type": "comment",
        "text": one.text,
        "created_date": date,
        "modified_date": date,
    }
