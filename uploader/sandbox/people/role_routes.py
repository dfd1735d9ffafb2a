"""The roles that accounts have in the groups of an institution: list, add, remove.

The owner administers the top group, and every account is a user in its own group; added roles are stored.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import ApiError, forbidden, invalid_is_bad_request, json_answer, no_content, not_found
from uploader.sandbox.bodies import body_of
from uploader.sandbox.institutions import OWN
from uploader.sandbox.people import accounts
from uploader.sandbox.people.institution_routes import administrator
from uploader.sandbox.reference_data import ADMINISTRATOR, ROLES, TOP_GROUP, USER
from uploader.sandbox.routes import Route

_PATH = "/v2/account/institution/roles"
_ACCOUNT = _PATH + r"/{account_id:\d{1,18}}"


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-roles", "GET", _PATH, roles),
        Route("list-account-roles", "GET", _ACCOUNT, account_roles),
        Route("add-account-roles", "POST", _ACCOUNT, add),
        Route("delete-account-role", "DELETE", _ACCOUNT + r"/{group_id:\d{1,18}}/{role_id:\d{1,18}}", delete),
    ]


async def roles(request: web.Request) -> web.Response:
    administrator(request)
    return json_answer(list(ROLES.values()))


async def account_roles(request: web.Request) -> web.Response:
    context = administrator(request)
    assigned = await context.db.run(_roles_of, int(request.match_info["account_id"]))
    return json_answer({str(group): [_shown(role) for role in sorted(assigned[group])] for group in sorted(assigned)})


async def add(request: web.Request) -> web.Response:
    """Add the roles in a body of `{group: [role, …]}`. ApiError 400 for an unknown group or role."""
    context = administrator(request)
    with invalid_is_bad_request():
        body = await body_of(request)
        given = {_group(name): checks.integers(name, value) for name, value in body.items() if name != "impersonate"}
    wanted = [(group, role) for group, roles in given.items() for role in roles]
    for _, role in wanted:
        if role not in ROLES:
            raise ApiError(400, "BadRequest", f"Role {role} not found")
    await context.db.run(_add, int(request.match_info["account_id"]), wanted)
    return json_answer({}, 201)


async def delete(request: web.Request) -> web.Response:
    context = administrator(request)
    account_id, group, role = (int(request.match_info[name]) for name in ("account_id", "group_id", "role_id"))
    await context.db.run(_delete, account_id, group, role)
    return no_content()


def _shown(role: int) -> dict[str, Any]:
    return {name: ROLES[role][name] for name in ("category", "id", "name")}


def _group(name: str) -> int:
    if not (name.isascii() and name.isdigit() and len(name) < 19 and int(name) in OWN.groups):
        raise ApiError(400, "BadRequest", f"Group {name} not found")
    return int(name)


def _own(db: sqlite3.Connection, account_id: int) -> set[tuple[int, int]]:
    """Return the groups and roles that an account has without being given them. ApiError 404."""
    account = accounts.get(db, account_id)
    if account is None:
        raise not_found("Account")
    own = {(account.group_id, USER)}
    return own | {(TOP_GROUP, ADMINISTRATOR)} if account_id == accounts.OWNER_ID else own


def _roles_of(db: sqlite3.Connection, account_id: int) -> dict[int, set[int]]:
    """Return the roles of an account by group."""
    rows = db.execute("SELECT group_id, role_id FROM account_roles WHERE account_id = ?", (account_id,))
    assigned: dict[int, set[int]] = {}
    for group, role in (*_own(db, account_id), *((row["group_id"], row["role_id"]) for row in rows)):
        assigned.setdefault(group, set()).add(role)
    return assigned


def _add(db: sqlite3.Connection, account_id: int, wanted: list[tuple[int, int]]) -> None:
    own = _own(db, account_id)
    db.executemany(
        "INSERT OR IGNORE INTO account_roles VALUES (?, ?, ?)",
        ((account_id, *one) for one in wanted if one not in own),
    )


def _delete(db: sqlite3.Connection, account_id: int, group: int, role: int) -> None:
    if (group, role) in _own(db, account_id):
        raise forbidden()
    cursor = db.execute(
        "DELETE FROM account_roles WHERE account_id = ? AND group_id = ? AND role_id = ?", (account_id, group, role)
    )
    if not cursor.rowcount:
        raise not_found("Role")
