"""What happens to the files of a job: driver, engine, link and cancel, seen through whole commands in memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from tests.fakes.figshare import Fault, StoredFile
from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED, World, md5
from uploader.errors import (
    ChecksumWrong,
    Conflict,
    Interrupted,
    ItemNotFound,
    Md5Mismatch,
    Md5Pending,
    ProtocolViolation,
    QuotaExceeded,
    RequestRejected,
    ServerFailing,
    SomeFilesFailed,
    SourceChanged,
    UploadFailing,
)
from uploader.figshare.models import PrivateLink, Upload
from uploader.figshare.outcomes import FileGone, PartFailed, PartLocked, UploadGone
from uploader.sources.models import Sources
from uploader.transfer import notices as no
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.options import Options

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(200))
TITLE = "my data"


def the_file(world: World) -> StoredFile:
    """The only file of the only item."""
    (item,) = world.figshare.stored_items.values()
    (file,) = item.files.values()
    return file


def held(world: World) -> list[tuple[str, str]]:
    """What the only item holds."""
    (item,) = world.figshare.stored_items
    return world.contents(item)


def warnings(world: World) -> list[str]:
    return [notice.message for notice in world.notices if isinstance(notice, no.Warned)]


# --- folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_names", [False, True], ids=["folder structure", "folders in names"])
@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.KILLED_AFTER])
@pytest.mark.parametrize("named", [False, True], ids=["new item", "given item"])
async def test_a_file_in_a_folder_is_found_after_a_lost_answer(
    world: World, in_names: bool, fault: Fault, named: bool
) -> None:
    world.figshare.folders_in_names = in_names
    world.source("set/a.bin", CONTENT)
    world.source("set/b.bin", CONTENT)
    target = {"item": world.figshare.add_item().id} if named else {"title": TITLE}
    world.figshare.fail("initiate", fault)
    assert await world.upload(str(world.folder / "set"), **target) in (0, KILLED)
    assert await world.upload(str(world.folder / "set"), **target) == 0
    assert held(world) == [("set/a.bin", md5(CONTENT)), ("set/b.bin", md5(CONTENT))]


@pytest.mark.parametrize("in_names", [False, True], ids=["folder structure", "folders in names"])
async def test_a_file_in_a_folder_that_the_item_holds_is_not_sent_again(world: World, in_names: bool) -> None:
    world.figshare.folders_in_names = in_names
    item = world.figshare.add_item()
    world.figshare.add_file(item, "a.bin", CONTENT).folder = "set"
    world.source("set/a.bin", CONTENT)
    assert await world.upload(str(world.folder / "set"), item=item.id) == 0
    assert "initiate" not in world.figshare.log


# --- parts --------------------------------------------------------------------------------------------------------


async def test_a_resumed_upload_sends_only_missing_parts(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_BEFORE, first=3)
    assert await world.upload(source, title=TITLE) == KILLED
    there = len(the_file(world).parts)
    assert 2 <= there < 4
    assert await world.upload(source, title=TITLE) == 0
    assert world.figshare.resent_parts == []
    assert world.report is not None
    assert (world.report.files[0].parts_found, world.report.files[0].parts_sent) == (there, 4 - there)


async def test_a_locked_part_is_awaited_and_not_resent_once_complete(world: World) -> None:
    async def unlock() -> None:
        await world.clock.sleep(20)
        file = the_file(world)
        file.locked.clear()
        file.parts[1] = CONTENT[:64]

    def lock(_: str) -> None:
        if not the_file(world).parts:
            the_file(world).locked.add(1)

    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", PartLocked("409"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(unlock)
        world.figshare.on_request["upload"] = lock
        assert await world.upload(source, title=TITLE) == 0
    assert world.clock.monotonic() >= 20
    assert world.figshare.resent_parts == []


async def test_the_delay_requested_by_the_server_is_kept(world: World) -> None:
    world.figshare.fail("send_part", PartFailed("429", 42.0, congested=True))
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0
    assert world.clock.monotonic() >= 42


@pytest.mark.search
async def test_a_part_that_keeps_failing_ends_the_run_after_the_retry_time_and_can_be_resumed(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", PartFailed("503"), times=10_000)
    assert await world.upload(source, title=TITLE) == 75
    assert isinstance(world.error, ServerFailing)
    assert 600 < world.clock.monotonic() <= 1000
    world.figshare.clear_faults()
    assert await world.upload(source, title=TITLE) == 0


@pytest.mark.parametrize("request_name", ["file", "upload", "send_part"])
@pytest.mark.parametrize("gone", [False, True], ids=["in an old copy", "really"])
async def test_a_lost_upload_is_restarted(world: World, request_name: str, *, gone: bool) -> None:
    """One answer may come from an old copy of the server's data: then what was sent is kept."""
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_BEFORE, first=2)
    assert await world.upload(source, title=TITLE) == KILLED
    error = FileGone("404") if request_name == "file" else UploadGone("404")
    world.figshare.fail(request_name, error, times=6 if gone else 1)
    assert await world.upload(source, title=TITLE) == 0
    assert any(isinstance(notice, no.FileRestarted) for notice in world.notices) == gone
    assert world.figshare.log.count("initiate") == 1 + gone
    assert held(world) == [("a", md5(CONTENT))]


async def test_a_lost_upload_is_not_waited_for_longer_than_the_settle_time(world: World) -> None:
    world.figshare.fail("send_part", UploadGone("404"))
    world.figshare.fail("upload", UploadGone("404"), first=2, times=2)
    options = Options(settle_timeout=0)
    assert await world.upload(world.source("a", CONTENT), title=TITLE, options=options) == 0
    assert any(isinstance(notice, no.FileRestarted) for notice in world.notices)


async def test_why_a_changed_file_is_restarted_is_told_without_its_path(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_BEFORE)
    assert await world.upload(source, title=TITLE) == KILLED
    world.source("a", b"another version")
    assert await world.upload(source, title=TITLE, options=Options(restart_changed=True)) == 0
    (reason,) = [notice.reason for notice in world.notices if isinstance(notice, no.FileRestarted)]
    assert reason == f"has 15 bytes now, but had {len(CONTENT)} when its upload began"


async def test_a_repeatedly_lost_upload_is_given_up(world: World) -> None:
    world.figshare.fail("send_part", UploadGone("404"), times=100)
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 75
    assert isinstance(world.error, UploadFailing)
    assert world.figshare.log.count("initiate") == 4


async def test_an_aborted_upload_is_restarted_and_its_placeholder_removed(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_AFTER)
    assert await world.upload(source, title=TITLE) == KILLED
    the_file(world).upload_status = "aborted"
    assert await world.upload(source, title=TITLE) == 0
    assert held(world) == [("a", md5(CONTENT))]


def tell_another_size(world: World, *, requests: range) -> None:
    """Let these requests for an upload, counted from 1, be answered with one byte too many."""
    tell = world.figshare.upload

    async def lie(upload_url: str) -> Upload:
        upload = await tell(upload_url)
        wrong = world.figshare.log.count("upload") in requests
        return msgspec.structs.replace(upload, size=upload.size + wrong)

    world.figshare.upload = lie  # type: ignore[method-assign]


async def test_an_upload_of_another_size_is_restarted_by_itself(world: World) -> None:
    tell_another_size(world, requests=range(1, 3))
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0
    reasons = [notice.reason for notice in world.notices if isinstance(notice, no.FileRestarted)]
    assert reasons == ["Figshare created its upload with 201 bytes instead of 200"] * 2
    assert held(world) == [("a", md5(CONTENT))]


async def test_an_upload_that_always_has_another_size_is_given_up(world: World) -> None:
    tell_another_size(world, requests=range(1, 100))
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 1
    assert isinstance(world.error, ProtocolViolation)
    assert (world.figshare.log.count("initiate"), "send_part" in world.figshare.log) == (4, False)
    assert len(held(world)) == 1


async def test_an_upload_of_another_size_is_kept_once_parts_were_sent(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=3)
    assert await world.upload(source, title=TITLE) == KILLED
    file_id, sent = the_file(world).id, dict(the_file(world).parts)
    since = world.figshare.log.count("upload") + 1
    tell_another_size(world, requests=range(since, since + 1))
    assert await world.upload(source, title=TITLE) == 1
    assert isinstance(world.error, ProtocolViolation)
    assert (the_file(world).id, the_file(world).parts) == (file_id, sent)
    assert await world.upload(source, title=TITLE) == 0
    assert the_file(world).id == file_id


# --- the source ---------------------------------------------------------------------------------------------------


async def test_a_source_that_changed_between_two_runs_is_an_error_and_nothing_is_mixed(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.REJECTED, first=2, times=100)
    assert await world.upload(source, title=TITLE) == 1
    there = dict(the_file(world).parts)
    assert there
    world.figshare.clear_faults()
    world.source("a", b"!" * 200)
    assert await world.upload(source, title=TITLE) == 5
    assert isinstance(world.error, SourceChanged)
    assert the_file(world).parts == there


async def test_a_changed_source_is_restarted_if_requested(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_AFTER)
    assert await world.upload(source, title=TITLE) == KILLED
    world.source("a", b"new" * 50)
    assert await world.upload(source, title=TITLE, options=Options(restart_changed=True)) == 0
    assert held(world) == [("a", md5(b"new" * 50))]


async def test_a_source_that_changes_after_its_file_was_verified_is_noticed(world: World) -> None:
    """While the others are sent, which may take hours."""
    sent_first = Path(world.source("b", b"old" * 100))
    sources = [world.source("a", CONTENT), str(sent_first)]

    def delay_the_other(_: str) -> None:
        world.figshare.md5_delay = 100.0

    def change(_: str) -> None:
        if world.clock.monotonic() > 50:
            sent_first.write_bytes(b"new" * 100)

    world.figshare.on_request |= {"complete": delay_the_other, "file": change}
    options = ItemOptions(metadata=Metadata(), publish=True)
    assert await world.upload(sources, title=TITLE, item_options=options) == 1
    assert world.report is not None
    errors = {file.name: file.error.code for file in world.report.files if file.error is not None}
    assert errors == {"b": SourceChanged.code}
    assert "publish" not in world.figshare.log
    world.figshare.on_request.clear()
    resend = Options(restart_changed=True)
    assert await world.upload(sources, title=TITLE, item_options=options, options=resend) == 0
    assert held(world) == [("a", md5(CONTENT)), ("b", md5(b"new" * 100))]


@pytest.mark.parametrize("change", ["touched", "changed", "deleted"])
async def test_a_source_that_was_verified_may_be_touched_changed_on_request_or_deleted(
    world: World, change: str
) -> None:
    sent_first = Path(world.source("b", b"old" * 100))
    sources = [world.source("a", CONTENT), str(sent_first)]

    def delay_the_other(_: str) -> None:
        world.figshare.md5_delay = 100.0

    def do(_: str) -> None:
        if world.clock.monotonic() > 50:
            world.figshare.on_request.clear()
            world.figshare.md5_delay = 0.0
            if change == "touched":
                sent_first.touch()
            elif change == "deleted":
                sent_first.unlink()
            else:
                sent_first.write_bytes(b"new" * 100)

    world.figshare.on_request |= {"complete": delay_the_other, "file": do}
    assert await world.upload(sources, title=TITLE, options=Options(restart_changed=change == "changed")) == 0
    there = b"new" if change == "changed" else b"old"
    assert held(world) == [("a", md5(CONTENT)), ("b", md5(there * 100))]


async def test_a_source_that_was_only_touched_is_continued(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.fail("send_part", Fault.KILLED_BEFORE, first=2)
    assert await world.upload(source, title=TITLE) == KILLED
    Path(source).touch()
    assert await world.upload(source, title=TITLE) == 0
    assert world.figshare.resent_parts == []


async def test_the_wrong_source_for_an_expected_checksum_is_not_completed(world: World) -> None:
    source = world.source("a", CONTENT)
    manifest = world.source("manifest.csv", f"path,md5\n{source},{'0' * 32}\n".encode())
    assert await world.upload(Sources(manifest=manifest), title=TITLE) == 5
    assert isinstance(world.error, ChecksumWrong)
    assert "complete" not in world.figshare.log


# --- the MD5 ------------------------------------------------------------------------------------------------------


async def test_a_damaged_file_is_resent_and_removed_afterwards(world: World) -> None:
    def damage_the_first(_: str) -> None:
        (item,) = world.figshare.stored_items.values()
        item.files[min(item.files)].corrupt = True

    world.figshare.on_request["complete"] = damage_the_first
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0
    assert held(world) == [("a", md5(CONTENT))]
    log = world.figshare.log
    assert log.index("delete_file") > max(place for place, name in enumerate(log) if name == "complete")


async def test_a_file_damaged_twice_is_an_error(world: World) -> None:
    def damage(_: str) -> None:
        for item in world.figshare.stored_items.values():
            for file in item.files.values():
                file.corrupt = True

    world.figshare.on_request["complete"] = damage
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 5
    assert isinstance(world.error, Md5Mismatch)


@pytest.mark.search
async def test_a_late_md5_is_awaited_until_the_timeout(world: World) -> None:
    source = world.source("a", CONTENT)
    world.figshare.md5_delay = 2000.0
    assert await world.upload(source, title=TITLE, options=Options(verify_timeout=60)) == 7
    assert isinstance(world.error, Md5Pending)
    assert world.clock.monotonic() <= 60
    assert await world.upload(source, title=TITLE, options=Options(verify_timeout=3000)) == 0
    assert world.figshare.log.count("initiate") == 1


# --- several files ------------------------------------------------------------------------------------------------


async def test_a_rejected_file_does_not_stop_the_others(world: World) -> None:
    sources = [world.source(name, name.encode() * 100) for name in "abc"]
    world.figshare.fail("initiate", RequestRejected("no", permanent=True))
    assert await world.upload(sources, title=TITLE) == 1
    assert isinstance(world.error, SomeFilesFailed)
    assert len(held(world)) == 2
    assert world.report is not None
    assert (world.report.exit_status, sorted(f.status for f in world.report.files)) == (
        1,
        ["failed", "verified", "verified"],
    )
    world.figshare.clear_faults()
    assert await world.upload(sources, title=TITLE) == 0
    assert held(world) == [(name, md5(name.encode() * 100)) for name in "abc"]


def required_md5(world: World, *, status: int = 422, message: str = "md5 is required") -> list[str | None]:
    """Refuse every initiation without MD5; return the MD5s of all."""
    initiate, seen = world.figshare.initiate, []

    async def strict(item_id: int, *, md5: str | None = None, **more: Any) -> int:
        seen.append(md5)
        if md5 is None:
            await more["on_turn"]()
            raise RequestRejected(f"item 1: {message}", permanent=True, status=status)
        return await initiate(item_id, md5=md5, **more)

    world.figshare.initiate = strict  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize(("status", "message"), [(422, ""), (422, "invalid"), (400, "Missing MD5")])
async def test_an_initiation_rejected_without_md5_is_retried_with_it(world: World, status: int, message: str) -> None:
    seen = required_md5(world, status=status, message=message)
    for name in ("a", "b", "c"):
        world.source(f"set/{name}", CONTENT + name.encode())
    assert await world.upload(str(world.folder / "set"), title=TITLE) == 0
    assert sorted(held(world)) == [(f"set/{name}", md5(CONTENT + name.encode())) for name in ("a", "b", "c")]
    assert {one for one in seen if one} == {md5(CONTENT + name.encode()) for name in ("a", "b", "c")}


async def test_once_an_md5_is_known_to_be_required_it_is_sent_at_once(world: World) -> None:
    seen = required_md5(world)
    for number in range(60):
        world.source(f"set/{number}", b"%d" % number)
    assert await world.upload(str(world.folder / "set"), title=TITLE) == 0
    assert 1 <= seen.count(None) < 20
    assert len([one for one in seen if one]) == 60


@pytest.mark.parametrize(("status", "message"), [(400, "name too long"), (413, "too large"), (422, "no")])
async def test_other_rejections_are_not_retried_for_every_file(world: World, status: int, message: str) -> None:
    world.figshare.fail("initiate", RequestRejected(message, permanent=True, status=status), times=100)
    for name in ("a", "b"):
        world.source(f"set/{name}", CONTENT)
    assert await world.upload(str(world.folder / "set"), title=TITLE) == 1
    assert world.figshare.log.count("initiate") <= (4 if status == 422 else 2)


@pytest.mark.parametrize("resumed", [False, True])
async def test_an_upload_of_another_size_is_the_servers_fault(world: World, resumed: bool) -> None:
    path = world.source("a.bin", CONTENT)
    if resumed:
        world.figshare.fail("send_part", Fault.KILLED_BEFORE, first=2)
        assert await world.upload(path, title=TITLE) == KILLED
    world.figshare.on_request["file"] = lambda _: setattr(the_file(world), "size", 300)
    assert await world.upload(path, title=TITLE) == 1
    assert isinstance(world.error, ProtocolViolation)
    assert "its upload with 300 bytes instead of 200" in world.error.message
    Path(path).write_bytes(CONTENT + b"more")
    assert await world.upload(path, title=TITLE) == 5
    assert isinstance(world.error, SourceChanged)


async def test_an_item_that_rejects_files_is_not_reported_missing(world: World) -> None:
    world.figshare.fail("initiate", ItemNotFound("no item"), times=10)
    assert await world.upload(world.source("a.bin", CONTENT), title=TITLE) == 1
    assert "but rejects files for it" in str(world.error)


async def test_without_the_item_every_file_has_failed(world: World) -> None:
    """Not unfinished: nothing will finish them."""
    assert await world.upload([world.source(name, CONTENT) for name in "ab"], item=99) == 4
    assert world.report is not None
    assert [(file.name, file.status) for file in world.report.files] == [("a", "failed"), ("b", "failed")]
    assert {file.error.code for file in world.report.files if file.error} == {"item-missing"}


async def test_a_possibly_transient_rejection_is_retried_after_the_others(world: World) -> None:
    sources = [world.source(name, name.encode() * 100) for name in "abc"]
    world.figshare.fail("initiate", RequestRejected("not now"))
    assert await world.upload(sources, title=TITLE) == 0
    assert warnings(world) == ["trying 1 failed file again"]


async def test_the_run_is_aborted_when_too_many_files_fail(world: World) -> None:
    sources = [world.source(name, name.encode() * 100) for name in "abcdefghijklmnop"]
    world.figshare.fail("initiate", RequestRejected("no", permanent=True), times=3)
    assert await world.upload(sources, title=TITLE, options=Options(max_errors=0)) == 1
    assert "1 file failed" in str(world.error)
    world.figshare.clear_faults()
    assert await world.upload(sources, title=TITLE) == 0
    assert len(held(world)) == len(sources)


async def test_an_error_that_concerns_all_files_ends_the_run(world: World) -> None:
    sources = [world.source(name, name.encode() * 100) for name in "abc"]
    world.figshare.fail("upload", Fault.TRANSIENT)
    assert await world.upload(sources, title=TITLE) == 75
    assert isinstance(world.error, ServerFailing)
    assert await world.upload(sources, title=TITLE) == 0
    assert len(held(world)) == 3


async def test_many_files_share_listings(world: World) -> None:
    sources = [world.source(f"f{number:02}", b"x" * number) for number in range(1, 31)]
    assert await world.upload(sources, title=TITLE) == 0
    assert len(held(world)) == 30
    assert world.figshare.log.count("file") + world.figshare.log.count("files") < 30


async def test_nothing_is_sent_beyond_the_quota(world: World) -> None:
    world.figshare.quota = 100
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 6
    assert isinstance(world.error, QuotaExceeded)
    assert world.figshare.stored_items == {}


# --- what the item holds ------------------------------------------------------------------------------------------


async def test_a_different_file_of_that_name_is_a_conflict(world: World) -> None:
    item = world.figshare.add_item()
    world.figshare.add_file(item, "a", b"other")
    assert await world.upload(world.source("a", CONTENT), item=item.id) == 1
    assert isinstance(world.error, Conflict)
    assert world.contents(item.id) == [("a", md5(b"other"))]


async def test_an_identical_file_is_not_sent_again(world: World) -> None:
    item = world.figshare.add_item()
    file = world.figshare.add_file(item, "a", CONTENT)
    assert await world.upload(world.source("a", CONTENT), item=item.id) == 0
    assert "initiate" not in world.figshare.log
    assert list(item.files) == [file.id]


# --- stop, repeat, cancel -----------------------------------------------------------------------------------------


async def test_a_stop_lets_parts_finish_and_the_next_run_continues(world: World) -> None:
    source = world.source("a", CONTENT)
    async with world.client(Options(connections=1)) as client:
        world.figshare.on_request["send_part"] = lambda _: client.stop()
        with pytest.raises(Exception) as caught:  # noqa: PT011 - its cause is looked at
            await client.upload(source, title=TITLE)
    assert isinstance(getattr(caught.value, "error", caught.value), Interrupted)
    assert len(the_file(world).parts) == 1
    world.figshare.on_request.clear()
    assert await world.upload(source, title=TITLE) == 0
    assert world.figshare.resent_parts == []


async def test_a_finished_command_run_again_checks_and_sends_nothing(world: World) -> None:
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE) == 0
    before = len(world.figshare.log)
    assert await world.upload(source, title=TITLE) == 0
    assert not {"create", "initiate", "send_part", "complete"} & set(world.figshare.log[before:])


async def test_a_finished_job_whose_file_was_deleted_on_figshare_sends_it_again(world: World) -> None:
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    item.files.clear()
    assert await world.upload(source, title=TITLE) == 0
    assert held(world) == [("a", md5(CONTENT))]
    assert any("is gone; sending it again" in text for text in warnings(world))


async def test_a_verified_file_deleted_during_the_run_is_not_a_success(world: World) -> None:
    sources = [world.source("a", b"a"), world.source("b", CONTENT)]
    assert await world.upload([sources[0]], title=TITLE) == 0
    (item,) = world.figshare.stored_items.values()
    world.figshare.fail("send_part", Fault.KILLED_BEFORE)
    assert await world.upload(sources, item=item.id) == KILLED
    del item.files[min(item.files)]
    assert await world.upload(sources, item=item.id, item_options=ItemOptions(reserve_doi=True)) == 1, world.error
    assert isinstance(world.error, Conflict)
    assert not item.doi, "no DOI without it"
    assert await world.upload(sources, item=item.id) == 0
    assert held(world) == [("a", md5(b"a")), ("b", md5(CONTENT))]


@pytest.mark.parametrize("request_name", ["reserve_doi", "create_private_link"])
async def test_a_file_deleted_before_the_item_is_published_is_not_left_out(world: World, request_name: str) -> None:
    def delete(_: str) -> None:
        (item,) = world.figshare.stored_items.values()
        item.files.clear()
        world.figshare.on_request.clear()

    world.figshare.on_request[request_name] = delete
    options = ItemOptions(metadata=Metadata(), reserve_doi=True, private_link=True, publish=True)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE, item_options=options) == 1
    assert isinstance(world.error, Conflict)
    assert "publish" not in world.figshare.log
    assert await world.upload(source, title=TITLE, item_options=options) == 0
    (item,) = world.figshare.stored_items.values()
    assert (held(world), item.version) == ([("a", md5(CONTENT))], 1)


@pytest.mark.parametrize("call", ["upload", "resume"])
@pytest.mark.parametrize("end", ["removed", "expired", "replaced"])
async def test_a_private_link_that_no_longer_works_is_made_again(world: World, end: str, call: str) -> None:
    options = ItemOptions(private_link=True)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE, item_options=options) == 0
    (item,) = world.figshare.stored_items.values()
    assert world.report is not None
    assert world.report.private_link == item.links[0].url
    if end == "removed":
        item.links.clear()
    else:
        item.links[0] = msgspec.structs.replace(item.links[0], active=False)
    if end == "replaced":
        item.links.append(PrivateLink(id="new", url="https://example.org/s/new"))
    made = world.figshare.log.count("create_private_link")
    (job,) = (path.name for path in world.jobs())
    for _ in range(2):
        again = world.upload(source, title=TITLE, item_options=options) if call == "upload" else world.resume(job)
        assert await again == 0
        (active,) = (link.url for link in item.links if link.active)
        assert world.report is not None
        assert world.report.private_link == active
    assert world.figshare.log.count("create_private_link") - made == (0 if end == "replaced" else 1)


@pytest.mark.parametrize("listed", ["with its address", "without its address", "late"])
async def test_a_private_link_that_works_is_not_made_again(world: World, listed: str) -> None:
    """A new one would end the old one."""
    options = ItemOptions(private_link=True)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE, item_options=options) == 0
    (item,) = world.figshare.stored_items.values()
    links = list(item.links)
    if listed == "without its address":
        item.links[:] = [msgspec.structs.replace(link, url=None) for link in links]
    elif listed == "late":
        item.links.clear()
        since = world.clock.monotonic()

        def appear(_: str) -> None:
            if world.clock.monotonic() > since + 1:
                item.links[:] = links

        world.figshare.on_request["private_links"] = appear
    assert await world.upload(source, title=TITLE, item_options=options) == 0
    assert world.report is not None
    assert world.report.private_link == links[0].url
    assert world.figshare.log.count("create_private_link") == 1


async def test_a_private_link_is_only_looked_for_on_request(world: World) -> None:
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE, item_options=ItemOptions(private_link=True)) == 0
    asked = world.figshare.log.count("private_links")
    assert await world.upload(source, title=TITLE) == 0
    assert world.figshare.log.count("private_links") == asked


@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.LOST_BEFORE])
async def test_a_file_deleted_while_the_effect_of_a_publish_request_is_searched_for_is_not_left_out(
    world: World, fault: Fault
) -> None:
    """Whether the request is repeated by the same run or by the next one."""
    options = ItemOptions(metadata=Metadata(), publish=True)
    source = world.source("a", CONTENT)
    world.figshare.fail("publish", fault)
    if fault is Fault.KILLED_BEFORE:
        assert await world.upload(source, title=TITLE, item_options=options) == KILLED
    since = world.clock.monotonic()

    def delete(_: str) -> None:
        if world.clock.monotonic() > since + 50:
            (item,) = world.figshare.stored_items.values()
            item.files.clear()
            world.figshare.on_request.clear()

    world.figshare.on_request["detail"] = delete
    assert await world.upload(source, title=TITLE, item_options=options) == 1
    assert isinstance(world.error, Conflict)
    (item,) = world.figshare.stored_items.values()
    assert item.version == 0
    assert await world.upload(source, title=TITLE, item_options=options) == 0
    assert (held(world), item.version) == ([("a", md5(CONTENT))], 1)


async def test_an_item_published_by_someone_else_during_the_run_is_mentioned(world: World) -> None:
    def publish(_: str) -> None:
        (item,) = world.figshare.stored_items.values()
        item.version = 1

    world.figshare.on_request["initiate"] = publish
    assert await world.upload(world.source("a", CONTENT), title=TITLE) == 0
    (warning,) = warnings(world)
    assert "has been published; changes made since are only in its draft" in warning


@pytest.mark.parametrize("finished", [False, True])
async def test_an_item_of_the_job_that_was_deleted_needs_a_new_job(world: World, *, finished: bool) -> None:
    if not finished:
        world.figshare.fail("send_part", Fault.KILLED_BEFORE)
    source = world.source("a", CONTENT)
    assert await world.upload(source, title=TITLE) == (0 if finished else KILLED)
    world.figshare.stored_items.clear()
    assert await world.upload(source, title=TITLE) == 4
    assert world.error is not None
    assert world.error.facts.situation == "item-of-job-missing"
    assert await world.upload(source, title=TITLE, new_job=True) == 0
    assert held(world) == [("a", md5(CONTENT))]


async def test_two_commands_that_send_one_file_into_one_item_at_once_leave_one_copy(world: World) -> None:
    source = world.source("a", CONTENT)
    item = world.figshare.add_item()
    statuses = []

    async def upload(state: str) -> None:
        statuses.append(await world.upload(source, item=item.id, state=state))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upload, "one")
        tasks.start_soon(upload, "two")
    assert statuses == [0, 0]
    assert held(world) == [("a", md5(CONTENT))]
    assert await world.upload(source, item=item.id, state="one") == 0
    assert await world.upload(source, item=item.id, state="two") == 0


async def interrupted_tree(world: World) -> str:
    """A folder whose second file was begun and then disappeared with its subfolder."""
    world.source("tree/a", b"a")
    world.source("tree/sub/b", CONTENT)
    tree = str(world.folder / "tree")
    world.figshare.fail("send_part", Fault.KILLED_BEFORE, first=3)
    assert await world.upload(tree, title=TITLE) == KILLED
    shutil.rmtree(world.folder / "tree" / "sub")
    return tree


async def test_a_started_source_that_is_missing_is_not_a_success(world: World) -> None:
    tree = await interrupted_tree(world)
    assert await world.upload(tree, title=TITLE, item_options=ItemOptions(reserve_doi=True)) == 1
    (item,) = world.figshare.stored_items.values()
    assert not item.doi
    assert len(held(world)) == 2, "what was begun is kept"
    assert world.report is not None
    assert [(f.name, f.error.code) for f in world.report.files if f.error] == [("b", "source-missing")]
    assert await world.upload(tree, title=TITLE) == 1
    assert await world.resume() == 1
    world.source("tree/sub/b", CONTENT)
    assert await world.upload(tree, title=TITLE, options=Options(restart_changed=True)) == 0
    assert held(world) == [("tree/a", md5(b"a")), ("tree/sub/b", md5(CONTENT))]


async def test_a_missing_source_is_dropped_on_request(world: World) -> None:
    tree = await interrupted_tree(world)
    options = Options(forget_missing=True)
    assert await world.upload(tree, title=TITLE, options=options, item_options=ItemOptions(reserve_doi=True)) == 0
    assert held(world) == [("tree/a", md5(b"a"))]


async def test_the_dry_run_also_refuses_a_missing_source(world: World) -> None:
    tree = await interrupted_tree(world)
    async with world.client() as client:
        plan = await client.preview(tree, title=TITLE)
    refused = [(file.name, file.status, file.action) for file in plan.files if file.action == "refuse"]
    assert refused == [("b", "missing", "refuse")]
    assert plan.exit_status == 1


async def test_the_same_command_sends_files_added_to_a_folder(world: World) -> None:
    world.source("folder/a", b"a")
    folder = str(world.folder / "folder")
    assert await world.upload(folder, title=TITLE) == 0
    world.source("folder/b", b"b")
    assert await world.upload(folder, title=TITLE) == 0
    assert [path for path, _ in held(world)] == ["folder/a", "folder/b"]
    assert world.figshare.log.count("initiate") == 2


async def test_cancel_removes_unfinished_files_and_keeps_complete_ones(world: World) -> None:
    sources = [world.source("a", b"a" * 10), world.source("b", CONTENT)]
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=3)
    assert await world.upload(sources, title=TITLE) == KILLED
    assert await world.cancel() == 0
    assert all(status != "created" for _, status in held(world))


@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault is not Fault.THROTTLED], ids=lambda fault: fault.value
)
@pytest.mark.parametrize("request_name", ["account", "file", "upload", "delete_file"])
async def test_a_cancel_that_failed_can_be_repeated(world: World, request_name: str, fault: Fault) -> None:
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=3)
    assert await world.upload(world.source("b", CONTENT), title=TITLE) == KILLED
    world.figshare.fail(request_name, fault)
    assert await world.cancel() != 0
    world.figshare.clear_faults()
    assert await world.cancel() == 0
    assert held(world) == []
