"""From a DOI without an id to the id: the requests, and the interpretation of the rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from uploader.errors import ItemNotFound, UsageError
from uploader.figshare.ids import Doi
from uploader.figshare.item_api import CatalogedKind
from uploader.figshare.models import DoiRow
from uploader.items.identify import identify

DOI = Doi("10.26181/60112d78eeffe")


@dataclass
class Figshare:
    """Stands for a session and its requests: `own` and `public` are the rows that it answers."""

    own: list[DoiRow] = field(default_factory=list)
    public: list[DoiRow] = field(default_factory=list)
    has_token: bool = True
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    @property
    def items(self) -> Figshare:
        return self

    async def with_doi(self, kind: CatalogedKind, doi: str, *, own: bool) -> list[DoiRow]:
        self.asked.append((kind, doi, own))
        return self.own if own else self.public


def row(number: int, doi: str = DOI) -> DoiRow:
    return DoiRow(id=number, doi=doi)


async def test_an_id_needs_no_request() -> None:
    figshare = Figshare()
    assert await identify(figshare, 7) == 7
    assert figshare.asked == []


async def test_the_accounts_own_records_come_first() -> None:
    figshare = Figshare(own=[row(5)], public=[row(6)])
    assert await identify(figshare, DOI) == 5
    assert figshare.asked == [("articles", DOI, True)]


@pytest.mark.parametrize("has_token", [True, False])
async def test_then_public_ones(has_token: bool) -> None:
    figshare = Figshare(public=[row(6)], has_token=has_token)
    assert await identify(figshare, DOI, "collection") == 6
    assert figshare.asked == [("collections", DOI, own) for own in (True, False) if has_token or not own]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (DOI, f"{DOI}.v3"),
        (f"{DOI}.v1", f"{DOI}.v3"),
        (f"{DOI}.v1", DOI),
        (DOI.upper(), DOI),
    ],
)
async def test_every_version_is_of_one_record(asked: str, answered: str) -> None:
    assert await identify(Figshare(public=[row(6, answered)]), Doi(asked)) == 6


@pytest.mark.parametrize("rows", [[], [row(6, "10.26181/another"), row(7, "")]], ids=["none", "filter-ignored"])
async def test_rows_of_other_dois_are_not_an_answer(rows: list[DoiRow]) -> None:
    with pytest.raises(ItemNotFound, match=f"no item with the DOI {DOI}"):
        await identify(Figshare(own=rows, public=rows), DOI)


async def test_several_records_of_one_doi_are_named() -> None:
    with pytest.raises(UsageError, match=f"several items have the DOI {DOI}: 5, 6"):
        await identify(Figshare(own=[row(6), row(5), row(5)]), DOI)
