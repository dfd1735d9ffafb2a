"""Statements about fundings and related materials of items, which have their own ids."""

from __future__ import annotations

import json
import sqlite3
from typing import Any
from urllib.parse import quote

from uploader.sandbox.answers import ApiError
from uploader.sandbox.reference_data import FUNDINGS

_BY_TYPE = {
    "DOI": "https://doi.org/", "Handle": "https://hdl.handle.net/", "arXiv": "https://arxiv.org/abs/",
    "PMID": "https://pubmed.ncbi.nlm.nih.gov/", "ISBN": "https://www.worldcat.org/isbn/", "ARK": "https://n2t.net/",
    "w3id": "https://w3id.org/",
}  # fmt: skip


def fundings(db: sqlite3.Connection, named: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return fundings named by id or title as objects, storing new titles. ApiError 400 for an unknown id."""
    return [_funding(db, one) for one in named]


def search_fundings(db: sqlite3.Connection, words: str) -> list[dict[str, Any]]:
    """Return fundings that contain this text, ignoring case."""
    known = [one for one in FUNDINGS.values() if words.lower() in f"{one['title']} {one['grant_code']}".lower()]
    rows = db.execute("SELECT * FROM fundings WHERE instr(lower(title), lower(?)) ORDER BY id", (words,))
    return known + [_own(row["id"], row["title"]) for row in rows]


def materials(db: sqlite3.Connection, named: list[dict[str, Any]], account_id: int) -> list[dict[str, Any]]:
    """Return related materials as objects, storing new ones. ApiError 400 for an unknown id or another account's."""
    return [_material(db, one, account_id) for one in named]


def _funding(db: sqlite3.Connection, named: dict[str, Any]) -> dict[str, Any]:
    number, title = named.get("id"), named.get("title")
    if title is not None:
        db.execute("INSERT OR IGNORE INTO fundings (title) VALUES (?)", (title,))
        row = db.execute("SELECT * FROM fundings WHERE title = ?", (title,)).fetchone()
        return _own(row["id"], row["title"])
    if number in FUNDINGS:
        return FUNDINGS[number]
    row = db.execute("SELECT * FROM fundings WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise ApiError(400, "BadRequest", f"Funding {number} not found")
    return _own(row["id"], row["title"])


def _own(number: int, title: str) -> dict[str, Any]:
    return {"id": number, "title": title, "grant_code": "", "funder_name": "", "is_user_defined": 1, "url": ""}


def _material(db: sqlite3.Connection, named: dict[str, Any], account_id: int) -> dict[str, Any]:
    if "id" in named:
        row = db.execute(
            "SELECT body FROM materials WHERE id = ? AND account_id = ?", (named["id"], account_id)
        ).fetchone()
        if row is None:
            raise ApiError(400, "BadRequest", f"Related material {named['id']} not found")
        found: dict[str, Any] = json.loads(row["body"])
        return {"id": named["id"], **found}
    body = {"title": "", "relation": "References", "identifier_type": "URL", "is_linkout": False, **named}
    body["link"] = _link(body["identifier_type"], body["identifier"])
    cursor = db.execute("INSERT INTO materials (account_id, body) VALUES (?, ?)", (account_id, json.dumps(body)))
    return {"id": int(cursor.lastrowid or 0), **body}


def _link(kind: str, identifier: str) -> str:
    """Return the hyperlink of an identifier; "" where there is none for its type."""
    if identifier.startswith(("http://", "https://")):
        return identifier
    base = _BY_TYPE.get(kind)
    return "" if base is None else base + quote(identifier, safe="/:().;_-")
