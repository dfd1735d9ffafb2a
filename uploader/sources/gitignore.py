"""Patterns with exactly git's semantics for .gitignore files. Pure.

Only the path itself is matched; the caller handles contents of ignored folders. As in git, paths and patterns are
octets: "?" matches one of the two octets of "é" in UTF-8. Source: gitignore(5), and git's behavior where that page is
silent; a property test compares with git itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from uploader.errors import UsageError

_SPECIAL = re.compile(r"[*?\[\\]")
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \t",
    "cntrl": "\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \t\n\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_NEVER = re.compile(r"(?!)")


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """One pattern. `anchored`: it is matched with the whole path, not with the last name in it."""

    regex: re.Pattern[str]
    negated: bool
    folders_only: bool
    anchored: bool


class Patterns:
    """A list of patterns; the last matching one decides."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile patterns as they are, without the rules for lines of a file."""
        texts = list(patterns)
        self._latest_first = [_pattern(octets(text)) for text in texts][::-1]
        self.malformed = [
            text for text, one in zip(reversed(texts), self._latest_first, strict=True) if one.regex is _NEVER
        ]
        """Patterns that never match, as in git: "[a", or with a trailing backslash."""

    def __bool__(self) -> bool:
        return bool(self._latest_first)

    def decision(self, path: str, *, folder: bool) -> bool | None:
        """Return True if the path is ignored, False if a negated pattern matches it, None if none does."""
        whole = octets(path)
        name = whole.rpartition("/")[2]
        for one in self._latest_first:
            if one.folders_only and not folder:
                continue
            if one.regex.fullmatch(whole if one.anchored else name):
                return not one.negated
        return None


def octets(text: str) -> str:
    """Return text in which each octet of its UTF-8 is one character."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def pattern_lines(data: bytes, origin: str) -> Sequence[str]:
    """Return the patterns in an ignore file. Raises UsageError naming `origin` if it is not text in UTF-8."""
    if b"\0" in data:
        raise _not_text(origin)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _not_text(f"{origin}: line {line}") from None
    lines = text.split("\n")
    return [_without_trailing_spaces(line.removesuffix("\r")) for line in lines if line and not line.startswith("#")]


def _not_text(where: str) -> UsageError:
    return UsageError(f"{where}: is not text in UTF-8", hint="Save the ignore file as UTF-8.")


def _without_trailing_spaces(line: str) -> str:
    r"""Remove trailing spaces, except those escaped by a backslash."""
    match = re.fullmatch(r"((?:\\.|[^\\])*?) *", line, re.DOTALL)
    return match[1] if match is not None else line


def _pattern(pattern: str) -> Pattern:
    negated = pattern.startswith("!")
    pattern = pattern[negated:]
    folders_only = pattern.endswith("/")
    pattern = pattern[: len(pattern) - folders_only]
    anchored = "/" in pattern
    regex = translate(pattern.removeprefix("/"))
    return Pattern(
        regex=_NEVER if regex is None else re.compile(regex, re.DOTALL),
        negated=negated,
        folders_only=folders_only,
        anchored=anchored,
    )


def translate(pattern: str) -> str | None:
    """Return a regular expression for a pattern; None for one that is malformed and never matches, such as "[a"."""
    special = _SPECIAL.search(pattern)
    if special is None:
        return re.escape(pattern)
    found = [re.escape(pattern[: special.start()])]
    # The wildcards are matched by themselves, so that in "a**/b" the two asterisks are at the beginning.
    rest = pattern[special.start() :]
    at = 0
    while at < len(rest):
        letter = rest[at]
        piece: tuple[str, int] | None
        if letter == "*":
            piece = _asterisks(rest, at)
        elif letter == "[":
            piece = _brackets(rest, at + 1)
        elif letter == "\\":
            piece = (re.escape(rest[at + 1]), at + 2) if at + 1 < len(rest) else None
        else:
            piece = ("[^/]" if letter == "?" else re.escape(letter)), at + 1
        if piece is None:
            return None
        found.append(piece[0])
        at = piece[1]
    return "".join(found)


def _asterisks(rest: str, at: int) -> tuple[str, int]:
    """Translate the asterisks at `at`; return the expression and the next position."""
    end = at
    while rest.startswith("*", end):
        end += 1
    whole_name = (at == 0 or rest[at - 1] == "/") and (end == len(rest) or rest.startswith(("/", "\\/"), end))
    if end - at == 1 or not whole_name:
        return "[^/]*", end
    return ("(?:.*/)?", end + 1) if rest.startswith("/", end) else (".*", end)


def _brackets(rest: str, at: int) -> tuple[str, int] | None:
    """Translate the bracket expression whose content begins at `at`; None if it is malformed."""
    negated = rest.startswith(("!", "^"), at)
    at += negated
    members: list[str] = []
    before = ""  # possible start of a range
    first = at
    while at == first or not rest.startswith("]", at):
        letter = rest[at : at + 1]
        if letter == "-" and before and rest[at + 1 : at + 2] not in ("", "]"):
            end, at = _member(rest, at + 1)
            if before <= end:
                members.append(f"{re.escape(before)}-{re.escape(end)}")
            before = ""
        elif rest.startswith("[:", at) and (named := _named_class(rest, at)) is not None:
            name, at = named
            if name not in _CLASSES:
                return None
            members.append(_CLASSES[name])
            before = ""
        else:
            before, at = _member(rest, at)
            members.append(re.escape(before))
        if at > len(rest):
            return None
    if negated:
        return f"[^/{''.join(members)}]", at + 1
    return (f"(?!/)[{''.join(members)}]" if members else "(?!)"), at + 1


def _member(rest: str, at: int) -> tuple[str, int]:
    """Return the character at `at`, or the one after a backslash, and the next position; beyond the end of the pattern
    if no character is left.
    """
    at += rest.startswith("\\", at)
    return rest[at : at + 1], at + 1


def _named_class(rest: str, at: int) -> tuple[str, int] | None:
    """Return the name in "[:name:]" and the next position; None if the bracket is literal."""
    close = rest.find("]", at + 2)
    if close < 0:
        return "", len(rest) + 1
    return (rest[at + 2 : close - 1], close + 1) if close > at + 2 and rest[close - 1] == ":" else None
