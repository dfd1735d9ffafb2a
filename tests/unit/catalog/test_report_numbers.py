"""Reports with numbers and separate tables, made of lists, records and a statistics service in memory."""

from __future__ import annotations

import csv
import functools
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from blockbuster import BlockBuster

from tests.fakes.catalog import Figshare
from tests.fakes.clock import run_inline
from tests.fakes.statistics import Service
from uploader.catalog.report.collect import Extras
from uploader.catalog.report.make import Place, ReportResult, ReportRun, Table
from uploader.catalog.report.phase import AT_ONCE
from uploader.catalog.report.price import CostEstimate
from uploader.catalog.report.request import ReportRequest
from uploader.errors import PermissionDenied, RequestRejected, UsageError

if TYPE_CHECKING:
    from uploader.catalog.names import NamesService

SINGLE = {"views": 10, "downloads": 3, "shares": 0}
SINCE = date(2022, 3, 15)
TODAY = date(2026, 1, 1)
DAYS = (TODAY - SINCE).days + 1
MONTHS = 12 * 4 - 2 + 1
COLLECTION = {"id": 900, "title": "Dams", "published_date": "2024-02-01T00:00:00Z", "modified_date": "2024-02-01"}


@pytest.fixture
def figshare() -> Figshare:
    made = Figshare()
    made.titles = {number: f"Item {number}" for number in (1, 2, 3)}
    made.others = {
        "collection": [COLLECTION, COLLECTION | {"id": 901, "title": "Empty"}],
        "group": [{"id": 6, "name": "Top", "parent_id": 0}, {"id": 7, "name": "Rivers", "parent_id": 6}],
        "account": [{"id": 70, "user_id": 1, "first_name": "Ada", "last_name": "Lo", "email": "ada@example.org"}],
    }
    made.members = {900: [3, 1], 901: []}
    return made


@pytest.fixture
def service() -> Service:
    return Service(SINGLE | {"cites": 1}, SINGLE)


class Reports:
    """Reports of one person, each written to FOLDER/t.csv."""

    def __init__(self, folder: Path, figshare: Figshare, service: Service) -> None:
        self.folder, self._figshare, self._service = folder, figshare, service

    def _of(self, request: ReportRequest) -> ReportRun:
        spec = anyio.run(request.spec, cast("NamesService", None))  # which only names need
        extras = Extras(
            numbers=self._service if request.stats else None, scope=request.scope, since=request.stats_since,
            versions=request.versions, tables=request.tables,
        )  # fmt: skip
        place = Place(state_dir=self.folder / "state", endpoint="https://example.org", account=5)
        return ReportRun(self._figshare, spec, place, extras=extras, clock=self._figshare.clock)

    def make(self, **requested: Any) -> ReportResult:
        return self.make_priced(**requested)[0]

    def make_priced(self, **requested: Any) -> tuple[ReportResult, CostEstimate]:
        """Make a report, and return also the price that was shown after its lists."""
        request = ReportRequest(**({"report": "own"} | requested))
        making = self._of(request)
        table = Table(
            output=self.folder / "t.csv",
            selection=request.selection,
            choice=request.choice,
            sides=request.sides,
            replace=True,
        )
        shown: list[CostEstimate] = []
        made = anyio.run(functools.partial(making.make, table, on_price=shown.append))
        (price,) = shown
        return made, price

    def price(self, **requested: Any) -> CostEstimate:
        return anyio.run(self._of(ReportRequest(**({"report": "own"} | requested))).price)

    def rows(self, name: str = "t") -> list[dict[str, str]]:
        with (self.folder / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def reports(
    tmp_path: Path,
    figshare: Figshare,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    no_blocking_calls: BlockBuster,
) -> Reports:
    no_blocking_calls.deactivate()
    monkeypatch.setattr(anyio.to_thread, "run_sync", run_inline)
    return Reports(tmp_path, figshare, service)


PERIOD = {"stats": True, "stats_since": SINCE, "tables": True, "kinds": ("item", "collection")}


def test_numbers_of_a_period_are_those_of_its_months(reports: Reports, service: Service, figshare: Figshare) -> None:
    price = reports.price(**PERIOD)
    assert (price.listed, price.at_least) == (5, True)
    assert service.requests == []
    figshare.asked.clear()
    figshare.pages.clear()
    made, shown = reports.make_priced(**PERIOD)
    assert replace(shown, list_requests=price.list_requests) == price, "shown again after the lists"
    assert price.number_requests == len(service.requests) == 5 * (3 * 2 + 4)
    assert price.list_requests + price.record_requests == len(figshare.pages) + len(figshare.asked)
    for row in reports.rows():
        assert (row["views"], row["shares"], row["cites"]) == (str(DAYS), str(DAYS), "")
        assert (row["stats_scope"], row["stats_since"]) == ("everywhere", "2022-03-15")
        months = [one for one in reports.rows("t.timeseries") if one["id"] == row["id"]]
        assert [months[0]["month"], months[-1]["month"], len(months)] == ["2022-03", "2026-01", MONTHS]
        assert sum(int(one["views"]) for one in months) == DAYS
        countries = [one for one in reports.rows("t.views_by_country") if one["id"] == row["id"]]
        assert {one["country"]: one["views"] for one in countries} == {"Norway": "36", "Unknown": "16"}
    assert made.sums["views"] == 5 * DAYS
    asked = len(service.requests)
    assert reports.make(**PERIOD).sums == made.sums
    assert len(service.requests) == asked


def test_numbers_that_were_read_on_two_days_have_no_common_end(reports: Reports, figshare: Figshare) -> None:
    anyio.run(figshare.clock.sleep, 20 * 3600)
    reports.make(**PERIOD)
    anyio.run(figshare.clock.sleep, 8 * 3600)
    figshare.titles[4] = "Item 4"
    made = reports.make(**PERIOD)
    assert {row["stats_as_of"][:10] for row in reports.rows()} == {"2026-01-01", "2026-01-02"}
    assert made.numbers == "everywhere, since 2022-03-15"
    assert reports.make(stats=True).numbers == "everywhere, of all time"
    assert reports.make().numbers == ""


def test_items_of_collections_are_in_their_order_and_always_current(reports: Reports, figshare: Figshare) -> None:
    requested = {"tables": True, "kinds": ("item", "collection")}
    reports.make(**requested)
    columns = ("record_type", "id", "position", "item_id", "title")
    assert [[one[name] for name in columns] for one in reports.rows("t.collection_items")] == [
        ["collection", "900", "1", "3", "Item 3"], ["collection", "900", "2", "1", "Item 1"],
    ]  # fmt: skip
    figshare.members[900] = [2]
    anyio.run(figshare.clock.sleep, 60)
    reports.make(**requested)
    assert [one["item_id"] for one in reports.rows("t.collection_items")] == ["2"]
    assert not (reports.folder / "t.timeseries.csv").exists()


def test_groups_and_accounts_are_tables_of_administrators(reports: Reports) -> None:
    reports.make(report="published", tables=True)
    top, rivers = [{name: value for name, value in one.items() if value} for one in reports.rows("t.groups")]
    assert top == {"id": "6", "name": "Top", "group_path": "Top", "parent_id": "0"}
    assert rivers == {"id": "7", "name": "Rivers", "group_path": "Top / Rivers", "parent_id": "6"}
    (account,) = reports.rows("t.accounts")
    assert (account["id"], account["author_id"], account["email"]) == ("70", "1", "ada@example.org")
    assert {one["owner_name"] for one in reports.rows()} == {"Ada Lo"}
    reports.make(report="published", tables=True, emails=False)
    assert reports.rows("t.accounts")[0]["email"] == ""
    assert {(reports.folder / f"t{name}.csv").stat().st_mode & 0o777 for name in ("", ".accounts")} == {0o600}


def test_numbers_of_another_scope_or_period_are_not_taken_for_these(reports: Reports, service: Service) -> None:
    reports.make(stats=True)
    assert {(one["views"], one["stats_since"]) for one in reports.rows()} == {("10", "")}
    service.requests.clear()
    reports.make(stats=True, scope="iastate")
    assert (len(service.requests), service.scopes) == (3 + 3, {None, "iastate"})
    service.broken = RequestRejected("no", status=400)
    made = reports.make(stats=True)
    assert (len(made.failed), made.uncounted, made.sums) == (3, 3, {})
    assert {one["views"] for one in reports.rows()} == {""}


def test_a_service_that_asks_for_a_login_ends_the_report(reports: Reports, service: Service) -> None:
    service.broken = PermissionDenied("the statistics of 'iastate' need a name and a password")
    with pytest.raises(PermissionDenied):
        reports.make(stats=True, stats_since=SINCE, scope="iastate")
    assert len(service.requests) <= AT_ONCE


def test_wrong_requests_ask_nothing(reports: Reports, service: Service, figshare: Figshare) -> None:
    wrong: list[dict[str, Any]] = [
        {"stats_since": SINCE}, {"report": "accounts", "tables": True},
        {"stats": True, "stats_since": date(2026, 1, 2)},
    ]  # fmt: skip
    for requested in wrong:
        with pytest.raises(UsageError):
            reports.make(**requested)
    assert (service.requests, figshare.pages) == ([], [])
    with pytest.raises(UsageError, match="stats_since needs stats"):
        reports.make(stats_since=SINCE)
