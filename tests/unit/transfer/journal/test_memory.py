"""The memory of a job with many files."""

from __future__ import annotations

from tests.support.memory import measured_memory
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.state import JobState

FILES = 2000
MAX_BYTES = 620
"""Bytes per file with a name of 22 characters: name, MD5, five numbers and the rest of a transfer, without its path."""


def test_a_verified_file_needs_some_hundred_bytes() -> None:
    plan = ev.JobPlanned(
        job="j", endpoint="e", item=1, title=None, created="c", version="0", files=FILES, root="/scratch/group/name"
    )
    state = JobState(plan=plan)
    with measured_memory() as memory:
        for index in range(FILES):
            path, at = f"run{index // 1000:03d}/measurement-{index:06d}.csv", 10**18 + index
            state.apply(ev.SourcePlanned(index, path=path, size=10**6 + index, mtime_ns=at, inode=at, ctime_ns=at))
            state.apply(ev.UploadIntended(index, at="2026-01-02T03:04:05+00:00", known=()))
            state.apply(ev.UploadInitiated(index, id=10**8 + index))
            state.apply(ev.PartsMissing(index, done=0, total=1))
            state.apply(ev.PartSent(index, no=1, xxh3=2**63 + index))
            state.apply(ev.PartsComplete(index, 1))
            state.apply(ev.CompleteIntended(index))
            state.apply(ev.Completed(index))
            state.apply(ev.Verified(index, f"{index:032x}"))
    assert state.finished
    assert memory.kept / FILES < MAX_BYTES, memory.kept / FILES
