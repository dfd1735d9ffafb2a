"""A position in a document while it is validated, with the problems found so far. Knows no field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from uploader.metadata.parse import Document
from uploader.metadata.problems import Location, Problem, field_name
from uploader.text import did_you_mean, is_unicode, plain

T = TypeVar("T")


@dataclass(kw_only=True)
class Context:
    """The findings of one document.

    `problems` make it unusable. `remarks` are informational. `unverified` values can only be checked with Figshare.
    """

    document: Document
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    unverified: list[Problem] = field(default_factory=list)

    def root(self) -> Cursor:
        """Return the cursor of the whole document."""
        return Cursor(value=self.document.value, location=(), context=self)


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """One value of the document; None and "" count as absent."""

    value: Any
    location: Location
    context: Context

    def problem(self, message: str, hint: str | None = None) -> None:
        """Record a problem here."""
        self.context.problems.append(self._make_problem(message, hint))

    def remark(self, message: str, hint: str | None = None) -> None:
        """Record a remark here."""
        self.context.remarks.append(self._make_problem(message, hint))

    def unverified(self, message: str, hint: str | None = None) -> None:
        """Record something that cannot be checked here."""
        self.context.unverified.append(self._make_problem(message, hint))

    def _make_problem(self, message: str, hint: str | None) -> Problem:
        return Problem(
            message=message, field=field_name(self.location), line=self.context.document.line(self.location), hint=hint
        )

    @property
    def blank(self) -> bool:
        """True if there is no value."""
        return self.value is None or (isinstance(self.value, str) and not self.value.strip())

    def entries(self, known: Iterable[str], aliases: dict[str, str], kind: str) -> dict[str, Cursor]:
        """Return the values of a mapping by the names in `known`, without blank ones. Others are problems."""
        if not isinstance(self.value, dict):
            self.problem(f"expected {kind}, found {_kind(self.value)}")
            return {}
        names = {plain(name): name for name in known} | {plain(name): target for name, target in aliases.items()}
        found: dict[str, Cursor] = {}
        for key, value in self.value.items():
            node = Cursor(value=value, location=(*self.location, key), context=self.context)
            name = names.get(plain(key))
            if name is None:
                node.problem("unknown field", did_you_mean(key, known, f"Known fields: {', '.join(known)}."))
            elif name in found:
                node.problem(f"duplicates {field_name(found[name].location)}")
            elif not node.blank:
                found[name] = node
        return found

    def items(self, *, limit: int = 100) -> list[Cursor]:
        """Return the elements of a list, without blank ones; a single value is a list of one."""
        if not isinstance(self.value, list):
            return [] if self.blank else [self]
        nodes = [
            Cursor(value=one, location=(*self.location, index), context=self.context)
            for index, one in enumerate(self.value)
        ]
        for node in nodes:
            if node.value is None:
                node.remark("is empty; put a text such as null in quotes")
        nodes = [node for node in nodes if not node.blank]
        if len(nodes) > limit:
            self.problem(f"has {len(nodes)} entries; Figshare allows {limit}")
        return nodes[:limit]

    def text(self, *, min_length: int = 1, max_length: int, lines: bool = False) -> str | None:
        """Return a text of `min_length` to `max_length` characters, on one line unless `lines`; None after a problem.

        A number is accepted as its digits.
        """
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            self.problem(f"expected a text, found {_kind(self.value)}")
            return None
        text = str(self.value).strip()
        if not is_unicode(text):
            self.problem("contains half of a character (an unpaired surrogate)", "Write the text again.")
            return None
        if not lines:
            text = " ".join(text.split())
        if not min_length <= len(text) <= max_length:
            characters = "1 character" if len(text) == 1 else f"{len(text)} characters"
            self.problem(f"has {characters}; Figshare allows {min_length} to {max_length}")
            return None
        return text

    def number(self) -> int | None:
        """Return a whole number, 1 or more; None after a problem."""
        value = self.value
        if isinstance(value, str) and re.fullmatch(r"[0-9]+(?:_[0-9]+)*", value.strip()) and len(value) < 25:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63:
            self.problem(f"invalid id {self.value!r}; use a whole number")
            return None
        return value

    def boolean(self) -> bool:
        """Return true or false; False after a problem."""
        if not isinstance(self.value, bool):
            self.problem(f"expected true or false, found {self.value!r}")
        return self.value is True

    def read(self, make: Callable[[str], T], *, max_length: int = 2000) -> T | None:
        """Return the result of `make` for the text; its ValueError is a problem. None after a problem."""
        text = self.text(max_length=max_length)
        if text is None:
            return None
        try:
            return make(text)
        except ValueError as error:
            self.problem(str(error))
            return None

    def choice(self, names: Iterable[str], aliases: dict[str, str] | None = None) -> str | None:
        """Return the matching one of `names`, in any spelling; None after a problem."""
        text = self.text(max_length=200)
        if text is None:
            return None
        known = {plain(name): name for name in names}
        known |= {plain(name): target for name, target in (aliases or {}).items()}
        found = known.get(plain(text))
        if found is None:
            all_names = list(dict.fromkeys(known.values()))
            self.problem(
                f"unknown value {text!r}", did_you_mean(text, all_names, f"Known values: {', '.join(all_names)}.")
            )
        return found


def _kind(value: object) -> str:
    """Describe a value for a person."""
    if isinstance(value, dict):
        return "fields"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if value is not None else "nothing"
