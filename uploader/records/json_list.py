"""Read the records in a JSON file one by one: only one of them is in memory, however long the list is."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator, Iterator, Sequence
from typing import BinaryIO

_CHUNK = 2**20
_LISTS = frozenset({"publications", "items", "data", "results", "records"})
"""Where services put the list of records."""
_INSIDE = frozenset({"message", "response"})
"""Objects in which services put it."""
_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder(strict=False, parse_int=str)
"""Finds where a value ends. It accepts control characters and numbers of any length, which concern one record and not
the file."""
_UNCLOSED = "Unterminated string"
_ENDS, _UNCLOSED_ENDS = "the file ends too early", "the file ends in a text without a closing quote"
_LONGEST_WORD = 16
"""Characters that a word, number or escape may lack at the end of what was read, so that it looks invalid."""


class InvalidJson(ValueError):
    """The file is not JSON; `line` is where, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def elements(content: BinaryIO, path: Sequence[str] | None) -> Iterator[bytes]:
    """Yield the elements of the list of records in UTF-8, undecoded.

    The list is at `path`, or None: it is the file, or where services put it, of several the first that is not empty. If
    no list is there, the object is the only record. Raises InvalidJson, RecursionError, LookupError if nothing is at
    the path.
    """
    text = _Text(content)
    alone = yield from _elements(text, path)
    if alone:
        yield _encoded(alone)
    if text.next():
        raise text.invalid("trailing characters")


def _elements(text: _Text, path: Sequence[str] | None) -> Generator[bytes, None, str | None]:
    """Yield the elements of the list in the value that begins here, and pass this value.

    Return the object if it has no list; "" if it has only empty ones, and None once the list was found.
    """
    if text.next() == "[" and not path:
        found = path is not None
        for _ in text.parts("[]"):
            yield _encoded(text.value())
            found = True
        return None if found else ""
    if text.next() != "{" or path == ():
        raise LookupError
    found, is_empty, alone, members = False, False, "", list[str]()
    for _ in text.parts("{}"):
        name, key = text.name()
        begin = text.next()
        if path is not None:
            wanted = key == path[0]
        else:
            wanted = (key in _LISTS and begin == "[") or (key in _INSIDE and begin == "{")
        if wanted and not found:
            inner = yield from _elements(text, path[1:] if path is not None else None)
            found, is_empty, alone = inner is None, is_empty or inner == "", alone or inner or ""
        else:
            value = text.value()
            members += [] if found or path is not None else [f"{name}: {value}"]
    if path is not None and not found:
        raise LookupError
    if found:
        return None
    return "" if is_empty else alone or f"{{{', '.join(members)}}}"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Text:
    """The text of a file, of which only what is needed is in memory. Its methods raise InvalidJson."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text, self._at, self._lines = "", 0, 0
        self._ended = False

    def next(self) -> str:
        """Pass blanks, and return the next character; "" at the end."""
        while True:
            blank = _BLANKS.match(self._text, self._at)
            self._at = blank.end() if blank is not None else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def parts(self, brackets: str) -> Iterator[None]:
        """Stop at each part of the list or object that begins here. The caller passes each part."""
        self._pass(brackets[0])
        if self.next() == brackets[1]:
            self._at += 1
            return
        while True:
            yield
            if self._pass(",", brackets[1]) == brackets[1]:
                return

    def name(self) -> tuple[str, str]:
        """Pass the name of a member; return it as written and decoded."""
        if (found := self.next()) != '"':
            raise self.invalid("expecting a name in double quotes" if found else _ENDS)
        written = self.value()
        self._pass(":")
        return written, json.loads(written, strict=False)

    def value(self) -> str:
        """Pass a value, and return its text."""
        self.next()
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                unclosed = error.msg.startswith(_UNCLOSED)
                if not (unclosed or error.pos >= len(self._text) - _LONGEST_WORD) or not self._read():
                    raise self._explained(error, unclosed=unclosed) from None
            else:
                if end < len(self._text) or not self._read():  # a number may continue
                    begin, self._at = self._at, end
                    return self._text[begin:end]

    def invalid(self, message: str, place: int | None = None) -> InvalidJson:
        """Return the error for this place, or for one in what was read."""
        before = self._text.count("\n", 0, self._at if place is None else place)
        return InvalidJson(message, self._lines + before + 1)

    def _explained(self, error: json.JSONDecodeError, *, unclosed: bool) -> InvalidJson:
        message = _UNCLOSED_ENDS if unclosed else f"{error.msg[:1].lower()}{error.msg[1:]}"
        at_end = not self._text[error.pos :].strip()
        return self.invalid(_ENDS if at_end else message, error.pos)

    def _pass(self, *wanted: str) -> str:
        """Pass one of these characters, and return it."""
        found = self.next()
        if found not in wanted:
            expected = " or ".join(repr(one) for one in wanted)
            raise self.invalid(f"expecting {expected}" if found else _ENDS)
        self._at += 1
        return found

    def _read(self) -> bool:
        """Read on, and forget what was passed. Return whether there was more.

        As much is read as is left, so that a long value is not decoded for every chunk of it.
        """
        if self._ended:
            return False
        self._lines += self._text.count("\n", 0, self._at)
        left = self._text[self._at :]
        chunk = self._content.read(max(_CHUNK, len(left)))
        self._ended = not chunk
        self._text, self._at = left + self._decode(chunk, not chunk), 0
        return True
