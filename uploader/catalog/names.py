"""Find what a search names: institutions, groups, authors, categories, licences and item types, with near misses.

Without a token the public lists are used; groups are known to administrators of an institution only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from uploader.catalog.pager import Plan, Walk
from uploader.errors import (
    Facts,
    FilterIgnored,
    NameNotFound,
    NoToken,
    PermissionDenied,
    RecordsMissing,
    UsageError,
)
from uploader.figshare.ids import is_number
from uploader.figshare.models import Category, Group, License
from uploader.figshare.outcomes import PageLimitReached
from uploader.figshare.records import AuthorRecord, Institution
from uploader.metadata.resolve import UnknownName, choose_category, choose_group, choose_license
from uploader.metadata.vocabulary import ITEM_TYPE_ALIASES, ITEM_TYPE_IDS, own_license
from uploader.text import did_you_mean, plain

_MAX_CHOICES = 5


class Institutions(Protocol):
    """The list of institutions, which needs no token; `uploader.figshare.records_api.Records` has it."""

    def institutions(self) -> AsyncIterator[Institution]: ...


class Lists(Institutions, Protocol):
    """Lists of names; `uploader.figshare.records_api.Records` has them. Those of authors need a token."""

    async def authors(self, criteria: Mapping[str, object], *, page: int) -> list[AuthorRecord]: ...
    async def categories(self) -> list[Category]: ...
    async def licenses(self) -> list[License]: ...


class OwnLists(Protocol):
    """Lists of the account's institution; `uploader.figshare.item_api.Items` has them."""

    async def categories(self) -> list[Category]: ...
    async def licenses(self) -> list[License]: ...
    async def groups(self) -> list[Group]: ...


class NamesService(Protocol):
    """A session with Figshare, as far as names need it."""

    @property
    def has_token(self) -> bool: ...
    @property
    def records(self) -> Lists: ...
    @property
    def items(self) -> OwnLists: ...


class Names:
    """The names that one session knows; each list is requested once, when it is first needed."""

    def __init__(self, api: NamesService) -> None:
        self._api = api
        self._categories: list[Category] | None = None
        self._licenses: list[License] | None = None
        self._groups: list[Group] | None = None

    async def institution(self, name: str) -> int:
        """Return the id of an institution, given by id, name or the host of its portal. Raises NameNotFound."""
        if is_number(name):
            return int(name)
        known = [one async for one in self._api.records.institutions()]
        wanted = plain(name)
        found = [one for one in known if wanted in _names(one)] or [one for one in known if wanted in plain(one.name)]
        if len(found) == 1:
            return found[0].id
        if found:
            choices = ", ".join(f"{one.id} ({one.name})" for one in found[:_MAX_CHOICES])
            more = " …" if len(found) > _MAX_CHOICES else ""
            raise NameNotFound(f"{name!r} matches several institutions", hint=f"Give an id: {choices}{more}.")
        hint = did_you_mean(name, [one.name for one in known])
        if hint is None:
            raise NameNotFound(f"unknown institution {name!r}", facts=Facts("unknown-institution"))
        raise NameNotFound(f"unknown institution {name!r}", hint=hint)

    async def groups(self, name: str, *, subgroups: bool = False) -> tuple[int, ...]:
        """Return the id of a group, given by id or name, and with `subgroups` those of all below it.

        An id alone is not checked. Raises NameNotFound, NoToken, PermissionDenied.
        """
        if is_number(name) and not subgroups:
            return (int(name),)
        known = await self.all_groups()
        found = [find_group(name, known).id]
        for number in found if subgroups else ():
            found += [one.id for one in known if one.parent_id == number and one.id not in found]
        return tuple(found)

    async def all_groups(self) -> list[Group]:
        """Return the groups that the account administers. Raises NoToken, PermissionDenied."""
        if self._groups is None:
            if not self._api.has_token:
                raise NoToken("the names and subgroups of groups are only shown to administrators of their institution")
            try:
                self._groups = await self._api.items.groups()
            except PermissionDenied as error:
                raise error.with_context(hint="Give the ids of groups.") from error
        return self._groups

    async def is_unknown_group(self, number: int) -> bool:
        """Return True if the account's groups are known and none has this id; it may be one of another institution."""
        try:
            return number not in {one.id for one in await self.all_groups()}
        except (NoToken, PermissionDenied):
            return False

    async def category(self, name: str) -> str:
        """Return the title of a category, given by title, id, path or number in its taxonomy. Raises UsageError."""
        if self._categories is None:
            source = self._api.items if self._api.has_token else self._api.records
            self._categories = await source.categories()
        try:
            return choose_category(int(name) if is_number(name) else name, self._categories).title
        except UnknownName as unknown:
            raise UsageError(unknown.message, hint=unknown.hint, facts=Facts(unknown.situation)) from None

    async def licence(self, name: str) -> tuple[str, ...]:
        """Return the spellings by which a licence, given in any spelling, may be found. Raises UsageError.

        Documented: `CCBY` for CC BY; how others are written is unknown, so the name itself is tried as well.
        """
        found = own_license(name)
        if found is None:
            if self._licenses is None:
                source = self._api.items if self._api.has_token else self._api.records
                self._licenses = await source.licenses()
            try:
                found = choose_license(int(name) if is_number(name) else name, self._licenses).name
            except UnknownName as unknown:
                raise UsageError(unknown.message, hint=unknown.hint) from None
        short = "".join(word for word in found.replace("-", " ").split() if not word[0].isdigit())
        return tuple(dict.fromkeys((short, found)))


async def check_institution(source: Institutions, number: int) -> None:
    """Raise NameNotFound if Figshare lists no institution with this id: an id is only checked if nothing was found."""
    if number not in {one.id async for one in source.institutions()}:
        raise NameNotFound(f"unknown institution {number}", facts=Facts("unknown-institution"))


def _names(one: Institution) -> set[str]:
    return {plain(one.name), plain(one.domain), plain(one.domain.partition(".")[0])} - {""}


def find_group(name: str, known: Sequence[Group]) -> Group:
    """Return a group by id or name. Raises NameNotFound."""
    if is_number(name):
        found = next((one for one in known if one.id == int(name)), None)
        if found is None:
            raise NameNotFound(f"unknown group {name}: it is not among those that this account administers")
        return found
    try:
        return choose_group(name, list(known))
    except UnknownName as unknown:
        raise NameNotFound(unknown.message, hint=unknown.hint) from None


async def find_authors(api: NamesService, criteria: Mapping[str, object]) -> AsyncIterator[AuthorRecord]:
    """Yield the authors that a search finds, each once. `criteria` as documented for PrivateAuthorsSearch.

    Raises FilterIgnored if the ORCID iD had no effect, and at the end RecordsMissing if there may be more.
    """
    walk = Walk(Plan(key=None))
    while (asked := walk.next_page()) is not None:
        try:
            rows = await api.records.authors(criteria, page=asked.page)
        except PageLimitReached:
            walk.refuse()
            continue
        orcid = criteria.get("orcid")
        if orcid is not None and any(one.orcid != orcid for one in rows):
            raise FilterIgnored(f"Figshare ignored the ORCID iD {orcid}: it found others as well")
        for one in walk.take(rows):
            yield one
    if walk.gaps:
        message = f"the list may not be complete: {'; '.join(gap.message for gap in walk.gaps)}"
        raise RecordsMissing(message, hint="Give more of the name.", facts=Facts("rows-unread"))


def find_type(name: str) -> int:
    """Return the id of an item type, given by name, a common alias or id. Raises UsageError."""
    names = {plain(one): number for one, number in ITEM_TYPE_IDS.items()}
    names |= {plain(one): ITEM_TYPE_IDS[meant] for one, meant in ITEM_TYPE_ALIASES.items()}
    found = names.get(plain(name))
    if found is None and is_number(name) and int(name) in ITEM_TYPE_IDS.values():
        return int(name)
    if found is None:
        hint = did_you_mean(name, ITEM_TYPE_IDS, f"Known types: {', '.join(ITEM_TYPE_IDS)}.")
        raise UsageError(f"unknown item type {name!r}", hint=hint)
    return found
