"""Names resolved into ids, suggestions for unknown ones, and the payload of a description."""

from __future__ import annotations

import functools
from datetime import date
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from uploader.errors import MetadataInvalid, PermissionDenied
from uploader.figshare.models import Category, CustomField, Grant, Group, ItemDetail, License, Project
from uploader.items.payload import ItemPayload
from uploader.metadata.description import Description, load_description, resolve
from uploader.metadata.resolve import Resolver, UnknownName, Unresolvable
from uploader.text import or_list, plain, plausibly_same, suggest

TODAY = date(2026, 1, 1)


class Lists:
    """An account's lists; `asked` counts."""

    def __init__(self, *, groups: bool = True, institution: int | None = 2000, open_to_ask: bool = True) -> None:
        self.asked: list[str] = []
        self._groups = groups
        self._institution = institution
        self._open = open_to_ask

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
            raise PermissionDenied("no administrator")
        return [Group(id=7, name="Materials"), Group(id=8, name="Math"), Group(id=9, name="math")]

    async def institution(self) -> int | None:
        self.asked.append("institution")
        return self._institution

    async def custom_fields(self, group: int | None = None) -> list[CustomField]:
        self.asked.append(f"custom fields of {group}")
        self._refuse()
        everywhere = [CustomField(name="Site", kind="dropdown", options=("North",)), CustomField(name="A", kind="url")]
        return [CustomField(name="Shelf", kind="text")] if group == 7 else everywhere

    async def has_author(self, author_id: int) -> bool:
        self._refuse()
        return author_id == 4

    async def grants(self, words: str) -> list[Grant]:
        self.asked.append(f"grants: {words}")
        self._refuse()
        known = [
            Grant(id=6, title="Open data", code="OD-7", funder="F"),
            Grant(id=8, title="Twice", funder="F"),
            Grant(id=9, title="Twice", funder="G"),
            Grant(id=10, title="By hand", is_user_defined=True),
        ]
        return [one for one in known if plain(words) in (plain(one.title), plain(one.code), str(one.id))]

    async def detail(self, item_id: int) -> ItemDetail:
        self.asked.append(f"item {item_id}")
        return ItemDetail(id=item_id, group_id=7)

    async def project(self, project_id: int) -> Project:
        self.asked.append(f"project {project_id}")
        return Project(id=project_id, group_id=7)

    def _refuse(self) -> None:
        if not self._open:
            raise PermissionDenied("not for you")


async def unknown(kind: str, wanted: str | int, **lists: Any) -> UnknownName:
    with pytest.raises(UnknownName) as caught:
        await getattr(Resolver(lookup=Lists(**lists)), kind)(wanted)
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
        ("author", 4, 4),
        ("grant", "open data", 6),
        ("grant", "od 7", 6),
        ("grant", 6, 6),
    ],
)
async def test_a_name(kind: str, wanted: str | int, number: int) -> None:
    assert await getattr(Resolver(lookup=Lists()), kind)(wanted) == number


async def test_unknown_names() -> None:
    found = await unknown("category", "Zoologie")
    assert found.message == "unknown category 'Zoologie'"
    found = await unknown("category", "Animal behavior")
    assert found.hint == 'Did you mean "Animal behaviour"?'
    found = await unknown("category", "The behaviour of beavers")
    assert found.hint == 'Did you mean "Animal behaviour"?'
    found = await unknown("category", 77)
    assert (found.hint, found.situation) == ("Look for its title among Figshare's categories.", "unknown-category")
    found = await unknown("category", "Animal behaviour")
    assert found.message == "'Animal behaviour' matches several categories"
    assert found.hint == (
        "Give an id: 3 (Biological sciences > Zoology > Animal behaviour), 6 (Health > Animal behaviour)."
    )
    found = await unknown("category", "Zoology")
    assert found.message == "the category 'Zoology' only groups others and cannot be selected"
    assert found.hint == 'Select one of its subcategories: "Animal behaviour" or "Zoology not elsewhere classified".'
    found = await unknown("license", "CC BY-NC-DN 4.0")
    assert found.hint == 'Did you mean "CC BY-NC-ND 4.0" or "CC BY 4.0"?'
    found = await unknown("license", "beerware")
    assert found.hint == "Available: CC BY 4.0, CC BY-NC-ND 4.0."
    assert (await unknown("group", "Materiels")).hint == 'Did you mean "Materials"?'
    assert (await unknown("group", "MATH")).hint == "Give an id: 8 (Math), 9 (math)."
    found = await unknown("group", "Materials", groups=False)
    assert found.message == "this account cannot list groups (no administrator)"


@pytest.mark.parametrize(
    ("name", "other", "one"),
    [
        ("Jane Doe", "Doe, J.", True),
        ("Jane Smith", "Jane Doe", True),
        ("Jürgen Groß", "Jurgen Gross", True),
        ("Catherine Deneuve", "Katherine Deneuv", True),
        ("Max Power", "Jane Doe", False),
        ("J. Doe", "M. Rosenberg", False),
        ("", "Jane Doe", False),
    ],
)
def test_names_of_one_person_and_of_two(name: str, other: str, one: bool) -> None:
    assert plausibly_same(name, other) is one
    assert plausibly_same(other, name) is one


def test_the_nearest() -> None:
    names = ["Zoology not elsewhere classified", "Geology", "Horology"]
    assert suggest("zoology", names)[-1] == "Zoology not elsewhere classified"
    assert suggest("", names) == suggest("xyz", names) == []
    assert or_list(["a", "b", "c"]) == '"a", "b" or "c"'


async def gathered(**sources: Any) -> Description:
    return await anyio.to_thread.run_sync(functools.partial(load_description, today=TODAY, **sources))


async def described(tmp_path: Path, text: str) -> tuple[ItemPayload, Lists]:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    lists = Lists()
    found = await resolve(await gathered(file=file), Resolver(lookup=lists), publish=True)
    assert found.rejected == ()
    return found.spec, lists


async def test_a_description_in_the_apis_form(tmp_path: Path) -> None:
    spec, lists = await described(
        tmp_path,
        "title: Not in here\ndescription: d\nauthors: [Jane Doe 0000-0002-1825-0097, {id: 4, name: x}]\n"
        "categories: [3, 310901, 4]\nkeywords: [a]\nlicense: MIT\ntype: data\nreferences: [https://a.b]\n"
        "related_materials: [{doi: 10.1234/b, relation: Cites}, {id: 5}]\nfunding: [abc, {id: 6}]\n"
        "custom_fields: {a: 10.1234/b, Shelf: c}\ngroup: Materials\ntimeline: {first_online: 2024-01-02}\n"
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
        "custom_fields_list": [{"name": "A", "value": "https://doi.org/10.1234/b"}, {"name": "Shelf", "value": "c"}],
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
    assert lists.asked == [
        "categories", "groups", "grants: abc", "grants: 6", "institution", "custom fields of 7",
        "custom fields of None",
    ]  # fmt: skip


async def test_without_names_nothing_is_requested(tmp_path: Path) -> None:
    spec, lists = await described(tmp_path, "title: Some title\n")
    assert spec == ItemPayload()
    assert lists.asked == []


async def test_unknown_names_are_reported_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(MetadataInvalid) as caught:
        await described(tmp_path, "title: abc\ntags: [x]\nCategories:\n  - 3\n  - Animal behavior\nlicence: 99\n")
    assert [(p.field, p.line) for p in caught.value.causes if isinstance(p, MetadataInvalid)] == [
        ("Categories[2]", 5),
        ("licence", 6),
    ]
    assert caught.value.path == str(tmp_path / "a.yaml")


async def test_unknown_ids_and_fields_are_reported_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(MetadataInvalid) as caught:
        await described(
            tmp_path,
            "title: abc\nauthor:\n  - Jane\n  -\n  - id: '5'\n    name: x\n  - 7\ncustom_fields:\n  Sight: a\n"
            "  Site:\n    - North\n    - Nroth\n  A: b  c\n",
        )
    assert [(p.field, p.line) for p in caught.value.causes if isinstance(p, MetadataInvalid)] == [
        ("author[3].id", 5),
        ("author[4]", 7),
        ("custom_fields.Sight", 9),
        ("custom_fields.Site[2]", 12),
        ("custom_fields.A", 13),
    ]


async def test_grants_are_matched_or_sent_as_text() -> None:
    names = Resolver(lookup=Lists())
    assert [await names.grant(one) for one in ("By hand", "DFG, grant 1")] == ["By hand", "DFG, grant 1"]
    with pytest.raises(Unresolvable, match=r"matches several grants.*8 \(Twice, F\), 9 \(Twice, G\)"):
        await names.grant("Twice")
    with pytest.raises(Unresolvable, match="grant 77 is not found by search; Figshare checks it"):
        await names.grant(77)
    assert (await unknown("author", 5)).message == "unknown author 5"


async def test_custom_fields_are_those_of_the_group(tmp_path: Path) -> None:
    for names, asked in (
        (Resolver(lookup=Lists()), ["custom fields of None"]),
        (Resolver(lookup=Lists(), item=3), ["item 3", "custom fields of 7"]),
        (Resolver(lookup=Lists(), project=3), ["project 3", "custom fields of 7"]),
    ):
        await names.custom_fields(None, ())
        assert isinstance(names.lookup, Lists)
        assert names.lookup.asked == ["institution", *asked]
    lists = Lists(institution=None)
    assert await Resolver(lookup=lists, item=3).custom_fields(7, ["Site"]) == []
    assert lists.asked == ["institution"]


async def test_what_cannot_be_checked_is_kept_with_a_remark(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("authors:\n  - 5\nfunding: Open data\ncustom_fields: {k: v}\n")
    found = await resolve(await gathered(file=file), Resolver(lookup=Lists(open_to_ask=False)), publish=True)
    spec, remarks = found.spec, list(found.remarks)
    assert spec.authors == [{"id": 5}]
    assert spec.fields == {
        "funding_list": [{"title": "Open data"}],
        "custom_fields_list": [{"name": "k", "value": "v"}],
    }
    assert remarks == [
        "a.yaml: line 2, authors[1]: author 5 cannot be checked: not for you",
        "a.yaml: line 3, funding: 'Open data' cannot be checked: not for you",
        "a.yaml: line 4, custom_fields: custom fields cannot be checked: not for you",
    ]
    file.write_text("title: abc\nfunding:\n  - DFG\n  - Open data\n")
    found = await resolve(await gathered(file=file), Resolver(lookup=Lists()), publish=True)
    spec, remarks = found.spec, list(found.remarks)
    assert spec.fields["funding_list"] == [{"title": "DFG"}, {"id": 6}]
    assert remarks == ["a.yaml: line 4, funding[2]: 'Open data' is matched to grant 6"]


NC = "cff-version: 1.2.0\ntitle: Abc\nlicense: CC-BY-NC-4.0\n"
MESSAGE = (
    'CITATION.cff: license: unknown licence \'CC-BY-NC-4.0\'. Did you mean "CC BY-NC-ND 4.0" or "CC BY 4.0"? '
    "Ignored: a new item gets Figshare's default licence, CC BY 4.0"
)


async def test_an_unknown_licence_of_a_foreign_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(NC)
    for description in (await gathered(sidecars_of=[tmp_path]), await gathered(file=tmp_path / "CITATION.cff")):
        found = await resolve(description, Resolver(lookup=Lists()), publish=False)
        assert "license" not in found.spec.fields
        assert [one.text for one in found.rejected] == [MESSAGE]
        assert "license" not in " ".join(description.provenance())


async def test_nothing_is_published_under_another_licence_than_a_sidecars(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(NC)
    for description in (await gathered(sidecars_of=[tmp_path]), await gathered(file=tmp_path / "CITATION.cff")):
        with pytest.raises(MetadataInvalid) as caught:
            await resolve(description, Resolver(lookup=Lists()), publish=True)
        assert caught.value.message == (
            "CITATION.cff: license: unknown licence 'CC-BY-NC-4.0'; without it, a new item gets Figshare's default "
            "licence, CC BY 4.0"
        )
        assert (caught.value.hint or "").startswith('Did you mean "CC BY-NC-ND 4.0" or "CC BY 4.0"? ')
        assert caught.value.path == str(tmp_path / "CITATION.cff")
    (tmp_path / "mine.yaml").write_text("license: CC BY-NC-ND 4.0\n")
    description = await gathered(file=tmp_path / "mine.yaml", sidecars_of=[tmp_path])
    assert (await resolve(description, Resolver(lookup=Lists()), publish=True)).spec.fields["license"] == 12


async def test_an_institutions_licence_is_reported_once_resolved(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(NC.replace("NC-", "NC-ND-"))
    description = await gathered(sidecars_of=[tmp_path])
    assert description.provenance()[-1] == f"taken from {tmp_path}/CITATION.cff: title, type"
    found = await resolve(description, Resolver(lookup=Lists()), publish=True)
    assert (found.spec.fields["license"], found.provenance) == (12, (("license", f"{tmp_path}/CITATION.cff"),))


async def test_problems_of_all_files_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(NC)
    (tmp_path / "mine.yaml").write_text("categories: [Animal behavior]\n")
    with pytest.raises(MetadataInvalid, match="2 metadata files have problems; nothing was done") as caught:
        await resolve(
            await gathered(file=tmp_path / "mine.yaml", sidecars_of=[tmp_path]), Resolver(lookup=Lists()), publish=True
        )
    assert [cause.path for cause in caught.value.causes] == [f"{tmp_path}/mine.yaml", f"{tmp_path}/CITATION.cff"]
