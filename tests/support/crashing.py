"""Uploads that crash at a chosen point: before or after any journal write, sync or rename, or any request.

`python -m tests.support.crashing` imports everything once and forks for each upload requested on stdin (one JSON object
a line), so that hundreds of crashes take seconds. It answers with an `Outcome` each.

At its point an upload ends by SIGKILL (`kill`), by a loss of power (`power`: what was not synced is gone, too), or the
disk is full (`full`) or read-only (`read-only`) from there on: no process ends, the write fails.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock
from urllib.parse import urlsplit

import anyio.to_thread
import msgspec

from tests.support.bad_disk import ERRORS, BadDisk
from tests.support.environment import clean_environment
from tests.support.forking import fork_server
from tests.support.hurry import hurry
from uploader.cluster.team import JoinedTeam
from uploader.disk import FILE_MODE, Disk, map_os_errors
from uploader.errors import FigupError
from uploader.figshare import client as figshare_client
from uploader.figshare import pipeline
from uploader.figshare.part_upload import PartUploader
from uploader.figshare.settings import RetryPolicy, Settings
from uploader.figshare.transport import Request, Response, Send, exchange_on
from uploader.items import release
from uploader.items.payload import ItemPayload
from uploader.items.service import Lookup
from uploader.sources.models import Sources
from uploader.transfer import client
from uploader.transfer.client import Client
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import OnConflict, Options

_CHECKOUT = Path(__file__).parents[2]
_ID = re.compile(r"\d{4,}")
"""Ids in addresses, which differ between scenarios, while the points have the same names."""


class Order(msgspec.Struct):
    """One upload. `point`: where it ends, counted from 1; 0: nowhere. `how`: kill, power, full or read-only.

    With `name`, only points of this name are counted.
    `source` is a file or folder, or with `link` an address. With `cancel`, the only job in `state_dir` is cancelled.
    """

    endpoint: str
    token: str
    state_dir: str
    source: str
    title: str
    point: int = 0
    name: str = ""
    how: str = "kill"
    item: int | None = None
    project: int | None = None
    link: bool = False
    cancel: bool = False
    retry_timeout: float = 60.0
    patience: float = 30.0
    """Timeout in seconds for a missing response and a stalled part."""
    visibility: float = 30.0
    """Timeout in seconds for a new file to appear."""
    checksum: float = 60.0
    """Timeout in seconds for a missing checksum."""
    connections: int = 1
    settle: float = 1.0
    """Seconds to look for the effect of a lost response."""
    ordered: bool = False
    """Also describe the item, and finally reserve its DOI, create a private link and publish it."""
    on_conflict: OnConflict = "skip"
    join: bool = False
    """As one of several processes that work on the job together."""
    log: str = ""
    """A file for the whole log, with the traceback of what ended the upload; "" for none."""


class Outcome(msgspec.Struct):
    """The result: the signal (0: none), exit status, error and the points passed."""

    signal: int
    exit_status: int
    error: str = ""
    points: list[str] = []
    seconds: float = 0.0


class Points:
    """Counts the points of one upload, and ends it at the chosen one."""

    def __init__(self, order: Order, report: int) -> None:
        self._order = order
        self._report = report
        self.names: list[str] = []
        self.disk = ForgetfulDisk(self)

    @property
    def disk_error(self) -> OSError | None:
        """Raise the error of the bad disk, from the chosen point on."""
        return OSError(ERRORS[self._order.how], os.strerror(ERRORS[self._order.how])) if self.disk_is_bad else None

    @property
    def disk_is_bad(self) -> bool:
        """Whether the chosen point is reached."""
        return self._order.how in ERRORS and 0 < self._order.point <= len(self.names)

    def reach(self, name: str) -> None:
        """Count one point."""
        self.names.append(name)
        if self._order.point == self._count() and self._order.how not in ERRORS:
            if self._order.how == "power":
                self.disk.lose_power()
            self.tell(Outcome(0, 0, points=self.names))
            os.kill(os.getpid(), signal.SIGKILL)

    def _count(self) -> int:
        """The number of points so far; with a name, of those of that name, 0 at any other."""
        if not self._order.name:
            return len(self.names)
        return self.names.count(self._order.name) if self.names[-1] == self._order.name else 0

    def tell(self, outcome: Outcome) -> None:
        """Write the outcome to the parent process."""
        os.write(self._report, msgspec.json.encode(outcome))

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """A point before and one after."""
        self.reach(f"before {name}")
        yield
        self.reach(f"after {name}")


class ForgetfulDisk(Disk):
    """A disk that loses unsynced writes and renames in a power failure."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._synced: dict[str, bytes | None] = {}
        """The durable content by path; other paths are unchanged."""

    def lose_power(self) -> None:
        """Lose everything that was not synced."""
        for name, content in list(self._synced.items()):  # another thread may write meanwhile
            path = Path(name)
            if content is None:
                path.unlink(missing_ok=True)
            elif path.parent.exists():
                path.write_bytes(content)

    def write(self, fd: int, data: bytes, path: Path) -> None:
        self._synced.setdefault(str(path), path.read_bytes() if path.exists() else None)
        with self._points.around(f"write {path.name}"):
            if (error := self._points.disk_error) is not None:
                if error.errno == errno.ENOSPC:
                    super().write(fd, data[: len(data) // 2], path)
                with map_os_errors(path):
                    raise error
            super().write(fd, data[: len(data) // 2], path)
            self._points.reach(f"in the middle of write {path.name}")
            super().write(fd, data[len(data) // 2 :], path)

    def sync(self, fd: int, path: Path) -> None:
        with self._points.around(f"sync {path.name}"):
            super().sync(fd, path)
            written = Path(f"/proc/self/fd/{fd}").resolve()
            if written == path.resolve():
                self._synced.pop(str(path), None)

    def replace(self, path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
        self._synced.setdefault(str(path), path.read_bytes() if path.exists() else None)
        with self._points.around(f"replace {path.name}"):
            super().replace(path, data, mode=mode)
        self._synced.pop(str(path), None)

    def create(self, path: Path, data: bytes) -> bool:
        self._synced.setdefault(str(path), path.read_bytes() if path.exists() else None)
        with self._points.around(f"create {path.name}"):
            created = super().create(path, data)
        self._synced.pop(str(path), None)
        return created

    def sync_folder(self, path: Path) -> None:
        with self._points.around("sync folder"):
            super().sync_folder(path)


def _with_points_around_requests(points: Points) -> None:
    def exchange(*args: Any, **kwargs: Any) -> Send:
        send = exchange_on(*args, **kwargs)

        async def send_at_a_point(request: Request) -> Response:
            with points.around(f"{request.method} {_ID.sub('ID', urlsplit(request.redacted_url).path)}"):
                return await send(request)

        return send_at_a_point

    class SenderAtAPoint(PartUploader):
        async def send(
            self,
            upload_url: str,
            part: Any,
            chunks: Callable[[], AsyncIterator[Any]],
            on_accepted: Any,
            *,
            fresh_connection: bool,
        ) -> None:
            async def halved() -> AsyncIterator[Any]:
                async for chunk in chunks():
                    yield chunk[: len(chunk) // 2]
                    points.reach("in the middle of a part")
                    yield chunk[len(chunk) // 2 :]

            with points.around("PUT part"):
                await super().send(upload_url, part, halved, on_accepted, fresh_connection=fresh_connection)

    mock.patch.object(pipeline, "exchange_on", exchange).start()
    mock.patch.object(figshare_client, "PartUploader", SenderAtAPoint).start()


async def _upload(order: Order) -> int:
    settings = Settings(
        order.endpoint,
        api_rate=None,
        retry=RetryPolicy(first_delay=0.1, elapsed_cap=order.retry_timeout),
        answer_timeout=order.patience,
        stall_timeout=order.patience,
        visibility_timeout=order.visibility,
    )
    options = Options(
        connections=order.connections,
        settle_timeout=order.settle,
        verify_timeout=order.checksum,
        on_conflict=order.on_conflict,
    )
    target: dict[str, Any] = {"title": order.title, "project": order.project}
    if order.item is not None:
        target = {"item": order.item}
    session = Client(order.token, settings=settings, options=options, state_dir=order.state_dir)
    if order.ordered:
        target["item_options"] = ItemOptions(metadata=Fixed(), reserve_doi=True, private_link=True, publish=True)
    if order.join:
        hurry()
        session.team = JoinedTeam(may_lead=True)
    async with session:
        if order.cancel:
            await session.cancel(next(Path(order.state_dir, "jobs").iterdir()).name)
            return 0
        return (
            await session.upload(Sources(links=(order.source,)) if order.link else order.source, **target)
        ).exit_status


class Fixed:
    """Metadata without names to look up."""

    fingerprint = "fixed"

    async def resolve(
        self, _: Lookup, *, publish: bool = False, item: int | None = None, project: int | None = None
    ) -> ItemPayload:
        """Everything required to publish."""
        return ItemPayload(
            fields={"description": "<p>d</p>", "keywords": ["a"], "categories": [24418], "license": 3},
            authors=[{"name": "Jane Doe"}, {"name": "John Doe", "orcid_id": "0000-0002-1825-0097"}],
        )


def _start_logging(path: str) -> logging.Logger:
    logger = logging.getLogger("uploader")
    if path:
        logger.addHandler(logging.FileHandler(path, encoding="utf-8"))
        logger.setLevel(logging.DEBUG)
    return logger


def _run(order: Order, report: int) -> NoReturn:
    points = Points(order, report)
    log = _start_logging(order.log)
    mock.patch.object(client, "Disk", return_value=points.disk).start()
    mock.patch.object(release, "LATER_READS", (0.1,)).start()
    if order.how in ERRORS:
        BadDisk(Path(order.state_dir), order.how, lambda: points.disk_is_bad).put_in()
    _with_points_around_requests(points)
    try:
        outcome = Outcome(0, asyncio.run(_upload(order)))
    except FigupError as error:
        log.debug("ended", exc_info=error)
        outcome = Outcome(0, error.exit_status, f"{error.code}: {error.message}")
    except Exception as error:
        log.debug("ended", exc_info=error)
        outcome = Outcome(0, -1, repr(error))
    outcome.points = points.names
    points.tell(outcome)
    os._exit(0)


def _fork(order: Order) -> Outcome:
    reported, report = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reported)
        _run(order, report)
    os.close(report)
    with os.fdopen(reported, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    outcome = msgspec.json.decode(answer, type=Outcome) if answer else Outcome(0, -1, "no output")
    outcome.seconds = time.monotonic() - started
    outcome.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return outcome


class Crasher:
    """The forking process, seen from a test."""

    def __init__(self) -> None:
        (read_orders, orders), (outcomes, write_outcomes) = os.pipe(), os.pipe()
        env, streams = clean_environment(_CHECKOUT), (read_orders, write_outcomes, 2)
        self._child = fork_server().start("tests.support.crashing", [], env, _CHECKOUT, streams)
        os.close(read_orders)
        os.close(write_outcomes)
        self._orders, self._outcomes = os.fdopen(orders, "wb"), os.fdopen(outcomes, "rb")

    def upload(self, order: Order) -> Outcome:
        """Run one upload."""
        self._orders.write(msgspec.json.encode(order) + b"\n")
        self._orders.flush()
        return msgspec.json.decode(self._outcomes.readline(), type=Outcome)

    def close(self) -> None:
        """End the process."""
        self._orders.close()
        self._outcomes.close()
        self._child.wait()


async def _warm_up() -> None:
    """Import lazily loaded modules once, before forking."""
    await anyio.to_thread.run_sync("".encode, "idna")


def main() -> None:
    """Fork for each request on stdin."""
    asyncio.run(_warm_up())
    gc.disable()
    gc.freeze()
    for line in sys.stdin.buffer:
        outcome = _fork(msgspec.json.decode(line, type=Order))
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
