"""Text shown to people: printable paths, lists of names, suggestions for mistyped ones. Pure."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence

_MAX_SUGGESTIONS = 3
_MAX_COMPARED = 500
"""Maximum characters of a name to find similar ones for; comparing longer names is slow and finds none."""


@functools.lru_cache(maxsize=2048)
def plain(name: str) -> str:
    """Normalize case, blanks, dots and dashes: "CC-BY-4.0" equals "CC BY 4.0"."""
    return re.sub(r"[\W_]+", "", name).casefold()


def suggest(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three similar `names`, the most similar first."""
    by_plain: dict[str, str] = {}
    for one in names:
        by_plain.setdefault(plain(one), one)
    target = plain(name)
    if not target or len(target) > _MAX_COMPARED:
        return []
    import difflib  # rarely needed, and every command imports this module

    close = difflib.get_close_matches(target, by_plain, n=_MAX_SUGGESTIONS, cutoff=0.65)
    if len(target) > 3:
        # "zoology" is not similar to "zoologynotelsewhereclassified", but is what people search for.
        inside = sorted((key for key in by_plain if target in key and key not in close), key=len)
        close += inside[: _MAX_SUGGESTIONS - len(close)]
    return [by_plain[key] for key in close] or _by_shared_words(name, by_plain.values())


def _by_shared_words(name: str, names: Iterable[str]) -> list[str]:
    """Return names that share long words, those with most of them first."""
    wanted = _long_words(name)
    shared = {one: len(wanted & _long_words(one)) for one in names}
    found = sorted((one for one, count in shared.items() if count), key=lambda one: -shared[one])
    return found[:_MAX_SUGGESTIONS]


def _long_words(name: str) -> set[str]:
    return {word.casefold() for word in re.findall(r"[^\W_]{5,}", name)}


def plausibly_same(name: str, other: str) -> bool:
    """Return False if two names clearly belong to different people: they share no word, initials aside, and are not
    similar.
    """
    shared = {*words(name)} & {*words(other)}
    return any(len(word) > 1 for word in shared) or bool(suggest(name, [other]))


def words(text: str) -> list[str]:
    """Return the words of a text, casefolded and without accents."""
    letters = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return re.findall(r"[^\W_]+", letters.casefold())


def or_list(names: Iterable[str]) -> str:
    """Return names as a choice: `"a", "b" or "c"`."""
    quoted = [f'"{name}"' for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def named_few(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many others there are: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def did_you_mean(name: str, names: Iterable[str], otherwise: str | None = None) -> str | None:
    """Return a hint with the nearest names, `otherwise` if none is near."""
    found = suggest(name, names)
    return f"Did you mean {or_list(found)}?" if found else otherwise


def composed(name: str) -> str:
    """Return a name with its letters composed (NFC): what two spellings of the same letters have in common."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def columns(text: str) -> int:
    """Return how many columns of a terminal a printable text takes at most: wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "FW" else 1 for c in text)


def shorten(text: str, width: int) -> str:
    """Shorten a text in its middle to a number of columns, and make it printable; its beginning and end stay."""
    text = printable(text if len(text) <= 2 * width else f"{text[:width]}{text[-width:]}")
    if columns(text) <= width:
        return text
    tail = _beginning(reversed(text), width // 2)[::-1]
    return f"{_beginning(text, width - columns(tail) - 1)}…{tail}"


def _beginning(text: Iterable[str], width: int) -> str:
    """Return as many characters as fit."""
    taken = []
    for char in text:
        width -= columns(char)
        if width < 0:
            break
        taken.append(char)
    return "".join(taken)


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8: it holds no half of a character, nor a byte that is not UTF-8."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def printable(path: str) -> str:
    """Escape control characters and invalid encodings, so that a path fits in one line of a message."""
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
