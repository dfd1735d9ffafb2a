"""Resolve names into Figshare's ids: categories, licences, groups, authors, grants, custom fields.

Each list is requested once, and only if a description refers to it. Errors suggest the closest known names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from uploader.errors import PermissionDenied, RequestRejected
from uploader.figshare.models import Category, CustomField, Group, License
from uploader.items.service import Lookup
from uploader.metadata.custom_fields import find_field
from uploader.metadata.vocabulary import LICENSES, own_license
from uploader.text import did_you_mean, or_list, plain


class UnknownName(Exception):
    """Unknown name, with a hint."""

    def __init__(self, message: str, hint: str | None = None, *, situation: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.situation = situation


class Unresolvable(Exception):
    """The name cannot be checked with this account."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(kw_only=True)
class Resolver:
    """The lists of one account, each requested when first needed. Methods raise UnknownName and Unresolvable.

    `item` is the existing item, `project` the project of a new one: custom fields are those of their groups.
    """

    lookup: Lookup
    item: int | None = None
    project: int | None = None
    _known_institution: int | None = None
    _asked_institution: bool = False
    _categories: list[Category] | None = field(default=None)
    _licenses: list[License] | None = field(default=None)
    _groups: list[Group] | None = field(default=None)

    async def category(self, name: str | int) -> int:
        """Return the id of a category, given by id, title, `parent > title` or number in its taxonomy."""
        if self._categories is None:
            self._categories = await self.lookup.categories()
        return choose_category(name, self._categories).id

    async def license(self, wanted: str | int) -> int:
        """Return the id of a licence, given by name (in any spelling, also SPDX), address or id."""
        if isinstance(wanted, str) and (known := own_license(wanted)):
            return LICENSES[known]
        if self._licenses is None:
            self._licenses = await self.lookup.licenses()
        return choose_license(wanted, self._licenses).id

    async def group(self, name: str | int) -> int:
        """Return the id of a group. An id is not checked: not every account may list groups."""
        if isinstance(name, int):
            return name
        if self._groups is None:
            try:
                self._groups = await self.lookup.groups()
            except PermissionDenied as error:
                raise UnknownName(
                    f"this account cannot list groups ({error.message})", "Give the group's id."
                ) from None
        return choose_group(name, self._groups).id

    async def author(self, author_id: int) -> int:
        """Return the id of an author if it exists."""
        try:
            known = await self.lookup.has_author(author_id)
        except PermissionDenied as error:
            raise Unresolvable(f"author {author_id} cannot be checked: {error.message}") from None
        if not known:
            raise UnknownName(f"unknown author {author_id}", "The id is in the address of the author's page.")
        return author_id

    async def grant(self, name: str | int) -> str | int:
        """Return the id of the grant with this title or code, else the text, which Figshare also accepts.

        Whether an id exists cannot be decided: Figshare only offers a text search.
        """
        try:
            found = await self.lookup.grants(str(name))
        except (PermissionDenied, RequestRejected) as error:
            raise Unresolvable(f"{name!r} cannot be checked: {error.message}") from None
        if isinstance(name, int):
            if all(one.id != name for one in found):
                raise Unresolvable(f"grant {name} is not found by search; Figshare checks it when it is sent")
            return name
        fitting = [one for one in found if not one.is_user_defined and _same(name, one.title, one.code)]
        if len(fitting) > 1:
            choices = _ids((one.id, f"{one.title}, {one.funder}") for one in fitting)
            raise Unresolvable(f"{name!r} matches several grants and is sent as text; ids: {choices}")
        return fitting[0].id if fitting else name

    async def custom_fields(self, group: int | None, needed: Iterable[str]) -> list[CustomField]:
        """Return the custom fields of a group's items; None: of the group that the item is, or will be, in.

        If a wanted field is not among the group's, those of the account are added: it is undocumented whether a group's
        list contains the fields that all groups have.
        """
        if await self._institution() is None:
            return []
        chosen = group if group is not None else await self._own_group()
        try:
            known = await self.lookup.custom_fields(chosen)
            if chosen is not None and not all(find_field(name, known) for name in needed):
                known += [one for one in await self.lookup.custom_fields() if not find_field(one.name, known)]
        except (PermissionDenied, RequestRejected) as error:
            raise Unresolvable(f"custom fields cannot be checked: {error.message}") from None
        return known

    async def _own_group(self) -> int | None:
        if self.item is not None:
            return (await self.lookup.detail(self.item)).group_id
        if self.project is not None:
            return (await self.lookup.project(self.project)).group_id
        return None

    async def _institution(self) -> int | None:
        if not self._asked_institution:
            self._known_institution = await self.lookup.institution()
            self._asked_institution = True
        return self._known_institution


def choose_license(wanted: str | int, licenses: list[License]) -> License:
    """Return the licence with this name (in any spelling), address or id. Raises UnknownName."""
    found = [one for one in licenses if wanted == one.id or _same(wanted, one.name, one.url)]
    if not found:
        names = [one.name for one in licenses]
        raise UnknownName(f"unknown licence {wanted!r}", did_you_mean(str(wanted), names, _available(names)))
    return found[0]


def choose_group(name: str, groups: list[Group]) -> Group:
    """Return the group of this name. Raises UnknownName, also if several have it."""
    found = [one for one in groups if _same(name, one.name)]
    if not found:
        names = [one.name for one in groups]
        raise UnknownName(f"unknown group {name!r}", did_you_mean(name, names, _available(names)))
    if len(found) > 1:
        raise UnknownName(f"{name!r} matches several groups", f"Give an id: {_ids((g.id, g.name) for g in found)}.")
    return found[0]


def choose_category(name: str | int, categories: list[Category]) -> Category:
    """Return the category with this id, title, `parent > title` or number in its taxonomy. Raises UnknownName."""
    by_id = {one.id: one for one in categories}
    found = _candidates(str(name), categories, by_id)
    if not found:
        chosen = [one for one in categories if one.is_selectable]
        hint = did_you_mean(str(name), [one.title for one in chosen] if isinstance(name, str) else [])
        raise UnknownName(
            f"unknown category {name!r}",
            hint or "Look for its title among Figshare's categories.",
            situation="" if hint else "unknown-category",
        )
    selectable = [one for one in found if one.is_selectable]
    if not selectable:
        children = [one.title for one in categories if one.parent_id == found[0].id][:5]
        raise UnknownName(
            f"the category {found[0].title!r} only groups others and cannot be selected",
            f"Select one of its subcategories: {or_list(children)}." if children else None,
        )
    if len(selectable) > 1:
        choices = _ids((one.id, category_path(one, by_id)) for one in selectable)
        raise UnknownName(f"{name!r} matches several categories", f"Give an id: {choices}.")
    return selectable[0]


def _candidates(name: str, categories: list[Category], by_id: dict[int, Category]) -> list[Category]:
    tests: list[Callable[[Category], bool]] = [
        lambda one: name == str(one.id),
        lambda one: name == one.source_id,
        lambda one: _same(name, one.title),
        lambda one: ">" in name and plain(category_path(one, by_id)).endswith(plain(name)),
    ]
    return next((found for test in tests if (found := [one for one in categories if test(one)])), [])


def category_path(category: Category, by_id: dict[int, Category]) -> str:
    """Return a category with its parents: `Biological sciences > Zoology`."""
    titles = [category.title]
    parent = by_id.get(category.parent_id or 0)
    while parent is not None and len(titles) < 10:
        titles.insert(0, parent.title)
        parent = by_id.get(parent.parent_id or 0)
    return " > ".join(titles)


def _same(wanted: str | int, *names: str) -> bool:
    key = plain(str(wanted))
    return bool(key) and any(key == plain(name) for name in names)


def _available(names: list[str]) -> str | None:
    return f"Available: {', '.join(names)}." if 0 < len(names) <= 20 else None


def _ids(found: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{number} ({name})" for number, name in found)
