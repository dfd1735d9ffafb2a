"""Names of people and organizations in metadata files. Pure; invalid names raise ValueError."""

from __future__ import annotations

import re

import msgspec

from uploader.metadata.identifiers import email, orcid
from uploader.metadata.model import Author

_WITH_EMAIL = re.compile(r"(.+?)\s*[<(]([^@\s<>()]+@[^@\s<>()]+)[>)]")
_WITH_ADDRESS = re.compile(r"(.+?)\s*\(https?://(?!orcid\.org/)[^\s()]*\)")
_ADDRESS = re.compile(r"https?://(?!(?:www\.)?orcid\.org/)", re.IGNORECASE)
_AND = re.compile(r"\s+(?:and|&)\s+")
_PERSON_WORD = re.compile(
    r"[A-ZÀ-ÖØ-ÞĀ-Ž][\w.'’-]*|van|von|der|den|de|del|della|di|da|dos|du|la|le|ten|ter|zu|al|bin|ibn"
)
_GROUP_WORD = re.compile(
    r"(?i)univ|instit|depart|cent(?:er|re)|group|societ|museum|foundation|associat|consorti|laborator|agency|minist|"
    r"office|council|college|school|research|science|team|project|network|program|compan|inc\b|ltd|gmbh|develop|contribut"
)
_WITH_ORCID = re.compile(r"(.+?)[\s,(<]+((?:https?://orcid\.org/)?\d{4}-\d{4}-\d{4}-\d{3}[\dXx])[)>]?")
_ONLY_ORCID = re.compile(r"(?:https?://(?:www\.)?orcid\.org/|orcid:)\S*", re.IGNORECASE)
_OTHERS = re.compile(r",?\s+(?:(?:and|&)\s+others|et\s+al\.?)\s*$")


def names_others(text: str) -> bool:
    """Return True if a text says that there are more authors, as `and others` or `et al.`."""
    return _OTHERS.search(text) is not None


def people(text: str) -> list[str]:
    """Split several authors in one text; each is as `person` takes it.

    They are separated by semicolons or line breaks, by `and` as in BibTeX, or by commas if each of three or more has a
    first and a last name. An organization's name with "and" in it is one author.
    """
    text = re.sub(r"\s*\n\s*and\s+|\s+and\s*\n\s*", " and ", _OTHERS.sub("", text))  # BibTeX over several lines
    pieces = [" ".join(piece.split()) for piece in re.split(r"[;\n]", text)]
    return [name for piece in pieces if piece for name in _split_names(piece)]


def _split_names(text: str) -> list[str]:
    names = _AND.split(text)
    if len(names) > 1 and all("," in name or name.startswith("{") for name in names):
        return names
    listed = [name for name in re.split(r",\s*(?:(?:and|&)\s+)?|\s+(?:and|&)\s+", text) if name]
    enough = 3 if "," in text else 2
    return listed if len(listed) >= enough and all(map(_is_full_name, listed)) else [text]


def _is_full_name(name: str) -> bool:
    """Return True for the name of a person, with a first and a last name."""
    name = re.sub(r"\s*[<(].*", "", name)
    words = name.split()
    return 2 <= len(words) <= 5 and all(map(_PERSON_WORD.fullmatch, words)) and not _GROUP_WORD.search(name)


def person(text: str) -> Author:
    """Parse an author on one line: `Jane Doe`, `Doe, Jane`, followed by an ORCID iD, or by <an email address>.

    An address of a page in parentheses is dropped. Braces, as in BibTeX, mark a name that must not be split.
    """
    words = " ".join(text.split())
    if _ONLY_ORCID.fullmatch(words) or not any(map(str.isalpha, words)):
        raise ValueError(f"{words!r} is not a name")
    if _ADDRESS.match(words):
        raise ValueError(f"{words!r} is an address, not a name")
    if whole := re.fullmatch(r"\{(.+)\}", words):
        return Author(name=re.sub(r"[{}]", "", whole[1]))
    if page := _WITH_ADDRESS.fullmatch(words):
        words = page[1]
    if mailed := _WITH_EMAIL.fullmatch(words):
        return msgspec.structs.replace(person(mailed[1]), email=email(mailed[2]))
    found = _WITH_ORCID.fullmatch(words)
    name, iri = (found[1], found[2]) if found else (words, None)
    checked = orcid(iri) if iri else None
    first, last = first_and_last(name)
    return Author(first_name=first, last_name=last, orcid=checked) if first else Author(name=name, orcid=checked)


def first_and_last(name: str) -> tuple[str, str]:
    """Split `Doe, Jane` into first and last name; the first is "" for other names."""
    last, _, first = (part.strip() for part in name.partition(","))
    return (first, last) if first and last else ("", name)


def is_same(author: Author, other: Author) -> bool:
    """Return whether two authors of a list are the same person, as far as the list shows."""
    return author == other or (author.orcid is not None and author.orcid == other.orcid)


def namesake(author: Author, other: Author) -> tuple[list[Author], str]:
    """Return what to keep of an author of a foreign list that has the same author already as `other`, and a remark.
    Large groups have people of the same name.
    """
    if author != other:
        remark = f"{author.display_name} has the ORCID iD of {other.display_name}; left out"
        return [msgspec.structs.replace(author, orcid=None)], remark
    if author.orcid is None:
        return [author], f"{author.display_name} is named twice; both are kept"
    return [], f"{author.display_name} is named twice; one is left out"
