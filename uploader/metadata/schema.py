"""Validate the fields of figup's own metadata files. Pure.

Limits are Figshare's: the official API description, and the overview of its metadata schema (lists of at most 100).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from uploader.metadata import identifiers, materials, people, vocabulary
from uploader.metadata.cursor import Context, Cursor
from uploader.metadata.markdown import MAX_DESCRIPTION, as_html, to_html
from uploader.metadata.model import Author, Embargo, EmbargoOption, Funding, Material, Metadata, Timeline, Value
from uploader.text import did_you_mean, is_unicode

TITLE = (3, 1000)
"""Characters of a title."""
_MAX_AUTHORS = 10_000
"""Authors of a record of a service. Documented: 100, yet there are items with more; then the record alone fails."""
PERMANENT = "0"
"""The date of a permanent embargo (official API description, ArticleEmbargoUpdater)."""


@dataclass(frozen=True)
class Validator:
    """Validates fields. `today` decides whether an embargo is over."""

    today: date
    whole_names: bool = False  # another program's authors: names are not split at a comma, and may occur twice
    markdown: bool = True  # False: descriptions are HTML or plain text

    def metadata(self, context: Context) -> Metadata:
        """Return the valid fields of the document; problems are recorded in `context`."""
        values: dict[str, Any] = {}
        for name, node in context.root().entries(FIELDS, ALIASES, "the item's fields").items():
            value = FIELDS[name](self, node)
            if value is not None:
                values[name] = value
        return Metadata(**values)


def _title(_: Validator, node: Cursor) -> str | None:
    return node.text(min_length=TITLE[0], max_length=TITLE[1])


def _description(validator: Validator, node: Cursor) -> str | None:
    if isinstance(node.value, str) and len(node.value) > 10 * MAX_DESCRIPTION:
        node.problem(f"has {len(node.value)} characters; Figshare allows {MAX_DESCRIPTION}")
        return None
    text = node.text(max_length=10 * MAX_DESCRIPTION, lines=True)
    if text is None:
        return None
    html = to_html(text) if validator.markdown else as_html(text)
    if len(html.text) > MAX_DESCRIPTION:
        node.problem(
            f"has {len(html.text)} characters as HTML; Figshare allows {MAX_DESCRIPTION}",
            "Keep it short here, and upload the long text as a file.",
        )
        return None
    if html.dropped:
        node.remark(f"removed what a description cannot contain: {', '.join(html.dropped)}")
    return html.text


# --- people -------------------------------------------------------------------------------------------------------

_AUTHOR_ALIASES = {
    "orcid_id": "orcid", "given-names": "first_name", "given_name": "first_name", "family-names": "last_name",
    "family_name": "last_name", "full_name": "name", "mail": "email",
}  # fmt: skip


def _authors(validator: Validator, node: Cursor) -> tuple[Author, ...]:
    authors: list[Author] = []
    for one in node.items(limit=_MAX_AUTHORS if validator.whole_names else 100):
        for author in _several(validator, one):
            double = next((other for other in authors if people.is_same(author, other)), None)
            if double is not None and validator.whole_names:
                kept, remark = people.namesake(author, double)
                one.remark(remark)
                authors += kept
            elif double is not None:
                one.problem(f"duplicate author {author.display_name}")
            else:
                authors.append(author)
    return tuple(authors)


def _several(validator: Validator, node: Cursor) -> list[Author]:
    """Return the authors that one entry names: usually one, more if they are written in one text."""
    names = people.people(node.value) if isinstance(node.value, str) else []
    if isinstance(node.value, str) and people.names_others(node.value):
        node.remark("does not name all authors; the others are missing")
        node = dataclasses.replace(node, value="; ".join(names))
    if len(names) > 1:
        node.remark(f"read as {len(names)} authors: {'; '.join(names)}")
        found = [dataclasses.replace(node, value=name).read(people.person) for name in names]
    else:
        found = [_author(validator, node)]
    return [author for author in found if author is not None]


def _author(validator: Validator, node: Cursor) -> Author | None:
    if isinstance(node.value, str):
        return node.read(people.person)
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        number = node.number()
        return Author(id=number) if number else None
    known = ("id", "name", "first_name", "last_name", "email", "orcid")
    parts = node.entries(known, _AUTHOR_ALIASES, "an author (a name, or fields such as name and orcid)")
    if not parts:
        if node.value == {}:
            node.problem("an author needs a name")
        return None
    before = len(node.context.problems)
    author = Author(
        id=parts["id"].number() if "id" in parts else None,
        first_name=parts["first_name"].text(max_length=255) if "first_name" in parts else None,
        last_name=parts["last_name"].text(max_length=255) if "last_name" in parts else None,
        email=parts["email"].read(identifiers.email) if "email" in parts else None,
        orcid=parts["orcid"].read(identifiers.orcid) if "orcid" in parts else None,
    )
    if "name" in parts:
        author = _with_name(author, parts["name"], whole=validator.whole_names)
    if len(node.context.problems) == before and not (author.id or author.name or author.last_name):
        node.problem("an author needs a name, a last_name or an id")
    return author


def _with_name(author: Author, node: Cursor, *, whole: bool) -> Author:
    """Return the author with the name given here, split if written as `Doe, Jane`."""
    if whole or author.first_name or author.last_name:
        return msgspec.structs.replace(author, name=node.text(max_length=255))
    found = node.read(people.person, max_length=255) or Author()
    return msgspec.structs.replace(
        author,
        name=found.name,
        first_name=found.first_name,
        last_name=found.last_name,
        orcid=author.orcid or found.orcid,
    )


# --- lists of words -----------------------------------------------------------------------------------------------


def _categories(_: Validator, node: Cursor) -> tuple[str | int, ...]:
    found: list[str | int] = []
    for one in node.items():
        value = name_or_id(one)
        if value is not None and value not in found:
            found.append(value)
    return tuple(found)


def name_or_id(node: Cursor) -> str | int | None:
    """Return a name, or an id if it is digits; None after a problem."""
    if isinstance(node.value, int) or (isinstance(node.value, str) and node.value.strip().isdecimal()):
        return node.number()
    return node.text(max_length=500)


def _keywords(_: Validator, node: Cursor) -> tuple[str, ...]:
    if isinstance(node.value, str):
        return tuple(dict.fromkeys(split_keywords(node.value)))
    words = [one.text(max_length=2000) for one in node.items()]
    return tuple(dict.fromkeys(word for word in words if word))


def split_keywords(text: str) -> list[str]:
    """Split a text at commas, semicolons and line breaks."""
    return [word for part in re.split(r"[,;\n]", text) if (word := part.strip())]


def _license(_: Validator, node: Cursor) -> str | int | None:
    value = name_or_id(node)
    if not isinstance(value, str):
        return value
    known = vocabulary.own_license(value)
    if known is not None:
        return known
    node.unverified(
        f"{value!r} is not a standard licence; your institution's are checked when it is used",
        did_you_mean(value, vocabulary.LICENSES),
    )
    return value


def _type(_: Validator, node: Cursor) -> str | None:
    return node.choice(vocabulary.ITEM_TYPES, vocabulary.ITEM_TYPE_ALIASES)


# --- what it is related to ----------------------------------------------------------------------------------------

_MATERIAL_ALIASES = {"type": "identifier_type", "linkout": "is_linkout", "doi": "identifier", "url": "identifier"}


def _references(_: Validator, node: Cursor) -> tuple[str, ...]:
    found = (one.read(identifiers.address) for one in node.items())
    return tuple(dict.fromkeys(one for one in found if one))


def _materials(_: Validator, node: Cursor) -> tuple[Material, ...]:
    return tuple(found for one in node.items() if (found := _material(one)) is not None)


def _material(node: Cursor) -> Material | None:
    if isinstance(node.value, str):
        return _identified(node, Material())
    known = ("identifier", "identifier_type", "relation", "title", "is_linkout", "id")
    parts = node.entries(known, _MATERIAL_ALIASES, "a related material (an identifier, or fields)")
    if not parts:
        return None
    if "id" not in parts and "identifier" not in parts:
        node.problem("a related material needs an identifier, such as a DOI")
        return None
    kind = parts["identifier_type"].choice(vocabulary.IDENTIFIER_TYPES) if "identifier_type" in parts else None
    relation = parts["relation"].choice(vocabulary.RELATIONS) if "relation" in parts else None
    material = Material(
        relation=relation or vocabulary.DEFAULT_RELATION,
        title=parts["title"].text(max_length=1000) if "title" in parts else None,
        is_linkout=parts["is_linkout"].boolean() if "is_linkout" in parts else False,
        id=parts["id"].number() if "id" in parts else None,
    )
    return _identified(parts["identifier"], material, kind) if "identifier" in parts else material


def _identified(node: Cursor, material: Material, kind: str | None = None) -> Material | None:
    """Return the material with this identifier; `kind` None: infer the kind from its form."""
    text = node.text(max_length=2000)
    if text is None:
        return None
    kind = kind or materials.kind_of(text)
    if kind is None:
        hint = "A web address begins with https://; for other identifiers give the identifier_type."
        node.problem(f"unknown kind of identifier {text!r}", hint)
        return None
    try:
        identifier = materials.checked(text, kind)
    except ValueError as error:
        node.problem(str(error))
        return None
    return msgspec.structs.replace(material, identifier=identifier, identifier_type=kind)


def _funding(_: Validator, node: Cursor) -> tuple[Funding, ...]:
    return tuple(found for one in node.items() if (found := _grant(one)) is not None)


def _grant(node: Cursor) -> Funding | None:
    if not isinstance(node.value, dict):
        text = node.text(min_length=3, max_length=2000)
        return Funding(title=text) if text else None
    parts = node.entries(("id", "title"), {"name": "title"}, "a grant (a title, or the id of one)")
    if "id" in parts and "title" in parts:
        node.problem("a grant has either an id or a title")
    if "id" in parts:
        number = parts["id"].number()
        return Funding(id=number) if number else None
    title = parts["title"].text(min_length=3, max_length=2000) if "title" in parts else None
    return Funding(title=title) if title else None


# --- an institution's -----------------------------------------------------------------------------------------------


def _custom_fields(_: Validator, node: Cursor) -> dict[str, Value] | None:
    if not isinstance(node.value, dict):
        node.problem("expected custom fields as names with values")
        return None
    values: dict[str, Value] = {}
    for name, value in node.value.items():
        one = Cursor(value=value, location=(*node.location, name), context=node.context)
        if one.blank:
            continue
        if not is_unicode(name):
            one.problem("its name contains half of a character (an unpaired surrogate)")
        elif isinstance(value, list):
            values[name] = [
                text for part in one.items(limit=1000) if (text := part.text(max_length=MAX_DESCRIPTION)) is not None
            ]
        elif (text := one.text(max_length=MAX_DESCRIPTION, lines=True)) is not None:
            values[name] = text
    return values


_TIMELINE = ("first_online", "publisher_publication", "publisher_acceptance")
_TIMELINE_ALIASES = {"published": "publisher_publication", "accepted": "publisher_acceptance"}


def _timeline(_: Validator, node: Cursor) -> Timeline | None:
    parts = node.entries(_TIMELINE, _TIMELINE_ALIASES, "days such as first_online")
    days = {name: part.read(identifiers.day) for name, part in parts.items()}
    return Timeline(**days) if days else None


_EMBARGO = ("until", "scope", "title", "reason", "options")
_EMBARGO_ALIASES = {"date": "until", "embargo_date": "until", "type": "scope", "embargo_type": "scope"}
_SCOPES = {"files": "file", "item": "article"}
_SCOPE_ALIASES = {"file": "files", "article": "item"}
_PERMANENT_NAMES = {"permanent", "forever", "0"}


def _embargo(validator: Validator, node: Cursor) -> Embargo | None:
    if isinstance(node.value, str):
        until = _until(validator, node)
        return Embargo(until=until) if until else None
    parts = node.entries(_EMBARGO, _EMBARGO_ALIASES, "an embargo (a day, or fields such as until)")
    if not parts:
        return None
    if "until" not in parts:
        node.problem('an embargo needs `until`: a day, or "permanent"')
        return None
    until = _until(validator, parts["until"])
    if until is None:
        return None
    scope = parts["scope"].choice(_SCOPES, _SCOPE_ALIASES) if "scope" in parts else None
    return Embargo(
        until=until,
        scope=_SCOPES[scope or "files"],
        title=parts["title"].text(max_length=1000) if "title" in parts else None,
        reason=parts["reason"].text(max_length=MAX_DESCRIPTION, lines=True) if "reason" in parts else None,
        options=tuple(o for one in parts["options"].items() if (o := _option(one))) if "options" in parts else (),
    )


def _until(validator: Validator, node: Cursor) -> str | None:
    text = node.text(max_length=40)
    if text is None:
        return None
    if text.lower() in _PERMANENT_NAMES:
        return PERMANENT
    day = node.read(identifiers.day)
    if day is not None and date.fromisoformat(day) <= validator.today:
        node.problem(f"the embargo date {day} is not in the future")
        return None
    return day


def _option(node: Cursor) -> EmbargoOption | None:
    if not isinstance(node.value, dict):
        number = node.number()
        return EmbargoOption(number) if number else None
    parts = node.entries(("id", "group_ids"), {"groups": "group_ids"}, "an option of the institution (its id)")
    number = parts["id"].number() if "id" in parts else None
    if number is None:
        node.problem("an option needs an id; `GET /account/institution/embargo_options` lists them")
        return None
    groups = [one.number() for one in parts["group_ids"].items()] if "group_ids" in parts else []
    return EmbargoOption(number, tuple(group for group in groups if group))


def _doi(_: Validator, node: Cursor) -> str | None:
    return node.read(identifiers.doi)


def _line(_: Validator, node: Cursor) -> str | None:
    return node.text(max_length=2000)


FIELDS: dict[str, Callable[[Validator, Cursor], Any]] = {
    "title": _title,
    "description": _description,
    "authors": _authors,
    "categories": _categories,
    "keywords": _keywords,
    "license": _license,
    "type": _type,
    "references": _references,
    "related_materials": _materials,
    "funding": _funding,
    "custom_fields": _custom_fields,
    "group": lambda _, node: name_or_id(node),
    "timeline": _timeline,
    "embargo": _embargo,
    "doi": _doi,
    "handle": _line,
    "metadata_only": _line,
}
"""The fields of a metadata file and their validators."""

ALIASES = {
    "licence": "license", "tags": "keywords", "tag": "keywords", "item_type": "type", "defined_type": "type",
    "author": "authors", "category": "categories", "reference": "references", "related": "related_materials",
    "funding_list": "funding", "grants": "funding", "group_id": "group",
    "metadata_reason": "metadata_only",
}  # fmt: skip
"""Other names of fields: the API's, and common ones."""
