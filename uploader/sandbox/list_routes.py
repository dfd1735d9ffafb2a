"""Figshare's fixed lists: licences, categories, item types, fundings."""

from __future__ import annotations

from aiohttp import web

from uploader.sandbox import categories, checks
from uploader.sandbox.answers import invalid_is_bad_request, json_answer
from uploader.sandbox.bodies import search_of
from uploader.sandbox.context import context_of
from uploader.sandbox.institutions import INSTITUTIONS
from uploader.sandbox.items import relations
from uploader.sandbox.listing import slice_of
from uploader.sandbox.reference_data import ITEM_TYPES, licenses
from uploader.sandbox.routes import Route


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-licenses", "GET", "/v2/account/licenses", own_licenses),
        Route("list-licenses", "GET", "/v2/licenses", public_licenses, public=True),
        Route("list-categories", "GET", "/v2/account/categories", own_categories),
        Route("list-categories", "GET", "/v2/categories", public_categories, public=True),
        Route("list-item-types", "GET", "/v2/item_types", item_types, public=True),
        Route("list-institutions", "GET", "/v2/altmetric/institutions", institutions, public=True),
        Route("search-funding", "POST", "/v2/account/funding/search", search_funding),
    ]


async def own_licenses(request: web.Request) -> web.Response:
    return json_answer(list(licenses(institution=context_of(request).settings.institution).values()))


async def public_licenses(_: web.Request) -> web.Response:
    return json_answer(list(licenses(institution=False).values()))


async def own_categories(_: web.Request) -> web.Response:
    return web.Response(body=categories.listing(public=False), content_type="application/json")


async def public_categories(_: web.Request) -> web.Response:
    return web.Response(body=categories.listing(public=True), content_type="application/json")


async def item_types(_: web.Request) -> web.Response:
    """Return the same list for every group."""
    return json_answer(
        [
            {
                "id": number,
                "name": name,
                "string_id": name.replace(" ", "_"),
                "icon": name.replace(" ", "_"),
                "public_description": "",
                "is_selectable": True,
                "url_name": name.replace(" ", "_"),
            }
            for name, number in ITEM_TYPES.items()
        ]
    )


async def institutions(request: web.Request) -> web.Response:
    """Return the institutions from `offset` on."""
    rows = slice_of(request.query)
    context = context_of(request)
    known = INSTITUTIONS if context.seeded else INSTITUTIONS[:1] if context.settings.institution else ()
    return json_answer([{"id": one.id, "name": one.name, "custom_domain": one.domain} for one in known[rows.offset :]])


async def search_funding(request: web.Request) -> web.Response:
    context = context_of(request)
    body = await search_of(request)
    with invalid_is_bad_request():
        criteria = checks.checked(body, {"search_for": checks.text(0, 1000)})
    return json_answer(await context.db.run(relations.search_fundings, criteria.get("search_for", "")))
