"""Items of records: each is created once, whatever happens to requests and to the process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.fakes.figshare import Fault
from tests.fakes.records import CrashingDisk, RecordWorld, record
from tests.fakes.world import KILLED
from uploader.catalog.report.limits import Limits
from uploader.errors import ItemNotFound, JobBusy, PermissionDenied, RequestRejected, ServerFailing, TokenRejected
from uploader.figshare.records import Record
from uploader.items.payload import ItemPayload
from uploader.metadata import identifiers
from uploader.records.existing import LISTING_AGE
from uploader.records.journal import Action
from uploader.records.plan import Planned
from uploader.records.run import MAX_ALIKE, RunOptions
from uploader.transfer.store.lock import JobLock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("threads_are_fakes")]

RECORDS = [record(1), record(2, link=False)]


def shown(world: RecordWorld) -> list[tuple[str, list[str], list[str | None]]]:
    """Title, authors and links of each item, in the order of their titles."""
    return sorted(
        (item.title, [one.full_name for one in item.authors], [file.link for file in item.files.values()])
        for item in world.items()
    )


WANTED = [
    ("A dam 1", ["Author 1"], ["https://doi.org/10.1234/1"]),
    ("A dam 2", ["Author 2"], []),
]


async def test_items_are_created_once_with_their_own_authors_and_links(world: RecordWorld) -> None:
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED
    assert world.results() == ["created", "created"]
    assert [one.doi for one in world.outcomes] == ["10.1234/1", "10.1234/2"]
    world.figshare.log.clear()
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED
    assert world.results() == ["created", "created"]
    assert world.figshare.log == ["account", "list /account/articles"]


async def test_published_once(world: RecordWorld) -> None:
    for _ in range(2):
        assert await world.run(RECORDS, RunOptions(publish=True)) == 0
    assert [item.version for item in world.items()] == [1, 1]
    assert [(one.published, one.url) for one in world.outcomes] == [
        ("public", f"https://example.org/{item.id}") for item in world.items()
    ]


@pytest.mark.parametrize("request_name", ["create", "link", "publish"])
async def test_a_creating_request_is_not_repeated_if_the_lease_was_lost_meanwhile(
    request_name: str, world: RecordWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figshare asked to wait; while this process was suspended, another machine took over the job."""
    world.figshare.fail(request_name, Fault.THROTTLED)

    async def check(_: JobLock) -> None:
        if request_name in world.figshare.log:
            raise JobBusy("another machine took over this job")

    monkeypatch.setattr(JobLock, "check", check)
    assert await world.run(RECORDS, RunOptions(publish=True)) == JobBusy.exit_status
    assert world.figshare.log.count(request_name) == 1


async def test_an_accepted_publish_request_without_an_effect_is_told(world: RecordWorld) -> None:
    world.figshare.publish_lag = 600.0
    assert await world.run(RECORDS[:1], RunOptions(publish=True)) == 0
    assert "accepted the request to publish" in world.outcomes[0].reason


@pytest.mark.parametrize("first", [Fault.LOST_AFTER, Fault.KILLED_AFTER])
async def test_a_refused_publish_request_does_not_hide_an_earlier_one_without_an_answer(
    world: RecordWorld, first: Fault
) -> None:
    world.figshare.publish_lag = 120.0
    world.figshare.fail("publish", first)
    world.figshare.fail("publish", Fault.REJECTED, first=2)
    statuses = [
        await world.run(RECORDS[:1], RunOptions(publish=True)) for _ in range(2 + (first is Fault.KILLED_AFTER))
    ]
    assert statuses[-2:] == [1, 0]
    (item,) = world.items()
    assert (item.version, world.figshare.log.count("publish")) == (1, 2)


async def test_a_refused_publish_request_makes_an_earlier_one_no_younger(world: RecordWorld) -> None:
    world.figshare.fail("publish", Fault.KILLED_BEFORE)
    world.figshare.fail("publish", Fault.REJECTED, first=2)
    assert await world.run(RECORDS[:1], RunOptions(publish=True)) == KILLED
    await world.clock.sleep(timedelta(hours=23).total_seconds())
    since = world.clock.monotonic()
    assert await world.run(RECORDS[:1], RunOptions(publish=True)) == 1
    assert world.clock.monotonic() - since > 60
    await world.clock.sleep(timedelta(hours=2).total_seconds())
    since = world.clock.monotonic()
    assert await world.run(RECORDS[:1], RunOptions(publish=True)) == 0
    assert world.clock.monotonic() - since < 10


async def test_items_created_before_are_published_when_that_is_asked_for(world: RecordWorld) -> None:
    assert await world.run(RECORDS) == 0
    assert await world.run(RECORDS, RunOptions(publish=True)) == 0
    assert [item.version for item in world.items()] == [1, 1]


@pytest.mark.search
@pytest.mark.parametrize("publish", [False, True])
async def test_killed_at_any_request_each_record_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publish: bool
) -> None:
    options = RunOptions(publish=publish)
    quiet = RecordWorld(tmp_path / "quiet", monkeypatch)
    await quiet.run(RECORDS, options)
    points = [(name, quiet.figshare.log[: at + 1].count(name)) for at, name in enumerate(quiet.figshare.log)]
    for number, (name, occurrence) in enumerate(points):
        for fault in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER):
            world = RecordWorld(tmp_path / f"{number}-{fault.name}", monkeypatch)
            world.figshare.items_lag = 5.0
            world.figshare.fail(name, fault, first=occurrence)
            assert await world.run(RECORDS, options) == KILLED, (name, occurrence)
            assert await world.run(RECORDS, options) == 0, (name, occurrence, fault)
            assert shown(world) == WANTED, (name, occurrence, fault)
            assert [item.version for item in world.items()] == [publish, publish], (name, occurrence, fault)


@pytest.mark.search
@pytest.mark.parametrize("how", ["before", "torn", "after"])
async def test_killed_at_any_journal_write_each_record_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    quiet = RecordWorld(tmp_path / "quiet", monkeypatch)
    assert await quiet.run(RECORDS, RunOptions(publish=True)) == 0
    for at in range(1, quiet.disk.writes + 1):
        world = RecordWorld(tmp_path / str(at), monkeypatch)
        await world.run(RECORDS, RunOptions(publish=True), disk=CrashingDisk(at, how))
        assert await world.run(RECORDS, RunOptions(publish=True)) == 0, at
        assert shown(world) == WANTED, at
        assert [item.version for item in world.items()] == [1, 1], at


@pytest.mark.parametrize("request_name", ["create", "link", "publish"])
@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
async def test_a_lost_response_is_looked_up(world: RecordWorld, request_name: str, fault: Fault) -> None:
    world.figshare.fail(request_name, fault)
    assert await world.run(RECORDS, RunOptions(publish=True)) == 0
    assert shown(world) == WANTED
    assert [item.version for item in world.items()] == [1, 1]


@pytest.mark.parametrize("seems_missing", [False, True])
async def test_a_draft_that_appears_late_is_removed(world: RecordWorld, seems_missing: bool) -> None:
    world.figshare.items_lag = 100.0
    world.figshare.fail("create", Fault.LOST_AFTER)
    assert await world.run(RECORDS) == 0
    assert len(world.items()) == 3
    await world.clock.sleep(200)
    if seems_missing:
        world.figshare.fail("detail", ItemNotFound("not found"))
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED
    assert "it was empty and has been removed" in world.warnings[0]


async def test_a_draft_that_appears_late_and_that_somebody_has_worked_on_is_kept(world: RecordWorld) -> None:
    world.figshare.items_lag = 100.0
    world.figshare.fail("create", Fault.LOST_AFTER)
    assert await world.run(RECORDS) == 0
    await world.clock.sleep(200)
    (late,) = (item for item in world.items() if item.title not in ("A dam 1", "A dam 2"))
    await world.api.items.update(late.id, {"description": "mine"})
    assert await world.run(RECORDS) == 0
    assert late in world.items()
    assert "it is not as it was created and is kept" in world.warnings[0]


@pytest.mark.parametrize("action", ["create", "update"])
async def test_an_item_that_is_deleted_while_others_are_worked_on_is_no_success(
    world: RecordWorld, action: Action
) -> None:
    """Hours may have passed since it was complete."""
    if action == "update":
        assert await world.run(RECORDS) == 0
    deleted: list[int] = []

    async def delete(_: str) -> None:
        if world.running is not None and world.running.made == 1 and not deleted:
            await world.clock.sleep(LISTING_AGE + 1)
            deleted.append(world.items()[0].id)
            del world.figshare.stored_items[deleted[0]]

    world.figshare.gate = delete
    changed = [record(1, description="new"), record(2, link=False, description="new")]
    assert await world.run(changed if action == "update" else RECORDS, action=action) == 1
    assert [one.result for one in world.outcomes] == ["failed", "created" if action == "create" else "updated"]
    assert world.outcomes[0].reason == f"item {deleted[0]} was deleted while others were worked on"
    if action == "create":
        assert await world.run(RECORDS) == 0
        assert shown(world) == WANTED


async def test_a_duplicate_that_is_deleted_while_others_are_worked_on_is_no_success(world: RecordWorld) -> None:
    theirs = world.figshare.add_item("theirs")
    theirs.doi = "10.1234/1"

    async def delete(request: str) -> None:
        if request == "create" and theirs.id in world.figshare.stored_items:
            await world.clock.sleep(LISTING_AGE + 1)
            del world.figshare.stored_items[theirs.id]

    world.figshare.gate = delete
    assert await world.run(RECORDS) == 1
    assert world.results() == ["failed", "created"]
    assert world.outcomes[0].reason == f"item {theirs.id} was deleted while others were worked on"
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED


@pytest.mark.parametrize("expired", [False, True])
async def test_an_item_that_another_account_has_meanwhile_does_not_end_the_run(
    world: RecordWorld, *, expired: bool
) -> None:
    """Unless the token has expired, which Figshare answers alike."""

    async def give(request: str) -> None:
        if request == "create":
            await world.clock.sleep(LISTING_AGE)
        elif request.startswith("list") and world.items():
            world.items()[0].visible_at = world.clock.monotonic() + 3600
            world.figshare.fail("detail", PermissionDenied("not yours"))
            if expired:
                world.figshare.fail("account", TokenRejected("expired"))

    world.figshare.gate = give
    assert await world.run(RECORDS) == (3 if expired else 0)
    assert world.results() == ["created", "created"]
    assert world.figshare.log[-1] == "account"


async def test_one_record_that_fails_does_not_stop_the_others(world: RecordWorld) -> None:
    world.figshare.fail("link", RequestRejected("no such address"))
    assert await world.run(RECORDS) == 1
    first, second = world.outcomes
    assert (first.result, first.reason, second.result) == ("failed", "no such address", "created")
    assert first.item_id is not None
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED


async def test_a_refused_creation_leaves_nothing_behind(world: RecordWorld) -> None:
    world.figshare.fail("create", RequestRejected("bad licence"))
    assert await world.run(RECORDS) == 1
    assert shown(world) == WANTED[1:]
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED


async def test_records_that_fail_alike_end_the_run(world: RecordWorld) -> None:
    world.figshare.fail("create", RequestRejected("the account is full"), times=100)
    many = [record(number) for number in range(20)]
    assert await world.run(many) == 1
    assert world.error is not None
    assert world.error.message == "5 records in a row failed: the account is full"
    assert world.figshare.log.count("create") == MAX_ALIKE
    assert world.results() == ["failed"] * (MAX_ALIKE - 1) + ["left"] * (20 - MAX_ALIKE + 1)


@pytest.mark.parametrize(
    ("fault", "status"),
    [(TokenRejected("expired"), 3), (Fault.LOST_AFTER, 75)],
)
async def test_what_concerns_all_records_ends_the_run(
    world: RecordWorld, fault: Fault | Exception, status: int
) -> None:
    world.figshare.fail("update", fault)
    assert await world.run(RECORDS) == status
    world.figshare.clear_faults()
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED


async def test_a_refusal_because_of_an_expired_token_ends_the_run(world: RecordWorld) -> None:
    world.figshare.fail("create", PermissionDenied("not allowed"))
    world.figshare.fail("account", TokenRejected("expired"), first=2)
    assert await world.run(RECORDS) == 3
    assert world.items() == []


async def test_a_record_on_which_figshare_fails_does_not_stop_the_others(world: RecordWorld) -> None:
    world.figshare.fail("create", ServerFailing("creating the item: 500"))
    assert await world.run(RECORDS) == 1
    assert shown(world) == WANTED[1:]


async def test_a_stop_leaves_what_is_done(world: RecordWorld) -> None:
    world.figshare.on_request["link"] = lambda _: world.running.stop() if world.running is not None else None
    assert await world.run(RECORDS) == 75
    assert world.error is not None
    assert "2 of 2 records left" in world.error.message
    world.figshare.on_request.clear()
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED


async def test_a_budget_of_requests_ends_the_run_between_records(world: RecordWorld) -> None:
    limited = RunOptions(limits=Limits(max_requests=2))
    statuses = [await world.run(RECORDS, limited) for _ in range(2)]
    assert statuses == [75, 0]
    assert shown(world) == WANTED


async def test_a_deadline_ends_the_run(world: RecordWorld) -> None:
    slow = RECORDS

    async def wait(_: str) -> None:
        await world.clock.sleep(10)

    world.figshare.gate = wait
    assert await world.run(slow, RunOptions(limits=Limits(deadline=world.clock.monotonic() + 45))) == 75
    assert world.error is not None
    assert "before the deadline" in world.error.message
    assert await world.run(slow) == 0
    assert shown(world) == WANTED


async def test_a_second_process_is_refused_and_disturbs_nothing(world: RecordWorld) -> None:
    refused: list[int] = []

    async def second(name: str) -> None:
        if name in ("create", "link") and len(refused) < 2:
            refused.append(0)
            first = world.disk
            refused[-1] = await world.run(RECORDS)
            world.disk = first
            assert world.error is not None
            assert (world.error.hint, world.error.facts.situation) == ("Let it finish, or stop it where it runs.", "")

    world.figshare.gate = second
    assert await world.run(RECORDS) == 0
    assert refused == [8, 8]
    assert shown(world) == WANTED


# --- duplicates -------------------------------------------------------------------------------------------------------


async def test_an_own_item_with_the_doi_is_not_created_again(world: RecordWorld) -> None:
    theirs = world.figshare.add_item("older")
    theirs.doi = "10.1234/1.V2"
    assert await world.run(RECORDS) == 0
    assert [item.title for item in world.items()] == ["older", "A dam 2"]
    found = world.outcomes[0]
    assert (found.result, found.item_id, found.reason) == (
        "existing",
        theirs.id,
        "an item of this account has the DOI",
    )


@pytest.mark.parametrize(
    "written",
    ["10.1234/A(1).v2", "https://doi.org/10.1234/a(1)", "doi: 10.1234/a(1)", "http://dx.doi.org/10.1234%2FA%281%29"],
)
@pytest.mark.parametrize("field", ["doi", "resource_doi"])
async def test_a_doi_is_recognized_in_any_spelling(world: RecordWorld, written: str, field: str) -> None:
    item = world.figshare.add_item("theirs")
    item.doi = written if field == "doi" else ""
    item.fields[field] = written
    doi = identifiers.doi("https://doi.org/10.1234/a%281%29")
    assert await world.run([msgspec.structs.replace(record(1), dois=(doi,))]) == 0
    assert world.results() == ["existing"]


async def test_an_item_that_belongs_to_the_same_publication_counts(world: RecordWorld) -> None:
    world.figshare.add_item("older").fields["resource_doi"] = "10.1234/1"
    assert await world.run(RECORDS) == 0
    assert world.results() == ["existing", "created"]


async def test_duplicates_are_updated_or_refused_on_request(world: RecordWorld) -> None:
    world.figshare.add_item("older").doi = "10.1234/1"
    assert await world.run(RECORDS, RunOptions(on_duplicate="fail")) == 1
    assert world.outcomes[0].reason == f"item {world.items()[0].id} already has the DOI 10.1234/1"
    assert await world.run(RECORDS, RunOptions(on_duplicate="update")) == 0
    assert world.results() == ["updated", "created"]
    assert shown(world) == WANTED


async def test_whether_an_updated_item_is_published_is_reported(world: RecordWorld) -> None:
    world.figshare.add_item("older").doi = "10.1234/1"
    published = world.figshare.add_item("published")
    published.doi, published.version = "10.1234/2", 1
    records = [record(1, link=False), record(2, link=False), record(3)]
    for _ in range(2):
        assert await world.run(records, RunOptions(on_duplicate="update")) == 0
        assert world.results() == ["updated", "updated", "created"]
        assert [one.published for one in world.outcomes] == ["", "public", ""]


async def test_items_of_others_in_the_institution_are_found_and_left_alone(world: RecordWorld) -> None:
    world.figshare.institution_id = 7
    world.figshare.institution_rows = [Record(id=5, doi="10.1234/1", url="https://example.org/5")]
    for policy in ("skip", "update"):
        assert await world.run(RECORDS, RunOptions(on_duplicate=policy)) == 0
        assert (world.outcomes[0].result, world.outcomes[0].item_id) == ("existing", 5)
    assert [item.title for item in world.items()] == ["A dam 2"]


async def test_whether_an_existing_item_is_published_is_read_of_it(world: RecordWorld) -> None:
    hidden = {"is_public": False, "status": "private", "is_embargoed": True, "embargo_type": "article"}
    for number, fields in enumerate([{}, {"is_public": False, "status": "private"}, hidden], start=1):
        item = world.figshare.add_item(f"older {number}")
        item.doi, item.version = f"10.1234/{number}", 1
        item.fields |= fields
    world.figshare.institution_id = 7
    theirs = {"is_public": False, "status": "draft", "published_date": None}
    world.figshare.institution_rows = [Record(id=5, doi="10.1234/4", published=datetime.now(UTC), raw=theirs)]
    assert await world.run([record(number) for number in (1, 2, 3, 4, 5)]) == 0
    assert world.results() == ["existing"] * 4 + ["created"]
    assert [one.published for one in world.outcomes] == ["public", "", "embargoed", "", ""]
    assert world.figshare.log.count("record") == 4, "only of items that exist"
    world.figshare.fail("record", ServerFailing("it has crashed"), times=9)
    assert await world.run([record(1)]) == 0
    assert (world.results(), world.outcomes[0].published) == (["existing"], "")
    assert world.figshare.log.count("record") == 5, "it was retried enough"


async def test_an_existing_item_is_read_again_only_if_it_changed_or_its_embargo_may_have_ended(
    world: RecordWorld,
) -> None:
    hidden = {"is_public": False, "status": "private", "is_embargoed": True, "embargo_type": "article"}
    items = [world.figshare.add_item(f"older {number}") for number in (1, 2, 3, 4)]
    for number, item in enumerate(items, start=1):
        item.doi, item.version = f"10.1234/{number}", 1
        item.fields |= hidden if number == 3 else {}
        item.modified = world.clock.now() if number < 4 else None
    records = [record(number) for number in (1, 2, 3, 4)]
    for unchanged, read in ((True, 4), (True, 2), (False, 3)):
        if not unchanged:
            items[1].fields |= {"is_public": False, "status": "private"}
            items[1].change(world.clock.now())
        before = world.figshare.log.count("record")
        assert await world.run(records) == 0
        assert [one.published for one in world.outcomes] == [
            "public",
            "public" if unchanged else "",
            "embargoed",
            "public",
        ]
        assert world.figshare.log.count("record") - before == read


async def test_a_stop_ends_the_reading_of_an_existing_item(world: RecordWorld) -> None:
    world.figshare.add_item("older").doi = "10.1234/1"

    async def stop_and_wait(name: str) -> None:
        if name == "record" and world.running is not None:
            world.running.stop()
            await world.clock.sleep(1000)

    world.figshare.gate = stop_and_wait
    before = world.clock.monotonic()
    assert await world.run([record(1)]) == 75
    assert world.clock.monotonic() - before < 10


async def test_without_rights_the_public_items_of_the_institution_are_searched(world: RecordWorld) -> None:
    world.figshare.institution_id = 7
    world.figshare.fail("list /account/institution/articles", PermissionDenied("no administrator"))
    assert await world.run(RECORDS) == 0
    assert "list /articles/search" in world.figshare.log


async def test_a_list_is_read_once_however_many_records(world: RecordWorld) -> None:
    assert await world.run([record(number) for number in range(50)]) == 0
    assert world.figshare.log.count("list /account/articles") == 1


# --- what changed -----------------------------------------------------------------------------------------------------


async def test_a_record_that_changed_in_the_file_is_updated_only_on_request(world: RecordWorld) -> None:
    await world.run(RECORDS)
    changed = [record(1, description="Higher"), RECORDS[1]]
    assert await world.run(changed) == 0
    assert "changed in the file" in world.outcomes[0].reason
    assert world.items()[0].fields["description"] == "Dam 1"
    assert await world.run(changed, RunOptions(on_duplicate="update")) == 0
    assert world.items()[0].fields["description"] == "Higher"
    assert world.results() == ["updated", "created"]


async def test_an_item_that_was_deleted_is_created_again(world: RecordWorld) -> None:
    await world.run(RECORDS)
    world.figshare.stored_items.pop(world.items()[0].id)
    assert await world.run(RECORDS) == 0
    assert shown(world) == WANTED
    assert "was deleted; it is created again" in world.warnings[0]


# --- updates ----------------------------------------------------------------------------------------------------------


def change(number: int, doi: str = "", key: str = "") -> Planned:
    fields = {"description": f"new {number}"}
    return Planned(key=key or doi, line=number, title=None, payload=ItemPayload(fields=fields), dois=(doi,) * bool(doi))


async def test_items_are_updated_by_their_doi_or_number(world: RecordWorld) -> None:
    one, other = world.figshare.add_item("one"), world.figshare.add_item("other")
    one.doi = "10.1234/1.v3"
    records = [change(1, doi="10.1234/1"), change(2, key=str(other.id)), change(3, doi="10.1234/9")]
    assert await world.run(records, action="update") == 1
    assert [item.fields["description"] for item in (one, other)] == ["new 1", "new 2"]
    assert [item.title for item in world.items()] == ["one", "other"]
    assert world.results() == ["updated", "updated", "failed"]
    assert world.outcomes[2].reason == "no item of this account has the DOI 10.1234/9"
    world.figshare.log.clear()
    assert await world.run(records[:2], action="update") == 0
    assert "update" not in world.figshare.log


async def test_a_doi_of_several_items_is_not_updated(world: RecordWorld) -> None:
    for _ in range(2):
        world.figshare.add_item().doi = "10.1234/1"
    assert await world.run([change(1, doi="10.1234/1")], action="update") == 1
    assert "several items have the DOI 10.1234/1" in world.outcomes[0].reason


# --- undo -------------------------------------------------------------------------------------------------------------


async def test_undo_removes_unchanged_drafts(world: RecordWorld) -> None:
    theirs = world.figshare.add_item("theirs")
    await world.run([record(1), record(2), record(3)])
    second, third = world.items()[2:]
    second.fields["description"] = "Mended by hand"
    await world.figshare.items.publish(third.id)
    found = await world.undo()
    assert found is not None
    assert [(one.key, one.outcome, one.reason) for one in found] == [
        ("10.1234/1", "removed", ""),
        ("10.1234/2", "kept", "it was changed since"),
        ("10.1234/3", "kept", "it is published"),
    ]
    assert [item.id for item in world.items()] == [theirs.id, second.id, third.id]
    assert await world.run([record(1)]) == 0
    assert len(world.items()) == 4


async def test_undo_notices_a_later_change_by_its_time(world: RecordWorld) -> None:
    await world.run(RECORDS)
    world.items()[0].change(world.clock.now())
    found = await world.undo()
    assert found is not None
    assert [one.outcome for one in found] == ["kept", "removed"]


async def test_undo_killed_at_any_point_removes_all_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(1, 4):
        for name, fault in (("detail", Fault.KILLED_AFTER), ("delete_item", Fault.KILLED_BEFORE),
                            ("delete_item", Fault.KILLED_AFTER)):  # fmt: skip
            world = RecordWorld(tmp_path / f"{at}-{name}-{fault.name}", monkeypatch)
            await world.run([record(1), record(2), record(3)])
            world.figshare.fail(name, fault, first=at)
            assert await world.undo() is None
            assert await world.undo() is not None
            assert world.items() == []


async def test_undo_keeps_its_lease_and_ends_when_it_is_lost(
    world: RecordWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figshare asks to wait; meanwhile another machine takes over the job."""
    await world.run(RECORDS)
    confirmed = 0

    def is_held(_: JobLock) -> bool:
        nonlocal confirmed
        confirmed += 1
        return confirmed < 3

    monkeypatch.setattr(JobLock, "still_held", is_held)
    world.figshare.fail("detail", Fault.THROTTLED, times=20)
    with pytest.raises(JobBusy):
        await world.undo()
    assert "delete_item" not in world.figshare.log
    assert len(world.items()) == 2


async def test_undo_finds_the_draft_of_a_creation_that_was_killed(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_AFTER)
    assert await world.run(RECORDS) == KILLED
    found = await world.undo()
    assert found is not None
    assert [one.outcome for one in found] == ["removed"]
    assert world.items() == []


@pytest.mark.parametrize("killed", ["update", "set_authors", "link", "detail"])
@pytest.mark.parametrize("how", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("edited", [False, True])
async def test_undo_tells_an_interrupted_change_from_one_by_somebody_else(
    world: RecordWorld, killed: str, how: Fault, *, edited: bool
) -> None:
    """Of a new item, and of one that a later run updates; an edit of a user is later than what the job did."""
    higher = record(2, description="Higher")
    authors = msgspec.structs.replace(higher.payload, authors=[{"name": "Another"}])
    moved = msgspec.structs.replace(higher, payload=authors, link="https://example.org/2")
    world.figshare.fail(killed, how)
    assert await world.run([record(1)]) == KILLED
    assert await world.run([record(2)]) == 0
    world.figshare.fail(killed, how)
    assert await world.run([moved], RunOptions(on_duplicate="update")) == KILLED
    for item in world.items() if edited else ():
        await world.clock.sleep(3600)
        item.fields["keywords"] = ["by hand"]
        item.change(world.clock.now())
    found = await world.undo()
    assert found is not None
    expected = ("kept", "it was changed since") if edited else ("removed", "")
    assert [(one.outcome, one.reason) for one in found] == [expected] * 2


async def test_a_marked_draft_that_was_edited_is_kept(world: RecordWorld) -> None:
    world.figshare.fail("create", Fault.KILLED_AFTER)
    assert await world.run(RECORDS) == KILLED
    world.items()[0].change(world.clock.now() + timedelta(hours=1))
    found = await world.undo()
    assert found is not None
    assert found[0].outcome == "kept"


async def test_an_item_that_vanishes_meanwhile_fails_alone(world: RecordWorld) -> None:
    world.figshare.fail("set_authors", ItemNotFound("gone"), times=100)
    assert await world.run(RECORDS[:1]) == 1
    assert "does not show the new item" in world.outcomes[0].reason


def test_a_record_and_its_fingerprint() -> None:
    one = record(1)
    assert one.fingerprint == record(1).fingerprint
    assert one.fingerprint != msgspec.structs.replace(one, title="B").fingerprint
    assert one.fingerprint == msgspec.structs.replace(one, line=9).fingerprint
