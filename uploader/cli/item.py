"""`figup item`: show, create, update and delete items, set the thumbnail.

Publishing, DOIs, links and embargoes are in `item_release`; authors, tags and categories in `item_lists`; files in
`item_files`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import click

from uploader import units
from uploader.cli import item_files, item_lists, item_release, record_views
from uploader.cli.confirm import confirm
from uploader.cli.context import creations
from uploader.cli.hints import Repeated
from uploader.cli.item_files import file_of
from uploader.cli.item_views import fields
from uploader.cli.metadata_options import check_title, read_description, resolve_description
from uploader.cli.options import ENVIRONMENT, CommandGroup, FigupCommand, GlobalOptions, common_options
from uploader.cli.own_lists import own_list_command
from uploader.cli.parameters import ITEM_ID, PROJECT_ID, LocalPath
from uploader.cli.runner import Session, on_figshare, on_item
from uploader.errors import ExitStatus, RequestRejected, UsageError
from uploader.figshare.ids import Reference
from uploader.figshare.models import File, ItemDetail
from uploader.items.checks import check_project
from uploader.items.create import create_item
from uploader.items.describe import describe
from uploader.text import printable

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

CREATE_HELP = """\b
Examples:
  figup item create --title "Survey 2024"
  figup item create --metadata dataset.yaml
  figup item create --metadata dataset.yaml --project 5678

"""
UPDATE_HELP = """\b
Examples:
  figup item update 1234567 --metadata dataset.yaml
  figup item update 1234567 --title "Survey 2024, corrected"

"""
ITEM = click.argument("item", metavar="ITEM", type=ITEM_ID)
METADATA = click.option(
    "--metadata", metavar="FILE", type=LocalPath(readable=False),
    help="Description of the item; `figup metadata template` writes one to start from.",
)  # fmt: skip


@click.group("item", cls=CommandGroup)
def item() -> None:
    """List, show, create, describe, publish and delete items.

    ITEM is the item's number, the address of its page, or its DOI.
    """


@item.command("create", cls=FigupCommand, epilog=CREATE_HELP + ENVIRONMENT, context_settings={"allow_extra_args": True})
@click.option("--title", metavar="T", help="Title; takes precedence over the one in the metadata file.")
@METADATA
@click.option("--project", metavar="ID", type=PROJECT_ID, help="Create it in this project.")
@common_options
@click.pass_context
def create(
    context: click.Context, /, title: str | None, metadata: str | None, project: int | None, common: GlobalOptions
) -> int:
    """Create a private draft item without files and print its id.

    Each run creates another item, or finishes the one that an interrupted run of the same command left. To send files
    to a new item, use `figup upload`, which creates only one.
    """
    if context.args:
        raise click.UsageError(f"unexpected argument {context.args[0]!r}; give the title with --title")
    if title is None and metadata is None:
        raise click.UsageError("an item needs a title: give --title, or --metadata with a title")
    check_title(title)

    async def work(session: Session, api: Figshare) -> int:
        description = await read_description(session, given={"title": title}, file=metadata)
        name = description.metadata.title
        if name is None:
            raise UsageError("an item needs a title, and the metadata file has none", hint="Add --title.")
        if project is not None:
            await check_project(api.items, project)
        spec = await resolve_description(session, api.items, description, project=project)
        try:
            with creations(common) as records:
                item_id = await create_item(
                    api, name, spec, records=records, on_created=session.created, project=project
                )
        except anyio.get_cancelled_exc_class():
            if (left := session.summary.item_id) is not None:
                remove = common.repeated.command("item", "delete", left)
                session.console.note(f"item {left} was created, but not finished; `{remove}` deletes it")
            raise
        made = await api.items.detail(item_id)
        session.summary.item_id, session.summary.item_url = made.id, made.url or None
        session.console.event("created", **fields(made))
        session.console.result(str(made.id))
        session.console.note(printable(f'created item {made.id}, "{made.title}": {made.url}'))
        return 0

    return on_figshare(common, work)


@item.command("update", cls=FigupCommand, epilog=UPDATE_HELP + ENVIRONMENT)
@ITEM
@click.option("--title", metavar="T", help="Title; takes precedence over the one in the metadata file.")
@METADATA
@common_options
def update(item: Reference, title: str | None, metadata: str | None, common: GlobalOptions) -> int:
    """Apply a metadata file to an item. Fields that are not in the file are kept.

    Authors and all other lists are replaced. The public version of a published item changes only when it is published
    again.
    """
    if title is None and metadata is None:
        raise click.UsageError("nothing to update: give --metadata or --title")
    check_title(title)

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        description = await read_description(session, given={"title": title}, file=metadata)
        spec = await resolve_description(session, api.items, description, item=found.id)
        await describe(api, found.id, spec, title=description.metadata.title)
        now = await api.items.detail(found.id)
        session.console.event("updated", changed=list(description.metadata.present_fields()), **fields(now))
        updated = ", ".join(description.metadata.present_fields()).replace("_", " ")
        session.console.result(f"Updated item {found.id}: {updated}." if updated else "Nothing to change.")
        if found.is_public:
            again = common.repeated.command("item", "publish", found.id)
            session.console.note(f"the public version does not change until `{again}`")
        return 0

    return on_item(common, item, work)


@item.command("delete", cls=FigupCommand, epilog=ENVIRONMENT)
@ITEM
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@common_options
def delete(item: Reference, yes: bool, common: GlobalOptions) -> int:
    """Delete an unpublished item with all its files. Asks first."""

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        if found.is_public:
            raise UsageError(
                f"item {found.id} is published; Figshare does not delete published items",
                hint="Ask Figshare's support to withdraw it.",
            )
        files = [file async for file in api.files(found.id)]
        size = units.format_bytes(sum(file.size for file in files))
        question = (
            f'Delete item {found.id}, "{printable(found.title)}", '
            f"with {units.format_count(len(files), 'file')} ({size})?"
        )
        if not await confirm(session, question, yes=yes):
            return ExitStatus.SOME_FAILED
        await api.delete_item(found.id)
        session.console.event("deleted", item_id=found.id, title=found.title, files=len(files))
        session.console.result(f"Deleted item {found.id}.")
        return 0

    return on_item(common, item, work)


@item.command("thumbnail", cls=FigupCommand, epilog=ENVIRONMENT)
@ITEM
@click.argument("file", metavar="FILE_ID")
@common_options
def thumbnail(item: Reference, file: str, common: GlobalOptions) -> int:
    """Set the thumbnail to one of the item's files, by id or name."""

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        chosen = await file_of(api, found, file, common.repeated)
        await _set_thumbnail(api, found, chosen, common.repeated)
        session.console.event("thumbnail", item_id=found.id, file_id=chosen.id, name=chosen.name)
        session.console.result(f"{printable(chosen.name)} is now the thumbnail of item {found.id}.")
        return 0

    return on_item(common, item, work)


async def _set_thumbnail(api: Figshare, item: ItemDetail, file: File, repeated: Repeated) -> None:
    """Set the thumbnail. Raises RequestRejected, with a hint if the item was never published."""
    try:
        await api.items.set_thumbnail(item.id, max(item.version, 1), file.id)
    except RequestRejected as error:
        if item.version:
            raise
        # The official description has thumbnails of public versions only.
        publish = repeated.command("item", "publish", item.id)
        hint = f"Figshare sets thumbnails only for published versions: run `{publish}` first."
        raise RequestRejected(error.message, hint=hint) from error


item.add_command(own_list_command("item"))
item.add_command(record_views.show_item)
item.add_command(record_views.item_versions)
item_files.add_to(item)
item_release.add_to(item)
item_lists.add_to(item)
