"""Crashes at points of a job: journal writes, syncs, renames and requests, before, after and in the middle.

The points are counted in an undisturbed run; then an upload is ended at each of them and run again. In every case one
item and one file with equal MD5s remain, and no part is sent that Figshare had. Without `exhaustive`, each kind of
point meets one kind of crash; with it, each point meets each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.crashing import Crasher, Outcome
from tests.support.invariants import ask, check_nothing_sent_twice, files, items, md5_of
from tests.support.sandbox import Sandbox
from tests.support.secrets import TOKEN
from tests.support.stories import Story, distinct, in_folders, one_turn

HOWS = ("kill", "power", "full")
SHARDS = 4
TURNS = 8
"""Samples that together have every point; without `exhaustive`, a part of one is taken."""
BY_CHANCE = 0.25
"""Share of points that may be missed: those that depend on time, such as a regular commit or a heartbeat, occur more
often in a slower run, so that the last numbers of one do not occur in a faster one.
"""
AT_THE_END = 3
"""Points of a series of crashes that may not be reached, once nearly everything is done."""

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def crasher() -> Iterator[Crasher]:
    crasher = Crasher()
    yield crasher
    crasher.close()


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox(
        "--part-size", "300KiB", "--lock-linger", "0.05", "--md5-delay", "0", "--checking-delay", "0", token=TOKEN
    )


def count_points(crasher: Crasher, sandbox: Sandbox, folder: Path) -> list[str]:
    """The names of all points of an undisturbed upload."""
    outcome = Story(crasher, sandbox, folder, "undisturbed").run()
    assert (outcome.exit_status, outcome.error) == (0, "")
    assert len(outcome.points) > 60
    return outcome.points


@pytest.mark.parametrize("how", HOWS)
def test_a_crash_at_points_of_every_kind(how: str, crasher: Crasher, sandbox: Sandbox, tmp_path: Path) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    turn, kinds = HOWS.index(how), sorted(set(names))
    points = [point for point in one_turn(names, turn, TURNS) if kinds.index(names[point - 1]) % len(HOWS) == turn]
    crash_at(points, names, how, crasher, sandbox, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("how", HOWS)
def test_a_crash_at_every_point(how: str, shard: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    crash_at(range(1 + shard, len(names) + 1, SHARDS), names, how, crasher, sandbox, tmp_path)


def crash_at(
    points: Sequence[int], names: list[str], how: str, crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    """End an upload at each of these points, and check that the next run repairs what it left."""
    missed = 0
    for point in points:
        story = Story(crasher, sandbox, tmp_path / str(point), f"{how} at {point}, {names[point - 1]}")
        first = story.run(point, how)
        if how == "full":
            assert first.error.startswith("state-full: ") or first.exit_status == 0, (story.title, first.error)
        else:
            missed += not story.crashes
        story.finish()
        story.check()
    assert missed <= BY_CHANCE * len(points)
    check_nothing_sent_twice(sandbox)


@pytest.mark.parametrize(
    ("turn", "step"), [(0, 3), *(pytest.param(turn, 1, marks=pytest.mark.exhaustive) for turn in range(TURNS))]
)
def test_a_disk_that_becomes_read_only(
    turn: int, step: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    for point in one_turn(names, turn, TURNS)[::step]:
        story = Story(crasher, sandbox, tmp_path / str(point), f"read-only at {point}, {names[point - 1]}")
        check_refusal(story, story.run(point, "read-only"))
        story.finish()
        story.check()
    check_nothing_sent_twice(sandbox)


def check_refusal(story: Story, outcome: Outcome) -> None:
    """An unwritable disk is reported as such; 2 means that nothing was sent, and is used only then."""
    asked = any(name.startswith("before POST") for name in outcome.points)
    wanted = ("state-lost", 75) if asked else ("state-unusable", 2)
    got = (outcome.error.partition(":")[0], outcome.exit_status)
    assert got in (wanted, ("state-lost", 75), ("", 0)), (story.title, outcome.error)


@pytest.mark.parametrize("step", [36, pytest.param(9, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_fails_while_several_files_are_sent(
    how: str, step: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Their parts are recorded together; each waiting task is notified, and none relies on what is not on disk."""

    def begin(name: str) -> Story:
        story = Story(crasher, sandbox, tmp_path / name, f"{how}, several, {name}")
        story.make_folder([f"{number}.bin" for number in range(4)], 400_000)
        story.order.connections = 4
        return story

    undisturbed = begin("undisturbed")
    names = undisturbed.run().points
    for point in range(24, len(names), step):
        story = begin(str(point))
        outcome = story.run(point, how)
        if how == "full":
            assert outcome.error.startswith("state-full: ") or outcome.exit_status == 0, (story.title, outcome.error)
        else:
            check_refusal(story, outcome)
        story.finish()
        assert story.in_folders() == {
            f"set/{number}.bin": [md5_of(tmp_path / str(point) / "set" / f"{number}.bin")] for number in range(4)
        }
    check_nothing_sent_twice(sandbox)


@pytest.mark.parametrize(("seed", "pairs"), [(0, 8), pytest.param(1, 40, marks=pytest.mark.exhaustive)])
def test_random_pairs_of_crashes(seed: int, pairs: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    choice = random.Random(seed)
    crashes = turn = 0
    # The second point may not be reached by the rest of the work: a few more pairs make up for that.
    wanted = pairs * 7 // 5
    while turn < pairs or (crashes < wanted and turn < pairs * 6 // 5):
        points = [choice.randint(1, len(names)), choice.randint(1, len(names))]
        hows = [choice.choice(["kill", "power"]), choice.choice(["kill", "power"])]
        story = Story(crasher, sandbox, tmp_path / str(turn), f"seed {seed} turn {turn} at {points} by {hows}")
        for point, how in zip(points, hows, strict=True):
            story.run(point, how)
        story.finish()
        story.check()
        crashes += story.crashes
        turn += 1
    assert crashes >= wanted
    check_nothing_sent_twice(sandbox)


def test_crashes_while_adding_to_an_item_keep_its_other_files(
    crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    first = Story(crasher, sandbox, tmp_path / "first", "first")
    first.source = first.source.rename(first.source.with_name("other.bin"))
    first.order.source = str(first.source)
    assert first.run().exit_status == 0
    (item,) = items(sandbox)
    before = files(sandbox, item["id"])
    story = Story(crasher, sandbox, tmp_path / "second", "second")
    story.order.item = item["id"]
    points = range(3, 70, 9)
    for point in points:
        story.run(point)
    assert story.crashes >= len(points) - AT_THE_END
    story.finish()
    stored = {f["name"]: f for f in files(sandbox, item["id"])}
    assert set(stored) == {"other.bin", "data.bin"}
    assert (stored["other.bin"]["id"], stored["other.bin"]["computed_md5"]) == (before[0]["id"], md5_of(first.source))
    assert stored["data.bin"]["computed_md5"] == md5_of(story.source)
    assert ask(sandbox, f"/account/articles/{item['id']}")["title"] == "title first"
    check_nothing_sent_twice(sandbox)


@pytest.mark.parametrize("numbers", [(0, 4), pytest.param((1, 2, 3, 5, 6, 7), marks=pytest.mark.exhaustive)])
def test_crashes_during_a_replacement_never_lose_both_versions(
    numbers: tuple[int, ...], crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    for number in numbers:
        first = Story(crasher, sandbox, tmp_path / f"{number}", f"replaced {number}")
        first.source.write_bytes(b"old" * 1000)
        assert first.run().exit_status == 0
        item = next(i["id"] for i in items(sandbox) if i["title"] == first.title)
        before = md5_of(first.source)
        new = Story(crasher, sandbox, tmp_path / f"{number} new", f"new {number}")
        new.order.item, new.order.on_conflict = item, "replace"
        good = {before, md5_of(new.source)}
        points = range(12 + number, 70, 8)
        for point in points:
            new.run(point)
            assert good & set(in_folders(sandbox, item)["data.bin"]), "neither the old nor the new one is whole"
        assert new.crashes >= len(points) - AT_THE_END
        new.finish()
        assert in_folders(sandbox, item) == {"data.bin": [md5_of(new.source)]}
    check_nothing_sent_twice(sandbox)


@pytest.mark.parametrize("first", [0, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in range(1, 6))])
def test_crashes_during_a_folder_leave_each_file_once(
    first: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Files of one name and size: after a lost response only their folders distinguish them."""
    story = Story(crasher, sandbox, tmp_path / "folder", "a folder")
    top = story.make_folder([f"run{run}/data" for run in range(4)], 1000)
    points = range(14 + first, 90, 12)
    for point in points:
        story.run(point)
    assert story.crashes >= len(points) - AT_THE_END
    story.finish()
    assert story.in_folders() == {f"set/run{run}/data": [md5_of(top / f"run{run}" / "data")] for run in range(4)}
    check_nothing_sent_twice(sandbox)


def test_the_order_of_the_first_points_is_intent_before_request(
    crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    creating = next(i for i, name in enumerate(names) if name.startswith("before POST"))
    assert "after sync journal" in names[:creating], "nothing was on disk before the first creating request"


@pytest.mark.parametrize("shard", [0, *(pytest.param(shard, marks=pytest.mark.exhaustive) for shard in range(1, 12))])
def test_a_crash_while_the_item_is_described_and_published(
    shard: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    undisturbed = Story(crasher, sandbox, tmp_path / "undisturbed", "undisturbed", ordered=True)
    outcome = undisturbed.run()
    assert (outcome.exit_status, outcome.error) == (0, "")
    undisturbed.check_orders()
    names = outcome.points
    parts = [index for index, name in enumerate(names) if "PUT part" in name]
    points = [p for p in distinct(names) if p >= 10 and not parts[0] < p <= parts[-1] + 10]
    assert len(points) > 60
    missed = 0
    chosen = points[shard::12]
    for point in chosen:
        story = Story(crasher, sandbox, tmp_path / str(point), f"ordered, {point}, {names[point - 1]}", ordered=True)
        story.run(point)
        missed += not story.crashes
        story.finish()
        story.check()
        story.check_orders()
    assert missed <= BY_CHANCE * len(chosen)


@pytest.mark.parametrize("shard", [0, *(pytest.param(shard, marks=pytest.mark.exhaustive) for shard in range(1, 8))])
def test_a_crash_while_what_was_added_is_published(
    shard: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    def added(folder: Path, name: str) -> Story:
        """A folder that was published, and has one more file since."""
        story = Story(crasher, sandbox, folder, name, ordered=True)
        top = story.source.parent / "set"
        top.mkdir()
        (top / "first").write_text("first")
        story.order.source = str(top)
        assert (first := story.run()).exit_status == 0, (name, first.error)
        (top / "second").write_text("second")
        return story

    def check(story: Story, count: int, versions: int) -> None:
        story.check_orders(versions)
        assert len(files(sandbox, story.item())) == count, story.title
        assert len(ask(sandbox, f"/articles/{story.item()}/files?page_size=100")) == count, story.title

    undisturbed = added(tmp_path / "undisturbed", "undisturbed")
    outcome = undisturbed.run()
    assert (outcome.exit_status, outcome.error) == (0, "")
    check(undisturbed, 2, 2)
    names = outcome.points
    verified = max(index for index, name in enumerate(names) if "complete" in name or "PUT part" in name)
    points = [point for point in distinct(names) if point > verified + 1]
    assert len(points) > 12
    for point in points[shard::8]:
        story = added(tmp_path / str(point), f"added, {point}, {names[point - 1]}")
        story.run(point)
        # Files added after the crash were not among those about to be published.
        public = ask(sandbox, f"/articles/{story.item()}")["version"]
        (Path(story.order.source) / "third").write_text("third")
        story.finish()
        check(story, 3, public + 1)
