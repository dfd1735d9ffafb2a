"""A finished job that is rerun: its sources and remote files are checked, and nothing is sent."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
import pytest

from tests.support.existing_files import CONTENT, MD5, ItemWithFiles, complete_file, unfinished_file, verified
from tests.support.walks import PLAN
from uploader.disk import Disk
from uploader.errors import ChecksumWrong, Conflict, FigupError, Md5Pending, SourceChanged, SourceNotFound
from uploader.figshare.models import File
from uploader.sources.models import Selection, SourceFile
from uploader.sources.source import FileStamp, stat_source
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.state import JobState
from uploader.transfer.options import Options
from uploader.transfer.recheck import ItemCheck, check_item, recheck_finished_job
from uploader.transfer.renewal import lost_sources
from uploader.transfer.source_check import matches_record
from uploader.transfer.store.archives import Archives

pytestmark = pytest.mark.anyio


async def check(existing: list[File], *transfers: Transfer, folders: dict[int, str] | None = None) -> ItemCheck:
    api: Any = ItemWithFiles(existing, folders)
    plan = msgspec.structs.replace(PLAN, item=7, title=None)
    return await check_item(api, JobState(plan=plan, item_id=7, transfers=list(transfers)), 30.0)


async def test_a_file_that_was_moved_into_a_folder_is_noticed() -> None:
    with pytest.raises(Conflict, match="elsewhere"):
        await check([complete_file()], verified(), folders={1: "elsewhere"})


@pytest.mark.parametrize("status", ["available", "ic_success", "moving_to_final"])
async def test_the_item_holds_what_was_verified(status: str) -> None:
    await check([complete_file(status=status)], verified())


@pytest.mark.parametrize(
    ("existing", "text"),
    [
        ([complete_file(size=0)], "file 1 has 0 bytes, not 7 bytes"),
        ([complete_file(is_link_only=True)], "file 1 is a link"),
        ([complete_file(name="other")], "file 1 is named other"),
        ([complete_file(computed_md5="b" * 32)], f"file 1 has the MD5 {'b' * 32}, not {MD5}"),
    ],
)
async def test_a_changed_remote_file_is_a_conflict(existing: list[File], text: str) -> None:
    with pytest.raises(Conflict) as raised:
        await check(existing, verified())
    assert raised.value.message == f"data.bin: was sent and verified, but item 7 no longer holds it: {text}"
    assert raised.value.path == "/x/data.bin"


@pytest.mark.parametrize(
    ("existing", "text", "exists"),
    [
        ([], "file 1 is gone", False),
        ([complete_file(2, name="other")], "file 1 is gone", False),
        ([unfinished_file()], "file 1 is an unfinished upload", True),
        ([complete_file(status="ic_failure")], "file 1 failed Figshare's integrity check", True),
    ],
)
async def test_a_missing_or_useless_remote_file_is_sent_again(existing: list[File], text: str, exists: bool) -> None:
    transfer = verified()
    assert (await check(existing, transfer)).lost == ((transfer, text, exists),)


@pytest.mark.parametrize("changed", [{"name": "other"}, {"size": 0}, {"status": "created"}])
async def test_a_file_of_somebody_else_that_is_another_one_now_is_sent_and_not_removed(changed: dict[str, Any]) -> None:
    transfer = verified(foreign=True)
    ((lost, _, exists),) = (await check([complete_file(**changed)], transfer)).lost
    assert (lost, exists) == (transfer, False)


async def test_a_file_missing_from_a_stale_listing_is_requested() -> None:
    api: Any = ItemWithFiles([])

    async def file(item_id: int, file_id: int) -> File:
        return complete_file(file_id)

    api.file = file
    assert await check_item(api, JobState(plan=PLAN, item_id=7, transfers=[verified()]), 30.0) == ItemCheck()


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("stale", [{"status": "created", "computed_md5": None}, {"computed_md5": None}, {"name": "x"}])
async def test_what_a_stale_listing_shows_is_looked_at_again(stale: dict[str, Any], count: int) -> None:
    """Many files are not requested one by one."""
    right = {number: complete_file(number) for number in range(1, count + 1)}
    listings = [[msgspec.structs.replace(file, **stale) for file in right.values()], list(right.values())]
    api: Any = ItemWithFiles([])

    async def files(_: int) -> AsyncIterator[File]:
        for file in listings.pop(0):
            yield file

    async def file(_: int, file_id: int) -> File:
        asked.append(file_id)
        return right[file_id]

    asked: list[int] = []
    api.files, api.file = files, file
    state = JobState(plan=PLAN, item_id=7, transfers=[verified(number) for number in right])
    assert await check_item(api, state, 30.0) == ItemCheck()
    assert (len(asked), len(listings)) == ((1, 1) if count == 1 else (0, 0))


async def test_an_identical_file_in_the_same_place_is_a_duplicate() -> None:
    """Also if it was there before: it was unfinished, or had no MD5. A different one counts unless it was there."""
    existing = [
        complete_file(1),
        complete_file(4),
        complete_file(5, name="other"),
        complete_file(6, size=0),
        complete_file(3),
    ]
    transfer = verified()
    assert await check(existing, transfer) == ItemCheck(duplicates=((transfer, 3),), different=((transfer, 6),))
    before = verified(known=(3, 4, 6))
    assert await check(existing, before) == ItemCheck(duplicates=((before, 3),))
    assert await check(existing, verified(foreign=True)) == ItemCheck()


@pytest.mark.parametrize(
    ("folder", "folders", "text"),
    [
        ("d", {1: "d"}, None),
        ("d", {}, None),
        ("d", {1: "e"}, "is in folder e"),
        ("d", {9: "e"}, "is in no folder"),
        ("", {1: "e"}, "is in folder e"),
        ("", {9: "e"}, None),
    ],
)
async def test_the_folder_counts_where_the_item_gives_folders(
    folder: str, folders: dict[int, str], text: str | None
) -> None:
    transfer = verified(folder=folder)
    if text is None:
        await check([complete_file()], transfer, folders=folders)
    else:
        with pytest.raises(Conflict, match=text):
            await check([complete_file()], transfer, folders=folders)


async def test_a_missing_md5_is_unknown_and_not_a_mismatch() -> None:
    with pytest.raises(Md5Pending) as raised:
        await check([complete_file(computed_md5=None)], verified())
    assert raised.value.exit_status == 7


async def test_a_lost_file_is_reported_before_one_without_md5() -> None:
    lost = (await check([complete_file(1, computed_md5=None)], verified(1), verified(2, name="b"))).lost
    assert [transfer.name for transfer, _, _ in lost] == ["b"]


async def test_a_link_is_checked_by_its_address() -> None:
    link = Transfer(
        index=1, source="https://x", name="", size=0, mtime_ns=0, inode=0, link=True, state=State.VERIFIED, file_id=1
    )
    await check([complete_file(is_link_only=True, download_url="https://x", size=0, computed_md5=None)], link)
    with pytest.raises(Conflict, match="links to another address"):
        await check([complete_file(is_link_only=True, download_url="https://y")], link)


async def test_a_dropped_source_is_not_checked() -> None:
    await check([complete_file(1)], verified(1), verified(2, dropped=True))


# --- the sources --------------------------------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(CONTENT)
    return paths


async def recheck(paths: list[Path], transfers: list[Transfer]) -> None:
    api: Any = ItemWithFiles([complete_file(number, name=path.name) for number, path in enumerate(paths, 1)])
    state = JobState(plan=PLAN, item_id=7, transfers=transfers)
    await recheck_finished_job(api, state, Archives(Path(), Disk()), lambda _: None, Options())


async def of(paths: list[Path]) -> list[Transfer]:
    """Transfers of these sources as they are now."""
    transfers = []
    for number, path in enumerate(paths, 1):
        now = await anyio.to_thread.run_sync(stat_source, str(path))
        transfer = verified(number, str(path), name=path.name, ctime_ns=now.ctime_ns)
        transfer.mtime_ns, transfer.inode = now.mtime_ns, now.inode
        transfers.append(transfer)
    return transfers


STAMP = FileStamp(size=7, mtime_ns=1, inode=2, ctime_ns=3, device=4)


@pytest.mark.parametrize(
    ("recorded", "matches"),
    [
        ({}, True),
        ({"inode": 0, "ctime_ns": None}, True),
        ({"size": 8}, False),
        ({"mtime_ns": 2}, False),
        ({"inode": 9}, False),
        ({"ctime_ns": 9}, False),
        ({"inode": 0, "ctime_ns": 9}, False),
        ({"inode": 9, "ctime_ns": None}, False),
    ],
)
def test_a_source_is_unchanged_only_if_all_that_is_recorded_is_equal(recorded: dict[str, Any], matches: bool) -> None:
    known = {"size": 7, "mtime_ns": 1, "inode": 2, "ctime_ns": 3, **recorded}
    transfer = Transfer(index=1, source="/x/data.bin", name="data.bin", **known)
    assert matches_record(transfer, STAMP) is matches


async def test_unchanged_and_merely_touched_sources_pass(sources: list[Path]) -> None:
    transfers = await of(sources)
    await recheck(sources, transfers)
    await anyio.to_thread.run_sync(os.utime, sources[0], (1, 1))
    await recheck(sources, transfers)


async def test_changed_sources_are_reported_together(sources: list[Path]) -> None:
    transfers = await of(sources)
    for path in sources:
        path.write_bytes(b"CONTENT")
    with pytest.raises(SourceChanged, match=r"^2 files changed") as raised:
        await recheck(sources, transfers)
    assert [cause.path for cause in raised.value.causes] == [str(path) for path in sources]


@pytest.mark.parametrize(("expected", "error"), [(MD5, None), ("b" * 32, ChecksumWrong)])
async def test_the_md5_given_by_the_user_must_match(
    sources: list[Path], expected: str, error: type[FigupError] | None
) -> None:
    transfers = await of(sources)
    transfers[0].expected = expected
    if error is None:
        await recheck(sources, transfers)
    else:
        with pytest.raises(error, match=f"has the MD5 {MD5}, expected {expected}"):
            await recheck(sources, transfers)


async def test_a_missing_source_is_reported(sources: list[Path]) -> None:
    transfers = await of(sources)
    sources[1].unlink()
    with pytest.raises(SourceNotFound, match="was sent and verified"):
        await recheck(sources, transfers)


def test_only_sources_that_the_command_did_not_find_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here, gone, done = (str(tmp_path / name) for name in ("there", "here", "gone", "done"))
    asked: list[str] = []

    def exists(path: str) -> bool:
        asked.append(path)
        return path == here

    monkeypatch.setattr(os.path, "exists", exists)
    state = JobState(
        plan=PLAN,
        transfers=[
            *(
                Transfer(index=index, source=path, name="n", size=1, mtime_ns=1, inode=1)
                for index, path in enumerate((there, here, gone))
            ),
            verified(4, done),
        ],
    )
    selection = Selection(files=[SourceFile(source=there, folder="", name="there")])
    assert lost_sources(state, selection) == {gone}
    assert sorted(asked) == [gone, here]


def test_a_source_in_two_places_is_lost_if_one_of_them_was_begun_and_it_is_no_file_now(tmp_path: Path) -> None:
    transfers = [
        Transfer(index=index, source=str(tmp_path), folder=f"{index}", name="n", size=1, mtime_ns=1, inode=1)
        for index in range(3)
    ]
    assert lost_sources(JobState(plan=PLAN, transfers=transfers), Selection()) == set()
    transfers[1].file_id = 7
    assert lost_sources(JobState(plan=PLAN, transfers=transfers), Selection()) == {str(tmp_path)}
