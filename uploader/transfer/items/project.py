"""The project that an item is to be created in: looked at before anything is created."""

from __future__ import annotations

from uploader.errors import NotAllowed
from uploader.figshare.items import Items

_MAY_NOT_WRITE = "Viewer"


async def check_project(items: Items, project_id: int) -> None:
    """Return where this account may create items in the project. Raises ProjectMissing, NotAllowed."""
    # The account first: until it is known, a refusal would be taken for one of the token.
    await items.institution()
    project = await items.project(project_id)
    if project.role == _MAY_NOT_WRITE:
        raise NotAllowed(
            f"this account may look at project {project_id} ({project.title!r}), and add nothing to it",
            hint="Ask its owner to make you a collaborator, or take another account's token.",
        )
