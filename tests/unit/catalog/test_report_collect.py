"""Runs of a report against lists and records in memory: what fails, ends early, changes or goes away."""

from __future__ import annotations

import errno
import functools
import itertools
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from blockbuster import BlockBuster

from tests.fakes.catalog import COUNT, Figshare
from tests.fakes.clock import VirtualClock, run_inline
from uploader.catalog.failures import MAX_OUTAGE
from uploader.catalog.pager import MAX_PAGES
from uploader.catalog.reading import Reading
from uploader.catalog.report import collect, phase
from uploader.catalog.report import values as v
from uploader.catalog.report.collect import Collector, Extras
from uploader.catalog.report.limits import Limits, Requests
from uploader.catalog.report.make import Place, ReportRun, Table
from uploader.catalog.report.request import ReportRequest
from uploader.catalog.report.spec import Spec
from uploader.catalog.report.store import Store
from uploader.errors import (
    CatalogBusy,
    FilterIgnored,
    Interrupted,
    ItemNotFound,
    NameNotFound,
    ProtocolViolation,
    ServerFailing,
    StateDiskFull,
    Throttled,
)
from uploader.figshare.models import PAGE
from uploader.figshare.outcomes import PageLimitReached
from uploader.figshare.records import Listing, Page
from uploader.transfer.store import lock


@pytest.fixture
def figshare() -> Figshare:
    return Figshare()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "catalogs" / "c.sqlite", ["item"])
    yield opened
    opened.close()


PUBLIC = Spec(report="public", institution=1)


def run_once(
    figshare: Figshare, store: Store, spec: Spec = PUBLIC, *, extras: Extras | None = None, **limits: Any
) -> Collector:
    """Run to the end, or until an error ends the run."""
    figshare.clock = VirtualClock()
    anyio.run(figshare.clock.sleep, figshare.later)
    run = Collector(figshare, store, spec, extras=extras, limits=Limits(**limits), clock=figshare.clock)
    assert anyio.run(run.run) == ()
    return run


def whole(figshare: Figshare, store: Store) -> None:
    """Run to the end, as `make` does."""
    run_once(figshare, store)
    store.finish()


def titles(store: Store) -> list[str]:
    return [str(entry.raw["title"]) for entry in store.entries()]


def test_records_are_read_once_and_then_only_what_changed(figshare: Figshare, store: Store) -> None:
    whole(figshare, store)
    assert sorted(figshare.asked) == sorted(figshare.titles)
    figshare.asked.clear()
    whole(figshare, store)
    assert figshare.asked == []
    figshare.titles |= {5: "Changed", COUNT + 1: "New"}
    figshare.unlisted.add(9)
    del figshare.titles[7]
    whole(figshare, store)
    assert sorted(figshare.asked) == [5, 7, 9, COUNT + 1]
    assert titles(store) == list(figshare.titles.values())
    assert store.counts() == (COUNT, 1)


@pytest.mark.parametrize("error", [ProtocolViolation("HTML"), ItemNotFound("no")], ids=["odd", "missing"])
def test_a_record_that_always_fails_is_named(figshare: Figshare, store: Store, error: Exception) -> None:
    figshare.broken[50] = error
    whole(figshare, store)
    assert figshare.asked.count(50) == 2
    assert [(one.id, one.title, one.message) for one in store.failures()] == [(50, "Item 50", str(error))]
    assert next(entry.missing for entry in store.entries() if entry.raw["id"] == 50) == str(error)
    del figshare.broken[50]
    whole(figshare, store)
    assert (figshare.asked.count(50), len(figshare.asked), store.failures()) == (3, COUNT + 2, [])


def test_a_failure_to_read_a_change_that_was_taken_back_is_forgotten(figshare: Figshare, store: Store) -> None:
    whole(figshare, store)
    figshare.titles[50], figshare.broken[50] = "Changed", ProtocolViolation("HTML")
    whole(figshare, store)
    assert [one.id for one in store.failures()] == [50]
    figshare.titles[50] = "Item 50"
    figshare.asked.clear()
    whole(figshare, store)
    assert (figshare.asked, store.failures()) == ([], [])
    assert [entry.missing for entry in store.entries()] == [""] * COUNT


def test_a_record_that_is_always_throttled_does_not_hold_up_the_others(figshare: Figshare, store: Store) -> None:
    figshare.broken[20] = Throttled("slow down")
    with pytest.raises(Throttled):
        run_once(figshare, store)
    whole(figshare, store)
    assert [one.id for one in store.failures()] == [20]
    assert len(set(figshare.asked)) == COUNT


def test_an_outage_ends_the_run(figshare: Figshare, store: Store) -> None:
    figshare.broken = dict.fromkeys(range(30, COUNT), ServerFailing("503"))
    with pytest.raises(ServerFailing):
        run_once(figshare, store)
    assert len(figshare.asked) < 30 + MAX_OUTAGE + phase.AT_ONCE
    figshare.broken = {}
    whole(figshare, store)
    assert titles(store) == list(figshare.titles.values())


def test_runs_with_few_requests_give_the_same_result(figshare: Figshare, store: Store) -> None:
    messages: list[str] = []
    while True:
        try:
            assert run_once(figshare, store, max_requests=7).requests < 7
            break
        except Interrupted as error:
            messages.append(error.message)
    assert sorted(figshare.asked) == sorted(figshare.titles)
    assert len(messages) >= COUNT // 7
    assert messages[-1].startswith("stopped after 7 requests: ")
    assert titles(store) == list(figshare.titles.values())


def test_runs_of_one_request_come_to_an_end(figshare: Figshare, tmp_path: Path) -> None:
    """A record costs several requests, and some always fail."""
    figshare.titles = {number: f"Item {number}" for number in range(1, 9)}
    figshare.broken = dict.fromkeys(range(1, 4), ItemNotFound("no"))
    store = Store(tmp_path / "own.sqlite", ["item"], ("record", "versions"))
    runs = 0
    while True:
        try:
            run_once(figshare, store, Spec(report="own"), extras=Extras(versions=True), max_requests=1)
            break
        except Interrupted:
            assert (runs := runs + 1) < 40
    assert [one.id for one in store.failures()] == [1, 2, 3]
    assert [len(entry.versions) for entry in store.entries()] == [0, 0, 0, 3, 3, 3, 3, 3]
    store.close()


def test_a_list_that_shifts_is_read_whole_in_a_run_of_few_requests(figshare: Figshare, store: Store) -> None:
    figshare.titles = {number: f"Item {number}" for number in range(1, 2 * PAGE + 2)}
    for message in ("stopped after 3 requests: 2001 records listed", "stopped after 3 requests: 2,001 of 2001 rec"):
        with pytest.raises(Interrupted, match=message):
            run_once(figshare, store, Spec(report="own"), max_requests=1)


def test_a_list_is_judged_by_all_its_rows_if_it_is_continued_at_its_last_page(
    figshare: Figshare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last page has one row, which does not fit."""
    figshare.titles = {number: f"Item {number}" for number in range(1, PAGE + 2)}
    raw, spec = figshare._raw, Spec(report="public", institution=1, type_id=3)

    def refuse() -> None:
        if len(figshare.pages) == 2:
            raise Throttled("slow down")

    figshare.on_page = refuse
    monkeypatch.setattr(figshare, "_raw", lambda number: raw(number) | {"defined_type": 3 + (number > PAGE)})
    with pytest.raises(Throttled):
        run_once(figshare, store, spec)
    assert store.counts()[0] == PAGE
    with pytest.raises(Interrupted, match="of 1000 records left to read"):
        run_once(figshare, store, spec, max_requests=3)


def test_the_rows_of_one_list_say_nothing_of_the_filters_of_another(
    figshare: Figshare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, raw = figshare._rows, figshare._raw

    def found(listing: Listing, criteria: Any) -> list[dict[str, Any]]:
        first, second = "orcid" in str(criteria["search_for"]), str(criteria["search_for"]).startswith("(")
        shown = rows(listing, {}) if first else [raw(1) | {"id": COUNT + 1 + at, "defined_type": 9} for at in range(5)]
        return [] if second else [{"defined_type": 3} | one for one in shown]

    monkeypatch.setattr(figshare, "_rows", found)
    with pytest.raises(FilterIgnored, match="5 of 5 records"):
        run_once(figshare, store, Spec(report="author", orcid="0000-0002-1825-0097", author="Doe", type_id=3))


@pytest.mark.parametrize(("given", "used"), [(60.0, 55.0), (4.0, 3.0), (0.0, 0.0), (-9.0, 0.0)])
def test_most_of_a_short_time_is_used(given: float, used: float) -> None:
    clock = VirtualClock()
    assert Requests(Limits(deadline=clock.monotonic() + given), clock).seconds_left() == pytest.approx(used)


@pytest.mark.parametrize("late", [False, True], ids=["stopped", "late"])
def test_a_table_that_is_not_written_in_time_is_not_there(
    figshare: Figshare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    request = ReportRequest(report="public", institution="1")
    table = Table(output=tmp_path / "t.csv", selection=request.selection, choice=request.choice)
    place = Place(state_dir=tmp_path / "state", endpoint="https://example.org")
    report = ReportRun(figshare, PUBLIC, place, clock=figshare.clock)
    fields = v.custom_fields

    def slow(record: Any) -> Any:
        if record["id"] == 70:
            if late:
                anyio.from_thread.run(figshare.clock.sleep, 500)
            else:
                anyio.from_thread.run_sync(report.stop)
        return fields(record)

    monkeypatch.setattr(v, "custom_fields", slow)
    limits = Limits(deadline=figshare.clock.monotonic() + 400)
    with pytest.raises(Interrupted, match="the table is not written yet"):
        anyio.run(lambda: report.make(table, limits=limits))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    monkeypatch.undo()
    again = ReportRun(figshare, PUBLIC, place, clock=figshare.clock)
    figshare.asked.clear()
    assert anyio.run(again.make, table).written == COUNT
    assert figshare.asked == []


@pytest.mark.parametrize("fields", [{"id": 9}, {"version": 7}], ids=["item", "version"])
def test_another_version_is_not_taken_for_the_wanted_one(
    figshare: Figshare, tmp_path: Path, fields: dict[str, int]
) -> None:
    figshare.of_versions = fields
    figshare.titles = {5: "Item"}
    store = Store(tmp_path / "c.sqlite", ["item"], ("record", "versions"))
    run_once(figshare, store, extras=Extras(versions=True))
    assert [(one.id, "describes" in one.message) for one in store.failures()] == [(5, True)]
    store.close()


def test_an_exhausted_quota_can_be_continued(figshare: Figshare, store: Store) -> None:
    """SQLite calls only ENOSPC a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(StateDiskFull, match="cannot be written"):
            run_once(figshare, store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    whole(figshare, store)
    assert titles(store) == list(figshare.titles.values())


def test_a_list_by_id_must_be_sorted(figshare: Figshare, tmp_path: Path) -> None:
    figshare.others["account"] = [{"id": number} for number in (*range(2, PAGE + 1), 1)]
    store = Store(tmp_path / "a.sqlite", ["account"], ())
    with pytest.raises(ProtocolViolation, match="does not sort the list of the institution's accounts by id"):
        run_once(figshare, store, Spec(report="accounts"))
    store.close()


def test_a_row_without_an_id_is_missing_from_a_list_by_id_that_is_continued(figshare: Figshare, tmp_path: Path) -> None:
    complete, failing = figshare.page, [ServerFailing("down")]
    figshare.others["account"] = [{"id": number} for number in range(1, PAGE + 50)]

    async def page(listing: Listing, criteria: Any, *, page: int, size: int = PAGE) -> Page:
        found = await complete(listing, criteria, page=page, size=size)
        if criteria["id_gte"] == 0:
            return Page(rows=found.rows[:-1], unusable=("A dam",))
        if failing:
            raise failing.pop()
        return found

    figshare.page = page  # type: ignore[method-assign]
    store = Store(tmp_path / "a.sqlite", ["account"], ())
    with pytest.raises(ServerFailing):
        run_once(figshare, store, Spec(report="accounts"))
    run = Collector(figshare, store, Spec(report="accounts"))
    assert [gap.message for gap in anyio.run(run.run)] == ["1 row without a valid id, which cannot be read: 'A dam'"]
    store.close()


def test_a_list_by_id_does_not_continue_after_a_page_without_ids(figshare: Figshare, tmp_path: Path) -> None:
    async def page(listing: Listing, criteria: Any, *, page: int, size: int = PAGE) -> Page:
        return Page(rows=[], unusable=("A dam",) * size)

    figshare.page = page  # type: ignore[method-assign]
    store = Store(tmp_path / "a.sqlite", ["account"], ())
    with pytest.raises(ProtocolViolation, match="a whole page of the list of the institution's accounts"):
        run_once(figshare, store, Spec(report="accounts"))
    store.close()


@pytest.mark.parametrize("delay", [0.02, 0.4])
def test_what_was_read_is_committed_often(figshare: Figshare, tmp_path: Path, delay: float) -> None:
    path = tmp_path / "c.sqlite"
    store = Store(path, ["item"])
    figshare.delay = delay
    figshare.broken[90] = MemoryError()
    commits = []
    save = store.save

    def counted(outcomes: Any, now: float) -> None:
        some = list(outcomes)
        commits.append((len(some), figshare.clock.monotonic()))
        save(some, now)

    store.save = counted  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        run_once(figshare, store)
    assert max(count for count, _ in commits) <= phase.COMMIT_RECORDS
    times = [0.0, *(at for _, at in commits)]
    # The clock may jump while a thread commits; without the timer it would be five seconds.
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 2 * phase.COMMIT_SECONDS
    store.close()


def test_changes_that_rows_do_not_show_are_listed(figshare: Figshare, store: Store) -> None:
    whole(figshare, store)
    figshare.asked.clear()
    figshare.changed, figshare.later = {3, 4}, 100.0
    run_once(figshare, store)
    assert figshare.asked == [3, 4]


def test_any_number_of_changes_is_listed(figshare: Figshare, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figshare lists some pages only; here, of ten rows."""
    complete = figshare.page

    async def page(listing: Listing, criteria: Any, *, page: int, size: int = PAGE) -> Page:
        if page > MAX_PAGES:
            raise PageLimitReached("too far")
        return await complete(listing, criteria, page=page, size=10)

    figshare.page = page  # type: ignore[method-assign]
    monkeypatch.setattr(collect, "Reading", functools.partial(Reading, size=10))
    whole(figshare, store)
    figshare.asked.clear()
    figshare.changed, figshare.later = set(figshare.titles), 100.0
    run_once(figshare, store)
    assert sorted(figshare.asked) == sorted(figshare.titles)


def shift_on_second_page(figshare: Figshare, shift: Callable[[], None]) -> None:
    """Let the lists have two pages, and change what they show when the second one is read."""
    figshare.titles = {number: f"Item {number}" for number in range(1, PAGE + 101)}

    def on_page() -> None:
        if len(figshare.pages) == 2:
            shift()

    figshare.on_page = on_page


def test_records_that_move_during_a_slow_walk_are_found(figshare: Figshare, store: Store) -> None:
    figshare.unlisted, figshare.page_delay = {3}, 40.0

    def shift() -> None:
        figshare.unlisted.clear()  # published only now, with a date that was passed
        figshare.titles[4] = "Changed"
        figshare.changed = {3, 4}

    shift_on_second_page(figshare, shift)
    whole(figshare, store)
    assert figshare.pages.count("changes") == 2
    assert titles(store) == list(figshare.titles.values())
    assert sorted(figshare.asked) == sorted(figshare.titles)
    assert {entry.row["title"] for entry in store.entries()} == {*figshare.titles.values()}


def test_a_record_that_a_list_does_not_show_for_a_moment_is_found(figshare: Figshare, store: Store) -> None:
    figshare.unlisted, figshare.changed = {3}, {3}
    shift_on_second_page(figshare, figshare.unlisted.clear)
    whole(figshare, store)
    assert figshare.pages.count("changes") == 2
    assert titles(store) == list(figshare.titles.values())


def test_a_list_of_one_page_is_not_followed_by_another(figshare: Figshare, store: Store) -> None:
    whole(figshare, store)
    assert "changes" not in figshare.pages


def test_records_that_move_to_a_page_that_was_read_are_found(figshare: Figshare, store: Store) -> None:
    def remove() -> None:
        for number in (3, 500):
            del figshare.titles[number]

    shift_on_second_page(figshare, remove)
    run_once(figshare, store, Spec(report="own"))
    assert {str(entry.raw["title"]) for entry in store.entries()} >= {*figshare.titles.values()}
    assert len(figshare.pages) == 2 + 2 + 2  # the second reading shows two that were missing, the third nothing new


def test_a_file_system_without_locks_still_excludes_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster
) -> None:
    no_blocking_calls.deactivate()

    def no_locks(fd: int) -> bool:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(lock, "try_flock", no_locks)
    monkeypatch.setattr(anyio.to_thread, "run_sync", run_inline)
    place = Place(state_dir=tmp_path, endpoint="https://example.org")
    clock = VirtualClock()
    first, second = (ReportRun(Figshare(), Spec(report="public", institution=1), place, clock=clock) for _ in range(2))

    async def both() -> None:
        async with first._locked() as held, anyio.create_task_group() as tasks:
            tasks.start_soon(held.renew_regularly)
            with pytest.raises(CatalogBusy):
                async with second._locked():
                    pass
            tasks.cancel_scope.cancel()
        async with second._locked():
            pass

    anyio.run(both)


@pytest.mark.parametrize(
    ("spec", "known", "words"),
    [
        (Spec(report="public", institution=1, group=9), [], "^unknown group 9, or no records in it$"),
        (Spec(report="published", group=9), [{"id": 8, "name": "Arts"}], "^unknown group 9$"),
        (Spec(report="published", group=8), [{"id": 8, "name": "Arts"}], ""),
        (Spec(report="public", institution=2), [], "^unknown institution 2$"),
        (Spec(report="public", institution=1), [], ""),
    ],
)
def test_an_unknown_group_or_institution_is_named(
    figshare: Figshare, tmp_path: Path, spec: Spec, known: list[dict[str, Any]], words: str
) -> None:
    figshare.titles.clear()
    figshare.others["group"] = known
    request = ReportRequest(report=spec.report, institution="1" if spec.institution else None, group=spec.group)
    table = Table(output=tmp_path / "t.csv", selection=request.selection, choice=request.choice)
    place = Place(state_dir=tmp_path / "state", endpoint="https://example.org", account=5)
    report = ReportRun(figshare, spec, place, clock=figshare.clock)
    if "institution" in words:
        with pytest.raises(NameNotFound, match=words):
            anyio.run(report.price)
    if words:
        with pytest.raises(NameNotFound, match=words):
            anyio.run(report.make, table)
    else:
        assert anyio.run(report.make, table).written == 0
    assert table.output.exists() is not bool(words)
