"""Opening and closing a job: however the block ends, the next call can open it."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from uploader.clock import Clock
from uploader.disk import Disk
from uploader.sources.models import Sources
from uploader.sources.select import select
from uploader.transfer.job import OpenJob
from uploader.transfer.journal.plan import Target, plan_events
from uploader.transfer.store.jobs import JobStore


@pytest.mark.anyio
async def test_a_new_job_that_is_cancelled_before_anything_happened_is_free_again_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"a")
    states = JobStore(tmp_path / "state", Disk())
    plan = await anyio.to_thread.run_sync(
        lambda: plan_events(
            Target(endpoint="https://example.org/v2", item=None, title="title"),
            select(Sources(paths=(str(source),))),
            "job",
        )
    )
    for _ in range(2):
        with anyio.CancelScope() as scope:
            async with OpenJob(states, "job", Clock(), lambda: plan, new=True) as job:
                assert not job.resumed
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert not (states.jobs / "job").exists()
