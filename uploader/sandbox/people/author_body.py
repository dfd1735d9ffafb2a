"""Check the authors that a request body names."""

from __future__ import annotations

import re
from typing import Any

from uploader.sandbox.answers import invalid
from uploader.sandbox.checks import integer, objects
from uploader.sandbox.people.authors import NewAuthor

_ORCID = re.compile(r"(https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])", re.ASCII)


def authors(name: str, value: Any) -> list[int | NewAuthor]:
    """Return authors by their ids, which win, or by name.

    An e-mail address was refused when a client sent one, although the documentation has the field.
    """
    named: list[int | NewAuthor] = []
    for one in objects(name, value):
        if one.get("id") is not None:
            named.append(integer(f"{name}.id", one["id"]))
        else:
            named.append(_author(name, one))
    return named


def orcid_of(text: str) -> str:
    """Return an ORCID without its address, "" for anything else."""
    found = _ORCID.fullmatch(text)
    return found[2] if found else ""


def _author(name: str, one: dict[str, Any]) -> NewAuthor:
    parts = {key: one.get(key) or "" for key in ("name", "first_name", "last_name", "orcid_id", "email")}
    if not all(isinstance(part, str) for part in parts.values()):
        raise invalid("An author's names must be strings", name)
    if parts["email"]:
        raise invalid("An author cannot be added by e-mail address", name)
    orcid = orcid_of(parts["orcid_id"])
    if parts["orcid_id"] and not orcid:
        raise invalid(f"Invalid value received for {name}.orcid_id", name)
    first, last = parts["first_name"].strip(), parts["last_name"].strip()
    if parts["name"] and not (first or last):
        first, _, last = parts["name"].strip().rpartition(" ")
    full = parts["name"].strip() or f"{first} {last}".strip()
    if not full:
        raise invalid("An author needs an id or a name", name)
    return NewAuthor(full_name=full, first_name=first, last_name=last, orcid_id=orcid)
