"""Following a job from outside, while the process that leads it is replaced."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import msgspec
import pytest

from uploader.cli import status
from uploader.cluster.files import MemberFiles
from uploader.cluster.messages import Hello
from uploader.disk import Disk
from uploader.transfer.report import FileReport
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import JobSummary

pytestmark = pytest.mark.anyio


async def test_members_may_get_a_new_leader_for_some_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("uploader.cli.status.time.monotonic", lambda: now)
    follower = status._JobFollower(JobStore(tmp_path, Disk()), "job")

    async def may_continue(state: str = "interrupted") -> bool:
        job = JobSummary(job="job", state=state, changed=datetime.now(UTC))
        return await anyio.to_thread.run_sync(follower.may_continue, job)

    assert not await may_continue()
    member = MemberFiles(tmp_path / "jobs" / "job", Disk(), host="n1", pid=7)
    hello = Hello(host="n1", machine="m", pid=7, version="1")
    await member.hello(hello)
    assert await may_continue()
    assert not await may_continue("done")
    now += 100
    assert await may_continue()
    await member.hello(msgspec.structs.replace(hello, beat=1))
    assert await may_continue()
    now += 100
    assert await may_continue()
    now += 100
    assert not await may_continue()


@pytest.mark.parametrize(("total", "text"), [(1, "1 of 1 part"), (3, "1 of 3 parts")])
async def test_parts_are_counted_in_singular_and_plural(total: int, text: str) -> None:
    file = FileReport(path="/a.bin", name="a.bin", size=10, status="unfinished", parts_total=total, parts_done=1)
    assert status._file_line(file) == f"  a.bin: unfinished, 10 bytes, {text}"
