"""Looking for the effect of a lost answer: the file in this place and no other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.walks import AT
from uploader.figshare.wire import File
from uploader.transfer import events as ev
from uploader.transfer.lifecycle import JobState
from uploader.transfer.lookup import find_upload
from uploader.transfer.run import JobRun


@contextlib.contextmanager
def unstopped() -> Iterator[None]:
    yield


def a_run(folders: dict[int, str]) -> JobRun:
    """A run of four files, all of one name and size, in folders a, b, c and none, whose initiations were lost."""
    job = JobState()
    job.apply(ev.JobPlanned("j", "e", None, "t", AT, "0", 4, root="/x"))
    for index, path in enumerate(["a/data", "b/data", "c/data", "data"]):
        job.apply(ev.SourcePlanned(index, path, size=9))
        job.apply(ev.UploadIntended(index, AT))

    async def named(name: str) -> list[File]:
        return [File(id=number, name=name, size=9, status="created", upload_url="u") for number in (10, 11, 12, 13)]

    async def told() -> dict[int, str]:
        return folders

    async def no_sleep(_: float) -> None:
        return

    run = SimpleNamespace(
        job="j",
        state=job,
        states=SimpleNamespace(owned_elsewhere=lambda _: (set(), set())),
        remote=SimpleNamespace(named=named, folders=told),
        api=SimpleNamespace(server_now=lambda: datetime(2026, 3, 1, tzinfo=UTC)),
        options=SimpleNamespace(settle_timeout=0.0),
        runtime=SimpleNamespace(monotonic=lambda: 0.0, sleep=no_sleep),
        stop=SimpleNamespace(ends=unstopped),
    )
    return cast(JobRun, cast(Any, run))


@pytest.mark.anyio
async def test_files_of_one_name_and_size_are_told_apart_by_their_folders() -> None:
    run = a_run({10: "c", 11: "b", 13: "a"})
    assert [await find_upload(run, transfer) for transfer in run.state.transfers] == [13, 11, 10, 12]


@pytest.mark.anyio
async def test_a_file_in_another_folder_is_never_taken_for_it() -> None:
    run = a_run({10: "elsewhere", 11: "elsewhere", 12: "elsewhere", 13: "elsewhere"})
    assert [await find_upload(run, transfer) for transfer in run.state.transfers] == [None] * 4
