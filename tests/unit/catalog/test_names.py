"""Names into ids, the nearest for those that there are not, and a description as Figshare takes it."""

from __future__ import annotations

import functools
from datetime import date
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from uploader.catalog.metadata.description import Description, gather, resolve
from uploader.catalog.metadata.names import Names, Unknown
from uploader.catalog.metadata.nearest import nearest, or_list
from uploader.errors import MetadataInvalid, NotAllowed
from uploader.figshare.wire_items import Category, Group, License
from uploader.transfer.items.spec import ItemSpec

TODAY = date(2026, 1, 1)


class Lists:
    """An account's lists; `asked` counts."""

    def __init__(self, *, groups: bool = True) -> None:
        self.asked: list[str] = []
        self._groups = groups

    async def categories(self) -> list[Category]:
        self.asked.append("categories")
        return [
            Category(id=1, title="Biological sciences", is_selectable=False),
            Category(id=2, title="Zoology", parent_id=1, is_selectable=False),
            Category(id=3, title="Animal behaviour", parent_id=2, source_id="310901"),
            Category(id=4, title="Zoology not elsewhere classified", parent_id=2),
            Category(id=5, title="Health", is_selectable=False),
            Category(id=6, title="Animal behaviour", parent_id=5),
        ]

    async def licenses(self) -> list[License]:
        self.asked.append("licenses")
        return [
            License(id=1, name="CC BY 4.0"),
            License(id=12, name="CC BY-NC-ND 4.0", url="https://creativecommons.org/licenses/by-nc-nd/4.0/"),
        ]

    async def groups(self) -> list[Group]:
        self.asked.append("groups")
        if not self._groups:
            raise NotAllowed("no administrator")
        return [Group(id=7, name="Materials"), Group(id=8, name="Math"), Group(id=9, name="math")]


async def unknown(kind: str, wanted: str | int, **lists: Any) -> Unknown:
    with pytest.raises(Unknown) as caught:
        await getattr(Names(Lists(**lists)), kind)(wanted)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "wanted", "number"),
    [
        ("category", 3, 3),
        ("category", "3", 3),
        ("category", "310901", 3),
        ("category", 310901, 3),
        ("category", "zoology NOT elsewhere-classified", 4),
        ("category", "Zoology > Animal behaviour", 3),
        ("category", "health>animal behaviour", 6),
        ("license", "cc-by-4.0", 1),
        ("license", "CC BY NC ND 4.0", 12),
        ("license", "https://creativecommons.org/licenses/by-nc-nd/4.0/", 12),
        ("license", 12, 12),
        ("group", "materials", 7),
        ("group", 99, 99),
    ],
)
async def test_a_name(kind: str, wanted: str | int, number: int) -> None:
    assert await getattr(Names(Lists()), kind)(wanted) == number


async def test_names_that_there_are_not() -> None:
    found = await unknown("category", "Zoologie")
    assert found.message == "there is no category 'Zoologie'"
    found = await unknown("category", "Animal behavior")
    assert found.hint == 'Did you mean "Animal behaviour"?'
    found = await unknown("category", "The behaviour of beavers")
    assert found.hint == 'Did you mean "Animal behaviour"?'
    found = await unknown("category", 77)
    assert found.hint == "`figup metadata categories WORD` looks for some."
    found = await unknown("category", "Animal behaviour")
    assert found.message == "'Animal behaviour' may be several categories"
    assert found.hint == (
        "Give an id: 3 (Biological sciences > Zoology > Animal behaviour), 6 (Health > Animal behaviour)."
    )
    found = await unknown("category", "Zoology")
    assert found.message == "the category 'Zoology' only holds others, and cannot be chosen"
    assert found.hint == 'Below it are "Animal behaviour" or "Zoology not elsewhere classified".'
    found = await unknown("license", "CC BY-NC-DN 4.0")
    assert found.hint == 'Did you mean "CC BY-NC-ND 4.0" or "CC BY 4.0"?'
    found = await unknown("license", "beerware")
    assert found.hint == "There are: CC BY 4.0, CC BY-NC-ND 4.0."
    assert (await unknown("group", "Materiels")).hint == 'Did you mean "Materials"?'
    assert (await unknown("group", "MATH")).hint == "Give an id: 8 (Math), 9 (math)."
    found = await unknown("group", "Materials", groups=False)
    assert found.message == "this account may not list groups (no administrator)"


def test_the_nearest() -> None:
    names = ["Zoology not elsewhere classified", "Geology", "Horology"]
    assert nearest("zoology", names)[-1] == "Zoology not elsewhere classified"
    assert nearest("", names) == nearest("xyz", names) == []
    assert or_list(["a", "b", "c"]) == '"a", "b" or "c"'


async def gathered(**sources: Any) -> Description:
    return await anyio.to_thread.run_sync(functools.partial(gather, today=TODAY, **sources))


async def described(tmp_path: Path, text: str) -> tuple[ItemSpec, Lists]:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    lists = Lists()
    found = await resolve(await gathered(file=file), Names(lists), publish=True)
    assert found.left_out == ()
    return found.spec, lists


async def test_a_description_as_figshare_takes_it(tmp_path: Path) -> None:
    spec, lists = await described(
        tmp_path,
        "title: Not in here\ndescription: d\nauthors: [Jane Doe 0000-0002-1825-0097, {id: 4, name: x}]\n"
        "categories: [3, 310901, 4]\nkeywords: [a]\nlicense: MIT\ntype: data\nreferences: [https://a.b]\n"
        "related_materials: [{doi: 10.1234/b, relation: Cites}, {id: 5}]\nfunding: [abc, {id: 6}]\n"
        "custom_fields: {A: [b]}\ngroup: Materials\ntimeline: {first_online: 2024-01-02}\n"
        "embargo: {until: 2027-01-01, options: [{id: 8, group_ids: [9]}]}\nmetadata_only: elsewhere\n",
    )
    assert spec.fields == {
        "description": "<p>d</p>",
        "keywords": ["a"],
        "defined_type": "dataset",
        "references": ["https://a.b"],
        "related_materials": [
            {"identifier": "10.1234/b", "identifier_type": "DOI", "relation": "Cites", "is_linkout": False},
            {"id": 5},
        ],
        "funding_list": [{"title": "abc"}, {"id": 6}],
        "custom_fields_list": [{"name": "A", "value": ["b"]}],
        "timeline": {"firstOnline": "2024-01-02"},
        "is_metadata_record": True,
        "metadata_reason": "elsewhere",
        "categories": [3, 4],
        "license": 3,
        "group_id": 7,
    }
    assert spec.authors == [{"name": "Jane Doe", "orcid_id": "0000-0002-1825-0097"}, {"id": 4}]
    assert spec.embargo == {
        "is_embargoed": True,
        "embargo_date": "2027-01-01T00:00:00",
        "embargo_type": "file",
        "embargo_title": "",
        "embargo_reason": "",
        "embargo_options": [{"id": 8, "group_ids": [9]}],
    }
    assert lists.asked == ["categories", "groups"]


async def test_a_description_that_names_nothing_asks_for_nothing(tmp_path: Path) -> None:
    spec, lists = await described(tmp_path, "title: Some title\n")
    assert spec == ItemSpec()
    assert lists.asked == []


async def test_unknown_names_are_told_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(MetadataInvalid) as caught:
        await described(tmp_path, "title: abc\ntags: [x]\nCategories:\n  - 3\n  - Animal behavior\nlicence: 99\n")
    assert [(p.field, p.line) for p in caught.value.causes if isinstance(p, MetadataInvalid)] == [
        ("Categories[2]", 5),
        ("licence", 6),
    ]
    assert caught.value.path == str(tmp_path / "a.yaml")


NC = "cff-version: 1.2.0\ntitle: Abc\nlicense: CC-BY-NC-4.0\n"
TOLD = (
    'CITATION.cff: license: there is no licence \'CC-BY-NC-4.0\'. Did you mean "CC BY-NC-ND 4.0" or "CC BY 4.0"? '
    "It is left out: a new item has Figshare's default licence, CC BY 4.0"
)


async def test_an_unknown_licence_of_a_file_in_anothers_format_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(NC)
    for description in (await gathered(beside=[tmp_path]), await gathered(file=tmp_path / "CITATION.cff")):
        found = await resolve(description, Names(Lists()), publish=False)
        assert "license" not in found.spec.fields
        assert [one.told for one in found.left_out] == [TOLD]
        assert "license" not in " ".join(description.taken())


async def test_nothing_is_published_under_another_licence_than_a_found_file_has(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(NC)
    for description in (await gathered(beside=[tmp_path]), await gathered(file=tmp_path / "CITATION.cff")):
        with pytest.raises(MetadataInvalid) as caught:
            await resolve(description, Names(Lists()), publish=True)
        assert caught.value.message == (
            "CITATION.cff: license: there is no licence 'CC-BY-NC-4.0'; without it, a new item has Figshare's default "
            "licence, CC BY 4.0"
        )
        assert (caught.value.hint or "").startswith('Did you mean "CC BY-NC-ND 4.0" or "CC BY 4.0"? Say ')
        assert caught.value.path == str(tmp_path / "CITATION.cff")
    (tmp_path / "mine.yaml").write_text("license: CC BY-NC-ND 4.0\n")
    description = await gathered(file=tmp_path / "mine.yaml", beside=[tmp_path])
    assert (await resolve(description, Names(Lists()), publish=True)).spec.fields["license"] == 12


async def test_a_licence_of_an_institution_is_taken_once_it_was_looked_up(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(NC.replace("NC-", "NC-ND-"))
    description = await gathered(beside=[tmp_path])
    assert description.taken()[-1] == f"taken from {tmp_path}/CITATION.cff: title, type"
    found = await resolve(description, Names(Lists()), publish=True)
    assert (found.spec.fields["license"], found.taken) == (12, (("license", f"{tmp_path}/CITATION.cff"),))


async def test_the_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(NC)
    (tmp_path / "mine.yaml").write_text("categories: [Animal behavior]\n")
    with pytest.raises(MetadataInvalid, match="2 metadata files have problems; nothing was done") as caught:
        await resolve(await gathered(file=tmp_path / "mine.yaml", beside=[tmp_path]), Names(Lists()), publish=True)
    assert [cause.path for cause in caught.value.causes] == [f"{tmp_path}/mine.yaml", f"{tmp_path}/CITATION.cff"]
