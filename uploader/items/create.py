"""Create items, projects and collections outside a job.

After a lost response the effect is looked up before the request is repeated. What an interrupted run of the same
command left is finished by the next one: see `uploader.items.creations`.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec

from uploader.errors import FigupError, PermissionDenied, RequestRejected
from uploader.figshare.outcomes import NO_EFFECT
from uploader.figshare.retry import poll
from uploader.items.creations import Creations
from uploader.items.describe import describe
from uploader.items.mark import bears_mark, marked_title
from uploader.items.payload import ItemPayload
from uploader.items.reconcile import TIME_LIMIT, confirm, once_visible

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare
    from uploader.figshare.item_api import Container


log = logging.getLogger("uploader.items.create")


class _Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What the request with this mark created; `adopted`: an earlier run made the request.

    `unanswered` are the marks of attempts whose effect was not found: their drafts may appear late.
    """

    id: int
    mark: str
    adopted: bool = False
    unanswered: tuple[str, ...] = ()


_Find = Callable[[Collection[str]], Awaitable[list[tuple[int, str]]]]
"""Return the id and the title of each that has one of these marks."""


async def create_item(
    api: Figshare,
    title: str,
    spec: ItemPayload,
    *,
    records: Creations,
    on_created: Callable[[int, bool], None],
    project: int | None = None,
) -> int:
    """Create a draft with this metadata and return its id. Each call creates another one, or finishes an empty one that
    an interrupted run of the same command left.

    `on_created` gets the id as soon as it is known, and whether the next run can finish the item; the errors from then
    on name it. If Figshare refuses the metadata, the draft is kept with its title.
    """
    sent = spec.creation_fields(in_project=project is not None)

    async def find(marks: Collection[str]) -> list[tuple[int, str]]:
        return [(row.id, row.title) async for row in api.own_items() if bears_mark(row.title, marks)]

    async def is_unused(item_id: int) -> bool:
        item = await api.items.detail(item_id)
        return not item.is_public and not [file async for file in api.files(item_id)]

    def ask(mark: str) -> Awaitable[int]:
        return api.items.create({"title": marked_title(title, mark), **sent}, project=project)

    origin = await _origin(api, "item", title, project)
    draft = await _find_or_create(records, api, origin, find, ask, "creating the item", is_unused)
    on_created(draft.id, draft.mark in records)
    rest = {name: value for name, value in spec.fields.items() if draft.adopted or name not in sent}
    try:
        await describe(api, draft.id, msgspec.structs.replace(spec, fields=rest))
        # Last: until then, the mark tells that the item is not finished.
        await api.items.update(draft.id, {"title": title})
    except FigupError as error:
        refused = isinstance(error, RequestRejected | PermissionDenied)
        if refused and await _set_title(api, draft.id, title):
            await anyio.to_thread.run_sync(records.end, draft.mark)
        kept = draft.mark in records
        raise error.with_context(
            prefix=f"item {draft.id} was created, but not all of its metadata was set",
            situation=None if kept else "created-unfinished",
            item_id=draft.id,
        ) from error
    await anyio.to_thread.run_sync(records.end, draft.mark)
    if draft.unanswered:
        with suppress(FigupError):  # the item is created
            await _remove_late(api, draft, find, is_unused, records)
    return draft.id


async def _remove_late(
    api: Figshare, draft: _Draft, find: _Find, is_unused: Callable[[int], Awaitable[bool]], records: Creations
) -> None:
    """Remove empty drafts of other attempts. The record of one that does not show yet is left to the next run."""
    for item_id, title in await find(draft.unanswered):
        if item_id != draft.id and await is_unused(item_id):
            await api.delete_item(item_id)
            log.warning(
                "item %d came from a request whose response was lost; it was empty and has been removed", item_id
            )
            await anyio.to_thread.run_sync(records.end, _mark_in(title, draft.unanswered))


async def _set_title(api: Figshare, item_id: int, title: str) -> bool:
    """Return whether the title could be set."""
    try:
        await api.items.update(item_id, {"title": title})
    except FigupError:
        return False  # the error that is being reported is the cause
    return True


async def create_container(
    api: Figshare, kind: Container, title: str, description: str | None = None, *, records: Creations
) -> int:
    """Create a project or collection, and return its id. Each call creates another one, or finishes one that an
    interrupted run of the same command left.

    Raises PermissionDenied, RequestRejected, ServerFailing.
    """
    one = kind.removesuffix("s")
    fields = {"title": title} | ({"description": description} if description is not None else {})

    async def find(marks: Collection[str]) -> list[tuple[int, str]]:
        return [(row.id, row.title) async for row in api.items.containers(kind) if bears_mark(row.title, marks)]

    def ask(mark: str) -> Awaitable[int]:
        return api.items.create_container(kind, {**fields, "title": marked_title(title, mark)})

    origin = await _origin(api, one, title)
    draft = await _find_or_create(records, api, origin, find, ask, f"creating the {one}")
    try:
        await api.items.update_container(kind, draft.id, fields)
    except FigupError as error:
        raise error.with_context(prefix=f"{one} {draft.id} was created, but its title was not set") from error
    await anyio.to_thread.run_sync(records.end, draft.mark)
    return draft.id


async def _origin(api: Figshare, kind: str, title: str, project: int | None = None) -> str:
    """Return the common prefix of the marks of the same command on this host for the same account."""
    account = await api.account()
    words = f"{api.endpoint}\n{account.id}\n{socket.gethostname()}\n{project}\n{title}"
    return f"{kind}-{hashlib.blake2b(words.encode(), digest_size=4).hexdigest()}"


async def _find_or_create(
    records: Creations,
    api: Figshare,
    origin: str,
    find: _Find,
    ask: Callable[[str], Awaitable[int]],
    action: str,
    is_unused: Callable[[int], Awaitable[bool]] | None = None,
) -> _Draft:
    """Find what an ended run of the same command created, if it is unused, or create it."""
    if left := await anyio.to_thread.run_sync(records.adopt_interrupted, origin):
        wait = functools.partial(api.wait, f"{action}: an earlier run was interrupted; checking whether it took effect")
        for item_id, title in await poll(lambda: _found(find, left), TIME_LIMIT, api.clock, wait=wait) or ():
            if is_unused is None or await once_visible(functools.partial(is_unused, item_id), TIME_LIMIT, api.clock):
                return _Draft(id=item_id, mark=_mark_in(title, left), adopted=True)
        for mark in left:
            await anyio.to_thread.run_sync(records.end, mark)
    marks: list[str] = []

    async def attempt() -> _Draft:
        # Each has its own mark: the draft of one whose response was lost may appear after that of the next one.
        mark = await anyio.to_thread.run_sync(records.begin, origin)
        marks.append(mark)
        try:
            return _Draft(id=await ask(mark), mark=mark)
        except NO_EFFECT:
            await anyio.to_thread.run_sync(records.end, mark)
            raise

    async def check() -> _Draft | None:
        found = await _found(find, marks)
        return _Draft(id=found[0][0], mark=_mark_in(found[0][1], marks)) if found is not None else None

    draft = await confirm(api, attempt, check, action)
    return msgspec.structs.replace(draft, unanswered=tuple(mark for mark in marks if mark != draft.mark))


def _mark_in(title: str, marks: Iterable[str]) -> str:
    return next(mark for mark in marks if bears_mark(title, [mark]))


async def _found(find: _Find, marks: Collection[str]) -> list[tuple[int, str]] | None:
    return sorted(await find(marks)) or None
