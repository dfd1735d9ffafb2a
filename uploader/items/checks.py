"""The custom fields without which an institution publishes no item: which of them an item will lack."""

from __future__ import annotations

from uploader.errors import PermissionDenied, RequestRejected
from uploader.figshare.models import ItemDetail
from uploader.items.payload import ItemPayload
from uploader.items.service import ItemRequests

_MAY_NOT_WRITE = "Viewer"


async def missing_required_fields(
    items: ItemRequests, spec: ItemPayload, *, item: ItemDetail | None = None, project: int | None = None
) -> list[str]:
    """The mandatory custom fields that will say nothing once the item is described so; none where that is not told.

    `item` is one that exists already; else it is created, in the project if one is given.
    """
    said = {one["name"] for one in spec.fields.get("custom_fields_list", ()) if one["value"]}
    group = spec.fields.get("group_id")
    if item is not None and group in (None, item.group_id):
        return [name for name in item.lacking_fields if name not in said]
    if item is not None:
        said |= set(item.custom_fields)
    return [name for name in await _required_fields(items, group, project) if name not in said]


async def _required_fields(items: ItemRequests, group: int | None, project: int | None) -> list[str]:
    if await items.institution() is None:
        return []
    if group is None and project is not None:
        group = (await items.project(project)).group_id
    try:
        return [field.name for field in await items.custom_fields(group) if field.is_mandatory]
    except (PermissionDenied, RequestRejected):
        return []


async def check_project(items: ItemRequests, project_id: int) -> None:
    """Return where this account may create items in the project. Raises ProjectNotFound, PermissionDenied."""
    project = await items.project(project_id)
    if project.role == _MAY_NOT_WRITE:
        raise PermissionDenied(
            f"this account may look at project {project_id} ({project.title!r}), and add nothing to it",
            hint="Ask its owner to make you a collaborator, or take another account's token.",
        )
