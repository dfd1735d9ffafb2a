"""Two processes on one job of records, in every order: each record is there once, and undo leaves nothing behind.

A sample of the schedules is run; with `exhaustive`, all of them.
"""

from __future__ import annotations

import fcntl
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from blockbuster import BlockBuster

from tests.fakes.figshare import Fault
from tests.fakes.records import RecordWorld, record
from tests.support.interleaving import TRIES, Scheduler, Turn, process
from uploader.errors import ExitStatus, FigupError
from uploader.records.run import RunOptions
from uploader.transfer.store import lock

pytestmark = pytest.mark.anyio

RECORDS = [record(1), record(2, link=False)]
TITLES = ["A dam 1", "A dam 2"]
CHANGES = {"update", "set_authors", "link"}
"""Requests that change an item."""
EVERY = 12
"""Every n-th step is in the sample."""
SEEDS = 6
"""Random schedules of a scene in the sample."""
ALL_SEEDS = 150


@dataclass(frozen=True)
class Scene:
    """What two processes do to one job: `create`, `publish` or `undo`. `locks`: on one machine."""

    first: str
    second: str
    locks: bool

    def __str__(self) -> str:
        return f"{self.first}-{self.second}-{'one-machine' if self.locks else 'two-machines'}"


SCENES = [
    Scene(*both, locks)
    for both in (("create", "create"), ("publish", "publish"), ("create", "undo"), ("undo", "create"))
    for locks in (True, False)
]
scenes = pytest.mark.parametrize("scene", SCENES, ids=str)


class Stage:
    """Plays scenes, each in a world of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch, self._numbers = folder, patch, itertools.count()

    async def play(self, scene: Scene, turns: Sequence[Turn], seed: int | None = None) -> Scheduler:
        """Run both commands in this order, then again until all is done; check the end. `seed`: of a disturbance."""
        with self._patch.context() as patch:
            world = RecordWorld(self._folder / str(next(self._numbers)), patch)
            if not scene.locks:
                patch.setattr(fcntl, "flock", lambda *_: None)
                patch.setattr(lock, "machine_id", lambda _: process.get())
            if "undo" in (scene.first, scene.second):
                process.set("before")
                await world.run(RECORDS[:1])
            if seed is not None:
                disturb(world, seed)
            scheduler = Scheduler(world, turns)
            try:
                await self._run_both(world, scene, scheduler)
                await self._check(world, scene, scheduler)
            except AssertionError as error:
                steps = {who: list(enumerate(steps)) for who, steps in scheduler.steps.items()}
                raise AssertionError(f"{scene}, {turns}, {seed}: {error}\n{steps}") from error
        return scheduler

    async def _run_both(self, world: RecordWorld, scene: Scene, scheduler: Scheduler) -> None:
        async def run(who: str, what: str) -> None:
            process.set(who)
            try:
                assert await command(world, what) in (0, 1, 8, 75), world.error
            except BaseException:
                scheduler.end()
                raise
            scheduler.ended(who)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, "first", scene.first)
            tasks.start_soon(run, "second", scene.second)

    async def _check(self, world: RecordWorld, scene: Scene, scheduler: Scheduler) -> None:
        """Each record is there once, after `create` was run again; then undo removes all."""
        process.set("after")
        world.figshare.clear_faults()
        last = "publish" if scene.first == "publish" else "create"
        for _ in range(TRIES):
            if await command(world, last) == 0:
                break
            await world.clock.sleep(60)
        await world.clock.sleep(60)  # what a request in flight created late is removed by a later run
        assert await command(world, last) == 0, (world.error, world.outcomes)
        assert sorted(item.title for item in world.items()) == TITLES, world.warnings
        assert [[file.link for file in item.files.values()] for item in sorted(world.items(), key=lambda i: i.title)] \
            == [["https://doi.org/10.1234/1"], []]  # fmt: skip
        if last == "publish":
            # Figshare has no conditional requests: one in flight has its effect whatever happened meanwhile.
            assert {item.version for item in world.items()} <= {1, 1 + ("publish" in scheduler.stood)}
            return
        status = await command(world, "undo")
        kept = {one.item_id: one.reason for one in world.undone if one.outcome == "kept"}
        assert {item.id for item in world.items()} == set(kept), "an item that nobody knows"
        # What a process changes in an item after another one looked at it may be somebody's change.
        assert set(kept.values()) <= ({"it was changed since"} if scheduler.stood & CHANGES else set())
        assert status == (ExitStatus.SOME_FAILED if kept else ExitStatus.OK), world.error


async def command(world: RecordWorld, what: str) -> int:
    """Run a command in this process; its exit status."""
    if what != "undo":
        return await world.run(RECORDS, RunOptions(publish=what == "publish"))
    try:
        undone = await world.undo()
    except FigupError as error:
        world.error = error
        return error.exit_status
    assert undone is not None
    return ExitStatus.SOME_FAILED if any(one.outcome == "kept" for one in undone) else ExitStatus.OK


def disturb(world: RecordWorld, seed: int) -> None:
    """Lose the response to a creating request, or make its effect appear late, or both."""
    rng = random.Random(-seed)
    fault = rng.choice((Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.TRANSIENT))
    world.figshare.fail(rng.choice(("create", "link", "update")), fault, first=rng.randint(1, 2))
    world.figshare.files_lag = world.figshare.items_lag = rng.choice((0.0, 0.0, 3.0))


def random_turns(seed: int) -> tuple[Turn, ...]:
    """Some schedule with one to five preemptions."""
    rng = random.Random(seed)
    order = rng.choice((("first", "second"), ("second", "first")))
    return tuple(Turn(order[number % 2], rng.randint(0, 30)) for number in range(rng.randint(2, 6)))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster) -> Stage:
    no_blocking_calls.deactivate()
    return Stage(tmp_path, monkeypatch)


async def suspended(stage: Stage, scene: Scene, steps: slice) -> None:
    """The first process stands still at each of these steps while the second one runs to its end."""
    whole = await stage.play(scene, (Turn("first"), Turn("second")))
    for number in range(len(whole.steps["first"]))[steps]:
        await stage.play(scene, (Turn("first", number), Turn("second"), Turn("first")))


@pytest.mark.search
@scenes
async def test_one_process_is_suspended_at_a_step_while_the_other_runs(stage: Stage, scene: Scene) -> None:
    await suspended(stage, scene, slice(SCENES.index(scene) % EVERY, None, EVERY))


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@scenes
async def test_one_process_is_suspended_at_every_step(stage: Stage, scene: Scene) -> None:
    await suspended(stage, scene, slice(None))


@pytest.mark.search
@scenes
async def test_some_random_orders(stage: Stage, scene: Scene) -> None:
    for seed in range(SEEDS):
        await stage.play(scene, random_turns(seed), seed if seed % 2 else None)


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@scenes
async def test_many_random_orders(stage: Stage, scene: Scene) -> None:
    for seed in range(SEEDS, ALL_SEEDS):
        await stage.play(scene, random_turns(seed), seed if seed % 2 else None)
