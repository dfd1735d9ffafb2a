"""Comparing local files with what Figshare holds. Nothing is sent, and no job is needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import anyio.to_thread
import msgspec

from uploader.figshare.api import Figshare
from uploader.figshare.wire import File
from uploader.transfer.digest import Digest
from uploader.transfer.plan import resolve
from uploader.transfer.source import Source, remote_name


class Comparison(msgspec.Struct, frozen=True):
    """One local file against the item's files of its name.

    `status`: `same`; `different`; `missing` (the item has no such file); `unfinished` (only an upload that was never
    completed); `unknown` (same size, and Figshare has not computed its MD5). Sizes are bytes; None where there is none.
    """

    path: str
    name: str
    size: int
    md5: str
    status: str
    file_id: int | None = None
    remote_size: int | None = None
    remote_md5: str | None = None


EXIT_STATUS = {"same": 0, "unknown": 7, "missing": 1, "unfinished": 1, "different": 5}
"""A comparison's exit status; that of several is the one that stands last here."""


def exit_status(comparisons: Sequence[Comparison]) -> int:
    """The exit status of a whole verification."""
    order = list(EXIT_STATUS)
    worst = max((c.status for c in comparisons), key=order.index, default="same")
    return EXIT_STATUS[worst]


async def verify(
    api: Figshare, item_id: int, paths: Sequence[str], on_result: Callable[[Comparison], None]
) -> list[Comparison]:
    """Compare each file with the item's file of that name. Raises ItemMissing, SourceMissing, SourceUnreadable."""
    resolved = resolve(paths)
    remote: dict[str, list[File]] = defaultdict(list)
    for path in resolved:
        source = await anyio.to_thread.run_sync(Source, path)
        source.close()
    async for file in api.files(item_id):
        remote[file.name].append(file)
    results = []
    for path in resolved:
        results.append(await _compare(path, remote[remote_name(path)]))
        on_result(results[-1])
    return results


async def _compare(path: str, remote: list[File]) -> Comparison:
    source = await anyio.to_thread.run_sync(Source, path)
    try:
        md5 = await Digest(source, paced=False).run()
    finally:
        source.close()
    size = source.snapshot.size
    ranked = sorted(((_status(file, size, md5), file) for file in remote), key=lambda pair: _RANK.index(pair[0]))
    if not ranked:
        return Comparison(path, remote_name(path), size, md5, "missing")
    status, file = ranked[0]
    return Comparison(path, remote_name(path), size, md5, status, file.id, file.size, file.computed_md5)


_RANK = ("same", "unknown", "different", "unfinished")


def _status(file: File, size: int, md5: str) -> str:
    if file.status == "created":
        return "unfinished"
    if file.computed_md5 is None:
        return "unknown" if file.size == size else "different"
    return "same" if (file.size, file.computed_md5.lower()) == (size, md5) else "different"
