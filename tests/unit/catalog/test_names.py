"""Names of what a search can be about, and near misses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping

import pytest

from uploader.catalog.names import Names, check_institution, find_authors, find_type
from uploader.errors import FigupError, NameNotFound, NoToken, PermissionDenied, RecordsMissing, UsageError
from uploader.figshare.models import PAGE, Category, Group, License
from uploader.figshare.outcomes import PageLimitReached
from uploader.figshare.records import AuthorRecord, Institution


class Lists:
    """Both kinds of lists, and the session that has them."""

    has_token = True
    forbidden = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    @property
    def records(self) -> Lists:
        return self

    @property
    def items(self) -> Lists:
        return self

    async def institutions(self) -> AsyncIterator[Institution]:
        for number, name, domain in (
            (2, "Loughborough University", "repository.lboro.ac.uk"),
            (319, "Iowa State University", "iastate.figshare.com"),
            (320, "Ohio State University", "osu.figshare.com"),
        ):
            yield Institution(id=number, name=name, domain=domain)

    async def categories(self) -> list[Category]:
        self.asked.append("categories")
        return [Category(id=1, title="Zoology"), Category(id=2, title="Botany", source_id="3108")]

    async def licenses(self) -> list[License]:
        self.asked.append("licenses")
        return [License(id=12, name="CC BY-NC-ND 4.0"), License(id=5, name="GPL 2.0+")]

    async def groups(self) -> list[Group]:
        self.asked.append("groups")
        if self.forbidden:
            raise PermissionDenied("no")
        return [Group(id=1, name="All"), Group(id=2, name="Arts", parent_id=1), Group(id=3, name="Music", parent_id=2)]

    async def authors(self, criteria: Mapping[str, object], *, page: int) -> list[AuthorRecord]:
        if criteria.get("search_for") == "Smith":
            if page > 2:
                raise PageLimitReached("too far")
            return [AuthorRecord(id=1 + page * PAGE + number) for number in range(PAGE)]
        return [AuthorRecord(id=5, full_name="Jane Doe", orcid="0000-0002-1825-0097")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("319", 319),
        ("iowa state university", 319),
        ("iastate", 319),
        ("repository.lboro.ac.uk", 2),
        ("Loughborough", 2),
    ],
)
async def test_institutions_have_names_hosts_and_ids(name: str, found: int) -> None:
    assert await Names(Lists()).institution(name) == found


async def test_groups_include_those_below_them_on_request() -> None:
    assert await Names(Lists()).groups("Arts", subgroups=False) == (2,)
    assert await Names(Lists()).groups("77", subgroups=False) == (77,)
    assert await Names(Lists()).groups("1", subgroups=True) == (1, 2, 3)


async def test_ids_are_looked_up_among_the_known_ones() -> None:
    lists = Lists()
    names = Names(lists)
    known = (await names.all_groups())[0].id
    assert await names.is_unknown_group(99999)
    assert not await names.is_unknown_group(known)
    with pytest.raises(NameNotFound, match="unknown institution 99999"):
        await check_institution(lists, 99999)
    await check_institution(lists, 319)
    lists = Lists()
    lists.has_token = False
    assert not await Names(lists).is_unknown_group(99999), "nothing is known without a token"


async def test_a_list_is_requested_once() -> None:
    lists = Lists()
    names = Names(lists)
    for name in ("Zoology", "Botany"):
        await names.category(name)
        await names.licence("CC BY-NC-ND 4.0")
        await names.groups("Arts")
    assert lists.asked == ["categories", "licenses", "groups"]


async def test_categories_licences_and_types() -> None:
    assert await Names(Lists()).category("zoology") == "Zoology"
    assert await Names(Lists()).category("3108") == "Botany"
    assert await Names(Lists()).licence("CC-BY") == ("CCBY", "CC BY 4.0")
    assert await Names(Lists()).licence("cc by nc nd 4.0") == ("CCBYNCND", "CC BY-NC-ND 4.0")
    assert (find_type("data"), find_type("Peer Review"), find_type("9")) == (3, 16, 9)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda names: names.institution("Iowa Sate University"), NameNotFound, 'mean "Iowa State'),
        (lambda names: names.institution("State"), NameNotFound, "319 .Iowa.*320 .Ohio"),
        (lambda names: names.groups("Artz", subgroups=False), NameNotFound, 'mean "Arts"'),
        (lambda names: names.groups("9", subgroups=True), NameNotFound, "unknown group 9"),
        (lambda names: names.category("Zoologie"), UsageError, 'mean "Zoology"'),
        (lambda names: names.licence("CC BY-NC-SD 4.0"), UsageError, "CC BY-NC-ND"),
    ],
    ids=["institution", "institutions", "group", "group-id", "category", "licence"],
)
async def test_unknown_names_are_answered_with_near_ones(call: object, error: type[FigupError], words: str) -> None:
    with pytest.raises(error) as caught:
        await call(Names(Lists()))  # type: ignore[operator]

    assert re.search(words, f"{caught.value.message} {caught.value.hint}")


async def test_names_of_groups_need_a_token_of_an_administrator() -> None:
    api = Lists()
    api.has_token = False
    with pytest.raises(NoToken):
        await Names(api).groups("Arts", subgroups=False)
    api.has_token, api.forbidden = True, True
    with pytest.raises(PermissionDenied):
        await Names(api).groups("Arts", subgroups=False)


async def test_authors_of_another_orcid_are_not_results() -> None:
    orcid = "0000-0002-1825-0097"
    assert [one.id async for one in find_authors(Lists(), {"orcid": orcid})] == [5]
    with pytest.raises(FigupError, match="ignored the ORCID"):
        [one async for one in find_authors(Lists(), {"orcid": "0000-0001-5109-3700"})]


async def test_a_list_of_authors_that_figshare_cuts_is_not_complete() -> None:
    found = set()

    async def read() -> None:
        async for one in find_authors(Lists(), {"search_for": "Smith"}):
            found.add(one.id)

    with pytest.raises(RecordsMissing, match="Figshare lists only the first 2000 records this way"):
        await read()
    assert len(found) == 2 * PAGE
