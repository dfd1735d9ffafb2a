"""Two processes on one job, or two jobs on one item: the scenes, and the part of FAULTS.md with their outcomes.

`python -m tests.support.two_processes` runs every cell and writes that part.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from tests.fakes.figshare import CREATING, Fault
from tests.fakes.metadata import Metadata
from tests.fakes.world import World
from tests.support.interleaving import Command, Played, Scene, Stage, Turn
from tests.support.matrix import PAGE, SECOND_PART
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import Options

BOTH = ("a", "b")
TITLE = {"title": "data"}
PUBLISHED = {"title": "data", "item_options": ItemOptions(metadata=Metadata(), publish=True)}
WORDS = {
    "JobLock._take_kernel_lock": "take the lock",
    "JobLock._claim": "take the lease",
    "JobLock.still_held": "renew the lease",
    "OpenJob._remove_if_unbegun": "remove the job that began nothing",
    "JobLock._end_lease": "release the job",
    "Leases.newest": "look at the lease",
    "OpenJob._open_journal": "open the journal",
    "OpenJob._leave_overview": "write the overview",
    "_write_manifests": "write the manifests",
    "Journal._write": "write the journal",
    "PlaceLog.survey": "note what other jobs started",
    "PlaceLog.survey_all": "note what other jobs started",
    "PlaceLog.begin": "take the turn for a file",
}
"""Descriptions of steps that are not requests."""


def _scene(
    name: str,
    *names: tuple[str, ...],
    states: tuple[str, str] = ("state", "state"),
    locks: bool = True,
    titles: tuple[str, ...] = (),
    options: Options | None = None,
    target: Mapping[str, object] | None = None,
) -> Scene:
    first, second = (
        Command(who=who, names=what, state=state, options=options or Options(), target=target or {})
        for who, what, state in zip(("first", "second"), names, states, strict=True)
    )
    return Scene(name=name, commands=(first, second), named=not titles, titles=titles, locks=locks)


_TO_ONE = "`upload a` and `upload a b` to one item"
_APART = ("one", "two")
_SAME_TITLE = ("data", "data")
SCENES = (
    _scene("one job to a new item, two machines", BOTH, BOTH, locks=False, titles=("data",), target=TITLE),
    _scene("one job to a given item, two machines", BOTH, BOTH, locks=False),
    _scene("one job that publishes, two machines", BOTH, BOTH, locks=False, titles=("data",), target=PUBLISHED),
    _scene("one job to a new item, one machine", BOTH, BOTH, titles=("data",), target=TITLE),
    _scene("one job to a given item, one machine", BOTH, BOTH),
    _scene(f"{_TO_ONE}, one machine", ("a",), BOTH),
    _scene(f"{_TO_ONE}, replacing, one machine", ("a",), BOTH, options=Options(on_conflict="replace")),
    _scene(f"{_TO_ONE}, two machines", ("a",), BOTH, states=_APART, locks=False),
    _scene(
        f"{_TO_ONE}, replacing, two machines",
        *(("a",), BOTH),
        states=_APART,
        locks=False,
        options=Options(on_conflict="replace"),
    ),
    _scene(f"{_TO_ONE}, one folder without file locks", ("a",), BOTH, locks=False),
    _scene("the same command to one item, two machines", BOTH, BOTH, states=_APART, locks=False),
    _scene("two jobs to new items of one title, one machine", ("a",), ("b",), titles=_SAME_TITLE, target=TITLE),
    _scene("two machines, one title", ("a",), ("a",), states=_APART, locks=False, titles=_SAME_TITLE, target=TITLE),
)
ORDERS = (("first", "second"), ("second", "first"))


@dataclass(frozen=True)
class Cell:
    """In this scene one process runs this number of steps, is suspended until the other has ended, and continues."""

    scene: Scene
    one: str
    other: str
    steps: int

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Its schedule."""
        return Turn(self.one, self.steps), Turn(self.other), Turn(self.one)


def is_symmetrical(scene: Scene) -> bool:
    """Return True if it does not matter which of the two is suspended."""
    first, second = scene.commands
    return first.names == second.names and first.target == second.target


async def cells(stage: Stage, scene: Scene) -> list[tuple[Cell, str]]:
    """The steps of each process if it runs first, with their names."""
    found = []
    for one, other in ORDERS[:1] if is_symmetrical(scene) else ORDERS:
        played = await stage.play(scene, (Turn(one), Turn(other)))
        found += [(Cell(scene, one, other, number), step) for number, step in enumerate(played.steps[one])]
    return found


def random_turns(seed: int) -> tuple[Turn, ...]:
    """Some schedule with one to five preemptions."""
    rng = random.Random(seed)
    order = rng.choice(ORDERS)
    return tuple(Turn(order[number % 2], rng.randint(0, 30)) for number in range(rng.randint(2, 6)))


def disturb(world: World, seed: int) -> None:
    """Lose the response to a creating request, or make its effect appear late, or both."""
    rng = random.Random(-seed)
    request = rng.choice(sorted(CREATING - {"link", "create_private_link"}))
    if rng.random() < 0.7:
        fault = rng.choice((Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.TRANSIENT))
        world.figshare.fail(request, fault, first=rng.randint(1, 2))
    world.figshare.files_lag = world.figshare.items_lag = rng.choice((0.0, 0.0, 3.0))


async def pairs(stage: Stage, scene: Scene) -> list[tuple[Turn, ...]]:
    """Every pair of steps: one process is suspended at one, then the other at another; then each ends."""
    found: list[tuple[Turn, ...]] = []
    steps = {one: (await stage.play(scene, (Turn(one), Turn(other)))).steps[one] for one, other in ORDERS}
    for one, other in ORDERS[:1] if is_symmetrical(scene) else ORDERS:
        for at, then in itertools.product(range(len(steps[one])), range(len(steps[other]))):
            found.append((Turn(one, at), Turn(other, then), Turn(one), Turn(other)))
    return found


# --- the page -------------------------------------------------------------------------------------------------------


def rows(cell: Cell, step: str, played: Played) -> tuple[str, str, str]:
    """A cell as a row: where one is suspended, and how both end."""
    ended = dict(zip(("first", "second"), played.statuses, strict=True))
    once_more = ", publishes once more" if played.versions > 1 else ""
    return WORDS.get(step, f"`{step}`"), f"{int(ended[cell.one])}{once_more}", str(int(ended[cell.other]))


def table(found: Sequence[tuple[str, str, str]]) -> list[str]:
    """The rows of a table; adjacent rows with the same outcome are merged."""
    lines = []
    for ends, group in itertools.groupby(found, key=lambda row: row[1:]):
        steps = [row[0] for row in group]
        where = steps[0] if len(steps) == 1 else f"{steps[0]} … {steps[-1]} ({len(steps)} steps)"
        lines.append(f"| {where} | {ends[0]} | {ends[1]} |")
    return lines


async def section(stage: Stage, scene: Scene, one: str) -> list[str]:
    """The text for a scene in which this process is suspended."""
    found = [(cell, step) for cell, step in await cells(stage, scene) if cell.one == one]
    return table([rows(cell, step, await stage.play(scene, cell.turns)) for cell, step in found])


def title(scene: Scene, one: str) -> str:
    """The heading of a section."""
    return scene.name if is_symmetrical(scene) else f"{scene.name}; the {one} is suspended"


async def page(folder: Path) -> str:
    """Run every cell; return the page."""
    lines = [
        SECOND_PART,
        "",
        "Two commands run at the same time, in memory. One of them is suspended before each of its steps until the",
        "other has ended or waits for it, and then continues. The table has the exit status of each (0 verified, 1",
        "a file failed, 8 another process is working on the job). Then both are rerun until both exit with 0, and",
        "the result is checked: one item for each job, each file once, nothing else changed, and every exit status",
        "0 was true at its time. Without file locks between the two machines, a process suspended for 20 seconds",
        "loses the job. A request that it has already sent still takes effect at Figshare: what it creates is",
        "removed, but what it publishes is public.",
        "",
        "This page is generated by `python -m tests.support.two_processes`. `./scripts/test --all` runs every cell,",
        "every pair of steps (one process is suspended before one, then the other before another; then the first of",
        "them runs to its end, then the other), and random schedules with lost responses. `./scripts/test` runs a",
        "sample of the cells and of the random schedules. After each, what is kept beside the journals is compared",
        "with them, too: the overviews of the jobs, and the lists of checksums.",
    ]
    patch = pytest.MonkeyPatch()
    stage = Stage(folder, patch)
    for scene in SCENES:
        for one, _ in ORDERS[:1] if is_symmetrical(scene) else ORDERS:
            lines += ["", f"## {title(scene, one)}", ""]
            lines += ["| suspended before | it ends with | the other ends with |", "|---|---|---|"]
            lines += await section(stage, scene, one)
    return "\n".join([*lines, ""])


def expected() -> dict[str, list[str]]:
    """The tables of expected outcomes on the page, by heading."""
    tables: dict[str, list[str]] = {}
    for part in PAGE.read_text("utf-8").partition(SECOND_PART)[2].split("\n## ")[1:]:
        heading, _, rest = part.partition("\n")
        tables[heading] = [line for line in rest.splitlines() if line.startswith("| ")][1:]
    return tables


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        first_part = PAGE.read_text("utf-8").partition(SECOND_PART)[0].rstrip("\n")
        PAGE.write_text(f"{first_part}\n\n{anyio.run(page, Path(place))}", "utf-8")
