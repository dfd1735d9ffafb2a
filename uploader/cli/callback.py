"""Wait on this machine for the address that a browser is sent to, and open the browser where there is one."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
from aiohttp import web

from uploader import units
from uploader.clock import Clock
from uploader.errors import Facts, Interrupted, UsageError

LIMIT = 300.0
"""Seconds to wait for the browser."""
_ANSWERS = frozenset({"code", "error", "oauth_verifier", "denied"})
_SHUTDOWN = 1.0
_PAGE = "figup has received the response. Return to the terminal; you can close this page.\n"


class Callback:
    """The address that the browser requested; `arrived` is set with it."""

    def __init__(self, redirect: str) -> None:
        self.redirect = redirect
        self.arrived = anyio.Event()
        self._query = ""

    def take(self, query: str) -> None:
        """Keep the first answer."""
        if not self.arrived.is_set():
            self._query = query
            self.arrived.set()

    async def address(self, clock: Clock, limit: float = LIMIT) -> str:
        """Return the address that the browser was sent to. Raises Interrupted after `limit` seconds."""
        await clock.wait_for(self.arrived, limit)
        if not self.arrived.is_set():
            raise Interrupted(
                f"no browser request at {self.redirect} within {units.format_duration(limit)}",
                hint="Consent in time, or paste the address.",
                facts=Facts("no-consent"),
            )
        return urlsplit(self.redirect)._replace(query=self._query).geturl()


@asynccontextmanager
async def listening(redirect: str) -> AsyncIterator[Callback]:
    """Listen at an http address of this machine during the block. Raises UsageError if its port cannot be used."""
    callback = Callback(redirect)
    parts = urlsplit(redirect)

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path != (parts.path or "/") or not _ANSWERS & request.query.keys():
            return web.Response(status=404, text="Not found\n")
        callback.take(request.rel_url.raw_query_string)
        return web.Response(text=_PAGE, headers={"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})

    runner = web.ServerRunner(web.Server(answer), access_log=None, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, parts.hostname, parts.port or 80).start()
        except OSError as error:
            raise UsageError(
                f"cannot listen at {redirect}: {os.strerror(error.errno or 0).lower()}",
                hint="Free the port, use another redirect address that the application knows, or paste the address.",
                facts=Facts("redirect-port"),
            ) from None
        yield callback
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


def open_browser(address: str) -> bool:
    """Show the page in the user's browser; return False where there is none, as on a cluster.

    Some browsers return only when they are closed, so nothing waits for them.
    """
    if not (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys()):
        return False  # a browser of the terminal would take it
    threading.Thread(target=webbrowser.open, args=(address,), name="figup-browser", daemon=True).start()
    return True
