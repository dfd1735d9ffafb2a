"""Custom fields: which a group has, what each kind takes, and how definitions are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uploader.sandbox.answers import ApiError
from uploader.sandbox.custom_fields import DEFAULTS, check, for_group, given, read_definitions, shown, unfilled


@pytest.mark.parametrize(
    "values",
    [
        {"Instrument": "ab", "Site": "North", "Recorded on": "2024-02-29", "Protocol": "https://example.org/p?a=1"},
        {"Methods": "ten characters", "Contact": "a@example.org", "Department": ["Botany", "Zoology"]},
        {"Site": ["North", "Loch Ness"]},
        {"Site": "", "Instrument": None, "Methods": []},
    ],
)
def test_accepted_values(values: dict[str, Any]) -> None:
    check(values, DEFAULTS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Instrument", "a"), ("Instrument", "a" * 101), ("Instrument", ["ab"]), ("Methods", "short"), ("Site", "West"),
        ("Site", ["North", "West"]), ("Recorded on", "2024-02-30"), ("Recorded on", "17.5.2024"),
        ("Recorded on", "2024-05-17T00:00:00"), ("Protocol", "example.org"), ("Contact", "a at b"),
        ("Department", "Alchemy"), ("Instrument", {"a": "b"}), ("instrument", "ab"), ("k", "v"),
        ("Shelfmark", "s" * 251),
    ],
)  # fmt: skip
def test_rejected_values(name: str, value: Any) -> None:
    with pytest.raises(ApiError) as caught:
        check({name: value}, DEFAULTS)
    assert (caught.value.status, caught.value.data) == (422, {"invalid_params": "custom_fields"})
    assert name in caught.value.message


def test_a_group_has_its_own_fields_and_the_institutions() -> None:
    everywhere, library = for_group(DEFAULTS, 2101), for_group(DEFAULTS, 2102)
    assert [one.name for one in library if one not in everywhere] == ["Shelfmark"]
    assert unfilled({}, everywhere) == []
    assert unfilled({"Shelfmark": ""}, library) == ["Shelfmark"]
    assert unfilled({"Shelfmark": "x"}, library) == []
    assert {one.kind for one in everywhere} == {
        "text", "textarea", "dropdown", "url", "email", "date", "dropdown_large_list",
    }  # fmt: skip


def test_an_item_shows_all_fields_and_a_project_those_set() -> None:
    fields = for_group(DEFAULTS, None)
    reported = shown({"Site": "North", "Gone": "x"}, fields)
    assert [one["value"] for one in reported if one["value"]] == ["North", "x"]
    assert len(reported) == len(fields) + 1
    assert "Botany" not in json.dumps(reported), "a large list is not shown"
    assert [(one["name"], one["field_type"]) for one in given({"Site": "North", "k": "v"})] == [
        ("Site", "dropdown"),
        ("k", "text"),
    ]


def test_definitions_are_read_as_in_the_api(tmp_path: Path) -> None:
    file = tmp_path / "fields.json"
    listed = [
        {"id": 7, "name": "Grade", "field_type": "dropdown", "settings": {"options": ["A", "B"]}, "order": 1},
        {"name": "Shelf", "is_mandatory": True, "groups": [2102], "settings": {"placeholder": None}},
    ]
    file.write_text(json.dumps(listed))
    grade, shelf = read_definitions(str(file))
    assert (grade.id, grade.kind, grade.settings) == (7, "dropdown", {"options": ["A", "B"]})
    assert (shelf.kind, shelf.mandatory, shelf.groups) == ("text", True, (2102,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a list of custom fields"),
        ('{"name": "a"}', "not a list of custom fields"),
        ('[{"field_type": "text"}]', "missing required field `name`"),
        ('[{"name": "a", "field_type": "number"}]', "Invalid enum value 'number'"),
        ('[{"name": "a", "settings": {"validations": {"max_length": "9"}}}]', "max_length"),
        ('[{"name": "a", "settings": {"options": "A"}}]', "options"),
    ],
)
def test_invalid_definitions_are_rejected(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "fields.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        read_definitions(str(file))
    assert str(caught.value).startswith(f"{file}: ")
    with pytest.raises(ValueError, match="No such file"):
        read_definitions(str(tmp_path / "absent.json"))
