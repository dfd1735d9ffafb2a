"""Results of commands that list records: print or write the rows, and report at the end whether they are complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from uploader.cli.options import grouped, with_options
from uploader.cli.output.record_lines import record_line
from uploader.cli.parameters import LocalPath
from uploader.cli.runner import Session
from uploader.concurrency import in_thread
from uploader.errors import ExitStatus
from uploader.figshare.ids import Kind
from uploader.text import printable
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.catalog.rows import RowFile
    from uploader.catalog.search import Conclusion
    from uploader.figshare.client import Figshare
    from uploader.figshare.records import Record

_ROWS_AT_ONCE = 500
PROGRESS_EVERY = 15.0
"""Seconds between notes on how many records have been read."""
RESULT = "Result"
_how = grouped(RESULT)
_OPTIONS = [
    _how("--output", metavar="FILE", type=LocalPath(path_type=Path, readable=False),
         help="Write FILE.csv, for a spreadsheet, or FILE.jsonl, as received."),
    _how("--force", is_flag=True, help="Replace the file if it exists."),
]  # fmt: skip


def output_options(command: Callable[..., int]) -> Any:
    """Add the options for a file of rows, as the arguments `output` and `force`."""
    return with_options(command, _OPTIONS)


async def with_progress(session: Session, rows: AsyncIterator[Record]) -> AsyncIterator[Record]:
    """Yield the rows, and report occasionally how many there were."""
    quiet = session.common.json or session.common.no_progress
    count, reported, remark = 0, anyio.current_time(), "; Figshare does not say how many there are"
    async for row in rows:
        count += 1
        if anyio.current_time() - reported >= PROGRESS_EVERY and not quiet:
            reported = anyio.current_time()
            session.console.note(f"{format_count(count, 'record')} so far{remark}")
            remark = ""
        yield row


async def put_rows(
    session: Session,
    rows: AsyncIterator[Record],
    kind: Kind,
    output: Path | None = None,
    *,
    replace: bool = False,
    private: bool = False,
    progress: bool = True,
) -> int:
    """Print rows, or write them to a file, which appears once all are written; return how many they were.

    `private`: only this user can read it. `progress`: report how many were written so far. Raises OutputExists,
    UsageError.
    """
    if output is not None:
        from uploader.catalog.rows import RowFile

        noted = with_progress(session, rows) if progress else rows
        return await _write_rows(noted, lambda: RowFile(output, kind, replace=replace, private=private))
    count = 0
    async for row in rows:
        count += 1
        session.console.event("record", kind=kind, record=row.raw)
        session.console.result(record_line(row))
    return count


async def _write_rows(rows: AsyncIterator[Record], open_file: Callable[[], RowFile]) -> int:
    file = await in_thread(open_file)
    some: list[Record] = []
    count, written = 0, False
    try:
        async for row in rows:
            count += 1
            some.append(row)
            if len(some) == _ROWS_AT_ONCE:
                await in_thread(file.write, some)
                some = []
        await in_thread(file.write, some)
        written = True
    finally:
        with anyio.CancelScope(shield=True):
            await in_thread(lambda: file.close(keep=written))
    return count


def conclude(session: Session, api: Figshare, result: Conclusion, output: Path | None, *, count: bool = False) -> int:
    """Report what is known of the result and return the exit status. Raises RecordsMissing for an incomplete list."""
    from uploader.catalog.pager import check_complete

    console, found = session.console, format_count(result.found, "record")
    session.summary.records = {
        "found": result.found,
        "written": 0 if count else result.found,
        "output": str(output) if output is not None and not count else None,
        "complete": result.complete,
        "more": result.more,
        "gaps": [gap.message for gap in result.gaps],
        "checked": list(result.checked),
        "left_out": result.left_out,
        "requests": api.requests,
    }
    if count:
        console.result(str(result.found))
    elif output is not None:
        console.result(f"{found} written to {printable(str(output))}.")
    elif result.more:
        console.note(f"more than {found}; --limit all lists them all")
    elif not result.found:
        console.note("nothing found")
    if result.left_out:
        console.note(f"{format_count(result.left_out, 'record')} did not fit the filters and were left out")
    check_complete(result.gaps)
    return ExitStatus.OK
