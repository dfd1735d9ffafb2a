"""Find the values of a foreign metadata file that no importer reads. Pure.

An importer reads a document through `tracked`; `unread_keys` names what it has not read, so that no importer needs a
list of ignored keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, overload

_STRUCTURE = frozenset({
    "cff-version", "@context", "@id", "@type", "conformsTo", "schemaVersion", "nameType", "titleType",
    "descriptionType", "dateType", "nameIdentifierScheme", "propertyID", "type",
})  # fmt: skip
"""Keys that say how a file is written or what kind an entry is; they hold nothing that Figshare could show."""


class Tracked(dict[str, Any]):
    """An object of a document that records which of its keys were read. Values are tracked once they are read: an
    unread long list costs nothing.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self._ask(key)
        return super().__getitem__(key)

    @overload
    def get(self, key: str, default: None = None, /) -> Any | None: ...
    @overload
    def get(self, key: str, default: Any, /) -> Any: ...
    def get(self, key: str, default: Any = None, /) -> Any:
        self._ask(key)
        return super().get(key, default)

    def _ask(self, key: str) -> None:
        if key not in self.asked:
            self.asked.add(key)
            if isinstance(value := super().get(key), dict | list):
                self[key] = tracked(value)


@overload
def tracked(value: dict[str, Any]) -> Tracked: ...
@overload
def tracked(value: Any) -> Any: ...
def tracked(value: Any) -> Any:
    """Return a copy of a parsed document whose objects are `Tracked`."""
    if isinstance(value, dict):
        return Tracked(value)
    return [tracked(one) for one in value] if isinstance(value, list) else value


def mark_read(value: object) -> None:
    """Count a value with everything in it as read: a separate remark reports it."""
    if isinstance(value, Tracked):
        value.asked.update(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        mark_read(inner)


def unread_keys(document: Tracked) -> list[str]:
    """Return the paths of unread values, such as `authors[].email`, without empty ones.

    An entity of a JSON-LD graph that nothing refers to is not listed value by value.
    """
    paths = (re.sub(r"^@graph\[\]\.", "", path) for path in _unasked(document, ""))
    return list(dict.fromkeys(paths))


def _unasked(value: object, path: str, key: Literal["@graph"] | None = None) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _unasked(one, f"{path}[]", key)
    elif isinstance(value, Tracked) and not (key and value.asked <= {"@id", "@type", "type"}):
        for name, inner in value.items():
            inside = f"{path}.{name}" if path else name
            if name in value.asked:
                yield from _unasked(inner, inside, "@graph" if name == "@graph" else None)
            elif name not in _STRUCTURE and inner not in (None, "", [], {}):
                yield inside
