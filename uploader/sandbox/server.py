"""Assemble, run and stop a sandbox."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread
from aiohttp import web

from uploader._version import __version__
from uploader.sandbox import (
    archive_routes,
    control_routes,
    cors,
    download_routes,
    file_routes,
    files_db,
    indexing,
    list_routes,
    seeding,
    statistics_routes,
    stems,
    unserved,
    upload_routes,
)
from uploader.sandbox.addresses import addresses
from uploader.sandbox.blobs import Blobs
from uploader.sandbox.categories import categories
from uploader.sandbox.collections import item_routes as collection_item_routes
from uploader.sandbox.collections import public_routes as public_collection_routes
from uploader.sandbox.collections import routes as collection_routes
from uploader.sandbox.collections import store as collection_store
from uploader.sandbox.context import CONTEXT, Context, Effects
from uploader.sandbox.data_dir import DataDir, SandboxUnusable
from uploader.sandbox.db import Database
from uploader.sandbox.faults import FaultRules
from uploader.sandbox.grants import Grants
from uploader.sandbox.hashing import Hasher
from uploader.sandbox.id_list_routes import AuthorRoutes, CategoryRoutes
from uploader.sandbox.identifier_routes import IdentifierRoutes
from uploader.sandbox.items import (
    public_routes,
    publish_routes,
    report_routes,
    review_routes,
    search_routes,
    version_routes,
)
from uploader.sandbox.items import routes as item_routes
from uploader.sandbox.items import store as item_store
from uploader.sandbox.link_routes import LinkRoutes
from uploader.sandbox.middleware import request_middleware
from uploader.sandbox.oauth import first_api_routes, oauth1_routes, oauth2_routes
from uploader.sandbox.pages import routes as page_routes
from uploader.sandbox.people import (
    accounts,
    feed_routes,
    institution_routes,
    profile_routes,
    role_routes,
)
from uploader.sandbox.people import routes as people_routes
from uploader.sandbox.projects import collaborator_routes, note_routes
from uploader.sandbox.projects import item_routes as project_item_routes
from uploader.sandbox.projects import routes as project_routes
from uploader.sandbox.request_log import RequestLog
from uploader.sandbox.resources import Resource
from uploader.sandbox.routes import Operations, RouteTable
from uploader.sandbox.settings import Settings
from uploader.text import shorten

_ITEM: Final = Resource(
    word="item",
    path="articles",
    added=205,
    fields=lambda db, item_id, account_id: item_store.get(db, item_id, account_id).metadata,
    change=lambda db, item_id, account_id, fields, now: item_store.update(
        db, item_store.get(db, item_id, account_id), fields, now
    ),
)
_COLLECTION: Final = Resource(
    word="collection",
    path="collections",
    added=201,
    fields=lambda db, collection_id, account_id: collection_store.get(db, collection_id, account_id).metadata,
    change=lambda db, collection_id, account_id, fields, now: collection_store.update(
        db, collection_store.get(db, collection_id, account_id), fields, now
    ),
)
API: Final[tuple[Operations, ...]] = (
    people_routes, institution_routes, list_routes,
    item_routes, search_routes, publish_routes, version_routes, public_routes,
    review_routes, file_routes, download_routes, archive_routes, page_routes,
    report_routes, role_routes, profile_routes, feed_routes, oauth2_routes, unserved,
    oauth1_routes, first_api_routes,
    project_routes, project_item_routes, collaborator_routes, note_routes,
    collection_routes, collection_item_routes, public_collection_routes,
    *(
        group(resource)
        for resource in (_ITEM, _COLLECTION)
        for group in (AuthorRoutes, CategoryRoutes, LinkRoutes, IdentifierRoutes)
    ),
)  # fmt: skip
"""The routes that the API always has."""
_DISK_THREADS = 8
_SHUTDOWN_WAIT = 0.25
"""Seconds that running requests get when the sandbox stops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A sandbox that listens. `url` ends in /v2, `upload_url` in /upload; `pages_url` is the index, with its key.

    `stats_url` is the statistics service.
    """

    url: str
    upload_url: str
    stats_url: str
    pages_url: str
    context: Context


@contextlib.asynccontextmanager
async def running(settings: Settings, *, now: Callable[[], float] = time.time) -> AsyncIterator[Running]:
    """Run a sandbox during the block. Requires asyncio. `now` gives seconds since the epoch.

    SandboxBusy when another one has the directory, SandboxUnusable when the directory, the request log or an
    address cannot be used.
    """
    stack = contextlib.AsyncExitStack()
    try:
        yield await _start(settings, stack, now)
    finally:
        with anyio.CancelScope(shield=True):
            await stack.aclose()


async def _start(settings: Settings, stack: contextlib.AsyncExitStack, now: Callable[[], float]) -> Running:
    """Open everything and listen; `stack` undoes it."""
    directory = DataDir(settings.directory)
    await anyio.to_thread.run_sync(directory.open)
    stack.push_async_callback(anyio.to_thread.run_sync, directory.close)
    context = await _context(settings, directory, stack, now)
    last = await anyio.to_thread.run_sync(directory.ports)
    api = await _serve(stack, _api(context), settings.host, _ports(settings.port, last[0]))
    upload = await _serve(stack, _upload(context), settings.host, _ports(settings.upload_port, last[1]))
    stats = await _serve(stack, _statistics(context), settings.host, _ports(settings.stats_port, last[2]))
    context.listening, context.upload_port = _host(*api), upload[1]
    at = Running(
        url=f"http://{_host(*api)}/v2",
        upload_url=f"http://{_host(*upload)}/upload",
        stats_url=f"http://{_host(*stats)}",
        pages_url=f"{addresses(_host(*api), 0, settings.public_url, None).origin}/?key={settings.page_key}",
        context=context,
    )
    note = {
        "url": at.url, "upload_url": at.upload_url, "statistics_url": at.stats_url, "token": settings.token,
        "pid": os.getpid(),
    }  # fmt: skip
    await anyio.to_thread.run_sync(directory.save_ports, api[1], upload[1], stats[1])
    await anyio.to_thread.run_sync(directory.announce, note)
    await context.hasher.resume()
    return at


async def _context(
    settings: Settings, directory: DataDir, stack: contextlib.AsyncExitStack, now: Callable[[], float]
) -> Context:
    """Open the store. What it opens is closed by `stack`."""
    disk = ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="sandbox-disk")
    stack.push_async_callback(anyio.to_thread.run_sync, functools.partial(disk.shutdown))
    db = Database(directory.database)
    stack.push_async_callback(db.close)
    await db.open()
    blobs = Blobs(directory.files)
    effects = Effects()
    hasher = Hasher(db, blobs, never=settings.delays.md5 is None, now=now, corrupted=effects.md5)
    stack.push_async_callback(hasher.close)
    log = RequestLog(settings.request_log)
    stack.push_async_callback(anyio.to_thread.run_sync, log.close)
    await anyio.to_thread.run_sync(log.open)
    await anyio.to_thread.run_sync(categories)  # reads a file, which no handler may do on the event loop
    known, seeded = await db.run(_prepared, settings, now())
    await anyio.to_thread.run_sync(blobs.remove_strays, known)
    added_values = await db.run(feed_routes.added_values)
    return Context(
        settings=settings,
        db=db,
        blobs=blobs,
        hasher=hasher,
        log=log,
        disk=disk,
        now=now,
        faults=FaultRules(list(settings.faults)),
        effects=effects,
        grants=Grants(settings.token, settings.oauth_lifetime, rotates=settings.rotate_refresh, now=now),
        refresh=indexing.refresh,
        seeded=seeded,
        added_values=added_values,
    )


def _prepared(db: sqlite3.Connection, settings: Settings, at: float) -> tuple[frozenset[str], bool]:
    """Ensure that accounts, seeds and index are as the settings want them.

    Returns the names of all bytes, and whether there are seeded records.
    """
    if settings.institution:
        accounts.ensure_institution(db, at)
    indexing.refresh(db)
    seeded = seeding.seed(db, settings.seed_items, settings.seed, at)
    stems.ensure(db, wanted=settings.stems)
    return frozenset(files_db.blobs(db)), seeded


def _api(context: Context) -> web.Application:
    routes = [route for group in API for route in group.routes()]
    if context.settings.control:
        routes += control_routes.routes()
    return _app("api", RouteTable(routes), context)


def _upload(context: Context) -> web.Application:
    return _app("upload", RouteTable(upload_routes.routes()), context)


def _statistics(context: Context) -> web.Application:
    return _app("statistics", RouteTable(statistics_routes.routes()), context)


def _app(service: str, table: RouteTable, context: Context) -> web.Application:
    app = web.Application(middlewares=[request_middleware(service, table)])
    app[CONTEXT] = context
    table.add_to(app)
    app.on_response_prepare.append(_signed)
    return app


async def _signed(request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers["Server"] = f"figup-sandbox/{__version__}"
    cors.add_headers(request, answer.headers)


def _ports(port: int, last: int) -> list[int]:
    """Return the ports to try: the requested one, or else the last one and then any."""
    return [port] if port or not last else [last, 0]


async def _serve(
    stack: contextlib.AsyncExitStack, app: web.Application, host: str, ports: list[int]
) -> tuple[str, int]:
    """Listen on the first port that is free, and return the address."""
    # Bodies are stored as sent, regardless of Content-Encoding.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_WAIT, auto_decompress=False)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for port in ports:
        try:
            await web.TCPSite(runner, host, port).start()
            break
        except UnicodeError as error:
            message = f"cannot listen on {shorten(host, 100)}: not a host name"
            raise SandboxUnusable(message) from error
        except OSError as error:
            if port == ports[-1]:
                # asyncio repeats the address in the message of a failed bind.
                reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
                message = f"cannot listen on {shorten(host, 100)}:{port}: {reason}"
                raise SandboxUnusable(message) from error
    address: tuple[str, int] = runner.addresses[0]
    return address[0], address[1]


def _host(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
