"""Authors and addresses in the spellings that files have."""

from __future__ import annotations

import pytest

from uploader.metadata.identifiers import address
from uploader.metadata.materials import checked, kind_of
from uploader.metadata.model import Author
from uploader.metadata.people import names_others, people, person

JANE, MAX = Author(first_name="Jane", last_name="Doe"), Author(first_name="Max", last_name="Roe")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Jane Doe", ["Jane Doe"]),
        ("Doe, Jane; Roe, Max;", ["Doe, Jane", "Roe, Max"]),
        ("Doe, Jane and Roe, Max", ["Doe, Jane", "Roe, Max"]),
        ("Doe, Jane and {The Beaver Group}", ["Doe, Jane", "{The Beaver Group}"]),
        ("Doe, Jane\n and Roe, Max and others", ["Doe, Jane", "Roe, Max"]),
        ("Jane Doe and Max Roe", ["Jane Doe", "Max Roe"]),
        ("Jane Doe & Max van der Roe", ["Jane Doe", "Max van der Roe"]),
        ("Jane Doe, Max Roe, and Éva Ő. Kis", ["Jane Doe", "Max Roe", "Éva Ő. Kis"]),
        ("Jane Doe et al.", ["Jane Doe"]),
        ("van der Berg, Jan Willem", ["van der Berg, Jan Willem"]),
        ("Department of Ecology and Evolution", ["Department of Ecology and Evolution"]),
        ("Royal Institute and National Museum", ["Royal Institute and National Museum"]),
        ("Doe, Jr., Jane", ["Doe, Jr., Jane"]),
    ],
)
def test_several_authors_in_one_text(text: str, names: list[str]) -> None:
    assert people(text) == names
    assert names_others(text) == ("others" in text or "et al" in text)


@pytest.mark.parametrize(
    ("text", "author"),
    [
        ("Jane Doe <jane@example.org>", Author(name="Jane Doe", email="jane@example.org")),
        ("Doe, Jane (https://example.org/jane)", JANE),
        ("Jane <jane@example.org> (https://example.org)", Author(name="Jane", email="jane@example.org")),
        ("{Beavers, Inc}", Author(name="Beavers, Inc")),
    ],
)
def test_what_follows_a_name(text: str, author: Author) -> None:
    assert person(text) == author


@pytest.mark.parametrize(
    ("text", "web"),
    [
        ("git+https://github.com/a/b.git", "https://github.com/a/b.git"),
        ("git://github.com/a/b", "https://github.com/a/b"),
        ("git+ssh://git@github.com/a/b.git", "https://github.com/a/b.git"),
        ("git@gitlab.example.org:a/b.git", "https://gitlab.example.org/a/b.git"),
        ("ssh://git@example.org:2222/a/b.git", "https://example.org/a/b.git"),
        ("github:a/b", "https://github.com/a/b"),
        ("<https://example.org/a>", "https://example.org/a"),
        ("www.example.org/a", "https://www.example.org/a"),
    ],
)
def test_addresses_of_repositories(text: str, web: str) -> None:
    assert address(text) == web
    assert (kind_of(text), checked(text, "URL")) == ("URL", web)


def test_an_address_is_not_a_name() -> None:
    for text in ("(0000-0002-1825-0097)", "https://orcid.org/0000-0002-1825-0097", "orcid:0000-0002-1825-0097", ";"):
        with pytest.raises(ValueError, match="is not a name"):
            person(text)
    with pytest.raises(ValueError, match="is an address, not a name"):
        person("https://example.org/jane")
