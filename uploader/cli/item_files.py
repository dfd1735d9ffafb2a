"""`figup item files` and `figup item open`: the files of an item, and its page in the browser."""

from __future__ import annotations

import sys
import webbrowser
from typing import TYPE_CHECKING

import anyio.to_thread
import click

from uploader import units
from uploader.cli.confirm import confirm, next_line
from uploader.cli.global_options import with_global_options_last
from uploader.cli.hints import Repeated
from uploader.cli.item_views import file_fields
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options
from uploader.cli.parameters import ITEM_ID
from uploader.cli.record_views import VERSIONED_ITEM, face_options, list_files
from uploader.cli.runner import Session, on_figshare, on_item
from uploader.errors import ExitStatus, FileNotHeld, UsageError
from uploader.figshare.ids import Reference
from uploader.figshare.models import File, ItemDetail
from uploader.text import composed, did_you_mean, named_few, printable

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

RM_HELP = """\b
Examples:
  figup item files rm 1234567 raw/old.csv
  figup item files rm 1234567 7654321        by its id

"""
_ITEM = click.argument("item", metavar="ITEM", type=ITEM_ID)
_MAX_NAMED = 5


class _FilesGroup(click.Group):
    """A group that lists files if no subcommand is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = with_global_options_last(args)
        if words and words[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            words = ["list", *words]
        return super().parse_args(ctx, words)


def add_to(group: click.Group) -> None:
    """Add the commands to `figup item`."""
    group.add_command(files)
    group.add_command(open_)


@click.group("files", cls=_FilesGroup)
def files() -> None:
    """List the files of an item, or remove some.

    `figup item files ITEM` lists them. Figshare's API cannot rename files: send them again under the other name, and
    remove the old ones.
    """


@files.command("list", cls=FigupCommand, epilog=ENVIRONMENT)
@VERSIONED_ITEM
@face_options
@common_options
def list_(item: tuple[Reference, int | None], version: int | None, public: bool, common: GlobalOptions) -> int:
    """List the files of an item: id, size, MD5 or status, path. Public ones need no token."""

    async def work(session: Session, api: Figshare) -> int:
        return await list_files(session, api, item, version, public=public)

    return on_figshare(common, work, anonymous=True)


@files.command("rm", cls=FigupCommand, epilog=RM_HELP + ENVIRONMENT)
@_ITEM
@click.argument("names", metavar="FILE...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@common_options
def rm(item: Reference, names: tuple[str, ...], yes: bool, common: GlobalOptions) -> int:
    """Remove files from an item, by id, name or path in it. Asks first.

    The public version of a published item keeps them until it is published again.
    """

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        files_there = [file async for file in api.files(found.id)]
        chosen = {file.id: file for file in (_find(name, files_there, found, common.repeated) for name in names)}
        shown = [printable(file.path_among(found.folders)) for file in chosen.values()]
        question = (
            f"Remove {units.format_count(len(shown), 'file')} "
            f"({units.format_bytes(sum(file.size for file in chosen.values()))}) from item {found.id}: "
            f"{named_few(shown, _MAX_NAMED)}?"
        )
        if not await confirm(session, question, yes=yes):
            return ExitStatus.SOME_FAILED
        for file in chosen.values():
            await api.delete_file(found.id, file.id)
            path = file.path_among(found.folders)
            session.console.event("removed", item_id=found.id, **file_fields(file, path))
            session.console.result(f"Removed {printable(path)} (file {file.id}).")
        if found.is_public:
            again = common.repeated.command("item", "publish", found.id)
            session.console.note(f"its public version keeps them until `{again}`")
        return 0

    return on_item(common, item, work)


@click.command("open", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@common_options
def open_(item: Reference, common: GlobalOptions) -> int:
    """Open the page of an item in the browser.

    Prints its URL, the public one if there is one.
    """

    async def work(session: Session, _: Figshare, found: ItemDetail) -> int:
        url = (found.public_url if found.is_public else "") or found.url
        if not url:
            raise UsageError(f"Figshare does not report the address of item {found.id}")
        session.console.event("page", item_id=found.id, url=url)
        session.console.result(url)
        if not await anyio.to_thread.run_sync(webbrowser.open, url):
            session.console.note("no browser was found: open the address in one")
        if common.sandbox and sys.stdin is not None and sys.stdin.isatty() and not common.json:
            session.console.note("the sandbox runs until Enter is pressed")
            await next_line(sys.stdin.fileno())
        return 0

    return on_item(common, item, work)


async def file_of(api: Figshare, item: ItemDetail, wanted: str, repeated: Repeated) -> File:
    """Return the item's file with this id, name or path in it. Raises FileNotHeld for none, UsageError for several."""
    return _find(wanted, [file async for file in api.files(item.id)], item, repeated)


def _find(wanted: str, files_there: list[File], item: ItemDetail, repeated: Repeated) -> File:
    """Return the file with this id; otherwise the only one with this path or name. Raises as `file_of`.

    A path does not precede a name: once it is removed, the same command would remove a file in another folder.
    """
    paths = {file.id: file.path_among(item.folders) for file in files_there}
    by_id = [file for file in files_there if wanted == str(file.id)]
    found = by_id or [file for file in files_there if composed(wanted) in _names(composed(paths[file.id]))]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(file.id) for file in found)
        raise UsageError(f"item {item.id} has several files named {wanted!r}", hint=f"Give an id: {ids}.")
    files = repeated.command("item", "files", "list", item.id)
    similar = [_names(path)["/" not in wanted] for path in paths.values()]
    raise FileNotHeld(
        f"item {item.id} has no file {wanted!r}", hint=did_you_mean(wanted, similar, f"`{files}` lists them.")
    )


def _names(path: str) -> tuple[str, str]:
    """Return the names by which a file is found: its path and the last component of that."""
    return path, path.rpartition("/")[2]
