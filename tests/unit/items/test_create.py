"""What commands create outside a job: once each, also after a lost answer, an interruption and beside one another."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.fakes.clock import VirtualClock
from tests.fakes.figshare import FakeFigshare, Fault
from tests.fakes.world import KillableDisk
from tests.unit.figshare.service import FakeClock
from uploader.errors import ItemNotFound, RequestRejected, Unreachable
from uploader.figshare.models import Account, ContainerRow
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.items.create import create_container, create_item
from uploader.items.creations import Creations
from uploader.items.payload import ItemPayload

pytestmark = pytest.mark.anyio

LOST = AmbiguousAnswer("lost")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "creations"


@pytest.fixture
def records(folder: Path) -> Iterator[Creations]:
    with Creations(folder, KillableDisk()) as opened:
        yield opened


async def create(account: Any, records: Creations, title: str) -> int:
    return await create_container(account, "projects", title, records=records)


class Projects:
    """An account with projects; the first answer to a create is lost. Blanks at the ends of titles are trimmed."""

    def __init__(self, *, effective: bool, visible_after: int = 1, title: str = "Beavers") -> None:
        self.rows = [ContainerRow(id=1, title=title)]
        self.effective = effective
        self.visible_after = visible_after
        self.items = self
        self.clock = FakeClock()
        self.endpoint = "https://example.org"
        self.waited: list[str] = []
        self.creates = 0
        self._lists = 0

    async def wait(self, reason: str, delay: float) -> None:
        self.waited.append(reason)
        await self.clock.sleep(delay)

    async def account(self) -> Account:
        return Account(id=1)

    async def containers(self, kind: str) -> AsyncIterator[ContainerRow]:
        self._lists += 1
        for row in self.rows[: 1 if self._lists <= self.visible_after else None]:
            yield row

    async def create_container(self, kind: str, fields: dict[str, str]) -> int:
        self.creates += 1
        if self.creates > 1 or self.effective:
            self.rows.append(ContainerRow(id=1 + self.creates, title=fields["title"].strip()))
        if self.creates == 1:
            raise LOST
        return self.rows[-1].id

    async def update_container(self, kind: str, number: int, fields: dict[str, str]) -> None:
        self.rows = [
            ContainerRow(id=row.id, title=fields["title"].strip() if row.id == number else row.title)
            for row in self.rows
        ]

    def titles(self) -> dict[int, str]:
        return {row.id: row.title for row in self.rows}


@pytest.mark.parametrize("visible_after", [1, 4], ids=["visible at once", "visible later"])
@pytest.mark.parametrize("title", ["Beavers", " Beavers "])
async def test_a_project_whose_answer_was_lost_is_not_created_twice(
    title: str, visible_after: int, records: Creations
) -> None:
    account: Any = Projects(effective=True, visible_after=visible_after)
    assert await create(account, records, title) == 2
    assert account.titles() == {1: "Beavers", 2: "Beavers"}, "the older one of that title is another"


async def test_a_project_whose_request_was_lost_is_created_by_the_next(records: Creations) -> None:
    account: Any = Projects(effective=False)
    assert await create(account, records, "Beavers") == 3
    assert (account.creates, len(account.rows)) == (2, 2)


async def test_a_colleague_s_project_of_the_same_title_is_not_taken_for_ours(records: Creations) -> None:
    account: Any = Projects(effective=False, title="another")
    looked = 0

    async def containers(kind: str) -> AsyncIterator[ContainerRow]:
        nonlocal looked
        looked += 1
        if looked == 2:
            account.rows.append(ContainerRow(id=9, title="Beavers"))
        for row in account.rows:
            yield row

    account.containers = containers
    assert await create(account, records, "Beavers") == 3
    assert account.titles() == {1: "another", 9: "Beavers", 3: "Beavers"}


def test_a_creation_that_is_running_is_not_unfinished(folder: Path) -> None:
    with Creations(folder, KillableDisk()) as other:
        mark = other.begin("project-1")
        lister = Creations(folder, KillableDisk())
        assert lister.unfinished() == {}
    assert list(lister.unfinished()) == [mark]
    with Creations(folder, KillableDisk()) as later:
        assert later.adopt_interrupted("project-1") == [mark], "listing holds no record"
        assert lister.unfinished() == {}


# --- interrupted, or at the same time ---------------------------------------------------------------------------------


class Interruption(BaseException):
    """The end of a run."""


async def run(account: Any, folder: Path, title: str = "Beavers") -> int:
    with Creations(folder, KillableDisk()) as records:
        return await create(account, records, title)


async def interrupted(account: Any, folder: Path) -> None:
    """Run a command that is killed after its request."""

    async def update(*_: object) -> None:
        raise Interruption

    whole, account.update_container = account.update_container, update
    with pytest.raises(Interruption):
        await run(account, folder)
    account.update_container = whole


def existing() -> Any:
    account = Projects(effective=True, visible_after=0)
    account.creates = 1  # no answer is lost
    return account


async def test_what_an_interrupted_run_left_is_finished_by_one_of_two_commands(folder: Path) -> None:
    account, made = existing(), []
    await interrupted(account, folder)
    assert account.titles()[3].startswith("Beavers [figup-project-")

    async def again() -> None:
        made.append(await run(account, folder))

    slow = account.containers

    async def containers(kind: str) -> AsyncIterator[ContainerRow]:
        await anyio.lowlevel.checkpoint()
        async for row in slow(kind):
            yield row

    account.containers = containers
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again)
        tasks.start_soon(again)
    assert sorted(made) == [3, 4]
    assert account.titles() == {1: "Beavers", 3: "Beavers", 4: "Beavers"}
    assert not account.waited
    assert not list(folder.iterdir())


async def test_a_running_command_s_draft_is_left_alone(folder: Path) -> None:
    """Also one in this process, or in another container whose processes have the same numbers."""
    account, made = existing(), []
    whole = account.update_container

    async def update(*args: Any) -> None:
        account.update_container = whole
        made.append(await run(account, folder))
        await whole(*args)

    account.update_container = update
    made.append(await run(account, folder))
    assert made == [4, 3]


@pytest.mark.parametrize("other", ["machine", "account", "title"])
async def test_what_another_command_left_is_left_alone(
    folder: Path, other: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = existing()
    await interrupted(account, folder)
    left = account.titles()[3]

    async def another_account() -> Account:
        return Account(id=2)

    if other == "account":
        account.account = another_account
    state = tmp_path / "another" if other == "machine" else folder
    assert await run(account, state, "Otters" if other == "title" else "Beavers") == 4
    assert account.titles()[3] == left
    assert not account.waited


async def test_a_request_on_its_way_when_its_run_was_killed_is_waited_for(folder: Path) -> None:
    account = existing()
    await interrupted(account, folder)
    account.visible_after = account._lists + 3
    assert await run(account, folder) == 3
    assert len(account.waited) == 3
    assert "an earlier run was interrupted" in account.waited[0]


@pytest.mark.parametrize("lacking", ["folder", "file locks"])
async def test_without_a_usable_state_directory_nothing_is_adopted(
    folder: Path, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if lacking == "folder":
        folder.parent.write_bytes(b"not a folder")
    account = existing()
    await interrupted(account, folder)
    if lacking == "file locks":
        monkeypatch.setattr(fcntl, "flock", flock)
    assert await run(account, folder) == 4
    assert not account.waited


# --- items whose metadata is not set ----------------------------------------------------------------------------------

SPEC = ItemPayload(authors=[{"name": "Ann Bee"}])


async def create_draft(figshare: FakeFigshare, folder: Path, seen: list[tuple[int, bool]]) -> int:
    with Creations(folder, KillableDisk()) as records:
        return await create_item(
            figshare,  # type: ignore[arg-type]
            "Beavers",
            SPEC,
            records=records,
            on_created=lambda *found: seen.append(found),
        )


async def test_an_item_whose_metadata_is_refused_is_named_and_keeps_its_title(folder: Path) -> None:
    figshare, seen = FakeFigshare(VirtualClock()), list[tuple[int, bool]]()
    figshare.fail("set_authors", Fault.REJECTED)
    with pytest.raises(RequestRejected) as refused:
        await create_draft(figshare, folder, seen)
    (item,) = figshare.stored_items.values()
    assert seen == [(item.id, True)]
    assert item.title == "Beavers"
    assert refused.value.message.startswith(f"item {item.id} was created, but not all of its metadata was set: ")
    assert (refused.value.facts.situation, refused.value.facts.item_id) == ("created-unfinished", item.id)
    assert await create_draft(figshare, folder, seen) != item.id


@pytest.mark.parametrize("seems_missing", [False, True])
async def test_an_item_whose_metadata_could_not_be_sent_is_finished_by_the_next_run(
    folder: Path, seems_missing: bool
) -> None:
    figshare, seen = FakeFigshare(VirtualClock()), list[tuple[int, bool]]()
    figshare.fail("set_authors", Unreachable("no network"))
    with pytest.raises(Unreachable, match="was created, but not all") as failed:
        await create_draft(figshare, folder, seen)
    assert failed.value.facts.situation == "unreachable"
    (item,) = figshare.stored_items.values()
    if seems_missing:
        figshare.fail("detail", ItemNotFound("not found"))
    assert await create_draft(figshare, folder, seen) == item.id
    assert item.title == "Beavers"
    assert [author.full_name for author in item.authors] == ["Ann Bee"]


async def test_a_refused_request_leaves_no_record(folder: Path) -> None:
    figshare = FakeFigshare(VirtualClock())
    figshare.fail("create", Fault.REJECTED)
    with pytest.raises(RequestRejected):
        await create_draft(figshare, folder, [])
    assert not list(folder.iterdir())


async def test_a_lost_request_is_remembered_if_its_repetition_cannot_be_sent(folder: Path) -> None:
    account: Any = Projects(effective=False)
    once = account.create_container

    async def create_container(*args: Any) -> int:
        if account.creates:
            raise Unreachable("no network")
        return int(await once(*args))

    account.create_container = create_container
    with pytest.raises(Unreachable):
        await run(account, folder)
    assert len(list(folder.iterdir())) == 1


async def test_a_lost_request_is_remembered_if_its_effect_cannot_be_looked_for(folder: Path) -> None:
    account: Any = Projects(effective=True, visible_after=0)
    listed = account.containers

    async def containers(kind: str) -> AsyncIterator[ContainerRow]:
        if account.creates:
            raise Unreachable("no network")
        async for row in listed(kind):
            yield row

    account.containers = containers
    with pytest.raises(Unreachable):
        await run(account, folder)
    account.containers = listed
    assert await run(account, folder) == 2
    assert account.titles() == {1: "Beavers", 2: "Beavers"}
    assert not list(folder.iterdir())


class LateDraft:
    """The first request for an item has no answer. Its effect appears when `appear` is called, or while the draft of
    the second one gets its title.
    """

    def __init__(self, folder: Path, *, during: bool, used: bool = False) -> None:
        self.figshare = FakeFigshare(VirtualClock())
        self.folder = folder
        self._title = ""
        self._used = used
        self._create = self.figshare.items.create
        self.figshare.items.create = self._lost  # type: ignore[method-assign,assignment]
        if during:
            self.figshare.on_request["update"] = lambda _: self.appear()

    async def _lost(self, fields: dict[str, object], **_: object) -> int:
        self._title = str(fields["title"])
        self.figshare.items.create = self._create  # type: ignore[method-assign]
        raise LOST

    def appear(self) -> None:
        item = self.figshare.add_item(self._title)
        if self._used:
            self.figshare.add_file(item, "theirs", b"content")

    async def create(self) -> int:
        return await create_draft(self.figshare, self.folder, [])

    def titles(self) -> dict[int, str]:
        return {item.id: item.title for item in self.figshare.stored_items.values()}


async def test_a_late_draft_is_removed_if_it_shows_before_the_end(folder: Path) -> None:
    late = LateDraft(folder, during=True)
    number = await late.create()
    assert late.titles() == {number: "Beavers"}
    assert not list(folder.iterdir())


async def test_a_late_draft_that_shows_after_the_end_is_finished_by_the_next_run(folder: Path) -> None:
    late = LateDraft(folder, during=False)
    made = [await late.create()]
    late.appear()
    made.append(await late.create())
    assert late.titles() == dict.fromkeys(made, "Beavers")
    assert not list(folder.iterdir())


async def test_a_late_draft_that_somebody_uses_is_kept(folder: Path) -> None:
    late = LateDraft(folder, during=True, used=True)
    number = await late.create()
    assert [item_id for item_id, title in late.titles().items() if title != "Beavers"] == [number + 1]


async def test_a_late_project_is_finished_by_the_next_run(folder: Path) -> None:
    account: Any = Projects(effective=False)
    assert await run(account, folder) == 3
    (record,) = folder.iterdir()
    account.rows.append(ContainerRow(id=9, title=f"Beavers [{record.name}]"))
    assert await run(account, folder) == 9
    assert account.titles() == {1: "Beavers", 3: "Beavers", 9: "Beavers"}
    assert not list(folder.iterdir())


def test_a_mark_that_another_command_took_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    with Creations(folder, KillableDisk()) as other, Creations(folder, KillableDisk()) as records:
        take = records._take

        def late(path: Path) -> None:
            taken.extend(other.adopt_interrupted("project-1"))
            take(path)

        monkeypatch.setattr(records, "_take", late)
        mark = records.begin("project-1")
        assert len(taken) == 1
        assert mark not in [*taken, *records._held]
