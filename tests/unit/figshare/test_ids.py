"""Ids as people have them: numbers, addresses and DOIs, of the right kind."""

from __future__ import annotations

import pytest

from uploader.figshare.ids import Doi, Kind, parse_id, parse_reference, parse_version, same_doi

ITEM = 7654321


@pytest.mark.parametrize(
    "text",
    [
        "7654321",
        " 7654321\n",
        "https://figshare.com/account/articles/7654321",
        "https://figshare.com/articles/dataset/Beavers_of_the_north/7654321",
        "https://figshare.com/articles/dataset/Beavers_of_the_north/7654321/2",
        "https://figshare.com/articles/dataset/2024/7654321/12?file=11223344#top",
        "https://figshare.com/articles/Beavers/7654321/1",
        "https://figshare.com/articles/7654321/",
        "https://brunel.figshare.com/articles/thesis/A_title/7654321",
        "figshare.com/articles/dataset/A_title/7654321",
        "https://api.figshare.com/v2/account/articles/7654321",
        "https://api.figshare.com/v2/articles/7654321/versions/3",
        "https://api.figshare.com/v2/account/projects/123456/articles/7654321",
        "http://127.0.0.1:40293/account/articles/7654321",
        "https://figshare.com/account/items/7654321/edit",
        "10.6084/m9.figshare.7654321",
        "10.6084/m9.figshare.7654321.",
        "doi.org/10.6084/m9.figshare.7654321",
        "DOI 10.6084/m9.figshare.7654321",
        "10.6084/m9.figshare.7654321.v2",
        "doi:10.6084/m9.figshare.7654321",
        "https://doi.org/10.6084/m9.figshare.7654321.v1",
        "https://doi.org/10.17633%2Frd.brunel.7654321.v1",
        "10.17633/rd.brunel.7654321.v1",
        "10.5072/FK2.FIGSHARE.7654321",
        "<https://doi.org/10.6084/m9.figshare.7654321>.",
        "<https://figshare.com/articles/dataset/A_title/7654321>",
        "https://figshare.com/articles/dataset/A_title/7654321.",
        "7654321,",
    ],
)
def test_an_item(text: str) -> None:
    assert parse_id(text) == parse_reference(text) == ITEM


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("10.26181/60112d78eeffe", "10.26181/60112d78eeffe"),
        ("https://doi.org/10.26181%2F60112d78eeffe", "10.26181/60112d78eeffe"),
        ("https://dx.doi.org/10.1371/journal.pone.0123456", "10.1371/journal.pone.0123456"),
        ("doi: 10.25380/iastate.19224945,", "10.25380/iastate.19224945"),
        ("10.26181/60112d78eeffe.v2", "10.26181/60112d78eeffe.v2"),
        ("10.6084/m9.figshare.7654321/extra", "10.6084/m9.figshare.7654321/extra"),
    ],
)
def test_a_doi_without_an_id(text: str, doi: str) -> None:
    assert parse_reference(text) == parse_reference(text, "collection") == Doi(doi)
    with pytest.raises(ValueError, match="does not contain the project's number"):
        parse_reference(text, "project")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.1/a.v1", "10.1/A", True),
        ("10.1/a.v1", "10.1/a.V22", True),
        ("10.1/a", "10.1/ab", False),
        ("https://doi.org/10.1234%2FS%2805%291.", "doi:10.1234/s(05)1", True),
        ("http://dx.doi.org/10.1234.5/a", "10.1234.5/a", True),
        ("10.1/a.v1.v2", "10.1/a", False),
    ],
)
def test_versions_of_one_record(one: str, other: str, same: bool) -> None:
    assert same_doi(one, other) is same_doi(other, one) is same


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https://figshare.com/collections/All_of_them/7654321", "collection"),
        ("https://figshare.com/account/collections/7654321", "collection"),
        ("10.6084/m9.figshare.c.7654321.v3", "collection"),
        ("https://figshare.com/projects/A_project/7654321", "project"),
        ("https://figshare.com/account/projects/7654321", "project"),
    ],
)
def test_collections_and_projects(text: str, kind: Kind) -> None:
    assert parse_id(text, kind) == ITEM
    with pytest.raises(ValueError, match=f"a {kind}, not (of|to) an item"):
        parse_id(text, "item")


def test_a_project_has_no_doi() -> None:
    with pytest.raises(ValueError, match=r"'abc' is not a project: use its number or the address of its page$"):
        parse_id("abc", "project")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("abc", "'abc' is not an item: use its number, the address of its page or its DOI"),
        ("", "is not an item"),
        ("0", "is not an item"),
        ("9" * 5000, "is not an item"),
        ("10.6084/m9.figshare." + "9" * 5000, "does not contain the item's number"),
        ("https://figshare.com/articles/" + "9" * 5000, "does not contain the item's number"),
        ("-1", "is not an item"),
        ("٣", "is not an item"),
        ("https://zenodo.org/records/7654321", "is not the address of an item"),
        ("https://figshare.com/articles/dataset/Title", "does not contain the item's number"),
        ("https://figshare.com/s/0123456789abcdef", "is a private link"),
        ("https://figshare.com/ndownloader/files/7654321", "is the address of a file, which does not contain"),
        ("https://ndownloader.figshare.com/files/7654321", "is the address of a file, which does not contain"),
        ("https://[::1/articles/1", "is not the address of an item"),
        ("10.5281/zenodo.7654321", "the DOI 10.5281/zenodo.7654321 does not contain the item's number"),
        ("10.6084/m9.figshare.7654321/extra", "does not contain the item's number"),
    ],
)
def test_what_tells_no_item(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_id(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1234567", None),
        ("10.6084/m9.figshare.1234567.v2", 2),
        ("https://doi.org/10.6084/m9.figshare.1234567.v12", 12),
        ("10.6084/m9.figshare.1234567", None),
        ("https://figshare.com/articles/dataset/A_title/1234567/3", 3),
        ("<https://figshare.com/articles/dataset/A_title/1234567/3>.", 3),
        ("https://figshare.com/articles/dataset/A_title/1234567", None),
        ("https://figshare.com/articles/dataset/2024/1234567", None),
        ("https://api.figshare.com/v2/articles/1234567/versions/4", 4),
        ("https://figshare.com/account/articles/1234567", None),
    ],
)
def test_the_version_in_an_address_or_doi(text: str, version: int | None) -> None:
    assert parse_version(text) == version
