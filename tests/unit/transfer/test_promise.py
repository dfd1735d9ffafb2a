"""The promise: after any fault of any one request, rerunning the same command ends with status 0, and every byte is on
Figshare exactly once, verified. Each scenario lists its requests in an undisturbed run. Each of them gets each fault
once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from tests.fakes.figshare import CREATING, READING, Fault, StoredItem
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from uploader.sources.models import Sources
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import Options

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
TITLE = "my data"
ADDRESS = "https://example.org/elsewhere"


@dataclass
class Scenario:
    """One command, and the requests of an undisturbed run of it, in order.

    `prepare` sets up the world, and returns the item that the user names, None for a new one. `foreign` are contents of
    that item that must still exist at the end.
    """

    name: str
    requests: str
    prepare: Callable[[World], StoredItem | None] = lambda _: None
    options: Options = field(default_factory=Options)
    target: dict[str, Any] = field(default_factory=dict)
    link: bool = False
    foreign: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.name

    async def run(self, world: World, item: StoredItem | None) -> int:
        """The command's exit status."""
        what = Sources(links=(ADDRESS,)) if self.link else world.source("data.bin", CONTENT)
        where = {"title": TITLE} if item is None else {"item": item.id}
        return await world.upload(what, options=self.options, **where, **self.target)

    def check(self, world: World, item: StoredItem | None) -> None:
        """Everything is there exactly once, and nothing else was touched."""
        figshare = world.figshare
        (mine,) = [one for one in figshare.stored_items.values() if one.title == TITLE] if item is None else [item]
        sent = (ADDRESS, "") if self.link else ("data.bin", md5(CONTENT))
        assert world.contents(mine.id) == sorted([sent, *self.foreign])
        assert figshare.resent_parts == []
        if "item_options" in self.target:
            assert [author.full_name for author in mine.authors] == ["Jane Doe"]
            assert mine.fields["description"] == "<p>d</p>"
            assert (mine.version, len(mine.links), bool(mine.doi)) == (1, 1, True)


def item_of_somebody(world: World) -> StoredItem:
    item = world.figshare.add_item()
    world.figshare.add_file(item, "data.bin", CONTENT, status="created")
    return item


def item_with_an_older_version(world: World) -> StoredItem:
    item = world.figshare.add_item()
    world.figshare.add_file(item, "data.bin", b"older")
    return item


def everything_appears_late(world: World) -> None:
    world.figshare.files_lag, world.figshare.items_lag, world.figshare.md5_delay = 3.0, 4.0, 5.0


SCENARIOS = [
    Scenario(
        "a file to a new item",
        "account create initiate file upload item update send_part send_part send_part send_part complete file files "
        "item",
    ),
    Scenario(
        "a Figshare on which everything appears late",
        "account create initiate file upload item update send_part send_part send_part send_part complete "
        "file file file file file file file file files item",
        prepare=everything_appears_late,
    ),
    Scenario(
        "a file to an item in which somebody else is sending one of this name",
        "account item files item initiate file upload send_part send_part send_part send_part complete file files item",
        prepare=item_of_somebody,
        options=Options(on_conflict="keep"),
        foreign=(("data.bin", "created"),),
    ),
    Scenario(
        "a file in place of an older version",
        "account item files item initiate file upload send_part send_part send_part send_part complete file "
        "files item delete_file file files item",
        prepare=item_with_an_older_version,
        options=Options(on_conflict="replace"),
    ),
    Scenario("a link to a new item", "account create item update link file files item", link=True),
    Scenario(
        "a file to a new item that is described and published",
        "institution account create item update authors set_authors initiate file upload "
        "send_part send_part send_part send_part complete file files "
        "item detail reserve_doi private_links create_private_link files item detail publish detail",
        target={"item_options": ItemOptions(metadata=Metadata(), reserve_doi=True, private_link=True, publish=True)},
    ),
]


def cells() -> Iterator[Any]:
    """Every request of every scenario with every fault."""
    for scenario in SCENARIOS:
        counts: Counter[str] = Counter()
        for request in scenario.requests.split():
            counts[request] += 1
            for fault in Fault:
                which = f"{request} {counts[request]}"
                yield pytest.param(scenario, request, counts[request], fault, id=f"{scenario}: {which} {fault.value}")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_an_undisturbed_run_makes_these_requests_and_no_others(world: World, scenario: Scenario) -> None:
    item = scenario.prepare(world)
    assert await scenario.run(world, item) == 0
    assert Counter(world.figshare.log) == Counter(scenario.requests.split())
    scenario.check(world, item)


@pytest.mark.search
@pytest.mark.parametrize(("scenario", "request_name", "occurrence", "fault"), list(cells()))
async def test_after_any_fault_the_same_command_ends_with_everything_there_exactly_once(
    world: World, scenario: Scenario, request_name: str, occurrence: int, fault: Fault
) -> None:
    item = scenario.prepare(world)
    world.figshare.fail(request_name, fault, first=occurrence)
    first = await scenario.run(world, item)
    assert world.figshare.log.count(request_name) >= occurrence, "the fault did not strike"
    assert first in expected_statuses(request_name, fault), world.error
    world.figshare.clear_faults()
    assert await scenario.run(world, item) == 0, world.error
    scenario.check(world, item)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER], ids=lambda fault: fault.value)
async def test_lost_answers_are_looked_up_under_uvloop_too(world: World, fault: Fault) -> None:
    for request in ("create", "initiate", "complete"):
        world.figshare.fail(request, fault)
    assert await SCENARIOS[1].run(world, SCENARIOS[1].prepare(world)) == 0
    SCENARIOS[1].check(world, None)
    assert world.clock.monotonic() > 0


def expected_statuses(request: str, fault: Fault) -> set[int]:
    """How a run with one faulty request may end. An ambiguous response never ends a run."""
    if fault in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER):
        return {KILLED}
    if fault is Fault.REJECTED:
        return {0, 1}
    return {0} if request in {*CREATING, "send_part"} and fault is not Fault.TRANSIENT else {0, 75}


@pytest.mark.search
@pytest.mark.parametrize("requests", [1, 3, 8])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_after_any_answer_that_is_out_of_date_the_same_command_ends_with_everything_there_exactly_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster, scenario: Scenario, requests: int
) -> None:
    """A lagging replica answers each reading request once with the state of some requests before."""
    no_blocking_calls.deactivate()
    for request, count in Counter(scenario.requests.split()).items():
        for occurrence in range(1, count + 1) if request in READING else ():
            with monkeypatch.context() as patch:
                folder = tmp_path / f"{request}-{occurrence}"
                folder.mkdir()
                world = World(folder, patch)
                item = scenario.prepare(world)
                world.figshare.age(request, requests, first=occurrence)
                where = f"{request} {occurrence}, {requests} requests old"
                first = await scenario.run(world, item)
                assert world.figshare.log.count(request) >= occurrence, where
                # 4: the answer is from before the item was created, although the item has been read since.
                assert first in (0, 1, 4, 7, 75), f"{where}: {world.error}"
                assert first != 4 or requests > 1, where
                if first == 0:
                    scenario.check(world, item)
                world.figshare.clear_faults()
                assert await scenario.run(world, item) == 0, f"{where}: {world.error}"
                scenario.check(world, item)
