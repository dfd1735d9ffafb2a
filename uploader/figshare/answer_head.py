"""Response heads that are valid HTTP although aiohttp's parser rejects them, and a size limit for heads.

RFC 9110, 8.6: a Content-Length that is sent several times with one value may be taken as that value; some proxies add
their own. aiohttp has no option for it, so the head is edited before its parser sees it.
"""

from __future__ import annotations

import functools
import re
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MAX_HEADERS = 2000
MAX_LINE = 128 * 1024
MAX_HEAD = 512 * 1024
"""Maximum bytes of a head."""

_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?\n")
_INFORMATIONAL = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9][0-9]\b")


def merge_lengths(head: bytes) -> bytes:
    """Return the head with one Content-Length where it has several equal ones; otherwise unchanged."""
    lines = _LENGTH.findall(head)
    values = {value.strip() for line in lines for value in line.split(b",")}
    if len(values) != 1 or lines == [*values] or not all(value.isdigit() for value in values):
        return head
    kept = iter([b"Content-Length: %s\r\n" % values.pop()])
    return _LENGTH.sub(lambda _: next(kept, b""), head)


class _Handler(ResponseHandler):
    """aiohttp's protocol, fed each head in one piece, with equal lengths merged."""

    _head: bytes | None = None
    """Bytes received of a head; None while a body is read."""

    def set_response_params(self, **params: Any) -> None:
        """Prepare for the answer to another request."""
        self._head = b""
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Collect the head, then pass it on; pass everything else through."""
        if self._head is None or not data:
            super().data_received(data)
            return
        seen = max(len(self._head) - len(b"\r\n\r"), 0)
        self._head += data
        while end := _END.search(self._head, seen):
            seen = 0
            head, rest = self._head[: end.end()], self._head[end.end() :]
            self._head = rest if _INFORMATIONAL.match(head) else None
            super().data_received(merge_lengths(head))
            if self._head is None:
                if rest:
                    super().data_received(rest)
                return
        if len(self._head) > MAX_HEAD:
            self._refuse_head()

    def _refuse_head(self) -> None:
        self._head = None
        if self.transport is not None:
            self.transport.close()
        self.set_exception(HttpProcessingError(message="the head of the response is too long"))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Pass on the bytes received of a head: non-HTTP data has no recognizable end."""
        if self._head:
            held, self._head = self._head, None
            super().data_received(held)
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            # After an invalid chunk aiohttp closes the connection, but does not tell the reader of the body.
            body.set_exception(aiohttp.ClientPayloadError("the body is incomplete"))


class Connector(aiohttp.TCPConnector):
    """A connector whose connections read answers by `_Handler`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Connections made by a connector have no public option for their protocol.
        self._factory = cast(Any, functools.partial(_Handler, loop=self._loop))
