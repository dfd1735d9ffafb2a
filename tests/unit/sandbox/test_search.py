"""The language of searches."""

from __future__ import annotations

import sqlite3

import pytest

from uploader.sandbox.answers import ApiError
from uploader.sandbox.documents import COLUMNS, INSERT, document
from uploader.sandbox.items.body import EMPTY
from uploader.sandbox.search import Dialect, query_of

META = EMPTY | {
    "title": "Counting Beavers", "description": "In rivers", "tags": ["dam"], "categories": [24418],
    "custom_fields": {"Site": ["Loch Ness"]}, "doi": "10.5072/FK2.figshare.1",
}  # fmt: skip
AUTHORS = [{"id": 7, "full_name": "Ann Bee", "orcid_id": "0000-0002-1825-0097"}]
DIALECT = Dialect(published="900.0", extension="'set/run.mdp' LIKE ? ESCAPE '!'", stems=False)


@pytest.fixture(scope="module")
def db() -> sqlite3.Connection:
    """A database with the document of one item."""
    made = sqlite3.connect(":memory:")
    made.execute(f"CREATE TABLE documents ({', '.join(COLUMNS)})")
    made.execute(INSERT, document("articles", (1, 0), META, AUTHORS, versions=0, project_id=77))
    return made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("beaver", True),
        ("BEAVERS", True),
        ("otter", False),
        ("otter rivers", True),
        ("otter OR rivers", True),
        ("otter AND rivers", False),
        ("beavers AND rivers", True),
        ("beavers AND NOT rivers", False),
        ("NOT otter", True),
        ('"counting beavers"', True),
        ('"beavers counting"', False),
        (":title: counting", True),
        (":description: counting", False),
        (":author: M. Hahnel OR :author: Bee", True),
        (":author: Bee AND rivers", True),
        (":author: rivers", False),
        (":tag: da", False),
        (":tag: dam", True),
        (":keyword: dam", True),
        (":tag: dam otter", False),
        (":tag: dam OR otter", True),
        (":tag: dam AND rivers", True),
        (":tag: 'dam' :title: otter", True),
        ("'counting beavers'", True),
        ("'beavers counting'", False),
        (":orcid: 0000-0002-1825-0097", True),
        (":category: physiological", True),
        (":item_type: dataset AND :licence: CC", True),
        (":project: 77", True),
        (":search_term: beaver", True),
        (":title: otter AND (rivers OR dam)", False),
        ("otter AND rivers OR dam", True),
        ("otter AND (rivers OR dam) OR (bee)", True),
        (":extension: mdp AND (:title: 'beavers' OR :description: 'md simulation')", True),
        (":extension: mdp AND (:title: 'md simulation' OR :description: 'md simulation')", False),
        (":description:rivers AND :item_type:dataset", True),
        (":orcid:0000-0002-1825-0097", True),
        (':author: "Ann Bee"', True),
        (":category: 'Animal physiological ecology'", True),
        (":extension: readme", False),
        (":institution: sandbox", True),
        ("don't OR beavers", True),
        (":published_before: 2999-01-01", True),
        (":nothing: beaver", False),
        (":project: 7", False),
        (":project: 99999999999999999999", False),
        (":published_after: 1970-01-01 AND :published_before: 1970-01-02", True),
        (":published_after: soon", False),
        ("loch", True),
        (":doi: 10.5072/fk2.figshare.1", True),
        ("NOT beavers OR rivers", True),
        ("otter AND NOT (rivers OR dam) OR counting", True),
        pytest.param(" ".join(["otter"] * 3000), False, id="very long"),
        ("", True),
        (")", False),
        ("(", False),
        ("beaver AND", True),
    ],
)
def test_search_matches(db: sqlite3.Connection, text: str, found: bool) -> None:
    query = query_of(text, DIALECT)
    assert bool(db.execute(f"SELECT 1 FROM documents d WHERE {query.text}", query.values).fetchall()) is found  # noqa: S608


@pytest.mark.parametrize("text", ["NOT :project: 77", "NOT :published_after: 1970-01-01"])
def test_an_excluded_value_is_not_that_of_a_record_without_one(text: str) -> None:
    made = sqlite3.connect(":memory:")
    made.execute(f"CREATE TABLE documents ({', '.join(COLUMNS)})")
    made.execute(INSERT, document("articles", (1, 0), META, AUTHORS, versions=0))
    query = query_of(text, Dialect(published="NULL", extension=None, stems=False))
    assert made.execute(f"SELECT 1 FROM documents d WHERE {query.text}", query.values).fetchall()  # noqa: S608


def test_deeply_nested_searches_are_rejected() -> None:
    for text in ("(" * 5000, "NOT " * 5000):
        with pytest.raises(ApiError):
            query_of(text, DIALECT)
