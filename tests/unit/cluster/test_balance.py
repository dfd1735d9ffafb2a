"""How much of their lines several processes use with one big file, from its first byte to its last."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.fakes.figshare import PART_SIZE
from tests.support.lines import Lines
from tests.support.teams import Crew
from uploader.cluster import leader, member
from uploader.cluster.roster import MemberView
from uploader.transfer import engine
from uploader.transfer.parts import queue, senders

pytestmark = pytest.mark.anyio

RATE = 100.0
REAL_TIME_LIMIT = 600.0
"""Seconds; what the tests measure is virtual time."""


@pytest.fixture
def new_crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster) -> Callable[..., Crew]:
    no_blocking_calls.deactivate()  # its threads run inline
    monkeypatch.setattr(senders, "WORKERS", 32)
    for module in (engine, member):
        monkeypatch.setattr(module, "TICK", 0.25)
    return lambda contents: Crew(tmp_path, monkeypatch, contents)


def lines_of(crew: Crew, choice: random.Random, monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines(crew.clock, RATE, choice)
    monkeypatch.setattr(crew.figshare, "carry", lines.carry)
    return lines


async def start(crew: Crew, members: int) -> None:
    for _ in range(members):
        crew.start()
        await crew.clock.sleep(0.1)


@pytest.mark.search
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("members", "share"), [(2, 0.95), (4, 0.95), (8, 0.93)])
async def test_all_processes_send_until_the_end(
    members: int, share: float, new_crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    choice, parts = random.Random(members), 50 * members
    crew = new_crew({"big": choice.randbytes(parts * PART_SIZE)})
    lines = lines_of(crew, choice, monkeypatch)
    withdrawn: list[str] = []
    monkeypatch.setattr(MemberView, "withdraw", lambda seen, **_: withdrawn.append(seen.hello.task))

    await crew.play(lambda crew: start(crew, members), REAL_TIME_LIMIT)
    crew.check()
    assert withdrawn == [], "the lines only vary"
    used = parts * PART_SIZE / (lines.ended - lines.began) / (members * RATE)
    assert used >= share, [name for name, *_ in crew.figshare.sent[-40:]]


@pytest.mark.search
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("files", "factor"), [(1, 0.05), (75, 0.001)], ids=["one big file, slow", "small files, as good as cut off"]
)
async def test_nobody_waits_for_parts_that_a_slow_process_has_not_begun(
    files: int, factor: float, new_crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    choice, parts = random.Random(3), 150
    contents = {f"f{n}": choice.randbytes(parts // files * PART_SIZE) for n in range(files)}
    crew = new_crew(contents)
    for module in (queue, leader):
        monkeypatch.setattr(module, "SMALL", 2 * PART_SIZE)
    lines = lines_of(crew, choice, monkeypatch)

    async def script(crew: Crew) -> None:
        await start(crew, 3)
        await crew.clock.sleep(15)
        lines.slow_down("p2", factor)

    await crew.play(script, REAL_TIME_LIMIT)
    crew.check()
    assert lines.ended - lines.began < 100, crew.figshare.sent[-40:]
