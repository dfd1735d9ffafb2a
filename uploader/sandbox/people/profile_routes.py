"""Profiles: an account's user as the institution sees it, and changes of the public profile."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import ApiError, forbidden, invalid, invalid_is_bad_request, json_answer, not_found
from uploader.sandbox.bodies import body_of
from uploader.sandbox.context import context_of
from uploader.sandbox.people import accounts, author_body, authors
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.people.institution_routes import administrator
from uploader.sandbox.routes import Route

_MAX_LENGTH = 10_000


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("get-institution-user", "GET", r"/v2/account/institution/users/{account_id:\d{1,18}}", user),
        Route("update-profile", "PUT", "/v2/account/profile", update),
    ]


async def user(request: web.Request) -> web.Response:
    context = administrator(request)
    return json_answer(await context.db.run(_user, int(request.match_info["account_id"])))


async def update(request: web.Request) -> web.Response:
    """Change the own profile, or with `user_id` or `institution_user_id` that of an account of the institution.

    Names, ORCID and job title are shown again; nothing in the API shows the other fields, which are only checked.
    """
    context = context_of(request)
    with invalid_is_bad_request():
        given = checks.checked(await body_of(request), _CHECKS)
    named = {name: request.query[name] for name in ("user_id", "institution_user_id") if name in request.query}
    if named and not context.settings.institution:
        raise forbidden()
    await context.db.run(_update, account_of(request), named, given)
    return json_answer({"code": 200, "message": "OK"})


def _orcid(name: str, value: Any) -> str:
    text = checks.text(0, 100)(name, value)
    found = author_body.orcid_of(text)
    if text and not found:
        raise invalid(f"Invalid value received for {name}", name)
    return found


_CHECKS: dict[str, checks.Check] = {
    "first_name": checks.text(0, 255),
    "last_name": checks.text(1, 255),
    "orcid": _orcid,
    "job_title": checks.text(0, 255),
    "fields_of_interest": checks.integers,
    "fields_of_interest_by_source_id": checks.texts,
    **dict.fromkeys(("location", "facebook", "x", "linkedin", "bio"), checks.text(0, _MAX_LENGTH)),
    "personal_profiles": checks.objects,
}


def _user(db: sqlite3.Connection, account_id: int) -> dict[str, Any]:
    account = accounts.get(db, account_id)
    author = None if account is None else authors.get(db, account.author_id)
    if account is None or author is None:
        raise not_found("Account")
    shown = authors.shown(author)
    return {
        **{name: shown[name] for name in ("id", "first_name", "last_name", "url_name", "orcid_id")},
        "name": author.full_name,
        "is_active": account.active,
        "is_public": True,
        "job_title": author.job_title,
    }


def _update(db: sqlite3.Connection, account_id: int, named: dict[str, str], given: dict[str, Any]) -> None:
    author_id = _author_id(db, account_id, named)
    author = authors.get(db, author_id)
    if author is None:
        raise not_found("User")
    authors.update(
        db,
        author_id,
        first_name=given.get("first_name", author.first_name),
        last_name=given.get("last_name", author.last_name),
        orcid_id=given.get("orcid", author.orcid_id),
        job_title=given.get("job_title", author.job_title),
    )


def _author_id(db: sqlite3.Connection, account_id: int, named: dict[str, str]) -> int:
    """Return the account of the profile. ApiError 400 or 404."""
    if "institution_user_id" in named:
        criteria = accounts.AccountFilter(institution_user_id=named["institution_user_id"])
        found = accounts.page(db, criteria, 1, 0) if named["institution_user_id"] else []
        if not found:
            raise not_found("User")
        return found[0].author_id
    text = named.get("user_id")
    if text is None:
        return authors.get_by_account(db, account_id)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ApiError(400, "BadRequest", "Invalid value received for user_id", {"invalid_params": "user_id"})
    author = authors.get(db, int(text))
    if author is None or author.account_id is None:
        raise not_found("User")
    return author.id
