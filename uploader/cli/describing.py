"""Descriptions on the command line: read, resolved against the account's lists, and what was taken from where said."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import date
from typing import Any

import anyio.to_thread

from uploader.catalog.metadata.description import Description, gather, resolve
from uploader.catalog.metadata.names import Names
from uploader.cli.running import Session
from uploader.figshare.api import Figshare
from uploader.transfer.source import shown
from uploader.transfer.spec import ItemSpec


async def read_description(
    session: Session,
    *,
    given: dict[str, Any] | None = None,
    file: str | None = None,
    beside: Sequence[str] = (),
) -> Description:
    """What is to be said of an item; files that lay there, and what is odd, are told. Raises as `gather` does."""
    fields = {name: value for name, value in (given or {}).items() if value is not None}
    today = date.today()  # noqa: DTZ011 - the day on the calendar of whoever writes an embargo's end
    read = functools.partial(gather, given=fields, file=file, beside=beside, today=today)
    description = await anyio.to_thread.run_sync(read)
    for line in description.taken():
        session.console.note(shown(line))
    for part in description.parts:
        if part.source in description.found:
            session.console.event("described", path=part.source, format=part.kind, fields=list(part.fields))
    return description


async def resolve_description(session: Session, api: Figshare, description: Description) -> ItemSpec:
    """The description as Figshare takes it. Asks for lists where names have to be looked up. Raises MetadataInvalid."""
    spec, remarks = await resolve(description, Names(api.items))
    for remark in remarks:
        session.console.note(shown(remark))
    return spec
