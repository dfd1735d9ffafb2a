"""The result of a download, file by file, and its exit status. Values only."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from uploader.errors import ExitStatus
from uploader.transfer.download.plan import Skip
from uploader.transfer.report import Problem

_INCOMPLETE = ("unfinished", "integrity-failed")
"""Reasons for skipping that make the download of an item incomplete."""

VERIFIED = frozenset({"downloaded", "same"})
"""Statuses of a local file that has the MD5 that Figshare lists."""


class DownloadReport(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the item. `path` is the local one, None for skipped files; `remote` the one in the item. `status`:
    `downloaded`; `same` (it existed); `kept` (a different file exists and was kept); `unknown` (a file exists, but
    Figshare has no MD5 to compare with); `skipped` for `reason` (see `Skip`); `failed`. `named`: a skipped file
    was asked for by its name. Sizes are bytes.
    """

    path: str | None
    remote: str
    file_id: int
    status: str
    size: int | None = None
    md5: str | None = None
    reason: str | None = None
    named: bool = False
    error: Problem | None = None


def exit_status(reports: Sequence[DownloadReport]) -> ExitStatus:
    """Return the exit status of a download: that of the only file, or a common one."""
    failed = [each.error for each in reports if each.error is not None]
    if any(error.exit_status == ExitStatus.RESUMABLE for error in failed):
        return ExitStatus.RESUMABLE
    if failed and all(error.exit_status == ExitStatus.BUSY for error in failed):
        return ExitStatus.BUSY
    if failed:
        alone = failed[0].exit_status if len(failed) == len(reports) == 1 else None
        return next((each for each in ExitStatus if each == alone), ExitStatus.SOME_FAILED)
    if any(each.status == "skipped" and (each.named or each.reason in _INCOMPLETE) for each in reports):
        return ExitStatus.SOME_FAILED
    return ExitStatus.PENDING if any(each.status == "unknown" for each in reports) else ExitStatus.OK


def skipped(skip: Skip) -> DownloadReport:
    """Return the report of a file that is not downloaded."""
    return DownloadReport(
        path=None,
        remote=skip.remote,
        file_id=skip.file_id,
        status="skipped",
        reason=skip.reason,
        named=skip.named,
    )
