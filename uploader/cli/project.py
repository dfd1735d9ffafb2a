"""`figup project`: projects that items are created in."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from uploader.cli.context import creations
from uploader.cli.options import ENVIRONMENT, CommandGroup, FigupCommand, GlobalOptions, common_options
from uploader.cli.own_lists import own_list_command
from uploader.cli.record_views import show_project
from uploader.cli.runner import Session, on_figshare
from uploader.errors import FigupError, UsageError
from uploader.text import printable
from uploader.transfer.journal.plan import checked_title

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare
    from uploader.figshare.ids import Kind
    from uploader.figshare.item_api import Container

CREATE_HELP = """\b
Examples:
  figup project create "Beavers of the north"
  figup upload survey --project 5678

"""
TITLE = click.argument("title", metavar="TITLE")
DESCRIPTION = click.option("--description", metavar="TEXT", help="What it is about.")


@click.group("project", cls=CommandGroup)
def project() -> None:
    """List, show and create projects; `figup upload --project ID` creates items in them."""


@project.command("create", cls=FigupCommand, epilog=CREATE_HELP + ENVIRONMENT)
@TITLE
@DESCRIPTION
@common_options
def create(title: str, description: str | None, common: GlobalOptions) -> int:
    """Create a private project and print its id.

    Each run creates another one, or finishes the one that an interrupted run of the same command left.
    """
    return create_container(common, "projects", title, description)


def create_container(common: GlobalOptions, kind: Container, title: str, description: str | None) -> int:
    """Create a project or collection, print its id and return the status. Raises click.UsageError for the title."""
    try:
        name = checked_title(" ".join(title.split()))
    except UsageError as error:
        raise click.UsageError(error.message, click.get_current_context()) from None

    async def work(session: Session, api: Figshare) -> int:
        from uploader.items import create

        with creations(common) as records:
            new = await create.create_container(api, kind, name, description, records=records)
        session.console.event("created", **{f"{kind.removesuffix('s')}_id": new, "title": name})
        session.console.result(str(new))
        one: Kind = "project" if kind == "projects" else "collection"
        with suppress(FigupError):  # it is created
            made = await api.records.record(one, new, public=False)
            session.console.note(printable(f'created {one} {new}, "{name}": {made.url}'))
        return 0

    return on_figshare(common, work)


project.add_command(own_list_command("project"))
project.add_command(show_project)
