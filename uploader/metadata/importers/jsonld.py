"""JSON-LD in metadata files: wrapped lists and values, a flat graph of entities that refer to each other.

Pure. No context is fetched: the importers know what they need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from uploader.metadata.importers.extract import as_list, text
from uploader.metadata.vocabulary import own_license

_ORCID = re.compile(r"(https?://(www\.)?orcid\.org/|orcid:)|\d{4}-\d{4}-\d{4}-\d{3}[\dXx]$", re.IGNORECASE)
_WRAPPERS = ("@list", "@set", "@value")


@dataclass(frozen=True)
class Graph:
    """The entities of a document by their `@id`; empty for a document that nests them."""

    entities: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Graph:
        """Return the graph of a document."""
        listed = (one for one in as_list(document, "@graph") if isinstance(one, dict))
        return cls({name: one for one in listed if (name := text(one, "@id")) is not None})

    def values(self, entity: object, *keys: str) -> list[Any]:
        """Return the values of these properties with references resolved."""
        return [one for key in keys for value in as_list(entity, key) for one in self._unwrapped(value)]

    def _unwrapped(self, value: Any) -> list[Any]:
        if not isinstance(value, dict):
            return [value]
        for wrapper in _WRAPPERS:
            if wrapper in value:
                return [one for inner in as_list(value, wrapper) for one in self._unwrapped(inner)]
        return [self.entities.get(text(value, "@id") or "", value)]


def identifier(value: Any) -> str | None:
    """Return an identifier without the objects that wrap it."""
    return text(value) or text(value, "@id", "id", "value", "identifier", "url", "name")


def keyword(value: Any) -> str | None:
    """Return a keyword: a text, or the name of a term."""
    return text(value) or text(value, "name", "termCode")


def joined(value: Any, key: str) -> str | None:
    """Return a text that may be written as several, as R writes given names."""
    return " ".join(word for one in Graph().values(value, key) if (word := text(one))) or None


def orcid(value: Any) -> str | None:
    """Return a person's ORCID iD from any of the properties in use; None without one."""
    for key in ("@id", "id", "identifier", "sameAs", "url", "orcid"):
        for one in as_list(value, key):
            found = identifier(one)
            scheme = text(one, "propertyID", "name") or key
            if found is not None and (_ORCID.match(found) or "orcid" in scheme.lower()):
                return found
    return None


def license_name(value: Any) -> str | None:
    """Return a licence: Figshare's name for it if known, else its name or address."""
    names = [text(value), *(text(value, key) for key in ("@id", "id", "url", "identifier", "name"))]
    known = next((name for name in names if name and own_license(name) is not None), None)
    return known or text(value) or text(value, "name", "@id", "url", "identifier", "id")


def is_organization(value: Any) -> bool:
    """Return True for an organization, in the words of all versions of the vocabularies."""
    kinds = [text(one) or "" for key in ("@type", "type") for one in as_list(value, key)]
    return any(kind.rpartition("/")[2].lower() in ("organization", "organisation", "consortium") for kind in kinds)
