"""A project as the API shows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uploader.sandbox import custom_fields
from uploader.sandbox.addresses import Addresses
from uploader.sandbox.answers import moment
from uploader.sandbox.people.accounts import Account
from uploader.sandbox.projects_db import Collaborator, Project


def public_row(project: Project, at: Addresses) -> dict[str, Any]:
    """Return the row of a project in a public listing."""
    return {
        "url": f"{at.api}/projects/{project.id}",
        "id": project.id,
        "title": project.metadata["title"],
        "created_date": moment(project.created),
        "modified_date": moment(project.modified),
        "published_date": None if project.published is None else moment(project.published),
    }


def row(project: Project, at: Addresses) -> dict[str, Any]:
    """Return the row of a project in the owner's listing. Projects use the owner's storage here."""
    return {**public_row(project, at), "url": at.project(project.id), "role": "Owner", "storage": "individual"}


def public(project: Project, owner: Account, people: Sequence[Collaborator], at: Addresses) -> dict[str, Any]:
    """Return a published project. `people` are those besides the owner."""
    return {
        **public_row(project, at),
        **_described(project, owner, people, at),
        "custom_fields": custom_fields.given(project.metadata["custom_fields"]),
    }


def full(
    project: Project, owner: Account, people: Sequence[Collaborator], used: tuple[int, int], at: Addresses
) -> dict[str, Any]:
    """Return a project as its owner sees it. `people` are those besides it, `used` bytes, private and public."""
    known = {one.name: one.id for one in custom_fields.DEFAULTS}
    fields = custom_fields.given(project.metadata["custom_fields"])
    return {
        **row(project, at),
        **_described(project, owner, people, at),
        "quota": 0,
        "used_quota": sum(used),
        "used_quota_private": used[0],
        "used_quota_public": used[1],
        "group_id": project.metadata["group_id"],
        "account_id": project.account_id,
        "custom_fields": [{"id": known.get(one["name"], 0), **one} for one in fields],
    }


def collaborators(owner: Account, people: Sequence[Collaborator]) -> list[dict[str, Any]]:
    """Return the owner and the others, as a project's object shows them."""
    name = f"{owner.first_name} {owner.last_name}".strip()
    return [
        {"role_name": "Owner", "user_id": owner.author_id, "name": name},
        *({"role_name": one.role.capitalize(), "user_id": one.author_id, "name": one.name} for one in people),
    ]


def _described(project: Project, owner: Account, people: Sequence[Collaborator], at: Addresses) -> dict[str, Any]:
    meta = project.metadata
    return {
        "funding": meta["funding"],
        "funding_list": meta["funding_list"],
        "description": meta["description"],
        "collaborators": collaborators(owner, people),
        "figshare_url": f"{at.origin}/projects/{project.id}",
    }
