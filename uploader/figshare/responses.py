"""What an answer means for the caller: a value, an error for good, or a problem that may pass. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from uploader.errors import (
    FigupError,
    NotAllowed,
    NotFigshare,
    ProtocolViolation,
    Refused,
    ServerFailing,
    TokenRefused,
    UsageError,
)
from uploader.figshare import models, urls
from uploader.figshare.outcomes import Outcome
from uploader.figshare.retry import is_passing_status, parse_http_date, parse_retry_after
from uploader.figshare.transport import Answer, ExchangeFailed

T = TypeVar("T")

_LASTING = (413, 422)
"""Too large, and invalid: statuses that speak of what was asked for (RFC 9110). A 400 of Figshare's may be anything."""
_FIREWALL_HINT = "Try another network (cloud and shared addresses are often refused), or later."


@dataclass(frozen=True)
class Reader(Generic[T]):
    """How one request's answer is read.

    `what` names the thing asked for. `read` makes the value of a success. `missing` makes the value or raises on a
    404. `takes`: "json" where only JSON is an answer, "no html" where the body hardly matters, "anything".
    `checks_token`: a 403 is about the token.
    """

    what: str
    read: Callable[[Answer], T]
    missing: Callable[[], T] | None = None
    takes: Literal["json", "no html", "anything"] = "json"
    checks_token: bool = False


@dataclass(frozen=True)
class Peer:
    """Who answered: the API or the upload service at `host`; `met` once it has given a proper answer."""

    host: str
    name: str
    is_api: bool
    met: bool


@dataclass(frozen=True)
class Problem:
    """A failure that may pass. `reason` is one line with the server's own words.

    `no_effect` is True where the request certainly changed nothing. `network`: there was no answer at all.
    `retry_after` is seconds; `slow_down` asks all requests to wait with this one.
    """

    reason: str
    no_effect: bool = False
    network: bool = False
    retry_after: float | None = None
    slow_down: bool = False


def value_or_problem(answer: Answer, reader: Reader[T], peer: Peer, url: str, now: datetime) -> T | Problem:
    """The value of a success, or a Problem; raises the error that any other answer means.

    `now` is the server's clock. Judgement on effects: 408 and 425 by definition, 429, and a 503 that names a time
    were turned away before anything was done; any other 5xx may have had its effect.
    """
    if is_firewall(answer):
        return _turned_away(answer, peer, now)
    if 200 <= answer.status < 300:
        return _success(answer, reader, peer)
    if 300 <= answer.status < 400:
        raise _moved(answer, peer, url)
    if is_passing_status(answer.status) or answer.status >= 500:
        return passing_problem(answer, peer, now)
    if answer.is_html and peer.is_api:
        return _foreign(answer, peer)
    if answer.status == 404 and reader.missing is not None:
        return _missing(answer, reader.missing)
    raise _refusal(answer, reader, peer)


def _missing(answer: Answer, missing: Callable[[], T]) -> T:
    """What a 404 comes to; where that is an error, it ends with the server's own words."""
    words = models.server_words(answer.body)
    try:
        return missing()
    except FigupError as error:
        error.message += f": {words}" if words else ""
        raise
    except Outcome as outcome:
        outcome.reason += f": {words}" if words else ""
        raise


def is_firewall(answer: Answer) -> bool:
    """Observed: an empty 202 with x-amzn-waf-action, or a 403 page, from a firewall that Figshare stands behind."""
    return "x-amzn-waf-action" in answer.headers or (answer.status == 403 and answer.is_html)


def passing_problem(answer: Answer, peer: Peer, now: datetime) -> Problem:
    """A passing status as a problem; `now` is the server's clock."""
    wait = _asked_wait(answer, now)
    refused_unread = answer.status in (408, 425, 429) or (answer.status == 503 and wait is not None)
    return Problem(
        said(answer, peer),
        no_effect=refused_unread,
        retry_after=wait,
        slow_down=answer.status in (429, 503),
    )


def _asked_wait(answer: Answer, now: datetime) -> float | None:
    """Seconds that Retry-After asks for; a date in it is seen from the Date of the same answer, else from `now`.

    Both of them count whole seconds of one clock, which that of the API need not be.
    """
    headers = answer.headers
    return parse_retry_after(headers.get("Retry-After"), parse_http_date(headers.get("Date")) or now)


def said(answer: Answer, peer: Peer) -> str:
    """ "api.figshare.com answered 422: its own words"."""
    words = models.server_words(answer.body)
    return f"{peer.host} answered {answer.status}" + (f": {words}" if words else "")


def no_answer(failure: ExchangeFailed, peer: Peer, *, creating: bool) -> Problem:
    """A failed exchange as a problem; raises the error where asking again would end the same.

    A creating request that was sent never raises here: what came back is unusable, but it may have had its effect.
    """
    if failure.lasting and not failure.sent:
        raise UsageError(f"{peer.host}: {failure.reason}", hint="Check the proxy settings (HTTPS_PROXY).")
    if failure.lasting and not creating:
        raise ProtocolViolation(f"{peer.host}: {failure.reason}")
    return Problem(f"{peer.host}: {failure.reason}", no_effect=not failure.sent, network=True)


def _success(answer: Answer, reader: Reader[T], peer: Peer) -> T | Problem:
    if reader.takes == "no html" and answer.is_html:
        return _foreign(answer, peer)
    try:
        return reader.read(answer)
    except models.NotJson:
        return _foreign(answer, peer)
    except ProtocolViolation as fault:
        if peer.met:
            raise
        raise NotFigshare(f"{peer.host} does not answer as Figshare does: {fault.message}") from None


def _turned_away(answer: Answer, peer: Peer, now: datetime) -> Problem:
    words = f"a firewall in front of Figshare ({peer.host}) turned the request away"
    if not peer.met:
        raise ServerFailing(words, hint=_FIREWALL_HINT)
    wait = _asked_wait(answer, now)
    return Problem(words, no_effect=True, retry_after=wait, slow_down=True)


def _foreign(answer: Answer, peer: Peer) -> Problem:
    """An answer that Figshare itself does not give: a gateway's page, or another server altogether."""
    kind = "a web page" if answer.is_html else "no JSON"
    words = f"{peer.host} answered {answer.status} with {kind} instead of what Figshare says"
    if not peer.met:
        raise NotFigshare(words)
    return Problem(words)


def _moved(answer: Answer, peer: Peer, url: str) -> FigupError:
    target = urls.host_of_location(answer.headers.get("Location", ""), base=url)
    words = f"{peer.host} answered {answer.status} and points to {target}; redirects are not followed"
    return ProtocolViolation(words) if peer.met else NotFigshare(words)


def _refusal(answer: Answer, reader: Reader[T], peer: Peer) -> FigupError:
    words = said(answer, peer)
    if peer.is_api and answer.status == 401:
        return TokenRefused(f"the token is not accepted: {words}")
    if peer.is_api and answer.status == 403:
        if reader.checks_token or not peer.met:
            return TokenRefused(f"the token is not accepted: {words}")
        return NotAllowed(f"this account may not do that with {reader.what}: {words}")
    if answer.status in (404, 405) and not peer.met:
        return NotFigshare(words)
    refused = Refused(f"{reader.what}: {words}")
    refused.lasting = answer.status in _LASTING
    return refused
