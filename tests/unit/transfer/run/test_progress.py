"""Progress of a run: whether it waits for requests or for bytes."""

from __future__ import annotations

import pytest

from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.run.progress import ProgressTracker


def transfers(files: int, size: int) -> list[Transfer]:
    return [
        Transfer(index=n, source=f"/d/{n}", name=str(n), size=size, mtime_ns=1, inode=n, ctime_ns=1, folder="")
        for n in range(files)
    ]


@pytest.mark.parametrize(
    ("request_rate", "size", "held"), [(1.0, 100, True), (None, 100, False), (1.0, 10_000, False), (1000.0, 100, False)]
)
def test_a_run_is_held_by_requests_if_they_take_longer_than_its_bytes(
    request_rate: float | None, size: int, held: bool
) -> None:
    files = transfers(100, size)
    meter = ProgressTracker(files)
    meter.sample(0.0)
    meter.accepted = 2000
    reported = meter.progress(2.0, request_rate=request_rate)
    assert reported.rate == 1000
    assert (reported.request_rate is not None) is held
    assert (reported.requests_left, reported.requests_total) == (200, 200)


def test_requests_that_were_answered_are_no_longer_left() -> None:
    files = transfers(10, 100)
    files[0].state, files[0].file_id = State.SENDING, 1
    files[1].state, files[1].file_id = State.COMPLETED, 2
    meter = ProgressTracker(files)
    for transfer in files[:3]:
        meter.file(transfer).begin()
    assert meter.progress(1.0).requests_left == 17
    meter.file(files[1]).verified()
    meter.file(files[1]).end()
    assert meter.progress(1.0).requests_left == 17
