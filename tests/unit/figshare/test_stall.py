"""The stall detector: stalled parts are aborted; slow sources and slow responses are not."""

from __future__ import annotations

import anyio
import pytest

from uploader.figshare.stall import StallDetector


class FakePart:
    def __init__(self, taken: int = 0, underway: int = 0, *, all_handed: bool = False) -> None:
        self.now = (taken, underway, all_handed)
        self.samples = 0
        self.reason: str | None = None
        self.was_cut = anyio.Event()

    def measure(self) -> tuple[int, int, bool]:
        self.samples += 1
        return self.now

    def abort(self, reason: str) -> None:
        self.reason = reason
        self.was_cut.set()


async def test_a_stalled_part_is_aborted_and_others_are_not() -> None:
    watch = StallDetector(0.08, 60)
    stuck, waiting, moving = FakePart(5, 10), FakePart(5, 0), FakePart(0, 10)
    for part in (stuck, waiting, moving):
        watch.add(part)
    with anyio.fail_after(5):
        while stuck.reason is None:
            moving.now = (moving.now[0] + 1, 10, False)
            await anyio.sleep(0.005)
    assert "took no byte" in stuck.reason
    assert waiting.reason is None
    assert moving.reason is None
    watch.close()


async def test_the_response_has_its_own_timeout() -> None:
    watch = StallDetector(0.04, 0.3)
    part = FakePart(10, 0, all_handed=True)
    started = anyio.current_time()
    watch.add(part)
    with anyio.fail_after(5):
        await part.was_cut.wait()
    assert anyio.current_time() - started >= 0.29
    assert part.reason is not None
    assert "no response" in part.reason
    watch.remove(part)


async def test_the_response_timeout_starts_after_the_last_byte() -> None:
    watch = StallDetector(0.1, 0.2)
    part = FakePart(5, 10, all_handed=True)
    watch.add(part)
    await anyio.sleep(0.06)
    part.now = (15, 0, True)
    changed = anyio.current_time()
    with anyio.fail_after(5):
        await part.was_cut.wait()
    assert anyio.current_time() - changed >= 0.17
    watch.remove(part)


async def test_time_suspended_is_not_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = StallDetector(4.0, 60)
    part = FakePart(5, 10)
    watch.add(part)
    monkeypatch.setattr(watch, "_last", watch._last - 3600)
    watch._tick()
    assert part.samples == 1
    monkeypatch.setattr(watch, "_last", watch._last - 3600)
    watch._tick()
    assert part.reason is None
    watch.close()


async def test_no_timer_runs_without_parts() -> None:
    watch = StallDetector(0.04, 1)
    part = FakePart()
    watch.add(part)
    watch.remove(part)
    seen = part.samples
    await anyio.sleep(0.05)
    assert part.samples == seen
    watch.add(part)
    with anyio.fail_after(5):
        while part.samples == seen:
            await anyio.sleep(0.005)
    watch.remove(part)
