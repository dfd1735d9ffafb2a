"""How much of their lines several processes use with one big file, from its first byte to its last."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.fakes.figshare import PART_SIZE
from tests.support.lines import Lines
from tests.support.teams import Crew
from uploader.cluster import member
from uploader.transfer import engine
from uploader.transfer.parts import senders

pytestmark = pytest.mark.anyio

RATE = 100.0


@pytest.mark.parametrize("members", [2, 4])
async def test_all_processes_send_until_the_end(
    members: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster
) -> None:
    no_blocking_calls.deactivate()  # its threads run inline
    choice, parts = random.Random(members), 50 * members
    crew = Crew(tmp_path, monkeypatch, {"big": choice.randbytes(parts * PART_SIZE)})
    monkeypatch.setattr(senders, "WORKERS", 32)
    for module in (engine, member):
        monkeypatch.setattr(module, "TICK", 0.25)
    lines = Lines(crew.clock, RATE, choice)
    monkeypatch.setattr(crew.figshare, "carry", lines.carry)

    async def script(crew: Crew) -> None:
        for _ in range(members):
            crew.start()
            await crew.clock.sleep(0.1)

    await crew.play(script)
    crew.check()
    used = parts * PART_SIZE / (lines.ended - lines.began) / (members * RATE)
    assert used >= 0.95, [name for name, *_ in crew.figshare.sent[-40:]]
