"""The index of word stems (SQLite's FTS5 with the Porter stemmer), which exists only where searches compare stems."""

from __future__ import annotations

import sqlite3
from typing import Final

from uploader.sandbox.search import STEMMED

_COLUMNS: Final = ", ".join(STEMMED)
_NEW: Final = ", ".join(f"new.{column}" for column in STEMMED)
_OLD: Final = ", ".join(f"old.{column}" for column in STEMMED)
_CREATE: Final = f"""
CREATE VIRTUAL TABLE stems USING fts5({_COLUMNS}, content='documents', tokenize='porter unicode61');
CREATE TRIGGER document_inserted AFTER INSERT ON documents BEGIN
    INSERT INTO stems (rowid, {_COLUMNS}) VALUES (new.rowid, {_NEW});
END;
CREATE TRIGGER document_removed AFTER DELETE ON documents BEGIN
    INSERT INTO stems (stems, rowid, {_COLUMNS}) VALUES ('delete', old.rowid, {_OLD});
END;
INSERT INTO stems (stems) VALUES ('rebuild');
"""  # noqa: S608 - names from here
_DROP: Final = """
DROP TRIGGER IF EXISTS document_inserted;
DROP TRIGGER IF EXISTS document_removed;
DROP TABLE IF EXISTS stems;
"""


def ensure(db: sqlite3.Connection, *, wanted: bool) -> None:
    """Create the index of all documents, or remove it."""
    exists = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'stems'").fetchone() is not None
    if exists != wanted:
        for statement in _statements(_CREATE if wanted else _DROP):
            db.execute(statement)


def _statements(script: str) -> list[str]:
    """Return the statements of a script. `executescript` would end the transaction."""
    found, pending = [], ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found
