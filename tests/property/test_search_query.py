"""Queries: whatever is searched for, the sandbox's reading of the query selects what a plain filter selects."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import date
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from uploader.catalog.query import Query, is_searchable, quoted
from uploader.sandbox.documents import COLUMNS, INSERT, document
from uploader.sandbox.items.body import EMPTY
from uploader.sandbox.search import Dialect, query_of

WORDS = ("beaver", "otter", "AND", "or", "NOT", "(river", "dam)", ":title:", "o'neill", "a-b", "c.d", "ñandú", "№9")
SPECIAL = ('say "dam"', "back\\slash", "line\nbreak", '"', "it's", "' '")
DIALECT = Dialect(published="900.0", extension=None, stems=False)
FIELDS = {"title": "title", "description": "description", "tag": "tags"}

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
values = st.one_of(texts, st.sampled_from(SPECIAL)).filter(is_searchable)
some = st.lists(values, max_size=2).map(tuple)
documents = st.fixed_dictionaries(
    {"title": texts, "description": texts, "tags": st.lists(texts, max_size=2), "author": texts}
)
queries = st.builds(
    Query, words=some, any_word=st.booleans(), title=some, description=some, tag=some, author=some,
    raw=st.sampled_from([None, None, "beaver OR otter", "river"]),
)  # fmt: skip


@pytest.fixture(scope="module")
def db() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute(f"CREATE TABLE documents ({', '.join(COLUMNS)})")
    return made


def selected(db: sqlite3.Connection, text: str, found: dict[str, Any]) -> bool:
    """Whether the sandbox finds this document."""
    meta = EMPTY | {name: found[name] for name in ("title", "description", "tags")}
    people = [{"id": 7, "full_name": found["author"], "orcid_id": ""}]
    db.execute("DELETE FROM documents")
    db.execute(INSERT, document("articles", (1, 0), meta, people, versions=0))
    sql = query_of(text, DIALECT)
    condition = "SELECT 1 FROM documents AS d WHERE " + (sql.text or "1")  # noqa: S608 - made from the query
    return bool(db.execute(condition, sql.values).fetchall())


def sought(value: str) -> str:
    """What is left of a value in a phrase."""
    return " ".join(value.replace('"', " ").replace("\\", " ").split()).lower()


def fits(query: Query, found: dict[str, Any]) -> bool:
    """The same search as a plain filter."""
    every = "\n".join(
        [found["title"], found["description"], *found["tags"], found["author"], "cc by 4.0 dataset"]
    ).lower()
    words = [sought(value) in every for value in query.words]
    conditions = [any(words) if query.any_word and words else all(words)]
    conditions += [sought(value) in found[name].lower() for name in ("title", "description", "author")
                   for value in getattr(query, name)]  # fmt: skip
    conditions += [sought(value) in [tag.lower() for tag in found["tags"]] for value in query.tag]
    if query.raw is not None:
        conditions.append(any(word in every for word in query.raw.split(" OR ")))
    return all(conditions)


@given(queries, documents)
def test_a_query_selects_what_a_plain_filter_selects(
    db: sqlite3.Connection, query: Query, found: dict[str, Any]
) -> None:
    text = query.text()
    assert not text or selected(db, text, found) == fits(query, found), text


@given(documents, st.integers(0, 9))
def test_every_document_is_found_by_its_own_words(db: sqlite3.Connection, found: dict[str, Any], no: int) -> None:
    query = Query(title=(found["title"],), description=(found["description"],), author=(found["author"],),
                  tag=tuple(found["tags"][: no % 2]))  # fmt: skip
    searchable = all(map(is_searchable, (*query.title, *query.description, *query.author, *query.tag)))
    assert not searchable or selected(db, query.text(), found)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (Query(words=("beavers", "river dam")), 'beavers AND "river dam"'),
        (Query(words=("beavers", "otters"), any_word=True, title=("x1",)), '(beavers OR otters) AND :title: "x1"'),
        (Query(orcid=("0000-0002-1825-0097",), extension=(".csv",)), ":orcid:0000-0002-1825-0097 AND :extension:csv"),
        (Query(author=("Jane Doe",), category=("Zoology",)), ':author: "Jane Doe" AND :category: Zoology'),
        (Query(licence=(("CCBY", "CC BY 4.0"),)), '(:licence: CCBY OR :licence: "CC BY 4.0")'),
        (Query(raw=":title: a OR b", words=("not",)), '(:title: a OR b) AND "not"'),
        (Query(raw=":title: a OR b"), ":title: a OR b"),
        (Query(), ""),
    ],
    ids=["words", "any", "unspaced", "phrases", "licence", "raw-and-word", "raw", "nothing"],
)
def test_queries_are_written_as_documented(query: Query, text: str) -> None:
    assert query.text() == text


def test_the_day_after_the_last_is_asked_for_and_not_only_that() -> None:
    query = dataclasses.replace(Query(), until=date(2024, 2, 28))
    assert query.text() == ":published_before: 2024-03-01"
    assert quoted("AND") == '"AND"'
