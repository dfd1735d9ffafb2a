"""A job of several processes in memory: one item, every file once, no part sent that Figshare had."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.support.teams import KILLED, Crew, some_contents
from uploader.cluster import leader
from uploader.transfer.parts import queue

pytestmark = pytest.mark.anyio
NewCrew = Callable[..., Crew]


@pytest.fixture
def new_crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster) -> NewCrew:
    no_blocking_calls.deactivate()
    for module in (queue, leader):
        monkeypatch.setattr(module, "SMALL", 300)

    def make(contents: Mapping[str, bytes], *, strangers: bool = False, name: str = "") -> Crew:
        return Crew(tmp_path / name, monkeypatch, contents, strangers=strangers)

    return make


@pytest.mark.parametrize("strangers", [False, True], ids=["one machine", "strangers"])
async def test_several_processes_are_one_job(new_crew: NewCrew, strangers: bool) -> None:
    crew = new_crew(some_contents(random.Random(1), big=1, small=20), strangers=strangers)

    async def script(crew: Crew) -> None:
        for _ in range(4):
            crew.start()

    await crew.play(script)
    assert {member.status for member in crew.members.values()} == {0}
    crew.check()
    assert {name for name, *_ in crew.figshare.sent} == set(crew.members)


async def test_the_next_leader_resumes_after_a_kill(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(2), big=2, small=20), strangers=True)

    async def script(crew: Crew) -> None:
        for _ in range(3):
            crew.start()
        await crew.clock.sleep(20)
        crew.kill("p0")

    await crew.play(script)
    assert sorted(member.status for member in crew.members.values() if member.status is not None) == [KILLED, 0, 0]
    crew.check()


async def happen(crew: Crew, choice: random.Random) -> None:
    """Start processes, and kill, freeze, wake and stop them at random, until one of them is left to finish."""
    for _ in range(choice.randrange(1, 5)):
        crew.start()
    for _ in range(choice.randrange(1, 9)):
        await crew.clock.sleep(choice.choice((0.3, 2, 7, 15, 40, 90)) * choice.random())
        what = choice.choice(("start", "kill", "freeze", "wake", "freeze", "stop"))
        running = crew.running
        if what == "start" and len(running) < 6:
            crew.start(share=choice.choice((None, (0, 2), (1, 2))))
        elif running:
            getattr(crew, what if what != "start" else "wake")(choice.choice(running))
    crew.start()


SEEDS = 12
ALL_SEEDS = 3000


async def play_at_random(new_crew: NewCrew, seed: int) -> None:
    choice = random.Random(seed)
    contents = some_contents(choice, big=choice.randrange(3), small=choice.randrange(1, 25))
    crew = new_crew(contents, strangers=choice.random() < 0.7, name=str(seed))
    crew.figshare.speed = lambda who: 1.0 + 7.0 * random.Random(f"{seed}{who}").random()
    try:
        await crew.play(lambda crew: happen(crew, choice))
        assert {member.status for member in crew.members.values()} <= {0, 75, KILLED}
        crew.check()
    except BaseException as error:
        error.add_note(f"seed {seed}: {[(m.name, m.status, m.error) for m in crew.members.values()]}")
        raise


async def test_after_any_faults_there_is_one_item_with_every_file_once(new_crew: NewCrew) -> None:
    for seed in range(SEEDS):
        await play_at_random(new_crew, seed)


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("block", range(10))
async def test_thousands_of_schedules(new_crew: NewCrew, block: int) -> None:
    for seed in range(block * ALL_SEEDS // 10, (block + 1) * ALL_SEEDS // 10):
        await play_at_random(new_crew, seed)
