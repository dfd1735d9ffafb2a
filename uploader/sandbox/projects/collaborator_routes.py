"""The collaborators of a project: list, invite, remove, leave. An invitation is never accepted, and gives no access."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox import projects_db as store
from uploader.sandbox.answers import (
    ApiError,
    forbidden,
    invalid,
    invalid_is_bad_request,
    json_answer,
    no_content,
    not_found,
)
from uploader.sandbox.bodies import body_of, optional_body_of
from uploader.sandbox.context import context_of
from uploader.sandbox.people import accounts, authors
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.projects import view
from uploader.sandbox.projects.routes import PROJECT, project_id_of
from uploader.sandbox.routes import Route

_PATH = f"{PROJECT}/collaborators"
_ROLES = ("viewer", "collaborator")


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-collaborators", "GET", _PATH, listing),
        Route("invite-collaborator", "POST", _PATH, invite),
        Route("remove-collaborator", "DELETE", _PATH + r"/{user_id:\d{1,18}}", remove),
        Route("leave-project", "POST", f"{PROJECT}/leave", leave),
    ]


async def listing(request: web.Request) -> web.Response:
    context = context_of(request)
    return json_answer(await context.db.run(_listed, project_id_of(request), account_of(request)))


async def invite(request: web.Request) -> web.Response:
    """Invite a person by user id or e-mail address. An address without an account becomes an author (*choice*)."""
    with invalid_is_bad_request():
        body = await body_of(request)
        given = checks.checked(body, _CHECKS)
        if "role_name" not in given:
            raise invalid("Missing mandatory field - role_name", "role_name")
        if ("user_id" in given) == ("email" in given):
            raise invalid("Use either user_id or email", "user_id")
    await context_of(request).db.run(_invite, project_id_of(request), account_of(request), given)
    return json_answer({"message": "The invitation has been sent"}, 201)


async def remove(request: web.Request) -> web.Response:
    user_id = int(request.match_info["user_id"])
    await context_of(request).db.run(_remove, project_id_of(request), account_of(request), user_id)
    return no_content()


async def leave(request: web.Request) -> web.Response:
    """Leave a project as one of its collaborators. ApiError 403 for the owner."""
    await optional_body_of(request)
    await context_of(request).db.run(_leave, project_id_of(request), account_of(request))
    return no_content()


def _role(name: str, value: Any) -> str:
    if value not in _ROLES:
        raise invalid(f"Invalid value received for {name}", name)
    return str(value)


_CHECKS: dict[str, checks.Check] = {
    "role_name": _role,
    "user_id": checks.integer,
    "email": checks.text(3, 150),
    "comment": checks.text(0, 10000),
}


def _listed(db: sqlite3.Connection, project_id: int, account_id: int) -> list[dict[str, Any]]:
    store.get(db, project_id, account_id)
    owner = accounts.get(db, account_id)
    if owner is None:
        raise not_found("Account")
    first, *others = view.collaborators(owner, store.collaborators(db, project_id))
    return [{"status": "accepted", **first}, *({"status": "invited", **one} for one in others)]


def _invite(db: sqlite3.Connection, project_id: int, account_id: int, given: dict[str, Any]) -> None:
    store.get(db, project_id, account_id)
    email = given.get("email")
    if email is not None:
        unknown = authors.NewAuthor(full_name=email, first_name="", last_name="", orcid_id="")
        author_id = accounts.author_of(db, email) or authors.create(db, unknown)
    elif authors.get(db, given["user_id"]) is not None:
        author_id = given["user_id"]
    else:
        raise ApiError(400, "BadRequest", f"User {given['user_id']} not found")
    if author_id == authors.get_by_account(db, account_id):
        raise ApiError(400, "BadRequest", "The owner of the project cannot be invited")
    store.invite(db, project_id, author_id, given["role_name"])


def _remove(db: sqlite3.Connection, project_id: int, account_id: int, user_id: int) -> None:
    store.get(db, project_id, account_id)
    if not store.remove_collaborator(db, project_id, user_id):
        raise not_found("Collaborator")


def _leave(db: sqlite3.Connection, project_id: int, account_id: int) -> None:
    project = store.find(db, project_id)
    if project is not None and project.account_id == account_id:
        raise forbidden()
    if project is None or not store.remove_collaborator(db, project_id, authors.get_by_account(db, account_id)):
        raise not_found("Project")
