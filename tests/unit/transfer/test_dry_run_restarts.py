"""The dry run of a changed source that is sent again, beside any other file in its place, predicts the upload."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.figshare import Fault, StoredFile, StoredItem
from tests.fakes.world import KILLED, World
from tests.unit.transfer.test_cut_journals import FILES, Stored, prepare
from tests.unit.transfer.test_lost_records import cut_last_line
from uploader.transfer.options import Options

pytestmark = [pytest.mark.anyio, pytest.mark.search]

OLD_SIZE, NEW = 200, b"!" * 290
OTHERS: dict[str, list[tuple[str, bytes, bytes]]] = {
    "nothing": [],
    "unfinished": [("created", b"x" * len(NEW), b"")],
    "unfinished, begun": [("created", b"x" * len(NEW), b"x" * 64)],
    "unfinished, of another size": [("created", b"x" * 77, b"")],
    "unfinished, of another size, begun": [("created", b"x" * 77, b"x" * 64)],
    "unfinished, of the earlier size": [("created", b"x" * OLD_SIZE, b"")],
    "identical": [("available", NEW, NEW)],
    "different": [("available", b"x" * len(NEW), b"x" * len(NEW))],
    "different and unfinished": [("available", b"x" * len(NEW), b"x" * len(NEW)), ("created", b"x" * 77, b"")],
}
"""Files of another user by kind, each with its status, its whole content, and the content sent so far."""
INTERRUPTED = {"initiated": "initiate 1", "sending": "send_part 2", "verified": "never"}
CASES = list(itertools.product(OTHERS, ("skip", "replace", "keep", "fail"), INTERRUPTED, (False, True), (False, True)))
SAMPLE = set(random.Random(12).sample(range(len(CASES)), 40))


def add_others(world: World, item: StoredItem, others: str) -> None:
    """Add files of another user in the place of the first source."""
    for status, content, there in OTHERS[others]:
        file_id = next(world.figshare.ids)
        file = StoredFile(file_id, "a", len(content), folder="set", status=status, parts={1: there} if there else {})
        file.upload_status = "completed" if status == "available" else "pending"
        item.files[file_id] = file


@pytest.mark.parametrize(
    ("others", "on_conflict", "interrupted", "named", "damaged"),
    [
        pytest.param(*case, marks=[] if number in SAMPLE else pytest.mark.exhaustive)
        for number, case in enumerate(CASES)
    ],
)
async def test_the_dry_run_of_a_changed_source_agrees(
    world: World, others: str, on_conflict: Any, interrupted: str, named: bool, damaged: bool
) -> None:
    target = await prepare(world, INTERRUPTED[interrupted], named, "skip")
    (item,) = world.figshare.stored_items.values()
    add_others(world, item, others)
    if damaged:
        cut_last_line(world)
    world.source("set/a", NEW)
    target |= {"options": Options(restart_changed=True, on_conflict=on_conflict)}
    async with world.client(target["options"]) as client:
        where = {key: target[key] for key in ("item", "title") if key in target}
        plan = await client.preview(str(world.folder / "set"), **where)
    status = await world.upload(str(world.folder / "set"), **target)
    assert plan.exit_status == status, (plan.files, world.error)


@pytest.mark.parametrize("others", ["nothing", "identical", "different"])
@pytest.mark.parametrize("new", [NEW, b"?" * OLD_SIZE], ids=["of another size", "of the same size"])
@pytest.mark.parametrize("fault", [Fault.KILLED_AFTER, Fault.KILLED_BEFORE], ids=["with effect", "without effect"])
@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
async def test_the_dry_run_agrees_after_an_unanswered_initiation(
    world: World, named: bool, fault: Fault, new: bytes, others: str
) -> None:
    """The file that it has begun is the job's own, and is neither refused nor compared with the source."""
    source = world.source("set/a", b"a" * OLD_SIZE)
    target: dict[str, Any] = {"item": world.figshare.add_item("my data").id} if named else {"title": "my data"}
    world.figshare.fail("initiate", fault)
    assert await world.upload(str(world.folder / "set"), **target) == KILLED
    (item,) = world.figshare.stored_items.values()
    add_others(world, item, others)
    Path(source).write_bytes(new)
    options = Options(restart_changed=True)
    async with world.client(options) as client:
        plan = await client.preview(str(world.folder / "set"), **target)
    status = await world.upload(str(world.folder / "set"), options=options, **target)
    assert plan.exit_status == status, (plan.files, world.error)


@pytest.mark.parametrize("new", [b"?" * 290, FILES["a"]], ids=["of another size", "touched"])
@pytest.mark.parametrize("cut", ["all", "half", "two lines"])
@pytest.mark.parametrize("interrupted", ["initiated", "sending"])
@pytest.mark.parametrize("on_conflict", ["skip", "fail"])
@pytest.mark.parametrize("named", [True, False], ids=["in the given item", "in the item of the job"])
@pytest.mark.parametrize("others", ["nothing", "different"])
@pytest.mark.parametrize("restart", [True, False], ids=["--restart-changed", ""])
async def test_the_dry_run_of_a_source_of_a_cut_journal_agrees(
    world: World, restart: bool, others: str, named: bool, on_conflict: Any, interrupted: str, cut: str, new: bytes
) -> None:
    """A file of an earlier version is given up; then the different one in its place counts."""
    target = await prepare(world, INTERRUPTED[interrupted], named, "skip")
    (item,) = world.figshare.stored_items.values()
    add_others(world, item, others)
    stored = Stored(world)
    stored.restore_journal({"all": 0, "half": stored.cuts[len(stored.cuts) // 2], "two lines": stored.cuts[-2]}[cut])
    os.utime(world.source("set/a", new), ns=(10**18, 10**18))
    options = Options(restart_changed=restart, on_conflict=on_conflict)
    where = {key: target[key] for key in ("item", "title") if key in target}
    async with world.client(options) as client:
        plan = await client.preview(str(world.folder / "set"), **where)
    assert plan.exit_status == await world.upload(str(world.folder / "set"), **where, options=options)
