"""Conversion of figup's fields into Figshare's."""

from __future__ import annotations

from uploader.metadata.description import author_body
from uploader.metadata.model import Author


def test_an_author() -> None:
    """Figshare refused authors with an address."""
    assert author_body(Author(name="Ann Bee", email="ann@example.org", orcid="0000-0002-1825-0097")) == {
        "name": "Ann Bee",
        "orcid_id": "0000-0002-1825-0097",
    }
    assert author_body(Author(id=7, name="Ann Bee")) == {"id": 7}
