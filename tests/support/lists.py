"""A server of one list of records, with Figshare's limits and whatever goes wrong with lists, for the real command."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

START = datetime(2015, 1, 1, tzinfo=UTC)
Raw = bytes | tuple[int, Any]
"""A body with status 200, or a status and a JSON body."""


def record(number: int, **fields: Any) -> dict[str, Any]:
    """A public item; item n was published n hours after `START`."""
    date = f"{START + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}"
    return {"id": number, "title": f"Item {number}", "published_date": date, "defined_type": 3, **fields}


class ListServer:
    """Lists `rows`. `odd` may answer in its place; `before` is called before each page, for example to change `rows`.

    At most `cap` rows can be paged to. `filters`: dates are regarded. `paths` has the answers to GETs.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.cap = 9000
        self.filters = True
        self.before: Callable[[int], None] = lambda _: None
        self.odd: Callable[[int], Raw | None] = lambda _: None
        self.asked: list[dict[str, Any]] = []
        self.paths: dict[str, Any] = {}
        self.url = ""

    def answer(self, asked: dict[str, Any]) -> Raw:
        self.asked.append(asked)
        self.before(len(self.asked))
        if (odd := self.odd(len(self.asked))) is not None:
            return odd
        first, size = (asked["page"] - 1) * asked["page_size"], asked["page_size"]
        if first + size > self.cap and first:
            return 422, {"message": "Max page reached. Please narrow down your search",
                         "code": "PageLimitExceededException", "data": {}}  # fmt: skip
        rows = sorted(self._fitting(asked), key=lambda row: row["published_date"] or "~")
        if asked.get("order_direction") != "asc":
            rows.reverse()
        return 200, rows[first : first + size]

    def _fitting(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        undated = "NOT :published_after:" in asked.get("search_for", "")
        since = asked.get("published_since", "") if self.filters else ""
        return [
            row
            for row in self.rows
            if (row["published_date"] is None) >= undated and (not since or (row["published_date"] or "") > since)
        ]


@contextlib.contextmanager
def list_server() -> Iterator[ListServer]:
    """Run one during the block."""
    made = ListServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = made.answer(asked)
            self._send(*((200, answer) if isinstance(answer, bytes) else (answer[0], json.dumps(answer[1]).encode())))

        def do_GET(self) -> None:
            known = made.paths.get(self.path.partition("?")[0])
            self._send(*((404, b'{"message": "unknown"}') if known is None else (200, json.dumps(known).encode())))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/v2"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
