"""The administration of an institution: groups, custom fields and accounts."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox.answers import (
    ApiError,
    forbidden,
    invalid,
    invalid_is_bad_request,
    json_answer,
    not_found,
    reset_content,
)
from uploader.sandbox.bodies import body_of, search_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.custom_fields import definition, shown
from uploader.sandbox.institutions import OWN, seen_groups
from uploader.sandbox.listing import Slice, slice_in, slice_of
from uploader.sandbox.people import accounts
from uploader.sandbox.people.accounts import Account, AccountFilter, NewAccount
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.people.routes import account_object
from uploader.sandbox.reference_data import EMBARGO_OPTIONS, INSTITUTION, TOP_GROUP
from uploader.sandbox.routes import Route

_BASE = "/v2/account/institution"
_ACCOUNT = _BASE + r"/accounts/{account_id:\d{1,18}}"
_NAMES = 255
"""Characters of both names together."""


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("get-institution", "GET", _BASE, institution),
        Route("list-groups", "GET", f"{_BASE}/groups", groups),
        Route("list-embargo-options", "GET", f"{_BASE}/embargo_options", embargo_options),
        Route("list-embargo-options", "GET", _BASE + r"/groups/{group_id:\d{1,18}}/embargo_options", group_options),
        Route("list-custom-fields", "GET", f"{_BASE}/custom_fields", custom_fields),
        Route("list-group-fields", "GET", r"/v2/account/groups/{group_id:\d{1,18}}/metadata/item", group_fields),
        Route("list-accounts", "GET", f"{_BASE}/accounts", list_accounts),
        Route("create-account", "POST", f"{_BASE}/accounts", create_account),
        Route("search-accounts", "POST", f"{_BASE}/accounts/search", search_accounts),
        Route("get-institution-account", "GET", _ACCOUNT, get_account),
        Route("update-account", "PUT", _ACCOUNT, update_account),
    ]


async def institution(request: web.Request) -> web.Response:
    administrator(request)
    return json_answer(INSTITUTION)


async def groups(request: web.Request) -> web.Response:
    context = administrator(request)
    return json_answer(seen_groups(seeded=context.seeded))


async def embargo_options(request: web.Request) -> web.Response:
    administrator(request)
    return json_answer(list(EMBARGO_OPTIONS.values()))


async def group_options(request: web.Request) -> web.Response:
    administrator(request)
    if int(request.match_info["group_id"]) not in OWN.groups:
        raise not_found("Group")
    return json_answer(list(EMBARGO_OPTIONS.values()))


async def custom_fields(request: web.Request) -> web.Response:
    """Serve the fields of the group in the query, by default the account's. ApiError 403 for an unknown group."""
    context = administrator(request)
    asked = request.query.get("group_id")
    if asked is None:
        account = await context.db.run(accounts.get, account_of(request))
        group = account.group_id if account is not None else 0
    elif _bound(request.query, "group_id", 0) in OWN.groups:
        group = int(asked)
    else:
        raise forbidden()
    fields = context.custom_fields(group)
    return json_answer([definition(one, order) for order, one in enumerate(fields, start=1)])


async def group_fields(request: web.Request) -> web.Response:
    """Serve the custom fields of a group's items, as definitions without values."""
    context = administrator(request)
    group = int(request.match_info["group_id"])
    if group not in OWN.groups:
        raise not_found("Group")
    return json_answer(shown({}, context.custom_fields(group)))


async def list_accounts(request: web.Request) -> web.Response:
    context = administrator(request)
    rows = slice_of(request.query)
    criteria = AccountFilter(
        active=_active(request.query.get("is_active")),
        email=request.query.get("email"),
        institution_user_id=request.query.get("institution_user_id"),
        id_gte=_bound(request.query, "id_gte", 0),
        id_lte=_bound(request.query, "id_lte", 2**62),
    )
    return await _page(context, criteria, rows)


async def search_accounts(request: web.Request) -> web.Response:
    context = administrator(request)
    body = await search_of(request)
    with invalid_is_bad_request():
        rows = slice_in(body)
        given = checks.checked(body, {"search_for": checks.text(0, 1000), "email": checks.text(0, 150),
                                      "institution_user_id": checks.text(0, 50)})  # fmt: skip
    criteria = AccountFilter(
        text=given.get("search_for"),
        active=_active(None if body.get("is_active") is None else str(body["is_active"])),
        email=given.get("email"),
        institution_user_id=given.get("institution_user_id"),
    )
    return await _page(context, criteria, rows)


async def create_account(request: web.Request) -> web.Response:
    context = administrator(request)
    with invalid_is_bad_request():
        new = _new_account(await body_of(request))
    account_id = await context.db.run(_create, new, context.now())
    return json_answer({"account_id": account_id}, 201)


async def get_account(request: web.Request) -> web.Response:
    context = administrator(request)
    return json_answer(await context.db.run(account_object, int(request.match_info["account_id"]), context))


async def update_account(request: web.Request) -> web.Response:
    context = administrator(request)
    account_id = int(request.match_info["account_id"])
    with invalid_is_bad_request():
        fields = checks.checked(await body_of(request), {"group_id": checks.integer, "is_active": checks.boolean})
        for name in ("group_id", "is_active"):
            if name not in fields:
                raise invalid(f"Missing mandatory field - {name}", name)
    await context.db.run(_update, account_id, fields["group_id"], fields["is_active"], context.now())
    return reset_content(f"{context.addresses(request).api}/account/institution/accounts/{account_id}")


def administrator(request: web.Request) -> Context:
    """Return the context, where the account administers an institution. ApiError 403."""
    context = context_of(request)
    if not context.settings.institution:
        raise forbidden()
    return context


def _active(text: str | None) -> bool | None:
    if text not in {None, "0", "1"}:
        raise ApiError(400, "BadRequest", "Invalid value received for is_active", {"invalid_params": "is_active"})
    return None if text is None else text == "1"


def _bound(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ApiError(400, "BadRequest", f"Invalid value received for {name}", {"invalid_params": name})
    return min(int(text), 2**62)


async def _page(context: Context, criteria: AccountFilter, rows: Slice) -> web.Response:
    """Return accounts. Beyond the cap of pages there are none, without an error, as observed."""
    cap = context.settings.page_cap
    limit = rows.limit if cap is None else max(0, min(rows.limit, cap - rows.offset))
    found = await context.db.run(accounts.page, criteria, limit, rows.offset)
    return json_answer([_short(account, context) for account in found])


def _short(account: Account, context: Context) -> dict[str, Any]:
    return {
        "id": account.id,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "institution_id": INSTITUTION["id"],
        "email": account.email,
        "active": int(account.active),
        "institution_user_id": account.institution_user_id,
        "quota": account.limit(context),
        "used_quota": account.used(context) + account.public,
        "user_id": account.author_id,
        "orcid_id": account.orcid_id,
        "symplectic_user_id": account.symplectic_user_id,
    }


def _new_account(body: dict[str, Any]) -> NewAccount:
    """Parse the account to create. ApiError 422."""
    for name in ("email", "last_name"):
        if body.get(name) is None:
            raise invalid(f"Missing mandatory field - {name}", name)
    text = {"email": checks.text(3, 150), "first_name": checks.text(0, _NAMES), "last_name": checks.text(0, _NAMES),
            "institution_user_id": checks.text(0, 50), "symplectic_user_id": checks.text(0, 50)}  # fmt: skip
    given = checks.checked(
        body, {**text, "group_id": checks.integer, "quota": checks.integer, "is_active": checks.boolean}
    )
    if len(given.get("first_name", "") + given["last_name"]) > _NAMES:
        raise invalid(f"first_name and last_name must not exceed {_NAMES} characters", "last_name")
    return NewAccount(
        email=given["email"],
        first_name=given.get("first_name", ""),
        last_name=given["last_name"],
        institution_user_id=given.get("institution_user_id", ""),
        symplectic_user_id=given.get("symplectic_user_id", ""),
        group_id=given.get("group_id") or TOP_GROUP,
        quota=given.get("quota"),
        active=given.get("is_active", True),
    )


def _create(db: sqlite3.Connection, new: NewAccount, now: float) -> int:
    if accounts.taken(db, new.email):
        raise ApiError(400, "BadRequest", "An account with this email already exists")
    if new.group_id not in OWN.groups:
        raise ApiError(400, "BadRequest", "Group not found")
    return accounts.create(db, new, now)


def _update(db: sqlite3.Connection, account_id: int, group_id: int, active: bool, now: float) -> None:
    if accounts.get(db, account_id) is None:
        raise not_found("Account")
    if group_id and group_id not in OWN.groups:
        raise ApiError(400, "BadRequest", "Group not found")
    accounts.update(db, account_id, group_id=group_id or TOP_GROUP, active=active, now=now)
