"""Classify a response: value, permanent error or transient failure. Sends nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, NoReturn, TypeVar

import msgspec

from uploader.errors import (
    FigupError,
    ItemNotFound,
    NotFigshare,
    PermissionDenied,
    ProtocolViolation,
    RequestRejected,
    ServerFailing,
    TokenRejected,
    UsageError,
)
from uploader.figshare import urls
from uploader.figshare.decode import NotJson, as_text, parse_json, parse_list, parse_object
from uploader.figshare.outcomes import Outcome
from uploader.figshare.retry import is_retryable, parse_http_date, parse_retry_after
from uploader.figshare.transport import ExchangeFailed, Response

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_LASTING = (413, 422)
"""Too large, and invalid: statuses that speak of what was asked for (RFC 9110). A 400 of Figshare's may be anything."""
_FIREWALL_HINT = "Try another network (cloud and shared addresses are often refused), or later."


@dataclass(frozen=True)
class ResponseSpec(Generic[T]):
    """How one request's answer is read.

    `what` names the thing asked for. `read` makes the value of a success. `missing` makes the value or raises on a
    404. `takes`: "json" where only JSON is an answer, "no html" where the body hardly matters, "anything".
    `checks_token`: a 403 is about the token.
    """

    resource: str
    parse: Callable[[Response], T]
    on_not_found: Callable[[], T] | None = None
    accepts: Literal["json", "no html", "anything"] = "json"
    checks_token: bool = False


def object_spec(kind: type[S], resource: str, **options: Any) -> ResponseSpec[S]:
    """Return the spec of an answer that is one object of this kind; `options` as for ResponseSpec."""
    return ResponseSpec(resource, lambda answer: parse_object(kind, answer.body, resource), **options)


def list_spec(kind: type[S], resource: str, **options: Any) -> ResponseSpec[list[S]]:
    """Return the spec of an answer that is a list of objects of this kind; `options` as for ResponseSpec."""
    return ResponseSpec(resource, lambda answer: parse_list(kind, answer.body, resource), **options)


def about_item(item_id: int) -> dict[str, Any]:
    """Return the options of ResponseSpec for a request about an item: its name, and ItemNotFound for a 404."""

    def missing() -> NoReturn:
        raise ItemNotFound(f"Figshare has no item {item_id}, or this account may not see it")

    return {"resource": f"item {item_id}", "on_not_found": missing}


@dataclass(frozen=True)
class Peer:
    """Who answered: the API or the upload service at `host`; `met` once it has given a proper answer."""

    host: str
    name: str
    is_api: bool
    identified: bool


@dataclass(frozen=True)
class TransientFailure:
    """A failure that may pass. `reason` is one line with the server's own words.

    `no_effect` is True where the request certainly changed nothing. `network`: there was no answer at all.
    `retry_after` is seconds; `slow_down` asks all requests to wait with this one.
    """

    reason: str
    no_effect: bool = False
    network: bool = False
    retry_after: float | None = None
    throttled: bool = False


def classify(answer: Response, reader: ResponseSpec[T], peer: Peer, url: str, now: datetime) -> T | TransientFailure:
    """The value of a success, or a Problem; raises the error that any other answer means.

    `now` is the server's clock. Judgement on effects: 408 and 425 by definition, 429, and a 503 that names a time
    were turned away before anything was done; any other 5xx may have had its effect.
    """
    if is_firewall(answer):
        return _permission_error(answer, peer, now)
    if 200 <= answer.status < 300:
        return _parse_success(answer, reader, peer)
    if 300 <= answer.status < 400:
        raise _redirect_error(answer, peer, url)
    if is_retryable(answer.status) or answer.status >= 500:
        return transient_failure(answer, peer, now)
    if answer.is_html and peer.is_api:
        return _foreign_response(answer, peer)
    if answer.status == 404 and reader.on_not_found is not None:
        return _missing(answer, reader.on_not_found)
    raise _rejection(answer, reader, peer)


def _missing(answer: Response, missing: Callable[[], T]) -> T:
    """What a 404 comes to; where that is an error, it ends with the server's own words."""
    words = server_message(answer.body)
    try:
        return missing()
    except FigupError as error:
        raise error.with_context(suffix=words) from None
    except Outcome as outcome:
        raise type(outcome)(f"{outcome.reason}: {words}" if words else outcome.reason) from None


def is_firewall(answer: Response) -> bool:
    """Observed: an empty 202 with x-amzn-waf-action, or a 403 page, from a firewall that Figshare stands behind."""
    return "x-amzn-waf-action" in answer.headers or (answer.status == 403 and answer.is_html)


def transient_failure(answer: Response, peer: Peer, now: datetime) -> TransientFailure:
    """A passing status as a problem; `now` is the server's clock."""
    wait = _requested_delay(answer, now)
    refused_unread = answer.status in (408, 425, 429) or (answer.status == 503 and wait is not None)
    return TransientFailure(
        describe(answer, peer),
        no_effect=refused_unread,
        retry_after=wait,
        throttled=answer.status in (429, 503),
    )


def _requested_delay(answer: Response, now: datetime) -> float | None:
    """Seconds that Retry-After asks for; a date in it is seen from the Date of the same answer, else from `now`.

    Both of them count whole seconds of one clock, which that of the API need not be.
    """
    headers = answer.headers
    return parse_retry_after(headers.get("Retry-After"), parse_http_date(headers.get("Date")) or now)


def describe(answer: Response, peer: Peer) -> str:
    """ "api.figshare.com answered 422: its own words"."""
    words = server_message(answer.body)
    return f"{peer.host} answered {answer.status}" + (f": {words}" if words else "")


def server_message(body: bytes) -> str:
    """Return the first line of the message in an error answer ({"message", "code"}), "" if there is none.

    OAuth-like bodies ({"error", "error_description"}) are read too. At most 300 printable characters, without the
    secrets of addresses.
    """
    try:
        value = parse_json(body)
    except NotJson:
        return ""
    for key in ("message", "error_description", "error", "code") if isinstance(value, Mapping) else ():
        lines = (as_text(value.get(key)) or "").strip().splitlines()
        words = "".join(c if c.isprintable() else " " for c in lines[0]).strip() if lines else ""
        if words:
            return _without_secrets(words)[:300]
    return ""


def _without_secrets(words: str) -> str:
    """Cut the secret part of upload addresses and everything after the path of any address."""
    words = re.sub(r"(/upload/)[^\s/?#\"']+", r"\1...", words)
    return re.sub(r"(https?://[^\s?#]*)[?#]\S*", r"\1?...", words)


def no_response(failure: ExchangeFailed, peer: Peer, *, creating: bool) -> TransientFailure:
    """A failed exchange as a problem; raises the error where asking again would end the same.

    A creating request that was sent never raises here: what came back is unusable, but it may have had its effect.
    """
    if failure.permanent and not failure.sent:
        raise UsageError(f"{peer.host}: {failure.reason}", hint="Check the proxy settings (HTTPS_PROXY).")
    if failure.permanent and not creating:
        raise ProtocolViolation(f"{peer.host}: {failure.reason}")
    return TransientFailure(f"{peer.host}: {failure.reason}", no_effect=not failure.sent, network=True)


def _parse_success(answer: Response, reader: ResponseSpec[T], peer: Peer) -> T | TransientFailure:
    if reader.accepts == "no html" and answer.is_html:
        return _foreign_response(answer, peer)
    try:
        return reader.parse(answer)
    except NotJson:
        return _foreign_response(answer, peer)
    except ProtocolViolation as fault:
        if peer.identified:
            raise
        raise NotFigshare(f"{peer.host} does not answer as Figshare does: {fault.message}") from None


def _permission_error(answer: Response, peer: Peer, now: datetime) -> TransientFailure:
    words = f"a firewall in front of Figshare ({peer.host}) turned the request away"
    if not peer.identified:
        raise ServerFailing(words, hint=_FIREWALL_HINT)
    wait = _requested_delay(answer, now)
    return TransientFailure(words, no_effect=True, retry_after=wait, throttled=True)


def _foreign_response(answer: Response, peer: Peer) -> TransientFailure:
    """An answer that Figshare itself does not give: a gateway's page, or another server altogether."""
    kind = "a web page" if answer.is_html else "no JSON"
    words = f"{peer.host} answered {answer.status} with {kind} instead of what Figshare says"
    if not peer.identified:
        raise NotFigshare(words)
    return TransientFailure(words)


def _redirect_error(answer: Response, peer: Peer, url: str) -> FigupError:
    target = urls.host_of_location(answer.headers.get("Location", ""), base=url)
    words = f"{peer.host} answered {answer.status} and points to {target}; redirects are not followed"
    return ProtocolViolation(words) if peer.identified else NotFigshare(words)


def _rejection(answer: Response, reader: ResponseSpec[T], peer: Peer) -> FigupError:
    words = describe(answer, peer)
    if peer.is_api and answer.status == 401:
        return TokenRejected(f"the token is not accepted: {words}")
    if peer.is_api and answer.status == 403:
        if reader.checks_token:
            return TokenRejected(f"the token is not accepted: {words}")
        return PermissionDenied(f"this account may not do that with {reader.resource}: {words}")
    if answer.status in (404, 405) and not peer.identified:
        return NotFigshare(words)
    return RequestRejected(f"{reader.resource}: {words}", permanent=answer.status in _LASTING)
