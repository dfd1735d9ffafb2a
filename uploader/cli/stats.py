"""`figup stats`: how often records are viewed, downloaded, shared and cited."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from uploader.cli import stats_plot
from uploader.cli.options import (
    ENVIRONMENT,
    CommandGroup,
    FigupCommand,
    GlobalOptions,
    check_exclusive,
    common_options,
    grouped,
    with_options,
)
from uploader.cli.parameters import LocalPath, ParsedParam, names_among
from uploader.cli.runner import Session
from uploader.cli.stats_output import read_ids, write_bytes, write_table
from uploader.cli.stats_service import SCOPE, SERVICE, Service, Uncounted, with_service
from uploader.cli.transfer_options import request_options
from uploader.concurrency import in_thread
from uploader.errors import Facts, UsageError
from uploader.figshare.ids import Reference, is_number, parse_reference
from uploader.metadata import identifiers
from uploader.transfer.options import RequestOptions
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.catalog.statistics.periods import Period
    from uploader.figshare.ids import Kind as RecordKind
    from uploader.figshare.statistics_api import Counter, Granularity, StatsKind

COUNTERS = ("views", "downloads", "shares")
_MAX_LOOKED_UP = 20
"""Records without any event that are looked up, at most."""
_DAY = ParsedParam("date", identifiers.date_of)


_which, _when, _how = grouped("Which"), grouped("When"), grouped("Result")
_SCOPED = [
    _which("--scope", metavar="INST", type=SCOPE,
           help="Only events of an institution's portal: INST is X in X.figshare.com."),
    *SERVICE,
]  # fmt: skip
_KINDS = [
    _which("--collection", is_flag=True, help="The IDs are those of collections."),
    _which("--project", is_flag=True, help="The IDs are those of projects."),
    _which("--author", is_flag=True, help="The IDs are those of authors: all their items."),
    _which("--group", is_flag=True, help="The IDs are those of groups: all their items."),
    _which("--from-file", metavar="FILE|-", type=LocalPath(path_type=Path, allow_dash=True),
           help="More IDs: one a line, or a column `id` of CSV or JSON Lines."),
]  # fmt: skip
_PERIOD = [
    _when("--since", metavar="DATE", type=_DAY, help="First day."),
    _when("--until", metavar="DATE", type=_DAY, help="Last day.  [default: today]"),
]
_COUNTER = _how("--counter", "counters", metavar="C,…", default="views", show_default=True,
                type=ParsedParam("counters", names_among("counter", COUNTERS)),
                help="views, downloads, shares, or several.")  # fmt: skip
_OUTPUT = [
    _how("--output", metavar="FILE", type=LocalPath(path_type=Path, readable=False),
         help="Write the rows to FILE.csv or FILE.jsonl."),
    _how("--force", is_flag=True, help="Replace files that exist."),
]  # fmt: skip
_PLOT = _how("--plot", metavar="FILE", type=LocalPath(path_type=Path, readable=False),
             help="Draw FILE.svg, FILE.html, or FILE.png (extra figup[plot]).")  # fmt: skip


@click.group("stats", cls=CommandGroup)
def stats() -> None:
    """Count views, downloads, shares and citations.

    The statistics are a separate service, which needs no token. Totals are public; other numbers of an institution's
    portal (--scope) need its own name and password: `figup stats login`.
    """


@stats.command("show", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@(lambda command: with_options(command, [*_KINDS, *_SCOPED, *_PERIOD, *_OUTPUT]))
@request_options
@common_options
def show(ids: tuple[str, ...], requests: RequestOptions, common: GlobalOptions, **values: Any) -> int:
    """Show the totals of records, of all time or of a period.

    Citations are known for all time only. IDs are numbers, addresses of pages, or DOIs.
    """

    async def work(session: Session, service: Service) -> int:
        period = _given_period(values)
        kind, numbers = await _asked(session, service, ids, values)
        each = None if period is None else len(COUNTERS) * _slices(period, "year")
        async with service.counting(session, kind, numbers, each) as counting:
            rows, uncounted = [], Uncounted(session, kind)
            for number in numbers:
                async with uncounted.skipping(number):
                    totals = await counting.totals(kind, number, period)
                    counts = {name: getattr(totals, name) for name in (*COUNTERS, "cites")}
                    rows.append({"id": number, "kind": kind, **counts, **_stamp(values, period)})
                    session.console.event("totals", **rows[-1])
                    words = ", ".join(_counted(value, name) for name, value in counts.items() if value is not None)
                    session.console.result(f"{number}: {words}")
            await _note_unknown(session, service, kind, [row for row in rows if not any(row[one] for one in COUNTERS)])
            if len(rows) > 1:
                sums = {name: sum(row[name] or 0 for row in rows) for name in COUNTERS}
                which = "All" if len(rows) == len(numbers) else f"{len(rows)} of {len(numbers)}"
                text = ", ".join(_counted(value, name) for name, value in sums.items())
                session.console.result(f"{which}: {text}")
            uncounted.report()
            return await _finish(session, rows, values, _scope_text(values, period), uncounted)

    return with_service(common, work, values, requests=requests)


@stats.command("timeline", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@(lambda command: with_options(command, [
    *_KINDS, *_SCOPED, *_PERIOD, _COUNTER,
    _how("--by", type=click.Choice(["day", "month", "year"]), default="month", show_default=True, help="Unit of time."),
    _PLOT, *_OUTPUT,
]))  # fmt: skip
@request_options
@common_options
def timeline(
    ids: tuple[str, ...],
    by: Any,
    counters: Any,
    plot: Path | None,
    requests: RequestOptions,
    common: GlobalOptions,
    **values: Any,
) -> int:
    """Show events by day, month or year.  [default of --since: a year ago by day, else 2011]

    Long periods are requested in slices, as the service answers for limited ones only.
    """

    async def work(session: Session, service: Service) -> int:
        period = _period(values, days=365 if by == "day" else None)
        kind, numbers = await _asked(session, service, ids, values)
        each = len(counters) * _slices(period, by)
        async with service.counting(session, kind, numbers, each) as counting:
            rows, series, uncounted = [], {}, Uncounted(session, kind)
            for number in numbers:
                async with uncounted.skipping(number):
                    counted = {one: await counting.timeline(one, kind, number, period, by) for one in counters}
                    for counter, found in counted.items():
                        name = str(number) if len(counters) == 1 else f"{number} {counter}"
                        series[name] = found
                        for step, events in found.items():
                            rows.append({"id": number, "kind": kind, "counter": counter, by: step, "events": events})
                            session.console.event("timeline", **rows[-1])
                            session.console.result(f"{step:<10} {events:>8,}  {name}")
            uncounted.report()
            if plot is not None:
                steps = list(period.steps(by))
                lines = {name: [found.get(step, 0) for step in steps] for name, found in series.items()}
                title = f"{', '.join(counters).capitalize()} by {by}, {period}"
                await _draw(
                    session, stats_plot.Lines(title=title, steps=steps, series=lines), plot, force=values["force"]
                )
            return await _finish(session, rows, values, _scope_text(values, period), uncounted)

    return with_service(common, work, values, plot, requests=requests)


@stats.command("places", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@(lambda command: with_options(command, [*_KINDS, *_SCOPED, *_PERIOD, _COUNTER, _PLOT, *_OUTPUT]))
@request_options
@common_options
def places(
    ids: tuple[str, ...],
    counters: Any,
    plot: Path | None,
    requests: RequestOptions,
    common: GlobalOptions,
    **values: Any,
) -> int:
    """Show the countries that events came from.

    With --output also the cities, at most ten a country: their sum may be below the country's number.
    """

    async def work(session: Session, service: Service) -> int:
        period = _period(values, days=365)
        kind, numbers = await _asked(session, service, ids, values)
        each = len(counters) * _slices(period, "total")
        async with service.counting(session, kind, numbers, each) as counting:
            rows: list[dict[str, Any]] = []
            sums: dict[str, int] = {}
            uncounted = Uncounted(session, kind)
            for number in numbers:
                async with uncounted.skipping(number):
                    counted = {one: await counting.places(one, kind, number, period) for one in counters}
                    for counter, country in ((one, country) for one, found in counted.items() for country in found):
                        sums[country.name] = sums.get(country.name, 0) + country.total
                        row = {"id": number, "kind": kind, "counter": counter, "country": country.name}
                        rows.append({**row, "city": None, "events": country.total})
                        rows += [{**row, "city": city, "events": events} for city, events in country.cities.items()]
                        session.console.event("place", **row, events=country.total, cities=country.cities)
            ranked = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
            for name, events in ranked:
                session.console.result(f"{events:>8,}  {name}")
            uncounted.report()
            if plot is not None:
                title = f"{', '.join(counters).capitalize()} by country, {period}"
                await _draw(session, stats_plot.Bars(title=title, values=ranked), plot, force=values["force"])
            return await _finish(session, rows, values, _scope_text(values, period), uncounted)

    return with_service(common, work, values, plot, requests=requests)


@stats.command("top", cls=FigupCommand, epilog=ENVIRONMENT)
@(lambda command: with_options(command, [
    _which("--kind", type=click.Choice(["item", "collection", "project", "author", "group"]), default="item",
           show_default=True, help="What is ranked."),
    _which("--group", metavar="ID", type=click.IntRange(1), help="Only in this group."),
    *_SCOPED, *_PERIOD,
    _how("--counter", type=click.Choice(COUNTERS), default="views", show_default=True, help="What is counted."),
    _how("--count", metavar="N", type=click.IntRange(1, 100_000), default=10, show_default=True, help="How many."),
    *_OUTPUT,
]))  # fmt: skip
@request_options
@common_options
def top(
    kind: str,
    counter: Counter,
    count: int,
    group: int | None,
    requests: RequestOptions,
    common: GlobalOptions,
    **values: Any,
) -> int:
    """Show the records with the most events."""

    async def work(session: Session, service: Service) -> int:
        period = _given_period(values)
        found = await service.api.top(
            counter, _service_kind(kind), count, group=group, scope=values["scope"],
            period=None if period is None else (period.first, period.last),
        )  # fmt: skip
        rows = [{"rank": place, "id": number, "kind": kind, "counter": counter, "events": events}
                for place, (number, events) in enumerate(found, start=1)]  # fmt: skip
        for row in rows:
            session.console.event("top", **row)
            session.console.result(f"{row['rank']:>4}. {row['events']:>10,}  {row['id']}")
        return await _finish(session, rows, values, _scope_text(values, period))

    return with_service(common, work, values, requests=requests)


@stats.command("count", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("groups", metavar="GROUP...", nargs=-1, required=True, type=click.IntRange(1))
@(lambda command: with_options(command, [*_SCOPED, *_OUTPUT]))
@request_options
@common_options
def count_groups(groups: tuple[int, ...], requests: RequestOptions, common: GlobalOptions, **values: Any) -> int:
    """Count the public items in groups.

    Groups are given by their ids; those below them are not included.
    """

    async def work(session: Session, service: Service) -> int:
        found = await service.api.count(list(dict.fromkeys(groups)), values["scope"])
        for group, items in found.items():
            session.console.event("count", group=group, items=items)
            session.console.result(f"{group}: {format_count(items, 'item')}")
        rows = [{"group": group, "items": items} for group, items in found.items()]
        return await _finish(session, rows, values, f"Counted {_where(values)}.")

    return with_service(common, work, values, requests=requests)


# --- what is asked -------------------------------------------------------------------------------------------------


async def _asked(
    session: Session, service: Service, ids: tuple[str, ...], values: dict[str, Any]
) -> tuple[StatsKind, list[int]]:
    """Return kind and ids of the records that the options name; the kind as the service calls it."""
    flags = {f"--{name}": values[name] for name in ("collection", "project", "author", "group")}
    check_exclusive(flags)
    kind = next((flag.removeprefix("--") for flag, given in flags.items() if given), "item")
    file = values["from_file"]
    texts = [*ids, *(await in_thread(lambda: read_ids(file, kind)) if file is not None else ())]
    references = list(dict.fromkeys(_reference(text, kind) for text in texts))
    if not references:
        raise UsageError("no ids were given", facts=Facts("no-ids"))
    found = await service.identify(session, references, "collection" if kind == "collection" else "item")
    return _service_kind(kind), list(dict.fromkeys(found))


def _reference(text: str, kind: str) -> Reference:
    try:
        match kind:
            case "item" | "collection" | "project":
                return parse_reference(text, kind)
    except ValueError as error:
        raise UsageError(str(error)) from None
    number = text.strip()
    if not (is_number(number) and int(number)):
        raise UsageError(f"invalid id of {'an author' if kind == 'author' else 'a group'} {number!r}; use its number")
    return int(number)


def _service_kind(kind: str) -> StatsKind:
    from uploader.figshare.statistics_api import StatsKind

    name = "article" if kind == "item" else kind
    return next(one for one in get_args(StatsKind) if one == name)


def _given_period(values: dict[str, Any]) -> Period | None:
    """Return the period of the options, None if they name none: all time."""
    return None if values["since"] is None and values["until"] is None else _period(values, days=None)


def _period(values: dict[str, Any], *, days: int | None) -> Period:
    """Return the period of the options. `days`: how long it is by default, None from the earliest."""
    from uploader.catalog.statistics.periods import EARLIEST, Period, days_before

    last = values["until"] or datetime.now(UTC).date()
    return Period(values["since"] or (days_before(last, days) if days else EARLIEST), last)


def _slices(period: Period, granularity: Granularity) -> int:
    """Return how many requests cover a period."""
    return sum(1 for _ in period.slices(granularity))


async def _note_unknown(session: Session, service: Service, kind: StatsKind, rows: list[dict[str, Any]]) -> None:
    """Name the ids without events that are not of public records; the service counts none of any id."""
    known: dict[str, RecordKind] = {"article": "item", "collection": "collection", "project": "project"}
    if rows and kind in known:
        for number in await service.not_public(known[kind], [row["id"] for row in rows[:_MAX_LOOKED_UP]]):
            session.console.note(f"Figshare has no public {known[kind]} {number}")


def _counted(value: int, name: str) -> str:
    return f"{value:,} {name.removesuffix('s') if value == 1 else name}"


def _stamp(values: dict[str, Any], period: Period | None) -> dict[str, Any]:
    """Return the source, the period and the time of the numbers."""
    return {
        "scope": values["scope"],
        "since": None if period is None else str(period.first),
        "until": None if period is None else str(period.last),
        "as_of": str(datetime.now(UTC).date()),
    }


def _scope_text(values: dict[str, Any], period: Period | None) -> str:
    return f"Counted {_where(values)}, {'of all time' if period is None else str(period)}."


def _where(values: dict[str, Any]) -> str:
    return "everywhere" if values["scope"] is None else f"in the portal of {values['scope']}"


async def _draw(session: Session, plot: stats_plot.Lines | stats_plot.Bars, path: Path, *, force: bool) -> None:
    await in_thread(lambda: write_bytes(path, stats_plot.drawn(plot, path), replace=force))
    session.console.event("file", path=str(path))
    session.console.result(f"Drawn in {path}.")


async def _finish(
    session: Session,
    rows: list[dict[str, Any]],
    values: dict[str, Any],
    text: str,
    uncounted: Uncounted | None = None,
) -> int:
    """Write the rows if asked for, and say what they are. Raises RecordsMissing if some records are `uncounted`."""
    session.console.result(text)
    if values["output"] is not None:
        await in_thread(lambda: write_table(values["output"], rows, replace=values["force"]))
        session.console.event("file", path=str(values["output"]))
        session.console.result(f"{format_count(len(rows), 'row')} in {values['output']}.")
    if uncounted is not None:
        uncounted.check()
    return 0
