"""The notes of a project: list, create, read, update, delete."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from uploader.sandbox import checks
from uploader.sandbox import projects_db as store
from uploader.sandbox.answers import (
    invalid,
    invalid_is_bad_request,
    json_answer,
    located,
    moment,
    no_content,
    not_found,
    reset_content,
)
from uploader.sandbox.bodies import body_of
from uploader.sandbox.context import context_of
from uploader.sandbox.listing import slice_of
from uploader.sandbox.people.impersonation import account_of
from uploader.sandbox.projects.routes import PROJECT, project_id_of
from uploader.sandbox.projects_db import Note
from uploader.sandbox.routes import Route

_PATH = f"{PROJECT}/notes"
_NOTE = _PATH + r"/{note_id:\d{1,18}}"
_MAX_LENGTH = 10_000
_ABSTRACT = 80
"""Characters of a note's text that the list shows."""


def routes() -> list[Route]:
    """Return this module's routes."""
    return [
        Route("list-notes", "GET", _PATH, listing),
        Route("create-note", "POST", _PATH, create),
        Route("get-note", "GET", _NOTE, read),
        Route("update-note", "PUT", _NOTE, update),
        Route("delete-note", "DELETE", _NOTE, delete),
    ]


async def listing(request: web.Request) -> web.Response:
    rows = slice_of(request.query)

    def page(db: sqlite3.Connection) -> list[Note]:
        project = store.get(db, project_id_of(request), account_of(request))
        return store.notes(db, project.id, rows.limit, rows.offset)

    return json_answer([_row(note) for note in await context_of(request).db.run(page)])


async def create(request: web.Request) -> web.Response:
    context = context_of(request)
    text = await _text(request)

    def make(db: sqlite3.Connection) -> int:
        project = store.get(db, project_id_of(request), account_of(request))
        return store.add_note(db, project.id, account_of(request), text, context.now())

    return located(_address(request, await context.db.run(make)), 201)


async def read(request: web.Request) -> web.Response:
    note = await context_of(request).db.run(_note, request)
    return json_answer({**_row(note), "text": note.text})


async def update(request: web.Request) -> web.Response:
    context = context_of(request)
    text = await _text(request)

    def change(db: sqlite3.Connection) -> int:
        note = _note(db, request)
        store.change_note(db, note.id, text, context.now())
        return note.id

    return reset_content(_address(request, await context.db.run(change)))


async def delete(request: web.Request) -> web.Response:
    await context_of(request).db.run(lambda db: store.remove_note(db, _note(db, request).id))
    return no_content()


async def _text(request: web.Request) -> str:
    with invalid_is_bad_request():
        body = await body_of(request)
        if body.get("text") is None:
            raise invalid("Missing mandatory field - text", "text")
        return str(checks.text(3, _MAX_LENGTH)("text", body["text"]))


def _note(db: sqlite3.Connection, request: web.Request) -> Note:
    """Return the note that the path names. ApiError 404."""
    project = store.get(db, project_id_of(request), account_of(request))
    note = store.note(db, project.id, int(request.match_info["note_id"]))
    if note is None:
        raise not_found("Note")
    return note


def _address(request: web.Request, note_id: int) -> str:
    return f"{context_of(request).addresses(request).project(project_id_of(request))}/notes/{note_id}"


def _row(note: Note) -> dict[str, Any]:
    return {
        "id": note.id,
        "user_id": note.author_id,
        "abstract": note.text[:_ABSTRACT],
        "user_name": note.full_name,
        "created_date": moment(note.created),
        "modified_date": moment(note.modified),
    }
