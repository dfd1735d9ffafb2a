"""The effect of a request after a lost response: found, repeated or given up, within the time limit."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.figshare.service import FakeClock
from uploader.errors import ServerFailing
from uploader.figshare.models import ContainerRow
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.items.lists import create_container
from uploader.items.mark import command_origin, marked_title, new_mark
from uploader.items.reconcile import confirm

_ENDED = 2**22 + 1
"""The number of no process: more than Linux gives."""


class Waits:
    """A fake session: waiting takes no time, and is recorded."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.clock = FakeClock()

    async def wait(self, reason: str, delay: float) -> None:
        assert reason == "doing it: lost; checking whether it took effect"
        self.waited.append(delay)
        await self.clock.sleep(delay)


async def outcome(asks: list[object], looks: list[str | None], patience: float = 4.0) -> tuple[Any, Waits]:
    """Request and check, in turn, until the scripted results are used up."""
    session = Waits()

    async def ask() -> str:
        answer = asks.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def look() -> str | None:
        return looks.pop(0) if looks else None

    return await confirm(session, ask, look, "doing it", time_limit=patience), session  # type: ignore[arg-type]


LOST = AmbiguousAnswer("lost")


async def test_a_response_is_returned() -> None:
    value, session = await outcome(["made"], [])
    assert (value, session.waited) == ("made", [])


async def test_a_found_effect_is_not_requested_again() -> None:
    value, session = await outcome([LOST], [None, None, "found"])
    assert (value, session.waited) == ("found", [0.5, 1.0])


async def test_a_missing_effect_is_requested_again() -> None:
    value, session = await outcome([LOST, "made"], [])
    assert (value, session.waited) == ("made", [0.5, 1.0, 2.0, 0.5])
    value, session = await outcome([LOST, "made"], [], patience=0)
    assert (value, session.waited) == ("made", [])


async def test_attempts_are_limited() -> None:
    with pytest.raises(ServerFailing, match="doing it: lost; it took no effect"):
        await outcome([LOST, LOST, LOST], [])


class Projects:
    """An account with projects; the first answer to a create is lost. Blanks at the ends of titles are trimmed."""

    def __init__(self, *, effective: bool, visible_after: int = 1, title: str = "Beavers") -> None:
        self.rows = [ContainerRow(id=1, title=title)]
        self.effective = effective
        self.visible_after = visible_after
        self.items = self
        self.clock = FakeClock()
        self.creates = 0
        self._lists = 0

    async def wait(self, reason: str, delay: float) -> None:
        assert reason.startswith("creating the project: lost; checking whether it took effect")
        await self.clock.sleep(delay)

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
async def test_a_project_whose_answer_was_lost_is_not_created_twice(title: str, visible_after: int) -> None:
    account: Any = Projects(effective=True, visible_after=visible_after)
    assert await create_container(account, "projects", title) == 2
    assert account.titles() == {1: "Beavers", 2: "Beavers"}, "the older one of that title is another"


async def test_a_project_whose_request_was_lost_is_created_by_the_next() -> None:
    account: Any = Projects(effective=False)
    assert await create_container(account, "projects", "Beavers") == 3
    assert (account.creates, len(account.rows)) == (2, 2)


async def test_a_colleague_s_project_of_the_same_title_is_not_taken_for_ours() -> None:
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
    assert await create_container(account, "projects", "Beavers") == 3
    assert account.titles() == {1: "another", 9: "Beavers", 3: "Beavers"}


@pytest.mark.parametrize(
    ("process", "number"),
    [(os.getpid(), 1), (_ENDED, 1), (os.getppid(), 3)],
    ids=["same number", "ended", "running"],
)
async def test_what_an_interrupted_run_left_is_finished(process: int, number: int) -> None:
    mark = new_mark(f"{command_origin('project', 'Beavers')}-{process}")
    account: Any = Projects(effective=False, title=marked_title("Beavers", mark))
    assert await create_container(account, "projects", "Beavers") == number
    assert account.titles()[number] == "Beavers"
    assert account.creates == (2 if number == 3 else 0)


async def test_another_project_s_mark_is_left_alone() -> None:
    mark = new_mark(f"{command_origin('project', 'Otters')}-{_ENDED}")
    account: Any = Projects(effective=True, title=marked_title("Beavers", mark))
    assert await create_container(account, "projects", "Beavers") == 2
