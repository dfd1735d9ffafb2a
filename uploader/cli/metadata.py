"""`figup metadata`: write and check files that describe items."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import anyio.to_thread
import click
import msgspec

from uploader.cli.context import INTERACTIVE_RETRY, open_context
from uploader.cli.hints import NOTHING
from uploader.cli.metadata_options import read_description, resolve_description
from uploader.cli.options import (
    ENVIRONMENT,
    CommandGroup,
    FigupCommand,
    GlobalOptions,
    common_options,
    output_options,
)
from uploader.cli.parameters import LocalPath
from uploader.cli.runner import Session, run
from uploader.errors import UsageError
from uploader.figshare.models import Category
from uploader.items.checks import missing_required_fields
from uploader.items.release import REQUIRED_TO_PUBLISH
from uploader.metadata.description import Description
from uploader.metadata.markdown import MAX_DESCRIPTION
from uploader.metadata.resolve import category_path
from uploader.system import PATH_FAULTS, write_error
from uploader.text import plain, printable, suggest

TEMPLATE_HELP = """\b
Example:
  figup metadata template --output dataset.yaml

"""
CHECK_HELP = """\b
Examples:
  figup metadata check dataset.yaml
  figup metadata check dataset.yaml --online     also looks up the names in it

\b
Exit status: 0 if it is valid, 2 if it is not.

"""
_MAX_SHOWN = 40


@click.group("metadata", cls=CommandGroup)
def metadata() -> None:
    """Write and check files that describe items: YAML, JSON or TOML.

    CITATION.cff, DataCite JSON, codemeta.json, RO-Crate and .zenodo.json are accepted, too.
    """


@metadata.command("template", cls=FigupCommand, epilog=TEMPLATE_HELP)
@click.option("--output", metavar="FILE", type=LocalPath(path_type=Path), help="Write to FILE, which must not exist.")
@output_options
def template(output: Path | None, common: GlobalOptions) -> int:
    """Write a commented template of a metadata file."""
    text = resources.files("uploader.metadata").joinpath("template.yaml").read_text("utf-8")

    async def work(session: Session) -> int:
        if output is None:
            session.console.event("template", text=text)
            session.console.result(text.rstrip("\n"))
            return 0
        await anyio.to_thread.run_sync(write_new, output, text)
        session.console.event("template", path=str(output))
        name = printable(str(output))
        session.console.result(f"Wrote {name}; `{NOTHING.command('metadata', 'check', name)}` checks it.")
        return 0

    return run(common, work)


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist. Raises UsageError if it does."""
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} already exists and is not overwritten", path=str(path)) from None
    except PATH_FAULTS as error:
        raise write_error(error, str(path)) from None


@metadata.command("check", cls=FigupCommand, epilog=CHECK_HELP + ENVIRONMENT)
@click.argument("file", metavar="FILE", type=LocalPath(readable=False))
@click.option(
    "--online", is_flag=True, help="Also look up categories, licences, groups, custom fields, authors and grants."
)
@common_options
def check(file: str, online: bool, common: GlobalOptions) -> int:
    """Check a metadata file and list all problems.

    Each has its line and field. Needs no account and sends nothing.
    """

    async def offline(session: Session) -> int:
        description = await read_description(session, file=file)
        for doubt in (doubt for part in description.parts for doubt in part.unverified):
            session.console.note(printable(doubt))
        return _write_valid(session, file, description)

    if not online:
        return run(common, offline)
    with open_context(common) as context:
        client = context.client(retry=INTERACTIVE_RETRY)

        async def work(session: Session) -> int:
            description = await read_description(session, file=file)
            async with client:
                with client.figshare() as api:
                    spec = await resolve_description(session, api.items, description)
                    more = await missing_required_fields(api.items, spec)
            return _write_valid(session, file, description, more)

        return run(common, work)


def _write_valid(session: Session, file: str, description: Description, more: Sequence[str] = ()) -> int:
    """Report a valid file, its fields, and the fields still required to publish, including `more`."""
    fields = description.metadata.present_fields()
    defaults = {"license", "type", "authors"}
    missing = [*(name for name in REQUIRED_TO_PUBLISH if name not in fields and name not in defaults), *more]
    length = len(description.metadata.description or "")
    session.console.event(
        "checked",
        path=file,
        fields=list(fields),
        lacking=missing,
        description_length=length,
        description_limit=MAX_DESCRIPTION,
    )
    text = ", ".join(fields).replace("_", " ") or "nothing"
    session.console.result(f"{printable(file)} is valid. Fields: {text}.")
    if length:
        session.console.result(f"The description has {length} characters as HTML; Figshare allows {MAX_DESCRIPTION}.")
    if missing:
        session.console.result(f"Required to publish: {', '.join(missing)}.")
    return 0


@metadata.command("categories", cls=FigupCommand, epilog=ENVIRONMENT)
@click.argument("word", required=False)
@common_options
def categories(word: str | None, common: GlobalOptions) -> int:
    """List categories with their ids. With WORD: those that contain it."""
    with open_context(common) as context:
        client = context.client(retry=INTERACTIVE_RETRY)

        async def work(session: Session) -> int:
            async with client:
                with client.figshare() as api:
                    known = await api.items.categories()
            _list_categories(session, known, word)
            return 0

        return run(common, work)


def _list_categories(session: Session, known: list[Category], word: str | None) -> None:
    by_id = {one.id: one for one in known}
    found = [one for one in known if one.is_selectable]
    if word is not None:
        near = set(suggest(word, [one.title for one in found]))
        found = [o for o in found if plain(word) in plain(category_path(o, by_id)) or o.title in near]
    for one in found:
        session.console.event("category", path=category_path(one, by_id), **msgspec.to_builtins(one))
        session.console.result(f"{one.id}  {printable(category_path(one, by_id))}")
    if not found:
        session.console.note(f"no category contains {printable(word or '')!r}")
