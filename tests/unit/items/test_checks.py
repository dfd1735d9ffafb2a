"""Checks before an item is created: its project, and missing custom fields."""

from __future__ import annotations

import pytest

from uploader.errors import PermissionDenied, ProjectNotFound
from uploader.figshare.item_api import Items
from uploader.figshare.models import CustomField, ItemDetail, Project
from uploader.items.checks import check_project, missing_required_fields
from uploader.items.payload import ItemPayload


class Account(Items):
    """An account with one project in another group; `asked` counts requests."""

    def __init__(self, *, institution: int | None = 2000, role: str = "Owner", open_to_ask: bool = True) -> None:
        self.asked: list[str] = []
        self._institution = institution
        self._role = role
        self._open = open_to_ask

    async def institution(self) -> int | None:
        self.asked.append("institution")
        return self._institution

    async def custom_fields(self, group: int | None = None) -> list[CustomField]:
        self.asked.append(f"custom fields of {group}")
        if not self._open:
            raise PermissionDenied("not for you")
        own = [CustomField(name="Shelf", is_mandatory=True)] if group == 7 else []
        return [CustomField(name="Site"), CustomField(name="Grade", is_mandatory=True), *own]

    async def project(self, project_id: int) -> Project:
        self.asked.append(f"project {project_id}")
        if project_id != 3:
            raise ProjectNotFound("no such project")
        return Project(id=3, title="P", role=self._role, group_id=7)


def spec(group: int | None = None, **values: str) -> ItemPayload:
    fields = {"custom_fields_list": [{"name": name, "value": value} for name, value in values.items()]}
    return ItemPayload(fields=fields if group is None else {**fields, "group_id": group})


async def test_a_new_item_needs_its_groups_required_fields() -> None:
    assert await missing_required_fields(Account(), spec()) == ["Grade"]
    assert await missing_required_fields(Account(), spec(Grade="A")) == []
    assert await missing_required_fields(Account(), spec(Grade="")) == ["Grade"]
    assert await missing_required_fields(Account(), spec(7, Grade="A")) == ["Shelf"]
    assert await missing_required_fields(Account(), spec(), project=3) == ["Grade", "Shelf"]
    assert await missing_required_fields(Account(open_to_ask=False), spec()) == []


async def test_without_an_institution_no_fields_are_requested() -> None:
    account = Account(institution=None)
    assert await missing_required_fields(account, spec(), project=3) == []
    assert account.asked == ["institution"]


async def test_an_existing_item_reports_its_missing_fields() -> None:
    account = Account()
    item = ItemDetail(id=5, group_id=7, custom_fields={"Grade": "A"}, lacking_fields=("Shelf",))
    assert await missing_required_fields(account, spec(), item=item) == ["Shelf"]
    assert await missing_required_fields(account, spec(7, Shelf="x"), item=item) == []
    assert account.asked == []
    assert await missing_required_fields(account, spec(8), item=item) == []
    assert await missing_required_fields(account, spec(8), item=ItemDetail(id=5)) == ["Grade"]


async def test_a_project_must_be_writable() -> None:
    for role in ("Owner", "Collaborator", ""):
        await check_project(Account(role=role), 3)
    with pytest.raises(PermissionDenied, match="can only view project 3"):
        await check_project(Account(role="Viewer"), 3)
    account = Account()
    with pytest.raises(ProjectNotFound):
        await check_project(account, 4)
    assert account.asked == ["project 4"]
