"""The client for programs: transfers, and reading what Figshare holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, TypeVar, cast, get_args

import anyio

from uploader.concurrency import run_isolated
from uploader.errors import UsageError
from uploader.figshare.ids import Kind
from uploader.metadata import identifiers
from uploader.text import is_unicode
from uploader.transfer.arguments import (
    as_day,
    as_name,
    as_path,
    as_reference,
    as_strings,
    check_callback,
    check_choice,
    check_flag,
    check_flags,
    check_number,
    check_text,
    check_texts,
    wrong_type,
)
from uploader.transfer.client import Client as TransferClient
from uploader.transfer.options import as_deadline

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from uploader.catalog.report.collect import RunProgress
    from uploader.catalog.report.make import ReportResult
    from uploader.catalog.report.spec import ReportName
    from uploader.catalog.search import Order
    from uploader.catalog.statistics.session import Statistics
    from uploader.figshare.records import Record

Texts = str | Sequence[str]
"""One value, or several that must all be found."""
T = TypeVar("T")


class Client(TransferClient):
    __doc__ = TransferClient.__doc__

    _stats: Statistics | None = None

    @property
    def stats(self) -> Statistics:
        """Views, downloads, shares and citations. The service is FIGSHARE_STATS_ENDPOINT, by default Figshare's.

        The token is not sent there. For an institution's portal: `client.stats.portal(institution)`.
        """
        _ = self._api  # raises outside of `async with`: nothing would close the session
        if self._stats is None:
            from uploader.catalog.statistics.session import Statistics

            self._stats = Statistics(self.endpoint, self.settings)
        return self._stats

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._stats is not None:
                with anyio.CancelScope(shield=True):
                    await self._stats.close()
                self._stats = None
        finally:
            await super().__aexit__(kind, fault, trace)

    # --- what Figshare holds ------------------------------------------------------------------------------------------

    async def search(
        self,
        *words: str,
        any_word: bool = False,
        title: Texts = (),
        description: Texts = (),
        author: Texts = (),
        orcid: Texts = (),
        tag: Texts = (),
        category: Texts = (),
        type: str | None = None,  # noqa: A002 - as on the command line
        licence: Texts = (),
        extension: Texts = (),
        references: Texts = (),
        doi: str | None = None,
        resource_doi: str | None = None,
        institution: int | str | None = None,
        group: int | str | None = None,
        subgroups: bool = False,
        since: date | str | None = None,
        until: date | str | None = None,
        modified_since: date | str | None = None,
        raw: str | None = None,
        kind: Kind = "item",
        own: bool = False,
        order: Order = "published",
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Record]:
        """Yield the records that meet all conditions, as `figup search` finds them; with no limit, oldest first.

        A value with blanks is a phrase. Records are typed where known, and have the JSON as received in `raw`. Raises
        UsageError and NameNotFound for invalid values and unknown names, FilterIgnored if Figshare ignored a filter,
        and at the end RecordsMissing if there may be more records than it listed.
        """
        from uploader.catalog.pager import check_complete
        from uploader.catalog.query import Query
        from uploader.catalog.search import ORDERS, Search, SearchRun, resolve

        api = self._api
        check_choice("kind", kind, get_args(Kind))
        check_choice("order", order, ORDERS)
        check_flags(any_word=any_word, subgroups=subgroups, own=own, reverse=reverse)
        check_texts(type=type, doi=doi, resource_doi=resource_doi, raw=raw)
        check_number("limit", limit, "a number of records")
        query = Query(
            words=_texts("words", words), any_word=any_word, title=_texts("title", title),
            description=_texts("description", description), author=_texts("author", author),
            orcid=tuple(_valid(identifiers.orcid, one) for one in _texts("orcid", orcid)), tag=_texts("tag", tag),
            extension=_texts("extension", extension), references=_texts("references", references),
            until=as_day("until", until), raw=raw,
        )  # fmt: skip
        wanted = Search(
            kind=kind, own=own, query=query, since=as_day("since", since),
            modified_since=as_day("modified_since", modified_since),
            doi=_valid(identifiers.doi, doi) if doi is not None else None,
            resource_doi=_valid(identifiers.doi, resource_doi) if resource_doi is not None else None,
            order=order, reverse=reverse, limit=limit,
        )  # fmt: skip
        wanted = await resolve(
            api, wanted, categories=_texts("category", category), licences=_texts("licence", licence), type_name=type,
            institution=as_name("institution", institution), group=as_name("group", group), subgroups=subgroups,
        )  # fmt: skip
        searching = SearchRun(api.records, wanted)
        async for record in searching.rows():
            yield record
        check_complete(searching.conclusion.gaps)

    async def item(self, item: int | str, *, version: int | None = None, public: bool = False) -> Record:
        """Return an item in full: the account's own copy, else the public one. Raises ItemNotFound.

        `version` is a public version; `public`: what everyone sees, even of an own item.
        """
        return await self._record("item", item, version=version, public=public)

    async def collection(self, collection: int | str, *, version: int | None = None, public: bool = False) -> Record:
        """Return a collection in full, as `item` does."""
        return await self._record("collection", collection, version=version, public=public)

    async def project(self, project: int | str, *, public: bool = False) -> Record:
        """Return a project in full, as `item` does."""
        return await self._record("project", project, version=None, public=public)

    async def _record(self, kind: Kind, given: int | str, *, version: int | None, public: bool) -> Record:
        from uploader.catalog.lookup import find

        reference = as_reference(kind, given)
        check_number("version", version, "the number of a version")
        check_flag("public", public)
        return (await find(self._api, kind, reference, version=version, public=public)).record

    async def own(self, kind: Kind = "item") -> AsyncIterator[Record]:
        """Yield the account's own items, collections or projects, drafts included. Raises RecordsMissing at the end."""
        check_choice("kind", kind, get_args(Kind))
        from uploader.catalog.pager import check_complete
        from uploader.catalog.reading import Reading
        from uploader.figshare.records import own_list

        reading = Reading(self._api.records, own_list(kind))
        async for record in reading.rows():
            yield record
        check_complete(reading.gaps)

    async def report(
        self,
        report: ReportName,
        output: str | os.PathLike[str],
        *,
        author: str | None = None,
        orcid: str | None = None,
        author_ids: Sequence[int] = (),
        strict: bool = False,
        institution: int | str | None = None,
        group: int | None = None,
        type: str | None = None,  # noqa: A002 - as on the command line
        states: Sequence[str] = (),
        status: str | None = None,
        kinds: Sequence[Kind] = ("item",),
        columns: str = "default",
        versions: bool = False,
        tables: bool = False,
        emails: bool = True,
        stats: bool = False,
        scope: str | None = None,
        stats_since: date | str | None = None,
        replace: bool = False,
        fresh: bool = False,
        deadline: float | str | datetime | None = None,
        max_requests: int | None = None,
        on_progress: Callable[[RunProgress], None] | None = None,
    ) -> ReportResult:
        """Make a complete table, as `figup report` does.

        "public": the records of an `institution`; "own": the account's, with drafts; "author": those of an `author` or
        `orcid`; for administrators "published", "embargoes", "accounts", "quotas", "reviews". What limits one report
        is refused with the others.

        `output` ends in .xlsx, .csv or .jsonl; `columns` as on the command line. `versions`: a row for each; `tables`:
        separate ones of authors, files and others; `stats`: numbers, those of an institution's portal with `scope`, of
        all time or from `stats_since` to today, then also by country and month in separate tables.
        What was read is kept in the state directory: the same call continues after an interruption, and later reads
        what changed, or with `fresh` everything. `deadline` is as in `Options`. Records that could not be read are in
        `failed` of the result, missing parts of lists in `gaps`. Raises OutputExists unless `replace`, CatalogBusy,
        Interrupted.
        """
        from uploader.catalog.report.limits import Limits
        from uploader.catalog.report.make import ReportRun, Table
        from uploader.catalog.report.request import ReportRequest

        check_flags(
            strict=strict, versions=versions, tables=tables, emails=emails, stats=stats, replace=replace, fresh=fresh
        )
        check_texts(author=author, orcid=orcid, type=type, status=status, scope=scope)
        check_text("columns", columns, optional=False)
        check_number("group", group, "the id of a group")
        check_number("max_requests", max_requests, "a number of requests")
        check_callback("on_progress", on_progress)
        table_path, end = as_path("output", output), as_deadline(deadline)
        if table_path is None:
            raise wrong_type("output", output, "a path (str or os.PathLike)")
        request = ReportRequest(
            report=report, author=author, orcid=orcid, author_ids=_ids("author_ids", author_ids), strict=strict,
            institution=as_name("institution", institution), group=group, type=type,
            states=as_strings("states", states), status=status, kinds=_kinds(kinds),
            columns=columns, versions=versions, tables=tables, emails=emails, stats=stats, scope=scope,
            stats_since=as_day("stats_since", stats_since),
        )  # fmt: skip
        numbers = None
        if stats:
            numbers, _ = await (self.stats if scope is None else self.stats.portal(scope)).open()
        making = await ReportRun.of(self._api, request, self._states.path, numbers)
        table = Table.of(request, table_path, replace=replace)
        limits = Limits.of(end, max_requests, self._api.clock)
        # A call that is cancelled inside a thread would not get the lock or the database that it opens there.
        return await run_isolated(
            lambda: making.make(table, fresh=fresh, limits=limits, on_progress=on_progress or (lambda _: None))
        )


def _texts(name: str, value: Texts) -> tuple[str, ...]:
    from uploader.catalog.query import is_searchable

    given: object = value
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise wrong_type(name, given, "a string or several strings")
    every = (value,) if isinstance(value, str) else as_strings(name, value)
    for one in every:
        if not is_unicode(one) or not is_searchable(one):
            raise UsageError(f"invalid {name}: nothing to search for in {one!r}")
    return every


def _ids(name: str, values: object) -> tuple[int, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise wrong_type(name, values, "several ids, such as a list")
    every = tuple(values)
    for one in every:
        check_number(name, one, "an id", optional=False)
    return every


def _kinds(values: object) -> tuple[Kind, ...]:
    every = as_strings("kinds", values)
    for one in every:
        check_choice("kinds", one, get_args(Kind))
    return cast("tuple[Kind, ...]", every)


def _valid(check: Callable[[str], T], value: str) -> T:
    try:
        return check(value)
    except ValueError as error:
        raise UsageError(str(error)) from None
