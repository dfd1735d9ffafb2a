"""Filter a list by state. Rows do not have it, so each record is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

import anyio

from uploader.catalog.failures import OF_ONE_RECORD, Failures
from uploader.catalog.pager import Gap
from uploader.catalog.report.phase import AT_ONCE
from uploader.catalog.report.values import state
from uploader.concurrency import unwrap_group
from uploader.errors import FigupError, ItemNotFound, NotFigshare, Unreachable
from uploader.figshare.ids import Kind
from uploader.figshare.records import Record

_MAX_NAMED: Final = 3


class RecordService(Protocol):
    """The request needed; `uploader.figshare.records_api.Records` has it."""

    async def record(self, kind: Kind, number: int, *, public: bool, version: int | None = None) -> Record: ...


class StateFilter:
    """Lets records in one of the `wanted` states through. Those that cannot be read are left out, and are a gap.

    `verify` is called when a record may not be read; it raises TokenRejected if the token is not valid.
    """

    def __init__(
        self, source: RecordService, kind: Kind, wanted: frozenset[str], verify: Callable[[], Awaitable[object]]
    ) -> None:
        self._source, self._kind, self._wanted = source, kind, wanted
        self._unread: dict[int, FigupError] = {}
        self._failures = Failures(verify)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The records whose state could not be read, if there are any."""
        if not self._unread:
            return ()
        which = {f"{self._kind} {number}": error.message for number, error in self._unread.items()}
        named = [f"{name} ({message.removeprefix(f'{name}: ')})" for name, message in which.items()]
        named[_MAX_NAMED:] = [f"{len(named) - _MAX_NAMED} more"] if len(named) > _MAX_NAMED else []
        return (Gap(code="no-state", message=f"the state could not be read of {', '.join(named)}"),)

    @property
    def failed(self) -> int:
        """The number of records whose state could not be read."""
        return len(self._unread)

    async def fitting(
        self, listed: Sequence[Record], on_progress: Callable[[int], None], *, public: bool = False
    ) -> AsyncIterator[Record]:
        """Yield the rows whose records are in one of the states; `on_progress` gets the number that was read.

        Raises Unreachable, NotFigshare, and the error of the last one if many in a row could not be read.
        """
        for begin in range(0, len(listed), AT_ONCE):
            some = listed[begin : begin + AT_ONCE]
            found = await self._states_of(some, public=public)
            for row in some:
                if found.get(row.id) in self._wanted:
                    yield row
            on_progress(begin + len(some))

    async def _states_of(self, rows: Sequence[Record], *, public: bool) -> dict[int, str]:
        """Read records, and return their states by id; those that were deleted meanwhile have none."""
        found: dict[int, str] = {}

        async def read(number: int) -> None:
            try:
                found[number] = state((await self._source.record(self._kind, number, public=public)).raw)
            except ItemNotFound:
                pass
            except (NotFigshare, Unreachable):
                raise  # the list is written whole, or by the same command later
            except OF_ONE_RECORD as error:
                await self._failures.accept(error)
                self._unread[number] = error
                return
            self._failures.reset()

        with unwrap_group():
            async with anyio.create_task_group() as group:
                for row in rows:
                    group.start_soon(read, row.id)
        return found
