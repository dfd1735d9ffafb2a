"""The ids of categories are those of the real service."""

from __future__ import annotations

import pytest

from uploader.sandbox import checks
from uploader.sandbox.answers import ApiError
from uploader.sandbox.categories import by_source, categories, of_item

DIVISIONS = {
    "30": 23812, "31": 24130, "32": 24457, "33": 24895, "34": 25066, "35": 25282, "36": 25588, "37": 25717,
    "38": 25945, "39": 26065, "40": 26212, "41": 26863, "42": 27001, "43": 27244, "44": 27391, "45": 27775,
    "46": 28798, "47": 29239, "48": 29533, "49": 29746, "50": 29911, "51": 30082, "52": 30292,
}  # fmt: skip
"""As recorded from the real service, as are those below."""


def test_ids_are_the_real_ones() -> None:
    assert {code: number for code, number in by_source().items() if len(code) == 2} == DIVISIONS
    assert by_source()["529999"] == max(categories()) == 30418
    assert of_item(24193) == {
        "id": 24193, "title": "Genomics and transcriptomics", "parent_id": 24181, "path": "/24130/24181/24193",
        "source_id": "310204", "taxonomy_id": 100,
    }  # fmt: skip
    assert of_item(24418)["title"] == "Animal physiological ecology"
    assert by_source()["460501"] == 28930


def test_the_table_is_whole() -> None:
    levels = [len(one["source_id"]) for one in categories().values()]
    assert [levels.count(digits) for digits in (2, 4, 6)] == [23, 213, 1967]
    for one in categories().values():
        assert one["title"] == one["title"].strip() != ""
        assert one["is_selectable"] is not one["has_children"]
        parent = categories().get(one["parent_id"])
        assert (parent["source_id"] if parent else "") == one["source_id"][:-2]


def test_fields_can_be_set_by_either_id_and_groups_cannot() -> None:
    assert checks.source_ids("categories_by_source_id", ["310204", "460501"]) == [24193, 28930]
    assert checks.categories("categories", [24193, 24193]) == [24193]
    for refused in ([24181], [24130], [24194], [1]):
        with pytest.raises(ApiError, match="Not allowed to set category"):
            checks.categories("categories", refused)
