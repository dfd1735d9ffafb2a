"""`figup item|collection|project show` and `item files|versions`: single records, without a token where public."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal

import click

from uploader.cli.item_views import card, container_card, fields, file_fields, file_line
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options, with_options
from uploader.cli.parameters import COLLECTION_ID, ITEM_VERSION, PROJECT_ID
from uploader.cli.records_result import conclude, put_rows
from uploader.cli.runner import Session, on_figshare
from uploader.errors import ExitStatus, ItemNotFound
from uploader.figshare.decode import decode
from uploader.figshare.ids import Reference
from uploader.figshare.models import File, ItemDetail
from uploader.figshare.records import Record, items_of

if TYPE_CHECKING:
    from uploader.catalog.lookup import Found
    from uploader.figshare.client import Figshare

SHOW_HELP = """\b
Examples:
  figup item show 1234567
  figup item show 10.6084/m9.figshare.1234567.v2 --format citation
  figup item show https://figshare.com/articles/dataset/Survey/1234567 --json

"""


VERSIONED_ITEM = click.argument("item", metavar="ITEM", type=ITEM_VERSION)
_FACE = [
    click.option("--version", metavar="N", type=click.IntRange(min=1), help="A public version.  [default: the newest]"),
    click.option("--public", is_flag=True, help="What everyone sees, even of your own."),
]
_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json", "yaml", "citation"]), default="text",
                       show_default=True, help="json and yaml have every field, as received.")  # fmt: skip
_ITEMS = click.option("--items", is_flag=True, help="List its items as well.")


def face_options(command: Any) -> Any:
    """Add the options that choose between an item's public versions and the account's own copy."""
    return with_options(command, _FACE)


@click.command("show", cls=FigupCommand, epilog=SHOW_HELP + ENVIRONMENT, short_help="Show an item.")
@VERSIONED_ITEM
@_FORMAT
@face_options
@common_options
def show_item(
    item: tuple[Reference, int | None], form: str, version: int | None, public: bool, common: GlobalOptions
) -> int:
    """Show an item and its description: your own, or any public one, for which no token is needed."""

    async def work(session: Session, api: Figshare) -> int:
        found = await _item(api, item, version, public=public)
        detail = decode(ItemDetail, found.record.raw, f"item {found.record.id}")
        session.summary.item_id, session.summary.item_url = detail.id, detail.url or None
        session.console.event("item", face=_face(found), **fields(detail))
        session.console.result(card(detail) if form == "text" else _formatted(found.record, form))
        return ExitStatus.OK

    return on_figshare(common, work, anonymous=True)


@click.command("versions", cls=FigupCommand, epilog=ENVIRONMENT, short_help="List an item's public versions.")
@VERSIONED_ITEM
@common_options
def item_versions(item: tuple[Reference, int | None], common: GlobalOptions) -> int:
    """List the public versions of an item: number and address in the API. No token is needed."""

    async def work(session: Session, api: Figshare) -> int:
        found = await _item(api, (item[0], None), None, public=False)
        number = found.record.id
        try:
            versions = await api.records.versions("item", number)
        except ItemNotFound:
            versions = []
        for one in versions:
            session.console.event("version", item_id=number, version=one.version, url=one.url)
            session.console.result(f"{one.version:>4}  {one.url}")
        if not versions:
            session.console.note(f"item {number} has no public version")
        return ExitStatus.OK

    return on_figshare(common, work, anonymous=True)


async def list_files(
    session: Session, api: Figshare, item: tuple[Reference, int | None], version: int | None, *, public: bool
) -> int:
    """Print the files of an item: its own copy's, or those of a public version."""
    found = await _item(api, item, version, public=public)
    number = found.record.id
    detail = decode(ItemDetail, found.record.raw, f"item {number}")
    files: AsyncIterator[File] = api.files(number)
    if found.public:
        files = api.public_files(number, version if version is not None else item[1])
    session.summary.item_id, session.summary.item_url = number, detail.url or None
    async for file in files:
        path = file.path_among(detail.folders)
        session.console.event("file", **file_fields(file, path))
        session.console.result(file_line(file, path))
    return ExitStatus.OK


@click.command("show", cls=FigupCommand, epilog=ENVIRONMENT, short_help="Show a collection.")
@click.argument("collection", metavar="COLLECTION", type=COLLECTION_ID)
@_ITEMS
@_FORMAT
@face_options
@common_options
def show_collection(
    collection: Reference, items: bool, form: str, version: int | None, public: bool, common: GlobalOptions
) -> int:
    """Show a collection: your own, or any public one, for which no token is needed."""
    return _show_container(common, "collection", collection, version, form=form, items=items, public=public)


@click.command("show", cls=FigupCommand, epilog=ENVIRONMENT, short_help="Show a project.")
@click.argument("project", metavar="PROJECT", type=PROJECT_ID)
@_ITEMS
@_FORMAT
@click.option("--public", is_flag=True, help="What everyone sees, even of your own.")
@common_options
def show_project(project: Reference, items: bool, form: str, public: bool, common: GlobalOptions) -> int:
    """Show a project: your own, or any public one, for which no token is needed."""
    return _show_container(common, "project", project, None, form=form, items=items, public=public)


def _show_container(
    common: GlobalOptions,
    kind: Literal["collection", "project"],
    reference: Reference,
    version: int | None,
    *,
    form: str,
    items: bool,
    public: bool,
) -> int:
    async def work(session: Session, api: Figshare) -> int:
        from uploader.catalog.lookup import find
        from uploader.catalog.reading import Reading
        from uploader.catalog.search import Conclusion

        found = await find(api, kind, reference, version=version, public=public)
        session.console.event(kind, face=_face(found), record=found.record.raw)
        shown = container_card(found.record, kind) if form == "text" else _formatted(found.record, form)
        session.console.result(shown)
        if not items:
            return ExitStatus.OK
        reading = Reading(api.records, items_of(kind, found.record.id, public=found.public))
        count = await put_rows(session, reading.rows(), "item")
        return conclude(session, api, Conclusion(found=count, gaps=reading.gaps), None)

    return on_figshare(common, work, anonymous=True)


async def _item(api: Figshare, item: tuple[Reference, int | None], version: int | None, *, public: bool) -> Found:
    """Find an item; a version on the command line counts more than that in a DOI or an address."""
    from uploader.catalog.lookup import find

    return await find(api, "item", item[0], version=version if version is not None else item[1], public=public)


def _face(found: Found) -> str:
    return "public" if found.public else "private"


def _formatted(record: Record, form: str) -> str:
    if form == "citation":
        return record.citation or f"{record.title}. {(record.doi and f'https://doi.org/{record.doi}') or record.url}"
    if form == "yaml":
        import yaml

        return yaml.safe_dump(dict(record.raw), allow_unicode=True, sort_keys=False).rstrip("\n")
    text = json.dumps(record.raw, ensure_ascii=False, indent=2)
    # The console would escape these in its own way, which is not that of JSON.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
