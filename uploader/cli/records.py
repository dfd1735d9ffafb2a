"""`figup records`: many items with linked files, from one file."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uploader.cli.metadata import write_new
from uploader.cli.options import (
    ENVIRONMENT,
    CommandGroup,
    FigupCommand,
    GlobalOptions,
    common_options,
    output_options,
    with_options,
)
from uploader.cli.parameters import LocalPath
from uploader.cli.runner import Session, on_figshare, run
from uploader.concurrency import in_thread
from uploader.errors import ExitStatus
from uploader.text import printable
from uploader.units import format_count

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare
    from uploader.records.check import Checked, CheckedRecord
    from uploader.records.formats import RecordFile
    from uploader.records.model import ItemKey

TEMPLATE_HELP = """\b
Examples:
  figup records template --output records.csv
  figup records template --for crossref --output defaults.yaml

"""
CHECK_HELP = """\b
Examples:
  figup records check works.json --defaults defaults.yaml
  figup records check records.csv --online       also looks up the names in it

\b
Exit status: 0 if all records are valid, 2 if one is not.

"""
_KINDS = ("csv", "jsonl", "dimensions", "crossref", "datacite")
_MAX_REMARKS = 20
_INPUT = [
    click.option("--map", "map_file", metavar="FILE", type=LocalPath(path_type=Path, readable=False),
                 help="Map of fields for other formats (YAML); see `figup help records`."),
    click.option("--defaults", metavar="FILE", type=LocalPath(path_type=Path, readable=False),
                 help="Defaults for all records (a metadata file)."),
    click.option("--metadata-only", is_flag=True, help="Create items without a link to a file."),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RecordInput:
    """The options about the file of records."""

    map_file: Path | None
    defaults: Path | None
    metadata_only: bool

    async def read(self, session: Session, path: Path, *, key: ItemKey | None = None) -> RecordFile:
        """Read the file, and report what is left out. For `key` and errors see `read_records`."""
        from uploader.records.formats import read_records

        today = date.today()  # noqa: DTZ011 - an embargo's end is a date in the user's time zone
        file = await in_thread(
            lambda: read_records(
                path,
                map_file=self.map_file,
                defaults=self.defaults,
                metadata_only=self.metadata_only,
                today=today,
                key=key,
            )
        )
        show_remarks(session, file.remarks)
        if file.unused:
            session.console.note(f"not used: {printable(_counted(file.unused))}")
        return file


def input_options(command: Callable[..., int]) -> Any:
    """Give the command the options about the file of records, as one argument `reading`."""

    @functools.wraps(command)
    def collected(map_file: Path | None, defaults: Path | None, metadata_only: bool, **values: Any) -> int:
        reading = RecordInput(map_file=map_file, defaults=defaults, metadata_only=metadata_only)
        return command(reading=reading, **values)

    return with_options(collected, _INPUT)


def show_remarks(session: Session, remarks: list[str]) -> None:
    """Print the first remarks, and how many more there are; `--json` has all."""
    for text in remarks:
        session.console.event("remark", text=text)
    for text in remarks[:_MAX_REMARKS]:
        session.console.note(printable(text))
    if len(remarks) > _MAX_REMARKS:
        session.console.note(f"and {len(remarks) - _MAX_REMARKS} more remarks; --json has all")


@click.group("records", cls=CommandGroup)
def records() -> None:
    """Create many items whose files are kept elsewhere, from one file.

    CSV, XLSX, JSON Lines, and records of Dimensions, Crossref and DataCite are read.
    """


@records.command("template", cls=FigupCommand, epilog=TEMPLATE_HELP)
@click.option("--for", "kind", type=click.Choice(_KINDS), default="csv", show_default=True,
              help="A table, JSON Lines, or what completes the records of a service.")  # fmt: skip
@click.option("--output", metavar="FILE", type=LocalPath(path_type=Path), help="Write to FILE, which must not exist.")
@output_options
def template(kind: str, output: Path | None, common: GlobalOptions) -> int:
    """Write an example of a file, or defaults for a service."""
    from uploader.records.template import template as text_of

    async def work(session: Session) -> int:
        text = text_of(kind)
        if output is None:
            session.console.event("template", text=text)
            session.console.result(text.replace("\r\n", "\n").rstrip("\n"))
        else:
            await in_thread(write_new, output, text)
            session.console.event("template", path=str(output))
            session.console.result(f"Wrote {printable(str(output))}.")
        return ExitStatus.OK

    return run(common, work)


@records.command("check", cls=FigupCommand, epilog=CHECK_HELP + ENVIRONMENT)
@click.argument("file", metavar="FILE", type=LocalPath(path_type=Path, readable=False))
@input_options
@click.option("--online", is_flag=True, help="Also look up categories, licences, groups, custom fields and grants.")
@common_options
def check(file: Path, reading: RecordInput, online: bool, common: GlobalOptions) -> int:
    """Check a file of records and list all problems.

    Each has its line. Without --online it needs no account. Creates nothing.
    """

    async def offline(session: Session) -> int:
        from uploader.records.check import missing_fields

        found = await reading.read(session, file)
        found.raise_problems()
        lacking = await in_thread(lambda: Counter(n for one in found.records for n in missing_fields(one.metadata)))
        return _write_valid(session, found, lacking)

    async def with_names(session: Session, api: Figshare) -> int:
        found = await reading.read(session, file)
        checked = await check_records(session, api, found)
        return _write_valid(session, found, checked.lacking)

    return on_figshare(common, with_names) if online else run(common, offline)


async def check_records(
    session: Session,
    api: Figshare,
    file: RecordFile,
    *,
    publish: bool = False,
    take: Callable[[Sequence[CheckedRecord]], None] | None = None,
) -> Checked:
    """Check all records with Figshare, as `check` does. Raises MetadataInvalid with all problems."""
    from uploader.records.check import check

    checked = await check(file, api.items, publish=publish, take=take)
    show_remarks(session, checked.remarks)
    checked.raise_problems()
    return checked


def _write_valid(session: Session, file: RecordFile, lacking: Mapping[str, int]) -> int:
    """Report a valid file, and what its records lack to be published."""
    session.console.event(
        "checked", path=str(file.path), format=file.kind, records=len(file.records), unused=file.unused,
        lacking=dict(lacking),
    )  # fmt: skip
    count = format_count(len(file.records), "record")
    session.console.result(f"{printable(str(file.path))} is valid: {count} ({file.kind}).")
    if lacking:
        session.console.result(f"Required to publish: {_counted(lacking)}.")
    return ExitStatus.OK


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in names.items())
