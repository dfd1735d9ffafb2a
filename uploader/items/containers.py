"""Create projects and collections. After a lost response the effect is looked up before the request is repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from uploader.items.reconcile import confirm

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare
    from uploader.figshare.item_api import Container
    from uploader.figshare.models import ContainerRow

_PAGE = 100


async def create_container(api: Figshare, kind: Container, title: str, description: str | None = None) -> int:
    """Create a project or collection, and return its id. Each call creates another one.

    Raises PermissionDenied, RequestRejected, ServerFailing.
    """
    fields = {"title": title} | ({"description": description} if description is not None else {})
    before = {row.id async for row in own_containers(api, kind)}

    async def check() -> int | None:
        created = [row.id async for row in own_containers(api, kind) if row.id not in before and row.title == title]
        return min(created, default=None)

    return await confirm(
        api, lambda: api.items.create_container(kind, fields), check, f"creating the {kind.removesuffix('s')}"
    )


async def own_containers(api: Figshare, kind: Container) -> AsyncIterator[ContainerRow]:
    """Yield the account's projects or collections."""
    page = 1
    while True:
        rows = await api.items.list_containers(kind, page=page, page_size=_PAGE)
        for row in rows:
            yield row
        if len(rows) < _PAGE:
            return
        page += 1
