"""The language of searches."""

from __future__ import annotations

import pytest

from uploader.sandbox.answers import ApiError
from uploader.sandbox.items.body import EMPTY
from uploader.sandbox.items.search import document, query_of
from uploader.sandbox.items.store import Item

META = EMPTY | {"title": "Counting Beavers", "description": "In rivers", "tags": ["dam"], "categories": [24418]}
AUTHORS = [{"full_name": "Ann Bee", "orcid_id": "0000-0002-1825-0097"}]
DOCUMENT = document(
    Item(
        id=1,
        account_id=2,
        project_id=77,
        status="draft",
        created=0.0,
        modified=0.0,
        metadata=META,
        version=0,
        published=None,
        linked=0,
        uploaded=0,
    ),
    AUTHORS,
    files=["set/run.MDP", "README"],
    institution="sandbox",
)


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
        (":published_before: 2999-01-01", False),
        (":nothing: beaver", False),
        ("", True),
        (")", False),
        ("(", False),
        ("beaver AND", True),
    ],
)
def test_search_matches(text: str, found: bool) -> None:
    assert query_of(text)(DOCUMENT) is found


def test_deeply_nested_searches_are_rejected() -> None:
    for text in ("(" * 5000, "NOT " * 5000):
        with pytest.raises(ApiError):
            query_of(text)
