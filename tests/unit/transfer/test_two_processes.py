"""Two processes at once, in every order: nothing is lost, duplicated or removed, or reported as done before it is.

A sample of the schedules is run; with `exhaustive`, all of them. The outcome of each scene is in `tests/FAULTS.md`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.fakes.figshare import Fault
from tests.fakes.world import World
from tests.support.interleaving import Scene, Stage, Turn
from tests.support.two_processes import (
    ORDERS,
    SCENES,
    cells,
    disturb,
    expected,
    is_symmetrical,
    pairs,
    random_turns,
    section,
    title,
)

pytestmark = pytest.mark.anyio

EVERY = 4
"""Every n-th cell is in the sample."""
SEEDS = 8
"""Random schedules of a scene in the sample."""
ALL_SEEDS = 150
SHARES = 10
"""Tests that share the pairs of steps of one scene, and run at the same time."""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster) -> Stage:
    no_blocking_calls.deactivate()
    return Stage(tmp_path, monkeypatch)


@pytest.mark.search
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_one_process_is_suspended_at_a_step_while_the_other_runs(stage: Stage, scene: Scene) -> None:
    for cell, _ in (await cells(stage, scene))[SCENES.index(scene) % EVERY :: EVERY]:
        await stage.play(scene, cell.turns)


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_one_process_is_suspended_at_every_step(stage: Stage, scene: Scene) -> None:
    for one, _ in ORDERS[:1] if is_symmetrical(scene) else ORDERS:
        assert await section(stage, scene, one) == expected()[title(scene, one)]


def test_the_page_has_every_scene_and_no_other() -> None:
    wanted = [title(s, one) for s in SCENES for one, _ in (ORDERS[:1] if is_symmetrical(s) else ORDERS)]
    assert list(expected()) == wanted


@pytest.mark.search
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_some_random_orders(stage: Stage, scene: Scene) -> None:
    await play_at_random(stage, scene, range(SEEDS))


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_many_random_orders(stage: Stage, scene: Scene) -> None:
    await play_at_random(stage, scene, range(SEEDS, ALL_SEEDS))


@pytest.mark.search
async def test_a_process_that_began_nothing_does_not_remove_the_job_of_one_that_took_it_over(stage: Stage) -> None:
    def prepare(world: World) -> None:
        world.figshare.fail("create", Fault.TRANSIENT)

    for steps in range(7, 12):
        played = await stage.play(SCENES[0], (Turn("first", steps), Turn("second"), Turn("first")), prepare)
        assert 0 in played.statuses
        played = await stage.play(
            SCENES[0], (Turn("first", steps), Turn("second", 6), Turn("first", 5), Turn("second", 5)), prepare
        )
        assert played.again == 1


async def test_a_lease_renewed_after_the_check_is_not_taken_over(stage: Stage) -> None:
    # The second has seen an unchanged lease for long enough; then the first resumes, before it is taken over.
    played = await stage.play(SCENES[0], (Turn("first", 11), Turn("second", 1), Turn("first", 5), Turn("second")))
    assert played.statuses == (0, 8)


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
@pytest.mark.parametrize("share", range(SHARES))
async def test_both_processes_are_suspended_at_every_pair_of_steps(stage: Stage, scene: Scene, share: int) -> None:
    for turns in (await pairs(stage, scene))[share::SHARES]:
        await stage.play(scene, turns)


async def play_at_random(stage: Stage, scene: Scene, seeds: range) -> None:
    for seed in seeds:

        def prepare(world: World, seed: int = seed) -> None:
            disturb(world, seed)

        await stage.play(scene, random_turns(seed), prepare)
