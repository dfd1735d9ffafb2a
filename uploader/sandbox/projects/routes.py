"""The operations on projects: list, create, read, update, delete, publish; and public projects."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from uploader.sandbox import checks, filters, finding
from uploader.sandbox import projects_db as store
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import (
    ApiError,
    forbidden,
    invalid,
    invalid_is_bad_request,
    json_answer,
    located,
    no_content,
    not_found,
    reset_content,
)
from uploader.sandbox.bodies import body_of, optional_body_of, search_of
from uploader.sandbox.context import context_of
from uploader.sandbox.finding import OWN_PROJECTS, PUBLIC_PROJECTS, Query
from uploader.sandbox.institutions import OWN
from uploader.sandbox.items import relations
from uploader.sandbox.listing import Order, Slice, order_of
from uploader.sandbox.paging import listed, rows_of
from uploader.sandbox.people import accounts
from uploader.sandbox.people.accounts import Account
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.projects import view
from uploader.sandbox.projects_db import Project
from uploader.sandbox.routes import Route

PROJECT = r"/v2/account/projects/{project_id:\d{1,18}}"
_PUBLIC = r"/v2/projects/{project_id:\d{1,18}}"

_SORT_FIELDS = ("published_date", "modified_date", "views")
_ROLES = {"owner", "collaborator", "viewer"}

_CHECKS: dict[str, checks.Check] = {
    "title": checks.text(3, 1000),
    "description": checks.text(0, 20000),
    "funding": checks.text(0, 2000),
    "funding_list": checks.funding_list,
    "group_id": checks.integer,
    "custom_fields": checks.custom_fields,
    "custom_fields_list": checks.custom_list,
}


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-projects", "GET", "/v2/account/projects", list_projects),
        Route("create-project", "POST", "/v2/account/projects", create_project),
        Route("search-projects", "POST", "/v2/account/projects/search", search_projects),
        Route("search-public-projects", "POST", "/v2/projects/search", search_public, public=True),
        Route("get-project", "GET", PROJECT, get_project),
        Route("update-project", "PUT", PROJECT, update_project),
        Route("update-project", "PATCH", PROJECT, update_project),
        Route("delete-project", "DELETE", PROJECT, delete_project),
        Route("publish-project", "POST", f"{PROJECT}/publish", publish_project),
        Route("list-public-projects", "GET", "/v2/projects", list_public, public=True),
        Route("get-public-project", "GET", _PUBLIC, get_public, public=True),
    ]


def project_id_of(request: web.Request) -> int:
    """Return the project named in the path."""
    return int(request.match_info["project_id"])


async def list_projects(request: web.Request) -> web.Response:
    order, rows = order_of(request.query, _SORT_FIELDS), rows_of(request)
    return await _own(request, {}, rows, order) if _includes_own(request.query) else json_answer([])


def _includes_own(query: Mapping[str, str]) -> bool:
    """Return whether a listing with these filters shows own projects, which use the owner's storage. ApiError 400."""
    storage, roles = query.get("storage", "individual"), query.get("roles", "owner").lower().split(",")
    for name, wrong in (("storage", {storage} - {"individual", "group"}), ("roles", set(roles) - _ROLES)):
        if wrong:
            raise ApiError(400, "BadRequest", f"Invalid value received for {name}", {"invalid_params": name})
    return storage == "individual" and "owner" in roles


async def create_project(request: web.Request) -> web.Response:
    context = context_of(request)
    fields = await _read(request, creating=True)
    project_id = await context.db.run(_create, fields, account_of(request), context.now())
    location = context.addresses(request).project(project_id)
    return located(location, 201, {"entity_id": project_id, "location": location})


async def get_project(request: web.Request) -> web.Response:
    context = context_of(request)
    at = context.addresses(request)
    return json_answer(await context.db.run(_read_full, project_id_of(request), account_of(request), at))


async def update_project(request: web.Request) -> web.Response:
    """Serve PUT and PATCH: both keep the fields that the body does not name."""
    context = context_of(request)
    fields = await _read(request, creating=False)
    project_id = project_id_of(request)
    await context.db.run(_update, project_id, account_of(request), fields, context.now())
    return reset_content(context.addresses(request).project(project_id))


async def delete_project(request: web.Request) -> web.Response:
    context = context_of(request)
    await context.db.run(_delete, project_id_of(request), account_of(request), context.now())
    return no_content()


async def publish_project(request: web.Request) -> web.Response:
    context = context_of(request)
    await optional_body_of(request)
    project_id = project_id_of(request)
    await context.db.run(_publish, project_id, account_of(request), context.now())
    return json_answer({"message": f"Project {project_id} has been published"})


async def list_public(request: web.Request) -> web.Response:
    criteria = filters.in_listing(request)
    return await _published(request, criteria, rows_of(request), order_of(request.query, _SORT_FIELDS), search=False)


async def search_public(request: web.Request) -> web.Response:
    body = await search_of(request)
    return await _published(request, *finding.in_search(request, body, _SORT_FIELDS), search=True)


async def search_projects(request: web.Request) -> web.Response:
    body = await search_of(request)
    with invalid_is_bad_request():
        criteria, rows, order = finding.in_search(request, body, _SORT_FIELDS)
    return await _own(request, criteria, rows, order, search=True)


async def get_public(request: web.Request) -> web.Response:
    context = context_of(request)
    at = context.addresses(request)
    return json_answer(await context.db.run(_public, project_id_of(request), context.now(), at))


async def _published(
    request: web.Request, criteria: dict[str, Any], rows: Slice, order: Order, *, search: bool
) -> web.Response:
    """Return the rows of matching public projects."""
    context = context_of(request)
    query = Query(source=PUBLIC_PROJECTS, criteria=criteria, order=order, rows=rows, now=context.now(), search=search)
    at = context.addresses(request)
    found = await context.db.run(finding.records, query, context, store.find)
    return listed(request, rows, [view.public_row(one, at) for one in found])


async def _own(
    request: web.Request, criteria: dict[str, Any], rows: Slice, order: Order, *, search: bool = False
) -> web.Response:
    """Return the rows of matching projects of the account."""
    context = context_of(request)
    query = Query(
        source=OWN_PROJECTS, criteria=criteria, order=order, rows=rows, now=context.now(),
        account_id=account_of(request), search=search,
    )  # fmt: skip
    found = await context.db.run(finding.records, query, context, store.find)
    at = context.addresses(request)
    return json_answer([view.row(one, at) for one in found])


async def _read(request: web.Request, *, creating: bool) -> dict[str, Any]:
    """Return the fields in a body. ApiError 400, and 403 or 404 for a group."""
    with invalid_is_bad_request():
        body = await body_of(request)
        if creating and body.get("title") is None:
            raise invalid("Missing mandatory field - title", "title")
        fields = checks.checked(body, _CHECKS)
    if "custom_fields_list" in fields:
        fields["custom_fields"] = fields.pop("custom_fields_list")
    if fields.get("group_id"):
        if not context_of(request).settings.institution:
            raise forbidden()
        if fields["group_id"] not in OWN.groups:
            raise not_found("Group")
    return fields


def _create(db: sqlite3.Connection, fields: dict[str, Any], account_id: int, now: float) -> int:
    return store.create(db, account_id, store.EMPTY | _resolved(db, fields), now)


def _update(db: sqlite3.Connection, project_id: int, account_id: int, fields: dict[str, Any], now: float) -> None:
    store.update(db, store.get(db, project_id, account_id), _resolved(db, fields), now)


def _resolved(db: sqlite3.Connection, fields: dict[str, Any]) -> dict[str, Any]:
    if "funding_list" not in fields:
        return fields
    return fields | {"funding_list": relations.fundings(db, fields["funding_list"])}


def _read_full(db: sqlite3.Connection, project_id: int, account_id: int, at: Addresses) -> dict[str, Any]:
    project = store.get(db, project_id, account_id)
    people = store.collaborators(db, project_id)
    return view.full(project, _owner(db, project), people, store.used(db, project_id), at)


def _delete(db: sqlite3.Connection, project_id: int, account_id: int, now: float) -> None:
    """Delete a project that is not public and holds no public item."""
    project = store.get(db, project_id, account_id)
    if project.published is not None or store.published_items(db, project_id, now)[0]:
        raise forbidden()
    store.delete(db, project_id)


def _publish(db: sqlite3.Connection, project_id: int, account_id: int, now: float) -> None:
    store.get(db, project_id, account_id)
    published, items = store.published_items(db, project_id, now)
    if published < items:
        raise ApiError(400, "BadRequest", f"{items - published} items of the project are not public")
    store.publish(db, project_id, now)


def _public(db: sqlite3.Connection, project_id: int, now: float, at: Addresses) -> dict[str, Any]:
    project = store.find(db, project_id)
    if project is None or project.published is None or project.published > now:
        raise not_found("Project")
    return view.public(project, _owner(db, project), store.collaborators(db, project_id), at)


def _owner(db: sqlite3.Connection, project: Project) -> Account:
    owner = accounts.get(db, project.account_id)
    if owner is None:
        raise not_found("Account")
    return owner
