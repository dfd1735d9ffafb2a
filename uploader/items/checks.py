"""Checks before an item is created or published: required custom fields, access to the project."""

from __future__ import annotations

from uploader.errors import PermissionDenied, RequestRejected
from uploader.figshare.models import ItemDetail
from uploader.items.payload import ItemPayload
from uploader.items.service import ItemRequests, Lookup

_READ_ONLY_ROLE = "Viewer"


async def missing_required_fields(
    items: ItemRequests, spec: ItemPayload, *, item: ItemDetail | None = None, project: int | None = None
) -> list[str]:
    """Return the required custom fields that the item would lack; none if that cannot be found out.

    `item` is the existing item; None: it is created, in `project` if given.
    """
    filled = {one["name"] for one in spec.fields.get("custom_fields_list", ()) if one["value"]}
    group = spec.fields.get("group_id")
    if item is not None and group in (None, item.group_id):
        return [name for name in item.lacking_fields if name not in filled]
    if item is not None:
        filled |= set(item.custom_fields)
    return [name for name in await required_fields(items, group, project) if name not in filled]


async def required_fields(items: Lookup, group: int | None, project: int | None = None) -> list[str]:
    """Return the custom fields that a new item of this group, or in this project, needs; none if they are unknown."""
    if await items.institution() is None:
        return []
    if group is None and project is not None:
        group = (await items.project(project)).group_id
    try:
        return [field.name for field in await items.custom_fields(group) if field.is_mandatory]
    except (PermissionDenied, RequestRejected):
        return []


async def check_project(items: ItemRequests, project_id: int) -> None:
    """Raise ProjectNotFound or PermissionDenied unless this account may create items in the project."""
    project = await items.project(project_id)
    if project.role == _READ_ONLY_ROLE:
        raise PermissionDenied(
            f"this account can only view project {project_id} ({project.title!r})",
            hint="Ask its owner to make you a collaborator, or use the token of another account.",
        )
