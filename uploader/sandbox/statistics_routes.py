"""The statistics service: totals, timelines, places, rankings and counts, on a separate origin. No API token.

Totals are public, also those of an institution (*choice*: with `stats_auth_totals` they are not); everything else of an
institution needs its own name and password (Basic). An unknown id has no events; it is never a 404.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from aiohttp import web

from uploader.sandbox import checks, numbers, stats_params
from uploader.sandbox.answers import ApiError, json_answer
from uploader.sandbox.bodies import body_of
from uploader.sandbox.context import Context, context_of
from uploader.sandbox.institutions import INSTITUTIONS, Institution
from uploader.sandbox.routes import Handler, Route
from uploader.sandbox.stats_params import Period, invalid_params, missing_params

_ITEM: Final = "{counter}/{item}/{id}"
_RANKED: Final = ("article", "collection", "project", "author", "group")


class Subject(NamedTuple):
    """A record whose events are counted. `published` is in seconds since the epoch."""

    kind: str
    id: int
    published: float


def routes() -> list[Route]:
    """Return this module's routes, each also with an institution's string id in front."""
    operations: tuple[tuple[str, str, str, Handler], ...] = (
        ("stats-total", "GET", f"total/{_ITEM}", total),
        ("stats-totals", "GET", "total/{item}/{id}", totals),
        ("stats-timeline", "GET", f"timeline/{{granularity}}/{_ITEM}", timeline),
        ("stats-breakdown", "GET", f"breakdown/{{granularity}}/{_ITEM}", breakdown),
        ("stats-top", "GET", "top/{counter}/{item}", top),
        ("stats-count", "POST", "count/articles", count),
    )
    return [
        Route(kind, method, f"{prefix}/{path}", handler, public=True)
        for kind, method, path, handler in operations
        for prefix in ("", r"/{scope:[a-z][a-z0-9-]*}")
    ]


async def total(request: web.Request) -> web.Response:
    context, scope = _scope(request, basic=context_of(request).settings.stats_auth_totals)
    counter, item, number = stats_params.subject(request.match_info)
    found = await context.db.run(_subjects, context, item, number, scope)
    day = numbers.day_of(context.now())
    return json_answer({"totals": sum(_until(one, counter, day.toordinal()) for one in found)})


async def totals(request: web.Request) -> web.Response:
    """Serve all counters at once: undocumented, and used by many."""
    context, scope = _scope(request, basic=context_of(request).settings.stats_auth_totals)
    item = request.match_info["item"]
    if not context.settings.stats_combined or item not in stats_params.ITEMS:
        raise invalid_params("counter", item)
    found = await context.db.run(_subjects, context, item, stats_params.number(request.match_info["id"]), scope)
    day = numbers.day_of(context.now()).toordinal()
    return json_answer({name: sum(_until(one, name, day) for one in found) for name in numbers.COUNTERS})


async def timeline(request: web.Request) -> web.Response:
    context, scope = _scope(request, basic=True)
    counter, item, number = stats_params.subject(request.match_info)
    limited = context.settings.stats_timeline_limits
    period = stats_params.period(request, numbers.day_of(context.now()), limited=limited)
    found = await context.db.run(_subjects, context, item, number, scope, stats_params.sub_item(request))

    def summed(_: sqlite3.Connection) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for bucket, first, last in period.buckets(stats_params.granularity(request)):
            sums[bucket] += sum(_between(one, counter, first, last)[2] for one in found)
        # Unordered, as observed: the newest first.
        return {bucket: events for bucket, events in reversed(sums.items()) if events}

    events = await context.db.run(summed)
    return json_answer({"timeline": events or None})


async def breakdown(request: web.Request) -> web.Response:
    """Serve the places of events. The period is always limited, as documented."""
    context, scope = _scope(request, basic=True)
    counter, item, number = stats_params.subject(request.match_info)
    period = stats_params.period(request, numbers.day_of(context.now()), limited=True)
    granularity = stats_params.granularity(request)
    found = await context.db.run(_subjects, context, item, number, scope, stats_params.sub_item(request))
    buckets = await context.db.run(lambda _: _places(found, counter, period, granularity))
    return json_answer({"breakdown": buckets})


async def top(request: web.Request) -> web.Response:
    """Serve the records with the most events, of all time unless dates or a sub-item are given."""
    context, scope = _scope(request, basic=True)
    counter, item = stats_params.counter(request.match_info), request.match_info["item"]
    if item not in _RANKED:
        raise invalid_params("item", item)
    most = stats_params.number(request.query.get("count", "10"))
    dated = {"start_date", "end_date", "sub_item"} & request.query.keys()
    today = numbers.day_of(context.now())
    period = stats_params.period(request, today, limited=False) if dated else Period.until(today)
    group = request.query.get("item_id")
    within = None if group is None else stats_params.number(group)

    def ranked(db: sqlite3.Connection) -> dict[str, int]:
        sums = _ranking(db, context, item, scope, within, counter, period)
        best = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
        # Unordered: by the id's text.
        return {str(number): events for number, events in sorted(best, key=lambda pair: str(pair[0])) if events}

    found = await context.db.run(ranked)
    # The documented examples with these lack the wrapper.
    return json_answer(found if request.query.get("sub_item") in {"referral", "item_type"} else {"top": found})


async def count(request: web.Request) -> web.Response:
    """Serve the number of public items in each group."""
    context, _ = _scope(request, basic=False)
    groups = (await body_of(request)).get("groups")
    if not groups:
        raise missing_params("groups", request)
    ids = [checks.integer("id", one.get("id")) for one in checks.objects("groups", groups)]

    def counted(db: sqlite3.Connection) -> dict[str, int]:
        context.refresh(db)
        statement = f"SELECT COUNT(*) {_ITEMS} AND d.group_id = ?"
        return {str(one): db.execute(statement, (context.now(), one)).fetchone()[0] for one in ids}

    return json_answer(await context.db.run(counted))


def _scope(request: web.Request, *, basic: bool) -> tuple[Context, Institution | None]:
    """Return the institution whose numbers are asked for, None: everywhere.

    ApiError 404 for an unknown one, 403 without its name and password if `basic`, 400 for the API's token.
    """
    context = context_of(request)
    scheme, _, _ = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in {"token", "bearer"} or request.query.keys() & {"token", "access_token"}:
        raise ApiError(400, "BadRequest", "The API's token does not belong here")
    name = request.match_info.get("scope")
    if name is None:
        return context, None
    scope = next((one for one in INSTITUTIONS if one.string_id == name), None)
    if scope is None:
        raise ApiError(404, "NotFound", "Institution not found")
    if basic:
        stats_params.check_basic(request, name, context.settings.stats_password)
    return context, scope


_ITEMS: Final = (
    "FROM items s JOIN documents d ON d.kind = 'articles' AND d.id = s.id AND d.number = s.version"
    " WHERE s.published <= ? AND NOT s.withdrawn"
)
_SETS: Final = (
    "FROM {kind}s s JOIN documents d ON d.kind = '{kind}s' AND d.id = s.id AND d.number = 0 WHERE s.published <= ?"
)


def _subjects(
    db: sqlite3.Connection, context: Context, item: str, number: int, scope: Institution | None,
    sub_item: tuple[str, str] | None = None,
) -> list[Subject]:  # fmt: skip
    """Return the records whose events are those of an item: of an author, group or project, all of theirs."""
    context.refresh(db)
    if item == "article":
        source, condition, value = _ITEMS, "s.id = ?", number
    elif item in {"collection", "project"} and sub_item is None:
        source, condition, value = _SETS.format(kind=item), "s.id = ?", number
    else:
        source, value = _ITEMS, number
        condition = {"group": "d.group_id = ?", "project": "d.project_id = ?"}.get(
            item, "instr(d.author_ids, char(10) || ? || char(10))"
        )
    where, values = [condition], [value]
    if scope is not None:
        where.append("d.institution_id = ?")
        values.append(scope.id)
    if sub_item is not None and sub_item[0] == "item_type":
        where.append("d.item_type = ?")
        values.append(stats_params.number(sub_item[1]))
    kind = item if source is not _ITEMS else "article"
    rows = db.execute(f"SELECT s.id, s.published {source} AND {' AND '.join(where)}", (context.now(), *values))
    return [Subject(kind, row["id"], row["published"]) for row in rows]


def _until(one: Subject, counter: str, day: int) -> int:
    """Return a record's events until the end of a day, a proleptic ordinal."""
    if not one.published:
        return 0
    return numbers.total(counter, one.kind, one.id, numbers.day_of(one.published).toordinal(), day)


def _between(one: Subject, counter: str, first: int, last: int) -> tuple[int, int, int]:
    """Return the totals before and at the end of some days, and the number of events between."""
    before, after = _until(one, counter, first - 1), _until(one, counter, last)
    return before, after, after - before


def _places(found: Iterable[Subject], counter: str, period: Period, granularity: str) -> dict[str, Any]:
    """Return the events by bucket, country and city; with `total` beside the cities."""
    subjects = list(found)
    buckets: dict[str, Any] = {}
    for bucket, first, last in period.buckets(granularity):
        countries = buckets.get(bucket, {})
        for one in subjects:
            before, after, _ = _between(one, counter, first, last)
            for country, city, events in numbers.places(one.kind, one.id, before, after):
                cities = countries.setdefault(country, {"total": 0})
                cities[city] = cities.get(city, 0) + events
                cities["total"] += events
        if countries:
            buckets[bucket] = countries
    return buckets


def _ranking(
    db: sqlite3.Connection, context: Context, item: str, scope: Institution | None, within: int | None, counter: str,
    period: Period,
) -> Counter[int]:  # fmt: skip
    """Return the events of each record of a kind, in a group if one is given."""
    context.refresh(db)
    source = _SETS.format(kind=item) if item in {"collection", "project"} else _ITEMS
    where = "" if scope is None else f" AND d.institution_id = {scope.id}"
    where += "" if within is None else f" AND d.group_id = {within}"
    kind = item if source is not _ITEMS else "article"
    sums: Counter[int] = Counter()
    for row in db.execute(f"SELECT s.id, s.published, d.group_id, d.author_ids {source}{where}", (context.now(),)):
        events = _between(Subject(kind, row["id"], row["published"]), counter, period.first, period.last)[2]
        owners = {"group": [row["group_id"] or 0], "author": row["author_ids"].split()}.get(item, [row["id"]])
        for owner in owners:
            sums[int(owner)] += events
    return sums
