"""Sending one part: a single attempt, and what each way of ending means."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from datetime import datetime

import aiohttp
import anyio

from uploader.clock import Runtime
from uploader.errors import FigupError, TlsFailure
from uploader.figshare import urls
from uploader.figshare.models import Part
from uploader.figshare.outcomes import Outcome, PartLocked, PartNotTaken, UploadGone
from uploader.figshare.part_body import Chunks, PartBody
from uploader.figshare.responses import Peer, is_firewall, passing_problem, said
from uploader.figshare.retry import is_passing_status
from uploader.figshare.settings import Network, Settings
from uploader.figshare.stall import Watch
from uploader.figshare.transport import (
    ERROR_LIMIT,
    Answer,
    ExchangeFailed,
    LostConnection,
    failure_of,
    once_only,
    read_answer,
    yarl_url,
)

log = logging.getLogger("uploader.figshare.parts")

_CLOSING = 5.0
"""Seconds that the source of an abandoned part may take to let go."""


class PartSender:
    """Sends parts over the upload session; as many at once as the caller likes."""

    def __init__(
        self,
        settings: Settings,
        network: Network,
        watch: Watch,
        runtime: Runtime,
        server_now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._network = network
        self._watch = watch
        self._runtime = runtime
        self._server_now = server_now
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=settings.connect_timeout, sock_connect=settings.connect_timeout
        )

    async def send(
        self, upload_url: str, part: Part, chunks: Chunks, on_accepted: Callable[[int], None] | None, *, anew: bool
    ) -> None:
        """See Figshare.send_part. The connection of anything but a whole exchange is broken, never reused."""
        url = urls.part_url(upload_url, part.no)
        tls, proxy = await self._network.tls(url), await self._network.proxy(url)
        body = PartBody(part.size, chunks, on_accepted)
        shown, started = urls.shown_upload(upload_url, part.no), self._runtime.monotonic()
        outcome: object = "cancelled"
        self._watch.add(body)
        try:
            answer = await self._exchange(url, body, tls=tls, proxy=proxy, anew=anew)
            peer = Peer(urls.host_of(url), "the upload service", is_api=False, met=True)
            _judge(answer, body, peer, self._server_now())
            outcome = answer.status
        except Exception as fault:
            outcome = fault if isinstance(fault, Outcome | FigupError) else type(fault).__name__
            raise
        finally:
            self._watch.remove(body)
            log.debug("PUT %s: %s, %.3f s", shown, outcome, self._runtime.monotonic() - started)
        body.taken_whole()

    async def _exchange(
        self, url: str, body: PartBody, *, tls: ssl.SSLContext | bool, proxy: str | None, anew: bool
    ) -> Answer:
        session = self._network.upload_anew if anew else self._network.upload
        whole = False
        try:
            response = await session.put(
                yarl_url(url),
                data=body,
                allow_redirects=False,
                proxy=proxy,
                ssl=tls,
                timeout=self._timeout,
                middlewares=(once_only,),
            )
            body.hold()
            try:
                answer = await read_answer(response, self._settings.answer_timeout, longest=ERROR_LIMIT)
                whole = body.complete
            finally:
                if not whole:
                    response.close()
        except (aiohttp.ClientError, OSError, LostConnection, ExchangeFailed) as broken:
            fault = broken
        else:
            return answer
        finally:
            if not whole:
                body.abort()
            with anyio.move_on_after(_CLOSING, shield=True):
                await body.closed()
        raise _meaning(fault, body, urls.host_of(url))


def _judge(answer: Answer, body: PartBody, peer: Peer, now: datetime) -> None:
    """Returns for a part that was taken (observed: 200, body "OK"), else raises what the answer means."""
    if is_firewall(answer):
        raise PartNotTaken(f"a firewall in front of Figshare ({peer.host}) turned the part away")
    if answer.status in (200, 201, 204) and not answer.is_html:
        if not body.complete:
            raise PartNotTaken(f"{peer.host} answered {answer.status} before it had the whole part")
        return
    if answer.status == 404:
        raise UploadGone(said(answer, peer))
    if answer.status == 409:
        raise PartLocked(said(answer, peer))
    problem = passing_problem(answer, peer, now)
    passing = answer.status < 300 or answer.status >= 500 or is_passing_status(answer.status)
    raise PartNotTaken(problem.reason, problem.retry_after, passing=passing, crowded=answer.status in (429, 503))


def _meaning(fault: Exception, body: PartBody, host: str) -> Exception:
    """What a broken exchange is to the caller: its own error, or the part not taken."""
    if body.failure is not None:
        return body.failure
    if body.cut_reason is not None:
        return PartNotTaken(f"{host}: {body.cut_reason}", crowded=True)
    failure = fault if isinstance(fault, ExchangeFailed) else failure_of(fault, host)
    if isinstance(failure, TlsFailure):
        return failure
    return PartNotTaken(f"{host}: {failure.reason}", passing=not failure.lasting)
