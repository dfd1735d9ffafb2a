"""Metadata given on the command line: read it, resolve names, report the sources used."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import click
import msgspec

from uploader.cli.options import check_exclusive, grouped, is_configured, with_options
from uploader.cli.parameters import ITEM_ID, PROJECT_ID, LocalPath
from uploader.cli.runner import Session
from uploader.figshare.ids import Reference
from uploader.items.payload import ItemPayload
from uploader.items.service import Lookup
from uploader.metadata.sidecars import find_sidecars
from uploader.sources.models import Sources
from uploader.text import printable
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.journal.plan import checked_title

if TYPE_CHECKING:
    from uploader.metadata.description import Description


async def read_description(
    session: Session,
    *,
    given: dict[str, Any] | None = None,
    file: str | None = None,
    sidecars_of: Sequence[str] = (),
) -> Description:
    """Load the description, and report sidecar files and remarks. Raises what `load_description` raises."""
    from uploader.metadata.description import load_description

    fields = {name: value for name, value in (given or {}).items() if value is not None}
    today = date.today()  # noqa: DTZ011 - an embargo's end is a date in the user's time zone
    read = functools.partial(load_description, given=fields, file=file, sidecars_of=sidecars_of, today=today)
    description = await anyio.to_thread.run_sync(read)
    for line in description.provenance():
        session.console.note(printable(line))
    for part in description.parts:
        if part.source in description.found:
            session.console.event("described", path=part.source, format=part.kind, fields=list(part.fields))
    return description


async def resolve_description(
    session: Session,
    lookup: Lookup,
    description: Description,
    *,
    publish: bool = False,
    item: int | None = None,
    project: int | None = None,
) -> ItemPayload:
    """Resolve the description for an existing item, or for a new one, in a project if given.

    Requests lists if names must be looked up. Raises MetadataInvalid, with `publish` also for rejected safety fields.
    """
    from uploader.metadata.description import resolve
    from uploader.metadata.resolve import Resolver

    found = await resolve(description, Resolver(lookup=lookup, item=item, project=project), publish=publish)
    for field, source in found.provenance:
        session.console.note(printable(f"taken from {source}: {field}"))
    for remark in (*found.remarks, *(one.text for one in found.rejected)):
        session.console.note(printable(remark))
    for one in (*description.rejected(), *found.rejected):
        session.console.event("left-out", path=one.part.source, **msgspec.to_builtins(one.problem))
    return found.spec


# --- for `figup upload` -------------------------------------------------------------------------------------------


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `figup upload` about the item: which one, its metadata and the final steps."""

    item: Reference | None
    title: str | None
    project: int | None
    metadata: str | None
    update_metadata: bool
    found_metadata: bool
    reserve_doi: bool
    private_link: bool
    publish: bool


_item = grouped("Item and description")
_ITEM = [
    _item("--item", metavar="ID", type=ITEM_ID, help="Add the files to this item: its number, address or DOI."),
    _item("--title", metavar="T",
          help="Title of the new item.  [default: from the metadata, or the name of the first path]"),
    _item("--project", metavar="ID", type=PROJECT_ID, help="Create the item in this project."),
    _item("--metadata", metavar="FILE", type=LocalPath(readable=False),
          help="Description of the new item (YAML, JSON, TOML); see `figup metadata template`."),
    _item("--update-metadata", is_flag=True, help="With --item: apply --metadata to the existing item."),
    _item("--found-metadata/--no-found-metadata", default=True,
          help="For a new item, read datacite.json, ro-crate-metadata.json, .zenodo.json, CITATION.cff and "
               "codemeta.json next to the data.  [default: yes]"),
    _item("--reserve-doi", is_flag=True, help="When all files are verified, reserve a DOI."),
    _item("--private-link", is_flag=True, help="When all files are verified, create a private link."),
    _item("--publish", is_flag=True,
          help="When all files are verified, publish the item. A public item cannot be deleted."),
]  # fmt: skip


def item_options(command: Callable[..., int]) -> Any:
    """Give the command the options about the item, as one argument `about`."""

    @functools.wraps(command)
    def collected(**values: Any) -> int:
        about = _preferred(Item(**{name: values.pop(name) for name in Item.__struct_fields__}))
        _check(about)
        return command(about=about, **values)

    return with_options(collected, _ITEM)


def check_title(title: str | None) -> None:
    """Raise UsageError for a title of blanks, which counts as none in a metadata file, or of another wrong length."""
    if title is not None:
        checked_title(" ".join(title.split()))


def _preferred(about: Item) -> Item:
    """Return the options without configured ones that contradict the command line: the item is given or created."""
    context = click.get_current_context()
    configured = {name for name in Item.__struct_fields__ if is_configured(context, name)}
    if about.item is not None and "item" not in configured:
        dropped = configured & ({"title", "project"} if about.update_metadata else {"title", "project", "metadata"})
    elif {name for name in ("title", "project") if getattr(about, name) is not None} - configured:
        dropped = configured & {"item"}
    else:
        return about
    return msgspec.structs.replace(about, **dict.fromkeys(dropped))


def _check(about: Item) -> None:
    """Raise UsageError if the options contradict each other or are probably a mistake."""
    reason = "the item is either given or created"
    check_exclusive({"--item": about.item, "--title": about.title}, reason)
    check_exclusive({"--item": about.item, "--project": about.project}, reason)
    if about.item is not None and about.metadata is not None and not about.update_metadata:
        raise click.UsageError(
            f"--metadata describes a new item; to apply it to item {about.item}, add --update-metadata"
        )
    if about.update_metadata and about.metadata is None:
        raise click.UsageError("--update-metadata needs --metadata")
    check_title(about.title)


class _CommandLineMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata for the client: see `MetadataSource` in `uploader.transfer.destination.options`.

    `title` is the new title of an existing item, None to keep it.
    """

    session: Session
    description: Description
    title: str | None

    @property
    def fingerprint(self) -> str:
        return self.description.fingerprint if self.title is None else f"{self.description.fingerprint} {self.title}"

    async def resolve(
        self, lookup: Lookup, *, publish: bool = False, item: int | None = None, project: int | None = None
    ) -> ItemPayload:
        spec = await resolve_description(
            self.session, lookup, self.description, publish=publish, item=item, project=project
        )
        return (
            spec if self.title is None else msgspec.structs.replace(spec, fields={"title": self.title, **spec.fields})
        )


async def read_item_options(session: Session, about: Item, sources: Sources) -> tuple[str | None, ItemOptions]:
    """Return the new item's title, or None, and the options of the item.

    Reports what was taken from sidecar files. Raises what `load_description` raises.
    """
    sidecars_of = sources.paths if about.item is None and about.found_metadata else ()
    title = " ".join(about.title.split()) if about.title is not None else None
    has_sidecars = await anyio.to_thread.run_sync(lambda: any(True for _ in find_sidecars(sidecars_of)))
    if about.metadata is None and not has_sidecars and (title is None or title == about.title):
        # Nothing to read: avoid importing the parser.
        return title, ItemOptions(reserve_doi=about.reserve_doi, private_link=about.private_link, publish=about.publish)
    description = await read_description(
        session, given={"title": about.title}, file=about.metadata, sidecars_of=sidecars_of
    )
    title = description.metadata.title
    new_title = title if about.item is not None else None
    describes = bool(set(description.metadata.present_fields()) - {"title"} or description.rejected())
    describe = (
        _CommandLineMetadata(session=session, description=description, title=new_title)
        if new_title or describes
        else None
    )
    item_options = ItemOptions(
        metadata=describe, reserve_doi=about.reserve_doi, private_link=about.private_link, publish=about.publish
    )
    return (title if about.item is None else None), item_options
