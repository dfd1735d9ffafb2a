"""Global options before the command. Apart from `options`, so that finding a command imports little."""

from __future__ import annotations

from collections.abc import Sequence

FLAGS = frozenset(
    {"--json", "-q", "--quiet", "-v", "-vv", "--no-progress", "--no-color", "--sandbox", "--insecure-http"}
)
WITH_VALUE = frozenset(
    {"--endpoint", "--token-file", "--state-dir", "--ca-file", "--impersonate", "--bind", "--log-file", "--profile"}
)
"""Global options without and with a value, as a test compares them with `options.GlobalOptions`."""
_ONE_TEXT = frozenset({"help", "completion", "-h", "--help", "-V", "--version"})
"""What prints a text that is the same with any global options."""


def with_global_options_last(words: Sequence[str]) -> list[str]:
    """Move global options that precede the command to the end, where click expects them; drop those without effect."""
    front, rest = [], list(words)
    while rest and rest[0].partition("=")[0] in FLAGS | WITH_VALUE:
        word = rest.pop(0)
        front.append(word)
        if word in WITH_VALUE and rest:
            front.append(rest.pop(0))
    if rest and rest[0] in _ONE_TEXT:
        return rest
    if not rest or rest[0].startswith("-"):
        return list(words)
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *front, *rest[end:]]
