"""Names into Figshare's ids, and whether there is what a description names: categories, licences, groups, authors,
grants, custom fields. Each is asked for once, and only where a description names it. Unknown ones are answered with the
nearest that exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from uploader.errors import PermissionDenied, RequestRejected
from uploader.figshare.models import Category, CustomField, Group, License
from uploader.items.service import Lookup
from uploader.metadata.custom_fields import find_field
from uploader.metadata.schema import own_license
from uploader.metadata.vocabulary import LICENSES
from uploader.text import did_you_mean, or_list, plain


class UnknownName(Exception):
    """A name that there is not, with a hint."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Unresolvable(Exception):
    """It cannot be found out whether there is what was named."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass
class Resolver:
    """The lists of one account, each asked for when it is first needed. Its methods raise Unknown and Unclear.

    `item` is the one that exists already, and `project` the one that it is created in, where there are such: custom
    fields are those of their groups.
    """

    asked: Lookup
    item: int | None = None
    project: int | None = None
    _known_institution: int | None = None
    _asked_institution: bool = False
    _categories: list[Category] | None = field(default=None)
    _licenses: list[License] | None = field(default=None)
    _groups: list[Group] | None = field(default=None)

    async def category(self, wanted: str | int) -> int:
        """The id of a category: by its id, its title, `parent > title`, or its number in its own taxonomy."""
        if self._categories is None:
            self._categories = await self.asked.categories()
        return _category(wanted, self._categories)

    async def license(self, wanted: str | int) -> int:
        """The id of a licence, by its name (in any spelling, SPDX's too), its address or its id."""
        if isinstance(wanted, str) and (known := own_license(wanted)):
            return LICENSES[known]
        if self._licenses is None:
            self._licenses = await self.asked.licenses()
        found = [one for one in self._licenses if wanted == one.id or _same(wanted, one.name, one.url)]
        if not found:
            names = [one.name for one in self._licenses]
            raise UnknownName(f"there is no licence {wanted!r}", did_you_mean(str(wanted), names, _available(names)))
        return found[0].id

    async def group(self, wanted: str | int) -> int:
        """The id of a group of the institution; an id is taken as it is, since not everybody may list them."""
        if isinstance(wanted, int):
            return wanted
        if self._groups is None:
            try:
                self._groups = await self.asked.groups()
            except PermissionDenied as error:
                raise UnknownName(
                    f"this account may not list groups ({error.message})", "Give the group's id."
                ) from None
        found = [one for one in self._groups if _same(wanted, one.name)]
        if not found:
            names = [one.name for one in self._groups]
            raise UnknownName(f"there is no group {wanted!r}", did_you_mean(wanted, names, _available(names)))
        if len(found) > 1:
            raise UnknownName(
                f"{wanted!r} may be several groups", f"Give an id: {_ids((g.id, g.name) for g in found)}."
            )
        return found[0].id

    async def author(self, wanted: int) -> int:
        """The id of an author, if there is one of that id."""
        try:
            known = await self.asked.has_author(wanted)
        except PermissionDenied as error:
            raise Unresolvable(f"author {wanted} is not looked up: {error.message}") from None
        if not known:
            raise UnknownName(f"there is no author {wanted}", "The number is in the address of the author's page.")
        return wanted

    async def grant(self, wanted: str | int) -> str | int:
        """The id of the grant that has this title or code, else the words themselves, which Figshare takes as they are.

        Of an id nobody can say that there is no such grant: the search, which is all there is, is for words.
        """
        try:
            found = await self.asked.grants(str(wanted))
        except (PermissionDenied, RequestRejected) as error:
            raise Unresolvable(f"{wanted!r} is not looked up: {error.message}") from None
        if isinstance(wanted, int):
            if all(one.id != wanted for one in found):
                raise Unresolvable(
                    f"the search for grants does not find {wanted}; Figshare will say whether it knows it"
                )
            return wanted
        fitting = [one for one in found if not one.is_user_defined and _same(wanted, one.title, one.code)]
        if len(fitting) > 1:
            choices = _ids((one.id, f"{one.title}, {one.funder}") for one in fitting)
            raise Unresolvable(
                f"{wanted!r} may be several grants, and is left in words; as an id it is one of {choices}"
            )
        return fitting[0].id if fitting else wanted

    async def custom_fields(self, group: int | None, wanted: Iterable[str]) -> list[CustomField]:
        """The custom fields of a group's items; None: of the group that the item is in, or will be in.

        Where one that is wanted is none of the group's, those of the account, too: nothing says whether a group's list
        has in it what all groups have.
        """
        if await self._institution() is None:
            return []
        chosen = group if group is not None else await self._own_group()
        try:
            known = await self.asked.custom_fields(chosen)
            if chosen is not None and not all(find_field(name, known) for name in wanted):
                known += [one for one in await self.asked.custom_fields() if not find_field(one.name, known)]
        except (PermissionDenied, RequestRejected) as error:
            raise Unresolvable(f"custom fields are not looked up: {error.message}") from None
        return known

    async def _own_group(self) -> int | None:
        if self.item is not None:
            return (await self.asked.detail(self.item)).group_id
        if self.project is not None:
            return (await self.asked.project(self.project)).group_id
        return None

    async def _institution(self) -> int | None:
        if not self._asked_institution:
            self._known_institution = await self.asked.institution()
            self._asked_institution = True
        return self._known_institution


def _category(wanted: str | int, categories: list[Category]) -> int:
    by_id = {one.id: one for one in categories}
    found = _candidates(str(wanted), categories, by_id)
    if not found:
        chosen = [one for one in categories if one.is_selectable]
        hint = did_you_mean(str(wanted), [one.title for one in chosen] if isinstance(wanted, str) else [])
        raise UnknownName(
            f"there is no category {wanted!r}", hint or "`figup metadata categories WORD` looks for some."
        )
    selectable = [one for one in found if one.is_selectable]
    if not selectable:
        below = [one.title for one in categories if one.parent_id == found[0].id][:5]
        raise UnknownName(
            f"the category {found[0].title!r} only holds others, and cannot be chosen",
            f"Below it are {or_list(below)}." if below else None,
        )
    if len(selectable) > 1:
        choices = _ids((one.id, category_path(one, by_id)) for one in selectable)
        raise UnknownName(f"{wanted!r} may be several categories", f"Give an id: {choices}.")
    return selectable[0].id


def _candidates(wanted: str, categories: list[Category], by_id: dict[int, Category]) -> list[Category]:
    tests: list[Callable[[Category], bool]] = [
        lambda one: wanted == str(one.id),
        lambda one: wanted == one.source_id,
        lambda one: _same(wanted, one.title),
        lambda one: ">" in wanted and plain(category_path(one, by_id)).endswith(plain(wanted)),
    ]
    return next((found for test in tests if (found := [one for one in categories if test(one)])), [])


def category_path(category: Category, by_id: dict[int, Category]) -> str:
    """A category with what it belongs to: `Biological sciences > Zoology`."""
    titles = [category.title]
    above = by_id.get(category.parent_id or 0)
    while above is not None and len(titles) < 10:
        titles.insert(0, above.title)
        above = by_id.get(above.parent_id or 0)
    return " > ".join(titles)


def _same(wanted: str | int, *names: str) -> bool:
    key = plain(str(wanted))
    return bool(key) and any(key == plain(name) for name in names)


def _available(names: list[str]) -> str | None:
    return f"There are: {', '.join(names)}." if 0 < len(names) <= 20 else None


def _ids(found: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{number} ({name})" for number, name in found)
