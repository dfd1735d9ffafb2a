"""How long, and how often, files that seem to be gone or moved are looked at again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support.existing_files import complete_file, verified
from tests.unit.figshare.service import FakeClock
from uploader.figshare.models import File
from uploader.transfer.compare import Match
from uploader.transfer.doubts import MANY, Look, look_until_certain
from uploader.transfer.journal.lifecycle import Transfer

pytestmark = pytest.mark.anyio

SETTLE = 30.0
Server = Callable[[float, Transfer], tuple[File | None, str]]
"""The file of a transfer, and its folder ("": none), after that many seconds."""


def sent(number: int, folder: str = "d", **fields: Any) -> Transfer:
    return verified(number, folder=folder, **fields)


async def look(
    server: Server,
    transfers: Sequence[Transfer],
    settle: float = SETTLE,
    time_limit: float = SETTLE,
    *,
    slow: float = 0.0,
) -> tuple[list[Match], list[tuple[float, int]]]:
    """Return how the files compare in the end, and when (in seconds) how many files were in doubt. `slow`: seconds that
    a look takes.
    """
    clock, looks = FakeClock(), list[tuple[float, int]]()
    begun = clock.monotonic()

    def at_present() -> Look:
        answers = {t.index: server(clock.monotonic() - begun, t) for t in transfers}
        folders = {index: folder for index, (_, folder) in answers.items() if folder}
        return Look(lambda transfer: answers[transfer.index][0], {**folders, 999: "another"})

    async def look_again(suspects: Sequence[Transfer]) -> Look:
        looks.append((clock.monotonic() - begun, len(suspects)))
        answer = at_present()
        await clock.sleep(slow)
        return answer

    last = await look_until_certain(transfers, at_present(), look_again, clock, settle, time_limit)
    return [last.compare(transfer)[0] for transfer in transfers], looks


async def test_what_is_there_is_looked_at_once() -> None:
    files = [sent(1), sent(2, folder="")]
    assert await look(lambda _, t: (complete_file(t.index), t.folder), files) == ([Match.SAME, Match.SAME], [])


async def test_what_a_person_changed_is_looked_at_once_more_beside_files_in_no_folder() -> None:
    link = sent(3, link=True)

    def server(_: float, transfer: Transfer) -> tuple[File | None, str]:
        if transfer is link:
            return complete_file(3, is_link_only=True, download_url=link.path), ""
        return complete_file(transfer.index, name="mine" if transfer.index == 1 else "data.bin"), transfer.folder

    matches, looks = await look(server, [sent(1), sent(2, folder=""), link])
    assert (matches, looks) == ([Match.DIFFERENT, Match.SAME, Match.SAME], [(0, 1)])


@pytest.mark.parametrize(("count", "seconds"), [(1, [0, 1, 3]), (MANY + 1, [3])])
async def test_what_is_gone_is_looked_for_for_three_seconds(count: int, seconds: list[float]) -> None:
    matches, looks = await look(lambda *_: (None, ""), [sent(number) for number in range(count)])
    assert (set(matches), looks) == ({Match.MISSING}, [(at, count) for at in seconds])


@pytest.mark.parametrize(("count", "seconds"), [(1, [0, 1, 3, 7, 15, 30]), (MANY + 1, [3, 7, 15, 30])])
@pytest.mark.parametrize("foreign", [False, True])
async def test_what_is_in_no_folder_is_looked_at_until_the_time_limit(
    count: int, seconds: list[float], foreign: bool
) -> None:
    files = [sent(number, foreign=foreign) for number in range(1, count + 1)]
    matches, looks = await look(lambda _, t: (complete_file(t.index), ""), files)
    assert (set(matches), looks) == ({Match.DIFFERENT}, [(at, count) for at in seconds])


async def test_a_file_that_is_in_no_folder_and_has_no_md5_yet_is_looked_at_as_long() -> None:
    matches, looks = await look(lambda *_: (complete_file(1, computed_md5=None), ""), [sent(1)])
    assert (matches, looks[-1]) == ([Match.DIFFERENT], (30, 1))


@pytest.mark.parametrize("gone_at", [0.0, 1.0, 3.0, 7.0, 15.0])
@pytest.mark.parametrize("tenths", [1, 13, 18, 31, 36, 52, 67, 72, 134, 154, 293, 303, 318])
async def test_no_rounding_makes_it_endless(tenths: int, gone_at: float) -> None:
    """A file is in no folder, and later gone."""
    server: Server = lambda now, _: (complete_file(1) if now <= gone_at else None, "")  # noqa: E731
    _, looks = await look(server, [sent(1)], tenths / 10, tenths / 10)
    assert len(looks) < 12


@pytest.mark.parametrize("count", [1, MANY + 1])
@pytest.mark.parametrize("at", [3, 7, 15])
async def test_a_file_that_seems_gone_later_is_looked_for_as_long(count: int, at: float) -> None:
    """It was in no folder before."""

    def server(now: float, transfer: Transfer) -> tuple[File | None, str]:
        return (None if now == at else complete_file(transfer.index)), "d" if now > at else ""

    matches, looks = await look(server, [sent(number) for number in range(1, count + 1)])
    assert set(matches) == {Match.SAME}
    assert looks[-1][0] > at


@pytest.mark.parametrize(("settle", "seconds"), [(0.0, [0]), (0.5, [0, 0.5]), (5.0, [0, 1, 3])])
async def test_the_settle_time_limits_it(settle: float, seconds: list[float]) -> None:
    matches, looks = await look(lambda *_: (None, ""), [sent(1)], settle, settle)
    assert (matches, looks) == ([Match.MISSING], [(at, 1) for at in seconds])


@pytest.mark.parametrize(
    ("limit", "seconds"), [(5.0, [0, 1, 3, 5]), (16.0, [0, 1, 3, 7, 15, 16]), (31.0, [0, 1, 3, 7, 15, 30, 31])]
)
async def test_the_last_look_is_at_the_time_limit(limit: float, seconds: list[float]) -> None:
    _, looks = await look(lambda *_: (complete_file(1), ""), [sent(1)], limit, limit)
    assert looks == [(at, 1) for at in seconds]


@pytest.mark.parametrize(("gone", "seconds"), [(False, [3, 67]), (True, [3])])
async def test_slow_looks_count_for_the_time_limit(gone: bool, seconds: list[float]) -> None:
    """Each takes a minute; the last one begins after the limit. What is gone counts only between the looks."""
    files = [sent(number) for number in range(1, MANY + 2)]
    _, looks = await look(lambda _, t: (None if gone else complete_file(t.index), ""), files, slow=60.0)
    assert [at for at, _ in looks] == seconds


async def test_answers_that_alternate_come_to_an_end() -> None:
    turns = iter(range(1000))
    _, looks = await look(lambda *_: (None if next(turns) % 2 else complete_file(1), ""), [sent(1)])
    assert looks[-1][0] < 3 * SETTLE
