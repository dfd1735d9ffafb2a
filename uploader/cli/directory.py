"""`figup author|group|institution`: find authors, groups and institutions, and their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from uploader.cli.options import ENVIRONMENT, CommandGroup, FigupCommand, GlobalOptions, common_options
from uploader.cli.output.record_lines import author_line
from uploader.cli.parameters import ParsedParam
from uploader.cli.runner import Session, on_figshare
from uploader.errors import ExitStatus, NameNotFound
from uploader.metadata import identifiers
from uploader.text import plain, printable

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare
    from uploader.figshare.models import Group

AUTHOR_HELP = """\b
Examples:
  figup author search "Jane Doe"
  figup author search --orcid 0000-0002-1825-0097

"""


@click.group("author", cls=CommandGroup)
def author() -> None:
    """Find authors known to Figshare, and their ids."""


@author.command("search", cls=FigupCommand, epilog=AUTHOR_HELP + ENVIRONMENT)
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--orcid", metavar="ID", type=ParsedParam("orcid", identifiers.orcid), help="An ORCID iD.")
@click.option("--institution", metavar="NAME|ID", help="Only authors of this institution.")
@click.option("--group", metavar="NAME|ID", help="Only authors of this group and its subgroups.")
@common_options
def search_authors(
    name: str | None, orcid: str | None, institution: str | None, group: str | None, common: GlobalOptions
) -> int:
    """List authors: id, ORCID iD, name. Namesakes are different authors. Exit status 4: none was found."""
    if name is None and orcid is None:
        raise click.UsageError("give a NAME or --orcid")

    async def work(session: Session, api: Figshare) -> int:
        from uploader.catalog.names import Names, find_authors

        names = Names(api)
        criteria: dict[str, Any] = {
            "search_for": name,
            "orcid": orcid,
            "institution_id": await names.institution(institution) if institution is not None else None,
            "group_id": (await names.groups(group))[0] if group is not None else None,
        }
        count = 0
        async for one in find_authors(api, {key: value for key, value in criteria.items() if value is not None}):
            count += 1
            session.console.event("author", record=one.raw)
            session.console.result(author_line(one))
        if not count:
            raise NameNotFound(f"no author {name if name is not None else orcid!r} was found", hint="")
        return ExitStatus.OK

    return on_figshare(common, work)


@click.group("group", cls=CommandGroup)
def group() -> None:
    """List the groups of the institution that you administer."""


@group.command("list", cls=FigupCommand, epilog=ENVIRONMENT)
@click.option("--tree", is_flag=True, help="Indent groups below those that they belong to.")
@common_options
def list_groups(tree: bool, common: GlobalOptions) -> int:
    """List groups: id, name. Only administrators of an institution may."""

    async def work(session: Session, api: Figshare) -> int:
        groups = await api.items.groups()
        for level, one in _tree(groups) if tree else [(0, one) for one in sorted(groups, key=lambda one: one.id)]:
            session.console.event("group", group_id=one.id, name=one.name, parent_id=one.parent_id)
            session.console.result(f"{one.id:>10}  {'  ' * level}{printable(one.name)}")
        return ExitStatus.OK

    return on_figshare(common, work)


def _tree(groups: Sequence[Group]) -> list[tuple[int, Group]]:
    """Return the groups with their levels, each after the one it belongs to; one of an unknown group is at the top."""
    known = {one.id for one in groups}
    below: dict[int | None, list[Group]] = {}
    for one in sorted(groups, key=lambda one: plain(one.name)):
        parent = one.parent_id if one.parent_id in known and one.parent_id != one.id else None
        below.setdefault(parent, []).append(one)
    found: list[tuple[int, Group]] = []
    waiting = [(0, one) for one in reversed(below.get(None, []))]
    while waiting:
        level, one = waiting.pop()
        found.append((level, one))
        waiting += [(level + 1, child) for child in reversed(below.pop(one.id, []))]
    return found


@click.group("institution", cls=CommandGroup)
def institution() -> None:
    """Find institutions with a Figshare portal, and their ids."""


@institution.command("list", cls=FigupCommand, epilog=ENVIRONMENT, short_help="List institutions with a portal.")
@click.argument("words", metavar="[WORD]...", nargs=-1)
@common_options
def list_institutions(words: tuple[str, ...], common: GlobalOptions) -> int:
    """List institutions: id, host of the portal, name; with WORDS those that have them all. No token is needed."""

    async def work(session: Session, api: Figshare) -> int:
        count = 0
        async for one in api.records.institutions():
            text = f"{one.name} {one.domain}".casefold()
            if all(word.casefold() in text for word in words):
                count += 1
                session.console.event("institution", institution_id=one.id, name=one.name, domain=one.domain)
                session.console.result(printable(f"{one.id:>10}  {one.domain or '-':<32}  {one.name}"))
        if not count:
            named = f" {' '.join(words)!r}" if words else ""
            raise NameNotFound(f"no institution{named} was found", hint="")
        return ExitStatus.OK

    return on_figshare(common, work, anonymous=True)
