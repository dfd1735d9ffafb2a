"""Classify a response: value, permanent error or transient failure. Sends nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, Literal, NoReturn, TypeVar

import msgspec

from uploader.errors import (
    Facts,
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
from uploader.figshare.decode import NotJson, as_text, parse_json, parse_list, parse_object, parse_rows
from uploader.figshare.outcomes import Outcome
from uploader.figshare.retry import is_retryable, parse_http_date, parse_retry_after
from uploader.figshare.transport import ExchangeFailed, Response
from uploader.redaction import redact

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_PERMANENT = (413, 422)
"""Content too large, unprocessable: statuses about the request itself (RFC 9110). Figshare's 400 may mean anything."""
_REFUSES_ADDRESS = (401, 403, 410)
"""Statuses by which the upload service, or something in between, rejects the upload URL."""
_ADVICE = {
    "redirected": "A proxy or login page may be responding in its place: check the network.",
    "upload-refused": "Repeat the call, which requests a new upload URL, or try another network.",
    "refused-unexplained": "Try again later; if it is still rejected, report this message to the server's operator.",
}
"""Hints by situation, for rejections whose message does not say what to do."""
UNEXPLAINED = _ADVICE["refused-unexplained"], "refused-unexplained"
"""Hint and situation of a response that does not say what to do."""
_FIREWALL_HINT = "Try another network (cloud and shared addresses are often blocked), or try later."


class ErrorInstead(Exception):
    """A success whose body is Figshare's object for errors; the text is the server's message."""


class ResponseSpec(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """How to read the response to one request.

    `resource` names what was requested, for messages. `parse` returns the value of a success, `on_not_found` that of a
    404, or raises. `accepts`: "json" if only JSON is valid, "no html" if the body hardly matters, "anything".
    `checks_token`: a 403 is about the token. `public`: no permission is needed, so that a 403 without a message, and a
    page instead of JSON, mean that Figshare throttles.
    """

    resource: str
    parse: Callable[[Response], T]
    on_not_found: Callable[[], T] | None = None
    accepts: Literal["json", "no html", "anything"] = "json"
    checks_token: bool = False
    public: bool = False


def object_spec(kind: type[S], resource: str, **options: Any) -> ResponseSpec[S]:
    """Return the spec of a response with one object of this kind; `options` as for ResponseSpec."""
    return ResponseSpec(resource=resource, parse=lambda answer: parse_object(kind, answer.body, resource), **options)


def record_spec(kind: type[S], resource: str, **options: Any) -> ResponseSpec[S]:
    """Like `object_spec`, where Figshare may answer with an error object and status 200, as for lists."""

    def parse(answer: Response) -> S:
        try:
            return parse_object(kind, answer.body, resource)
        except ProtocolViolation:
            _check_no_error(answer)
            raise

    return ResponseSpec(resource=resource, parse=parse, **options)


def list_spec(kind: type[S], resource: str, **options: Any) -> ResponseSpec[list[S]]:
    """Return the spec of a response with a list of objects of this kind; `options` as for ResponseSpec."""

    def parse(answer: Response) -> list[S]:
        _check_no_error(answer)
        return parse_list(kind, answer.body, resource)

    return ResponseSpec(resource=resource, parse=parse, **options)


def rows_spec(kind: type[S], resource: str, **options: Any) -> ResponseSpec[tuple[list[S], list[Any]]]:
    """Like `list_spec`; also returns the rows that are not objects of this kind."""

    def parse(answer: Response) -> tuple[list[S], list[Any]]:
        _check_no_error(answer)
        return parse_rows(kind, answer.body, resource)

    return ResponseSpec(resource=resource, parse=parse, **options)


def _check_no_error(answer: Response) -> None:
    """Raise ErrorInstead for an error with status 200 (observed in place of a list)."""
    if answer.body.lstrip().startswith(b"{") and (words := server_message(answer.body)):
        raise ErrorInstead(words)


def done_spec(resource: str, **options: Any) -> ResponseSpec[None]:
    """Return the spec of an answer whose status is sufficient; `options` as for ResponseSpec."""
    return ResponseSpec(resource=resource, parse=lambda _: None, accepts="no html", **options)


def ignore_missing() -> None:
    """Accept that the object to remove does not exist."""


def not_found(message: str) -> Callable[[], NoReturn]:
    """Return an `on_not_found` that raises ItemNotFound."""

    def missing() -> NoReturn:
        raise ItemNotFound(message)

    return missing


def record_not_found(which: str, *, public: bool = False) -> Callable[[], NoReturn]:
    """Like `not_found`, for a record such as "item 5"."""
    return not_found(
        f"Figshare has no public {which}" if public else f"Figshare has no {which}, or this account may not see it"
    )


def about_item(item_id: int, *, public: bool = False) -> dict[str, Any]:
    """Return the options of ResponseSpec for a request about an item: its name, and ItemNotFound for a 404."""
    which = f"item {item_id}"
    return {"resource": which, "on_not_found": record_not_found(which, public=public)}


def about_part_of_item(item_id: int, part: str) -> dict[str, Any]:
    """Return the options of ResponseSpec for a request about a part of an item, such as "the authors".

    A 404 raises RequestRejected; the caller checks whether the item itself is missing.
    """

    def missing() -> NoReturn:
        raise RequestRejected(
            f"Figshare has item {item_id}, but does not find {part} of it",
            hint=_ADVICE["refused-unexplained"],
            facts=Facts("refused-unexplained"),
            status=404,
        )

    return {"resource": f"{part} of item {item_id}", "on_not_found": missing}


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The responding service: the API or the upload service at `host`; `identified` once it has responded properly."""

    host: str
    name: str
    is_api: bool
    identified: bool


class TransientFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that a retry may overcome. `reason` is one line with the server's message.

    `no_effect` is True if the request certainly changed nothing. `network`: there was no answer. `retry_after` is
    seconds; `throttled` asks all requests to wait as long. `blocked`: Figshare throttles without saying for how long,
    and takes requests again only after minutes. `stale`: see ExchangeFailed.
    """

    reason: str
    no_effect: bool = False
    network: bool = False
    retry_after: float | None = None
    throttled: bool = False
    blocked: bool = False
    stale: bool = False


def classify(answer: Response, reader: ResponseSpec[T], peer: Peer, url: str, now: datetime) -> T | TransientFailure:
    """Return the value of a success or a TransientFailure; raise the error for any other answer.

    `now` is the server's time. 408, 425, 429 and a 503 with Retry-After count as rejected without effect; any other 5xx
    may have taken effect.
    """
    if reader.public and _is_throttling(answer, peer):
        return _throttling(answer, peer, now)
    if is_firewall(answer):
        return _firewall_block(answer, peer, now)
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
    """Return the value for a 404, or raise its error, which ends with the server's message."""
    words = server_message(answer.body)
    try:
        return missing()
    except FigupError as error:
        known = error.with_context(suffix=words)
        if isinstance(known, ItemNotFound):
            known.server_message = words
        raise known from None
    except Outcome as outcome:
        raise type(outcome)(f"{outcome.reason}: {words}" if words else outcome.reason) from None


def is_firewall(answer: Response) -> bool:
    """Detect Figshare's firewall. Observed: an empty 202 with x-amzn-waf-action, or a 403 with a page."""
    return "x-amzn-waf-action" in answer.headers or (answer.status == 403 and answer.is_html)


def _is_throttling(answer: Response, peer: Peer) -> bool:
    """Detect throttling of a public request. Observed: a 403 with a page or without a body; others carry a message."""
    if answer.status == 403:
        return not server_message(answer.body)
    return is_firewall(answer) or (answer.status == 200 and answer.is_html and peer.identified)


def _throttling(answer: Response, peer: Peer, now: datetime) -> TransientFailure:
    body = "a web page" if answer.is_html else "nothing else"
    return TransientFailure(
        reason=f"Figshare throttles this computer ({peer.host} answered {answer.status} with {body})",
        no_effect=True,
        retry_after=_requested_delay(answer, now),
        throttled=True,
        blocked=True,
    )


def transient_failure(answer: Response, peer: Peer, now: datetime) -> TransientFailure:
    """Return a retryable answer as TransientFailure; `now` is the server's time."""
    wait = _requested_delay(answer, now)
    rejected_unread = answer.status in (408, 425, 429) or (answer.status == 503 and wait is not None)
    return TransientFailure(
        reason=describe(answer, peer),
        no_effect=rejected_unread,
        retry_after=wait,
        throttled=answer.status in (429, 503),
    )


def _requested_delay(answer: Response, now: datetime) -> float | None:
    """Return the seconds that Retry-After asks for; a date is relative to the Date of the same answer, else to `now`.

    Both headers are whole seconds of one clock, which need not be that of the API.
    """
    headers = answer.headers
    return parse_retry_after(headers.get("Retry-After"), parse_http_date(headers.get("Date")) or now)


def describe(answer: Response, peer: Peer, url: str = "") -> str:
    """Return e.g. "api.figshare.com answered 422: the server's message"; of a redirect, the host that it points to.

    `url` is the address that was requested.
    """
    if 300 <= answer.status < 400:
        target = redact(urls.host_of_location(answer.headers.get("Location", ""), base=url))
        return f"{peer.host} answered {answer.status} and points to {target}; redirects are not followed"
    words = server_message(answer.body)
    return f"{peer.host} answered {answer.status}" + (f": {words}" if words else "")


def server_message(body: bytes) -> str:
    """Return the first line of the message in an error answer ({"message", "code"}), "" without one.

    OAuth-like bodies ({"error", "error_description"}) are read too. At most 300 printable characters, without the
    secrets of addresses.
    """
    try:
        value = parse_json(body)
    except NotJson:
        return ""
    for key in ("message", "error_description", "error", "code") if isinstance(value, Mapping) else ():
        lines = redact(as_text(value.get(key)) or "").strip().splitlines()
        words = "".join(c if c.isprintable() else " " for c in lines[0]).strip() if lines else ""
        if words:
            return _without_secrets(words)[:300]
    return ""


def _without_secrets(text: str) -> str:
    """Cut the secret part of upload addresses and everything after the path of any address."""
    text = re.sub(r"(/upload/)[^\s/?#\"']+", r"\1...", text)
    return re.sub(r"(https?://[^\s?#]*)[?#]\S*", r"\1?...", text)


def no_response(failure: ExchangeFailed, peer: Peer, *, creating: bool) -> TransientFailure:
    """Return a failed exchange as TransientFailure; raise the error if a retry would fail the same way.

    A creating request that was sent never raises here: its answer is unusable, but it may have had its effect.
    """
    if failure.permanent and not failure.sent:
        raise UsageError(f"{peer.host}: {failure.reason}", hint="Check the proxy settings (HTTPS_PROXY).")
    if failure.permanent and not creating:
        raise ProtocolViolation(f"{peer.host}: {failure.reason}")
    return TransientFailure(
        reason=f"{peer.host}: {failure.reason}",
        no_effect=not failure.sent,
        network=True,
        stale=failure.stale,
    )


def _parse_success(answer: Response, reader: ResponseSpec[T], peer: Peer) -> T | TransientFailure:
    if reader.accepts == "no html" and answer.is_html:
        return _foreign_response(answer, peer)
    try:
        return reader.parse(answer)
    except NotJson:
        return _foreign_response(answer, peer)
    except ErrorInstead as fault:
        if not peer.identified:
            raise NotFigshare(f"{peer.host} does not answer as Figshare does: {fault}") from None
        return TransientFailure(
            reason=f"{peer.host} answered {answer.status} with an error instead of {reader.resource}: {fault}"
        )
    except ProtocolViolation as fault:
        if peer.identified:
            raise
        raise NotFigshare(f"{peer.host} does not answer as Figshare does: {fault.message}") from None


def _firewall_block(answer: Response, peer: Peer, now: datetime) -> TransientFailure:
    message = f"a firewall in front of Figshare ({peer.host}) rejected the request"
    if not peer.identified:
        raise ServerFailing(message, hint=_FIREWALL_HINT)
    wait = _requested_delay(answer, now)
    return TransientFailure(reason=message, no_effect=True, retry_after=wait, throttled=True)


def _foreign_response(answer: Response, peer: Peer) -> TransientFailure:
    """Handle a response that is not from Figshare but from a gateway or another server."""
    kind = f"a body compressed as {answer.undecoded}" if answer.undecoded else "no JSON"
    kind = "a web page" if answer.is_html else kind
    message = f"{peer.host} answered {answer.status} with {kind} instead of Figshare's response"
    if not peer.identified:
        raise NotFigshare(message)
    return TransientFailure(reason=message)


def _redirect_error(answer: Response, peer: Peer, url: str) -> FigupError:
    message = describe(answer, peer, url)
    if not peer.identified:
        return NotFigshare(message)
    return ProtocolViolation(message, hint=_ADVICE["redirected"], facts=Facts("redirected"))


def advice_on(answer: Response, peer: Peer) -> tuple[str, str] | None:
    """Return the hint and the situation of a rejection whose message does not say what to do; None if it does."""
    if 300 <= answer.status < 400:
        situation = "redirected"
    elif not peer.is_api and answer.status in _REFUSES_ADDRESS:
        situation = "upload-refused"
    elif server_message(answer.body):
        return None
    else:
        situation = "refused-unexplained"
    return _ADVICE[situation], situation


def _rejection(answer: Response, reader: ResponseSpec[T], peer: Peer) -> FigupError:
    message = describe(answer, peer)
    if peer.is_api and answer.status == 401:
        return TokenRejected(f"the token is not accepted: {message}")
    if peer.is_api and answer.status == 403:
        if reader.checks_token:
            return TokenRejected(f"the token is not accepted: {message}")
        return PermissionDenied(f"this account lacks permission for {reader.resource}: {message}")
    if answer.status in (404, 405) and not peer.identified:
        return NotFigshare(message)
    hint, situation = advice_on(answer, peer) or (None, RequestRejected.code)
    return RequestRejected(
        f"{reader.resource}: {message}",
        hint=hint,
        facts=Facts(situation),
        permanent=answer.status in _PERMANENT,
        status=answer.status,
    )
