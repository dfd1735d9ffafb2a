"""Global options before the command. Apart from `options`, so that finding a command imports little."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

FLAGS = frozenset({"--json", "-q", "--quiet", "-v", "--no-progress", "--no-color", "--sandbox", "--insecure-http"})
WITH_VALUE = frozenset(
    {"--endpoint", "--token-file", "--state-dir", "--ca-file", "--impersonate", "--bind", "--log-file", "--profile"}
)
"""Global options without and with a value, as a test compares them with `options.GlobalOptions`."""
OF_OUTPUT = frozenset({"--json", "-q", "--quiet", "-v", "--no-progress", "--no-color", "--log-file"})
"""Global options that `figup version`, which makes no request, accepts."""
_CLUSTER = re.compile(r"-[qv]{2,}")
"""Several of the short ones in one word, as in -vv."""
_ONE_TEXT = frozenset({"help", "completion", "-h", "--help", "-V", "--version"})
"""Commands and options that print a fixed text, whatever the global options."""


def lacks_command(words: Sequence[str]) -> bool:
    """Return whether there are global options, and no command follows them."""
    return bool(words) and with_global_options_last([*words, "help"]) == ["help"]


def unknown_command(name: str, known: Iterable[str]) -> str:
    """Return the message for a command that is not one of `known`, with the one that may be meant."""
    import difflib

    meant = difflib.get_close_matches(name, list(known), n=1)
    return f"unknown command {name!r}{f'; did you mean {meant[0]}?' if meant else ''}"


def with_global_options_last(words: Sequence[str]) -> list[str]:
    """Move global options that precede the command to the end, where click expects them; drop those without effect."""
    front, rest = list[list[str]](), list(words)
    while rest and (rest[0].partition("=")[0] in FLAGS | WITH_VALUE or _CLUSTER.fullmatch(rest[0])):
        size = 2 if rest[0] in WITH_VALUE else 1
        front.append(rest[:size])
        del rest[:size]
    if rest and rest[0] in _ONE_TEXT:
        return rest
    if not rest or rest[0].startswith("-"):
        return list(words)
    if rest[0] == "version":
        of_output = (one for one in front if one[0].partition("=")[0] in OF_OUTPUT or _CLUSTER.fullmatch(one[0]))
        front = list(of_output)
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *itertools.chain.from_iterable(front), *rest[end:]]
