"""All records of a file are checked with Figshare before anything is created, each name once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest

from uploader.errors import MetadataInvalid
from uploader.figshare.models import Category, CustomField, Grant, Group, ItemDetail, License, Project
from uploader.records.check import Checked, CheckedRecord, check
from uploader.records.formats import read_records
from uploader.records.plan import plan_record
from uploader.records.template import KINDS, template


class Lists:
    """An institution's lists; `asked` has every request."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def categories(self) -> list[Category]:
        self.asked.append("categories")
        return [Category(id=3, title="Zoology", source_id="310999"), Category(id=5, title="Ecology")]

    async def licenses(self) -> list[License]:
        self.asked.append("licenses")
        return [License(id=12, name="CC BY-NC 4.0")]

    async def groups(self) -> list[Group]:
        self.asked.append("groups")
        return [Group(id=7, name="Materials")]

    async def institution(self) -> int | None:
        self.asked.append("institution")
        return 2000

    async def custom_fields(self, group: int | None = None) -> list[CustomField]:
        self.asked.append(f"custom_fields {group}")
        return [CustomField(name="Site", kind="text", is_mandatory=True)]

    async def has_author(self, author_id: int) -> bool:
        self.asked.append(f"author {author_id}")
        return author_id == 1

    async def grants(self, text: str) -> list[Grant]:
        self.asked.append(f"grant {text}")
        return []

    async def project(self, project_id: int) -> Project:
        raise AssertionError

    async def detail(self, item_id: int) -> ItemDetail:
        raise AssertionError


RECORD = {
    "title": "A dam", "link": "https://a.org/", "description": "Text", "keywords": ["a"], "categories": ["zoology"],
    "license": "CC BY-NC 4.0", "group": "Materials", "funding": ["DFG"], "custom_fields": {"site": "Ness"},
}  # fmt: skip


def checked(
    folder: Path,
    records: Sequence[dict[str, Any]],
    defaults: str | None = None,
    *,
    publish: bool = False,
    take: Callable[[Sequence[CheckedRecord]], None] = lambda _: None,
) -> tuple[Checked, list[str]]:
    path = folder / "records.json"
    path.write_text(json.dumps([{"id": number, **one} for number, one in enumerate(records, start=1)]))
    if defaults is not None:
        (folder / "defaults.yaml").write_text(defaults)
    common = folder / "defaults.yaml" if defaults is not None else None
    file, lists = read_records(path, today=date(2026, 1, 1), defaults=common), Lists()

    async def work() -> Checked:
        return await check(file, lists, publish=publish, take=take)

    return anyio.run(work), lists.asked


def test_names_become_ids_and_each_is_asked_for_once(tmp_path: Path) -> None:
    found: list[CheckedRecord] = []
    result, asked = checked(tmp_path, [RECORD] * 3, take=found.extend)
    result.raise_problems()
    assert len(found) == 3
    fields = found[2].payload.fields
    assert (fields["categories"], fields["license"], fields["group_id"]) == ([3], 12, 7)
    assert fields["custom_fields_list"] == [{"name": "Site", "value": "Ness"}]
    assert fields["funding_list"] == [{"title": "DFG"}]
    assert sorted(set(asked)) == ["categories", "custom_fields 7", "grant DFG", "groups", "institution", "licenses"]
    assert len(asked) <= len(set(asked)) + 2, "an institution and its fields are asked for once by each of two checks"


def test_a_plan_has_all_dois_that_the_record_names(tmp_path: Path) -> None:
    found: list[CheckedRecord] = []
    link = "https://doi.org/10.1234%2FB"
    result, _ = checked(tmp_path, [{**RECORD, "doi": "doi: 10.1234/A%281%29.", "link": link}], take=found.extend)
    result.raise_problems()
    planned = plan_record(found[0])
    assert (planned.key, planned.dois, planned.link) == (
        "10.1234/a(1)",
        ("10.1234/A(1)", "10.1234/a(1)", "10.1234/B"),
        link,
    )
    assert planned.payload.fields["doi"] == "10.1234/A(1)"
    update = plan_record(found[0], "doi")
    assert (update.dois, "doi" in update.payload.fields) == (("10.1234/A(1)",), False)


def test_every_unknown_name_has_its_place(tmp_path: Path) -> None:
    found: list[CheckedRecord] = []
    wrong = ({**RECORD, "categories": ["Zoolgy"], "license": "none"}, {**RECORD, "categories": ["Zoolgy"], "title": ""})
    result, _ = checked(tmp_path, [RECORD, *wrong], take=found.extend)
    with pytest.raises(MetadataInvalid) as caught:
        result.raise_problems()
    assert [one.message for one in caught.value.causes] == [
        "records.json: record 2, categories: unknown category 'Zoolgy'",
        "records.json: record 2, license: unknown licence 'none'",
        "records.json: record 3, title: a record needs a title",
    ]
    assert caught.value.causes[0].hint == 'Did you mean "Zoology"?'
    assert [one.record.line for one in found] == [1]


def test_the_default_takes_the_place_of_a_publishers_licence_that_figshare_does_not_have(tmp_path: Path) -> None:
    address = "http://onlinelibrary.wiley.com/termsAndConditions#vor"
    works = [
        {"DOI": f"10.1002/abc.{number}", "title": ["A dam"], "license": [{"URL": url, "content-version": "vor"}]}
        for number, url in enumerate([address, "http://creativecommons.org/licenses/by/4.0/", address])
    ]
    planned: list[CheckedRecord] = []
    result, _ = checked(tmp_path, works, "license: CC BY-NC 4.0\n", take=planned.extend)
    result.raise_problems()
    assert [one.payload.fields["license"] for one in planned] == [12, 1, 12]
    assert result.remarks == [
        f"license: Figshare does not have {address!r}; that of the defaults, CC BY-NC 4.0, is used"
    ]
    result, _ = checked(tmp_path, works)
    assert [(one.text, "defaults" in (one.hint or "")) for one in result.problems] == [
        (f"record {number}, license: unknown licence {address!r}", True) for number in (1, 3)
    ]
    result, _ = checked(tmp_path, [{**RECORD, "license": "none"}], "license: CC BY-NC 4.0\n")
    assert [one.field for one in result.problems] == ["license"], "a mistake of the user's own is not replaced"


def test_a_mistake_in_the_defaults_is_reported_once(tmp_path: Path) -> None:
    own = {name: value for name, value in RECORD.items() if name != "categories"}
    result, _ = checked(tmp_path, [own, own], "categories: [Zoolgy]\n")
    with pytest.raises(MetadataInvalid, match=r"defaults\.yaml: line 1, categories\[1\]: unknown category 'Zoolgy'"):
        result.raise_problems()
    assert result.problems == []


def test_what_is_required_to_publish_is_counted(tmp_path: Path) -> None:
    bare = {"title": "A dam", "link": "https://a.org/", "description": "Text"}
    planned: list[CheckedRecord] = []
    result, _ = checked(tmp_path, [RECORD, bare], take=planned.extend)
    assert len(planned) == 2, "a draft may lack what is required to publish"
    assert result.lacking == {"categories": 1, "keywords": 1, "Site": 1}
    result, _ = checked(tmp_path, [RECORD, bare], publish=True)
    assert [one.text for one in result.problems] == [
        "record 2: lacks what is required to publish: categories, keywords, Site"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_templates_are_valid(tmp_path: Path, kind: str) -> None:
    own = kind in ("csv", "jsonl")
    path = tmp_path / f"example.{kind if own else 'yaml'}"
    path.write_text(template(kind), newline="")
    records = tmp_path / "r.jsonl"
    records.write_text('{"title": "A dam", "id": 1, "link": "https://a.org/"}\n')
    file = read_records(path, today=date(2026, 1, 1)) if own else None
    if file is not None:
        assert (file.problems, len(file.records), file.unused) == ([], 1, {})
    else:
        assert "\n".join(line for line in template(kind).splitlines() if not line.startswith("#")).count(":") == 5
