"""Send one part: a single attempt, and the classification of its result."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from datetime import datetime

import aiohttp
import anyio

from uploader.clock import Clock
from uploader.errors import FigupError, TlsFailure
from uploader.figshare import urls
from uploader.figshare.models import Part
from uploader.figshare.network import Network
from uploader.figshare.outcomes import Outcome, PartFailed, PartLocked, UploadGone
from uploader.figshare.part_body import Chunks, PartBody
from uploader.figshare.responses import UNEXPLAINED, Peer, advice_on, describe, is_firewall, transient_failure
from uploader.figshare.retry import is_retryable
from uploader.figshare.settings import Settings
from uploader.figshare.stall import StallDetector
from uploader.figshare.transport import (
    ERROR_LIMIT,
    ExchangeFailed,
    LostConnection,
    Response,
    failure_of,
    read_response,
    without_connection_reuse,
    yarl_url,
)

log = logging.getLogger("uploader.figshare.parts")

_CLOSING = 5.0
"""Seconds allowed for closing the source of an abandoned part."""


class PartUploader:
    """Sends parts over the upload session, any number concurrently."""

    def __init__(
        self,
        settings: Settings,
        network: Network,
        stalls: StallDetector,
        clock: Clock,
        server_now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._network = network
        self._stalls = stalls
        self._clock = clock
        self._server_now = server_now
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=settings.connect_timeout, sock_connect=settings.connect_timeout
        )

    async def send(
        self,
        upload_url: str,
        part: Part,
        chunks: Chunks,
        on_accepted: Callable[[int], None] | None,
        *,
        fresh_connection: bool,
    ) -> None:
        """See Figshare.send_part. A connection is reset unless the exchange was complete."""
        url = urls.part_url(upload_url, part.no)
        tls, proxy = await self._network.tls(url), await self._network.proxy(url)
        body = PartBody(part.size, chunks, on_accepted)
        redacted_url, started = urls.redacted(upload_url, part.no), self._clock.monotonic()
        outcome: object = "cancelled"
        self._stalls.add(body)
        try:
            answer = await self._exchange(url, body, tls=tls, proxy=proxy, fresh_connection=fresh_connection)
            peer = Peer(host=urls.host_of(url), name="the upload service", is_api=False, identified=True)
            raise_for_response(answer, body, peer, url, self._server_now())
            outcome = answer.status
        except Exception as fault:
            outcome = fault if isinstance(fault, Outcome | FigupError) else type(fault).__name__
            raise
        finally:
            self._stalls.remove(body)
            log.debug("PUT %s: %s, %.3f s", redacted_url, outcome, self._clock.monotonic() - started)
        body.mark_complete()

    async def _exchange(
        self, url: str, body: PartBody, *, tls: ssl.SSLContext | bool, proxy: str | None, fresh_connection: bool
    ) -> Response:
        session = self._network.fresh if fresh_connection else self._network.upload
        complete = False
        try:
            response = await session.put(
                yarl_url(url),
                data=body,
                allow_redirects=False,
                proxy=proxy,
                ssl=tls,
                timeout=self._timeout,
                middlewares=(without_connection_reuse,),
            )
            body.pause()
            try:
                answer = await read_response(response, self._settings.answer_timeout, longest=ERROR_LIMIT)
                complete = body.complete
            finally:
                if not complete:
                    response.close()
        except (aiohttp.ClientError, OSError, LostConnection, ExchangeFailed) as broken:
            fault = broken
        else:
            return answer
        finally:
            if not complete:
                body._drop_connection()
            with anyio.move_on_after(_CLOSING, shield=True):
                await body.closed()
        raise translate(fault, body, urls.host_of(url))


def raise_for_response(answer: Response, body: PartBody, peer: Peer, url: str, now: datetime) -> None:
    """Return for an accepted part (observed: 200, body "OK"), else raise the matching error."""
    if is_firewall(answer):
        raise PartFailed(f"a firewall in front of Figshare ({peer.host}) rejected the part")
    if answer.status in (200, 201, 204) and not answer.is_html:
        if not body.complete:
            raise PartFailed(f"{peer.host} answered {answer.status} before it had the whole part")
        return
    if answer.status == 404:
        raise UploadGone(describe(answer, peer))
    if answer.status == 409:
        raise PartLocked(describe(answer, peer))
    if 300 <= answer.status < 400:
        raise PartFailed(describe(answer, peer, url), transient=False, advice=advice_on(answer, peer))
    problem = transient_failure(answer, peer, now)
    transient = answer.status < 300 or answer.status >= 500 or is_retryable(answer.status)
    raise PartFailed(
        problem.reason,
        problem.retry_after,
        transient=transient,
        congested=answer.status in (429, 503),
        advice=advice_on(answer, peer),
    )


def translate(fault: Exception, body: PartBody, host: str) -> Exception:
    """Translate a broken exchange: the caller's own error, or PartFailed."""
    if body.failure is not None:
        return body.failure
    if body.abort_reason is not None:
        return PartFailed(f"{host}: {body.abort_reason}", congested=True)
    failure = fault if isinstance(fault, ExchangeFailed) else failure_of(fault, host)
    if isinstance(failure, TlsFailure):
        return failure
    return PartFailed(f"{host}: {failure.reason}", transient=not failure.permanent, advice=UNEXPLAINED)
