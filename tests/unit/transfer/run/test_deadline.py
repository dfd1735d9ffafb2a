"""Deadlines: which parts begin, how connections taper off, and what a run says at the end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes import figshare
from tests.fakes.clock import START
from tests.fakes.world import World
from uploader.concurrency import PATIENCE
from uploader.sources.source import Source
from uploader.transfer.options import Options
from uploader.transfer.run.deadline import DeadlinePolicy

TICK = 0.25


class Line:
    """Connections that send parts of one size, one after the other, until a deadline; `alone` is the most that one
    connection gets, `together` what all get, in bytes per second.
    """

    def __init__(self, *, alone: float, together: float, size: int, connections: int, in_step: bool = False) -> None:
        self.alone, self.together, self.size, self.connections = alone, together, size, connections
        self.in_step = in_step
        self.finished: list[float] = []
        self.busy: list[int] = []

    def run(self, end: float) -> float:
        """Return when the last part ended."""
        policy, now, accepted = DeadlinePolicy(end), 0.0, 0.0
        # Parts are out of step, except with `in_step`.
        sending = [0.0 if self.in_step else self.size * n / self.connections for n in range(self.connections)]
        while True:
            while len(sending) < self.connections and policy.may_begin(self.size, now, len(sending)):
                sending.append(0.0)
            if not sending:
                return now
            self.busy.append(len(sending))
            sent = TICK * min(self.alone, self.together / len(sending))
            now, accepted = now + TICK, accepted + sent * len(sending)
            policy.observe(now, int(accepted), len(sending))
            sending = [part + sent for part in sending]
            self.finished += [now for part in sending if part >= self.size]
            sending = [part for part in sending if part < self.size]


@pytest.mark.parametrize("connections", [1, 4, 16])
@pytest.mark.parametrize("in_step", [False, True], ids=["out-of-step", "in-step"])
@pytest.mark.parametrize("alone", [300_000, 10_000_000], ids=["far", "near"])
def test_no_part_is_cut_off_and_little_time_is_lost(alone: int, connections: int, in_step: bool) -> None:
    line = Line(alone=alone, together=3_000_000, size=10_000_000, connections=connections, in_step=in_step)
    assert line.run(end=600) <= 600
    rate = min(connections * alone, 3_000_000)
    seconds = line.size / min(alone, 3_000_000 / connections)
    assert len(line.finished) * line.size >= rate * (0.95 * 600 - 1.7 * seconds)


def test_connections_taper_off_where_they_share_the_line() -> None:
    line = Line(alone=10_000_000, together=1_000_000, size=10_000_000, connections=16)
    line.run(end=1000)
    assert line.busy[len(line.busy) // 2] == 16
    assert {1, 2, 4, 8} <= set(line.busy)
    assert len(line.finished) >= 0.97 * 1000 * line.together / line.size


def test_without_a_deadline_every_part_begins() -> None:
    assert DeadlinePolicy(None).may_begin(10**12, 0.0, 0)


def test_one_part_shows_how_fast_the_line_is() -> None:
    policy = DeadlinePolicy(10.0)
    policy.observe(0.0, 0, 0)
    assert policy.may_begin(10**12, 9.9, 0)
    assert not policy.may_begin(1, 9.9, 1)
    assert not policy.may_begin(1, 10.0, 0)
    assert policy.may_begin(1, 9.9, 1, idle=1)
    policy.observe(1.0, 1000, 1)
    assert [policy.may_begin(2000, 1.0, busy) for busy in (1, 2, 3)] == [True, False, False]


@pytest.fixture
def part_size(monkeypatch: pytest.MonkeyPatch) -> int:
    """Size of the parts that the fake Figshare asks for: larger than the bursts of a rate limit."""
    monkeypatch.setattr(figshare, "PART_SIZE", 10_000)
    return 10_000


@pytest.mark.anyio
async def test_a_run_ends_in_time_and_sends_no_part_twice(world: World, part_size: int) -> None:
    path = world.source("data.bin", bytes(40 * part_size))
    options = Options(limit_rate=part_size / 5, connections=4, deadline=100, grace=0)
    assert await world.upload(path, options=options) == 75
    assert 60 < world.clock.monotonic() <= 95
    assert world.error is not None
    assert world.error.message.startswith("stopped before the deadline: 1 of 1 file left, ")
    later = Options(deadline=START + timedelta(days=1))
    assert await world.upload(path, options=later) == 0
    assert world.figshare.log.count("send_part") == 40


@pytest.mark.anyio
async def test_a_part_whose_source_stalls_is_still_finished(
    world: World, part_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.source("data.bin", bytes(3 * part_size))
    monkeypatch.setattr(Source, "read_into", lambda *_: 0)  # nothing is in memory
    reads = 0

    async def stall_second(call: str) -> None:
        nonlocal reads
        reads += call == "Source.fill"
        if call == "Source.fill" and reads == 2:
            await world.clock.sleep(4 * PATIENCE)

    world.gate = stall_second
    options = Options(limit_rate=part_size / 10, connections=1, deadline=35, grace=0)
    assert await world.upload(path, options=options) == 75
    (item,) = world.figshare.stored_items.values()
    (file,) = item.files.values()
    assert sorted(file.parts) == [1, 2]


@pytest.mark.anyio
async def test_storage_that_hangs_after_everything_was_verified_does_not_hold_up_the_end(world: World) -> None:
    async def hang(call: str) -> None:
        if call == "changed_since_checked":
            await world.clock.sleep(10_000)

    world.gate = hang
    path = world.source("data.bin", bytes(300))
    assert await world.upload(path, options=Options(deadline=60, grace=1)) == 75
    assert world.clock.monotonic() < 100


@pytest.mark.anyio
async def test_two_runs_without_a_finished_part_are_reported(world: World, part_size: int) -> None:
    path = world.source("data.bin", bytes(3 * part_size))
    options = Options(limit_rate=part_size / 100, deadline=60, grace=10)
    messages = []
    for _ in range(2):
        begun = world.clock.monotonic()
        assert await world.upload(path, options=options) == 75
        assert world.clock.monotonic() - begun <= 55
        assert world.error is not None
        messages.append((world.error.facts.situation, world.error.message))
    assert messages == [
        ("interrupted", "stopped before the deadline: 1 of 1 file left, 30.0 kB to send"),
        (
            "no-part-finished",
            "no part was finished before the deadline, nor in the run before: 1 of 1 file left, 30.0 kB to send",
        ),
    ]
    assert await world.upload(path) == 0
