"""Generate the lifecycle diagram from its table: `python -m tests.support.diagram` updates the README."""

from __future__ import annotations

import re
from pathlib import Path

import uploader.transfer
from uploader.transfer.journal.lifecycle import TABLE, State

README = Path(uploader.transfer.__file__).with_name("README.md")
_BLOCK = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)
_ANYWHERE = {
    "Failed",
    "Cancelled",
    "Resumed",
    "SourceHashed",
    "DigestKept",
    "SourceReplaced",
    "UploadLost",
    "SourceDropped",
    "SourceChosen",
}
"""Events that most states handle alike: the text next to the diagram describes them."""


def draw() -> str:
    """The diagram as a Markdown block."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, kind), target in TABLE.items():
        if kind.__name__ not in _ANYWHERE and isinstance(target, State):
            arrows.setdefault((state.value, target.value), []).append(kind.__name__)
    lines = [f"    {a} --> {b}: {', '.join(kinds)}" for (a, b), kinds in arrows.items()]
    return "\n".join(
        ["```mermaid", "stateDiagram-v2", "    [*] --> planned", *lines, "    verified --> [*]", "```", ""]
    )


def updated(text: str) -> str:
    """The README with the current diagram."""
    return _BLOCK.sub(lambda _: draw(), text, count=1)


if __name__ == "__main__":
    README.write_text(updated(README.read_text("utf-8")), "utf-8")
