"""Crashes at every point of a job: each journal write, sync, rename and request, before, after and in the middle.

The points are counted in an undisturbed run, then an upload ends at each of them and is run again; whatever happened,
one item and one file with equal MD5s remain, and no part is sent that Figshare had.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.crashing import Crasher, Order, Outcome
from tests.support.invariants import ask, check_nothing_sent_twice, files, items, md5_of
from tests.support.sandbox import Sandbox

SHARDS = 4


@pytest.fixture
def crasher() -> Iterator[Crasher]:
    crasher = Crasher()
    yield crasher
    crasher.close()


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox("--part-size", "300KiB", "--lock-linger", "0.05", "--md5-delay", "0", "--checking-delay", "0")


class Story:
    """One upload with its own source, title and state directory, ended and taken up again."""

    def __init__(self, crasher: Crasher, sandbox: Sandbox, folder: Path, name: str, *, ordered: bool = False) -> None:
        folder.mkdir(parents=True)
        self.source = folder / "data.bin"
        self.source.write_bytes(random.Random(name).randbytes(700_000))
        self._crasher, self._sandbox = crasher, sandbox
        self.title = f"title {name}"
        self._order = Order(sandbox.url, sandbox.token, str(folder / "state"), str(self.source), self.title)
        self._order.ordered = ordered

    def run(self, point: int = 0, how: str = "kill") -> Outcome:
        """Run the upload, to end at this point."""
        self._order.point, self._order.how = point, how
        return self._crasher.upload(self._order)

    @property
    def item(self) -> int:
        """The item of this title."""
        (mine,) = [item["id"] for item in items(self._sandbox) if item["title"] == self.title]
        return int(mine)

    def check(self) -> None:
        """One item of this title, one file, equal MD5s."""
        mine = [item for item in items(self._sandbox) if item["title"] == self.title]
        assert len(mine) == 1, f"{len(mine)} items called {self.title}"
        held = files(self._sandbox, mine[0]["id"])
        assert [(f["name"], f["computed_md5"]) for f in held] == [("data.bin", md5_of(self.source))]

    def check_orders(self, versions: int = 1) -> None:
        """Described as ordered, published in so many versions, with one private link."""
        (mine,) = [item for item in items(self._sandbox) if item["title"] == self.title]
        item = ask(self._sandbox, f"/account/articles/{mine['id']}")
        assert [author["full_name"] for author in item["authors"]] == ["Jane Doe", "John Doe"], self.title
        assert (item["description"], item["tags"], item["license"]["name"]) == ("<p>d</p>", ["a"], "MIT"), self.title
        assert (item["version"], item["is_public"]) == (versions, True), self.title
        assert item["doi"], self.title
        assert len(ask(self._sandbox, f"/account/articles/{mine['id']}/private_links")) == 1, self.title


def count_points(crasher: Crasher, sandbox: Sandbox, folder: Path) -> list[str]:
    """The names of all points of an undisturbed upload."""
    outcome = Story(crasher, sandbox, folder, "undisturbed").run()
    assert (outcome.exit_status, outcome.error) == (0, "")
    assert len(outcome.points) > 60
    return outcome.points


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("how", ["kill", "power", "full"])
def test_a_crash_at_every_point(how: str, shard: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    for point in range(1 + shard, len(names) + 1, SHARDS):
        story = Story(crasher, sandbox, tmp_path / str(point), f"{how} at {point}, {names[point - 1]}")
        first = story.run(point, how)
        if how == "full":
            assert first.error.startswith("state-full: ") or first.exit_status == 0, (story.title, first.error)
        else:
            # A point that only the passing of time brings about, as a regular commit, may come once and not again.
            assert first.signal == 9 or len(first.points) < point, (story.title, first.error)
        again = story.run()
        assert (again.exit_status, again.error) == (0, ""), story.title
        story.check()
    check_nothing_sent_twice(sandbox)


def test_a_disk_that_becomes_read_only_at_any_point(crasher: Crasher, sandbox: Sandbox, tmp_path: Path) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    for point in range(1, len(names) + 1, 5):
        story = Story(crasher, sandbox, tmp_path / str(point), f"read-only at {point}, {names[point - 1]}")
        first = story.run(point, "read-only")
        # 2 says that nothing was sent: only where that is so.
        asked = any(name.startswith("before POST") for name in first.points)
        wanted = ("state-lost", 75) if asked else ("state-unusable", 2)
        got = (first.error.partition(":")[0], first.exit_status)
        assert got in (wanted, ("state-lost", 75), ("", 0)), (story.title, first.error)
        again = story.run()
        assert (again.exit_status, again.error) == (0, ""), story.title
        story.check()
    check_nothing_sent_twice(sandbox)


@pytest.mark.parametrize("seed", range(2))
def test_random_pairs_of_crashes(seed: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    choice = random.Random(seed)
    for turn in range(25):
        points = [choice.randint(1, len(names)), choice.randint(1, len(names))]
        hows = [choice.choice(["kill", "power"]), choice.choice(["kill", "power"])]
        story = Story(crasher, sandbox, tmp_path / str(turn), f"seed {seed} turn {turn} at {points} by {hows}")
        for point, how in zip(points, hows, strict=True):
            story.run(point, how)
        again = story.run()
        assert (again.exit_status, again.error) == (0, ""), story.title
        story.check()
    check_nothing_sent_twice(sandbox)


def test_crashes_while_adding_to_an_item_touch_nothing_else_in_it(
    crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    first = Story(crasher, sandbox, tmp_path / "first", "first")
    first.source = first.source.rename(first.source.with_name("other.bin"))
    first._order.source = str(first.source)
    assert first.run().exit_status == 0
    (item,) = items(sandbox)
    before = files(sandbox, item["id"])
    story = Story(crasher, sandbox, tmp_path / "second", "second")
    story._order.item = item["id"]
    for point in range(3, 70, 9):
        story.run(point)
    assert story.run().exit_status == 0
    held = {f["name"]: f for f in files(sandbox, item["id"])}
    assert set(held) == {"other.bin", "data.bin"}
    assert (held["other.bin"]["id"], held["other.bin"]["computed_md5"]) == (before[0]["id"], md5_of(first.source))
    assert held["data.bin"]["computed_md5"] == md5_of(story.source)
    assert ask(sandbox, f"/account/articles/{item['id']}")["title"] == "title first"
    check_nothing_sent_twice(sandbox)


def in_folders(sandbox: Sandbox, item: int) -> dict[str, list[str]]:
    """What is in each place of an item: the MD5s of the files there, "" for one that has none yet."""
    folders = ask(sandbox, f"/account/articles/{item}").get("folder_structure") or {}
    found: dict[str, list[str]] = {}
    for file in files(sandbox, item):
        place = f"{folders.get(str(file['id']), '').strip('/')}/{file['name']}".strip("/")
        found.setdefault(place, []).append(file["computed_md5"])
    return found


def test_crashes_while_a_file_is_replaced_leave_the_old_or_the_new_one_and_at_last_the_new_one_alone(
    crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    for number in range(8):
        first = Story(crasher, sandbox, tmp_path / f"{number}", f"replaced {number}")
        first.source.write_bytes(b"old" * 1000)
        assert first.run().exit_status == 0
        item = next(i["id"] for i in items(sandbox) if i["title"] == first.title)
        before = md5_of(first.source)
        new = Story(crasher, sandbox, tmp_path / f"{number} new", f"new {number}")
        new._order.item, new._order.on_conflict = item, "replace"
        good = {before, md5_of(new.source)}
        for point in range(12 + number, 70, 8):
            new.run(point)
            assert good & set(in_folders(sandbox, item)["data.bin"]), "neither the old nor the new one is whole"
        assert new.run().exit_status == 0
        assert in_folders(sandbox, item) == {"data.bin": [md5_of(new.source)]}
    check_nothing_sent_twice(sandbox)


def test_crashes_while_a_folder_is_sent_leave_each_file_in_its_own_place_once(
    crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Files of one name and one size: only their folders tell them apart when an answer was lost."""
    for number in range(6):
        story = Story(crasher, sandbox, tmp_path / f"{number}", f"folder {number}")
        top = story.source.parent / "set"
        for run in range(4):
            (top / f"run{run}").mkdir(parents=True)
            (top / f"run{run}" / "data").write_bytes(bytes([run]) * 1000)
        story._order.source = str(top)
        for point in range(14 + number, 90, 12):
            story.run(point)
        assert story.run().exit_status == 0
        item = next(i["id"] for i in items(sandbox) if i["title"] == story.title)
        assert in_folders(sandbox, item) == {
            f"set/run{run}/data": [md5_of(top / f"run{run}" / "data")] for run in range(4)
        }
    check_nothing_sent_twice(sandbox)


def test_the_order_of_the_first_points_is_intent_before_request(
    crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    names = count_points(crasher, sandbox, tmp_path / "undisturbed")
    creating = next(i for i, name in enumerate(names) if name.startswith("before POST"))
    assert "after sync journal" in names[:creating], "nothing was on disk before the first creating request"


@pytest.mark.parametrize("shard", range(2))
def test_a_crash_while_the_item_is_described_and_published(
    shard: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    undisturbed = Story(crasher, sandbox, tmp_path / "undisturbed", "undisturbed", ordered=True)
    outcome = undisturbed.run()
    assert (outcome.exit_status, outcome.error) == (0, "")
    undisturbed.check_orders()
    names = outcome.points
    parts = [index for index, name in enumerate(names) if "PUT part" in name]
    points = [p for p in range(10, len(names) + 1) if not parts[0] < p <= parts[-1] + 10]
    assert len(points) > 60
    for point in points[shard::4]:  # half of them: the others are much alike
        story = Story(crasher, sandbox, tmp_path / str(point), f"ordered, {point}, {names[point - 1]}", ordered=True)
        story.run(point)
        again = story.run()
        assert (again.exit_status, again.error) == (0, ""), story.title
        story.check()
        story.check_orders()


@pytest.mark.parametrize("shard", range(2))
def test_a_crash_while_what_was_added_is_published(
    shard: int, crasher: Crasher, sandbox: Sandbox, tmp_path: Path
) -> None:
    def added(folder: Path, name: str) -> Story:
        """A folder that was published, and has one file more by now."""
        story = Story(crasher, sandbox, folder, name, ordered=True)
        top = story.source.parent / "set"
        top.mkdir()
        (top / "first").write_text("first")
        story._order.source = str(top)
        assert (first := story.run()).exit_status == 0, (name, first.error)
        (top / "second").write_text("second")
        return story

    def check(story: Story, count: int, versions: int) -> None:
        story.check_orders(versions)
        assert len(files(sandbox, story.item)) == count, story.title
        assert len(ask(sandbox, f"/articles/{story.item}/files?page_size=100")) == count, story.title

    undisturbed = added(tmp_path / "undisturbed", "undisturbed")
    outcome = undisturbed.run()
    assert (outcome.exit_status, outcome.error) == (0, "")
    check(undisturbed, 2, 2)
    names = outcome.points
    verified = max(index for index, name in enumerate(names) if "complete" in name or "PUT part" in name)
    assert len(names) - verified > 12
    for point in range(verified + 2 + shard, len(names) + 1, 2):
        story = added(tmp_path / str(point), f"added, {point}, {names[point - 1]}")
        story.run(point)
        # What is added after the crash was not in what was about to be published then.
        public = ask(sandbox, f"/articles/{story.item}")["version"]
        (Path(story._order.source) / "third").write_text("third")
        again = story.run()
        assert (again.exit_status, again.error) == (0, ""), story.title
        check(story, 3, public + 1)
