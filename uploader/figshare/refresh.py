"""A sign-in with OAuth 2 whose token is refreshed.

It is unknown whether a refresh replaces the refresh token. Therefore a refresh is sent once: its intent is stored
first, and if the answer is lost, the user has to sign in again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import msgspec

from uploader.clock import Clock
from uploader.concurrency import in_thread
from uploader.disk import take_flock
from uploader.errors import Facts, TokenRejected
from uploader.figshare import auth
from uploader.figshare.auth import Token
from uploader.figshare.grants import OAuth2Grant, parse_grant
from uploader.figshare.oauth2 import REQUEST_TIMEOUT, Refused, Unclear, client_of, request_tokens
from uploader.figshare.retry import poll
from uploader.figshare.transport import ExchangeFailed, Send
from uploader.figshare.urls import host_of

log = logging.getLogger("uploader.figshare.refresh")

_LOCK_FILE, _LOCK_POLL = "refresh.lock", 0.1
_RIVAL: Final = 5.0
"""Seconds in which a process that refreshed the sign-in a moment before has stored it."""


class RenewableToken:
    """The token of a stored sign-in, refreshed when it has expired or is rejected.

    One refresh is made for all calls of this process and, by a lock beside the store, for all processes; the others
    read what it stored.
    """

    def __init__(self, grant: OAuth2Grant, *, endpoint: str, config_dir: Path, clock: Clock | None = None) -> None:
        self._grant = grant
        self._endpoint = endpoint
        self._config_dir = config_dir
        self._clock = clock or Clock()
        self._turn = anyio.Lock()
        self._token = Token(grant.access_token)

    def __repr__(self) -> str:
        return "RenewableToken(…)"

    async def current(self, send: Send) -> Token:
        """Return the token to use, refreshed if its end has passed. Raises what `renewed` raises."""
        if self._grant.expired(self._clock.now()):
            return await self.renewed(self._token, send)
        return self._token

    async def renewed(self, rejected: Token, send: Send) -> Token:
        """Return a token in place of a rejected or expired one.

        Raises TokenRejected if the user has to sign in again; ExchangeFailed if nothing was sent, or turned away, so
        that a later attempt may succeed; TlsFailure, StateUnusable, StateDiskFull.
        """
        async with self._turn:
            if self._token is rejected:
                async with _locked(self._config_dir, self._clock) as alone:
                    self._adopt(await self._refreshed(rejected.reveal(), send, alone=alone))
            return self._token

    def _adopt(self, grant: OAuth2Grant) -> None:
        self._grant, self._token = grant, Token(grant.access_token)

    async def _refreshed(self, rejected: str, send: Send, *, alone: bool) -> OAuth2Grant:
        """Refresh the sign-in, or return what another process refreshed. `alone`: no other process can refresh it now.
        Without file locks one may; its mark in the store shows that.
        """
        stored = await in_thread(self._read)
        if stored.refreshing and not alone:
            stored = await self._when(lambda now: not now.refreshing, REQUEST_TIMEOUT) or stored
        if stored.access_token != rejected and not stored.expired(self._clock.now()):
            log.info("another process has refreshed the sign-in")
            return stored
        if stored.refreshing:
            raise _sign_in_again("the response to the last refresh of the sign-in was lost")
        if not stored.refresh_token:
            raise _sign_in_again("the sign-in has expired, and cannot be refreshed")
        try:
            return await self._renew(stored, send)
        except Refused as refusal:
            changed = await self._when(lambda now: now.access_token != stored.access_token, 0.0 if alone else _RIVAL)
            if changed is None:
                raise _sign_in_again(f"Figshare does not refresh the sign-in: {refusal}") from None
            return changed

    async def _renew(self, stored: OAuth2Grant, send: Send) -> OAuth2Grant:
        """Make one request, marked in the store before it is sent. Raises Refused, and what `renewed` raises."""
        body = await in_thread(_refresh_body, stored)
        settled = stored
        try:
            await in_thread(self._replace, stored, msgspec.structs.replace(stored, refreshing=True))
            settled = await request_tokens(body, stored, self._endpoint, send, self._clock)
        except ExchangeFailed as failure:
            if not failure.sent:
                raise
            settled = msgspec.structs.replace(stored, refreshing=True)
            raise _lost(f"{host_of(self._endpoint)}: {failure.reason}") from None
        except Unclear as fault:
            settled = msgspec.structs.replace(stored, refreshing=True)
            raise _lost(str(fault)) from None
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(self._replace, stored, settled)
        log.info("refreshed the sign-in")
        return settled

    async def _when(self, fits: Callable[[OAuth2Grant], bool], time_limit: float) -> OAuth2Grant | None:
        """Return the stored sign-in once it `fits`, None if that takes too long."""

        async def check() -> OAuth2Grant | None:
            now = await in_thread(self._read)
            return now if fits(now) else None

        return await poll(check, time_limit, self._clock, max_pause=1.0)

    def _read(self) -> OAuth2Grant:
        """Return the stored sign-in. Raises TokenRejected if it is gone."""
        stored = auth.read_stored(endpoint=self._endpoint, config_dir=self._config_dir)
        grant = parse_grant(stored[0]) if stored is not None else None
        if not isinstance(grant, OAuth2Grant):
            raise _sign_in_again("the sign-in has ended, and was removed from this machine")
        return grant

    def _replace(self, begun: OAuth2Grant, by: OAuth2Grant) -> None:
        """Store the new state of a sign-in, unless the user has signed in again or out meanwhile."""

        def is_due(text: str) -> bool:
            now, tokens = parse_grant(text), (begun.access_token, begun.refresh_token)
            return isinstance(now, OAuth2Grant) and (now.access_token, now.refresh_token) == tokens

        auth.replace_text(by.dump(), endpoint=self._endpoint, config_dir=self._config_dir, is_due=is_due)


def _refresh_body(grant: OAuth2Grant) -> str:
    body: str = client_of(grant.client_id).prepare_refresh_body(
        refresh_token=grant.refresh_token, client_id=grant.client_id, client_secret=grant.client_secret
    )
    return body


def _lost(reason: str) -> TokenRejected:
    return _sign_in_again(f"the response to a refresh of the sign-in was lost ({reason})")


def _sign_in_again(message: str) -> TokenRejected:
    return TokenRejected(message, hint="Sign in again with OAuth 2.", facts=Facts("sign-in-again"))


@asynccontextmanager
async def _locked(folder: Path, clock: Clock) -> AsyncIterator[bool]:
    """Hold the lock of refreshes; wait until other processes release it. Yield False if the file system has no locks.

    Raises StateUnusable if the folder cannot be written to: then a refreshed token could not be kept.
    """
    fd = await in_thread(auth.open_token_lock, folder / _LOCK_FILE)
    try:
        while (taken := await in_thread(take_flock, fd)) is False:
            await clock.sleep(_LOCK_POLL)
        yield taken is not None
    finally:
        os.close(fd)
