"""The account, the token, and the search for authors."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import ApiError, invalid_is_bad_request, json_answer, moment, not_found
from uploader.sandbox.bodies import search_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.institutions import OWN, subgroups
from uploader.sandbox.listing import slice_in
from uploader.sandbox.people import accounts, authors
from uploader.sandbox.people.authors import Author
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.routes import Route


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("get-account", "GET", "/v2/account", account),
        Route("get-token", "GET", "/v2/token", token),
        Route("search-authors", "POST", "/v2/account/authors/search", search_authors),
        Route("get-author", "GET", r"/v2/account/authors/{author_id:\d{1,18}}", get_author),
    ]


async def account(request: web.Request) -> web.Response:
    context = context_of(request)
    return json_answer(await context.db.run(account_object, account_of(request), context))


def account_object(db: sqlite3.Connection, account_id: int, context: Context) -> dict[str, Any]:
    """Return the account. Quotas are bytes; `maximum_file_size` 0 is "not stated", as seen on real accounts. ApiError
    404.
    """
    found = accounts.get(db, account_id)
    if found is None:
        raise not_found("Account")
    used = found.used(context)
    return {
        "id": found.id,
        "first_name": found.first_name,
        "last_name": found.last_name,
        "email": found.email,
        "active": found.active,
        "institution_id": OWN.id if context.settings.institution else 0,
        "group_id": found.group_id if context.settings.institution else 0,
        "institution_user_id": found.institution_user_id,
        "quota": found.limit(context),
        "used_quota": used + found.public,
        "used_quota_private": used,
        "used_quota_public": found.public,
        "pending_quota_request": False,
        "maximum_file_size": context.settings.max_file_size,
        "created_date": moment(found.created),
        "modified_date": moment(found.modified),
        "user_id": found.author_id,
        "orcid_id": found.orcid_id,
        "symplectic_user_id": found.symplectic_user_id,
    }


async def token(request: web.Request) -> web.Response:
    """Describe the token. A personal token does not expire; the documented fields cannot express that."""
    value = context_of(request).settings.token
    return json_answer(
        {"access_token": value, "token": value, "token_type": "bearer", "expires_in": 2**31 - 1, "scope": "all"}
    )


async def search_authors(request: web.Request) -> web.Response:
    context = context_of(request)
    body = await search_of(request)
    with invalid_is_bad_request():
        rows = slice_in(body)
        criteria = checks.checked(body, _AUTHOR_FILTERS)
    found = await context.db.run(
        authors.search,
        criteria.get("search_for", ""),
        criteria.get("orcid", ""),
        with_account=criteria.get("is_active"),
    )
    shown = [_complete(one, institution=context.settings.institution) for one in found]
    matching = [one for one in shown if _matches(one, criteria)]
    return json_answer(matching[rows.offset : rows.offset + rows.limit])


async def get_author(request: web.Request) -> web.Response:
    context = context_of(request)
    found = await context.db.run(authors.get, int(request.match_info["author_id"]))
    if found is None:
        raise ApiError(404, "EntityNotFound", "Author not found")
    return json_answer(_complete(found, institution=context.settings.institution))


_AUTHOR_FILTERS: dict[str, checks.Check] = {
    "search_for": checks.text(3, 1000),
    "orcid": checks.text(0, 100),
    "is_active": checks.boolean,
    "is_public": checks.boolean,
    "institution_id": checks.integer,
    "group_id": checks.integer,
}


def _matches(author: dict[str, Any], criteria: dict[str, Any]) -> bool:
    """Return whether an author's object matches; a group includes those below it, as documented."""
    group = criteria.get("group_id")
    if group is not None and author["group_id"] not in subgroups(group):
        return False
    public, institution = criteria.get("is_public"), criteria.get("institution_id")
    return (public is None or bool(author["is_public"]) == public) and institution in {None, author["institution_id"]}


def _complete(author: Author, *, institution: bool) -> dict[str, Any]:
    in_institution = institution and author.account_id is not None
    return {
        **authors.shown(author),
        "institution_id": OWN.id if in_institution else 0,
        "group_id": author.group_id if in_institution else 0,
        "is_public": 0,
        "job_title": author.job_title,
    }
