"""What lies with the sources and may describe them: found by name alone, so that looking costs little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

FOUND_NAMES = ("datacite.json", "CITATION.cff", "codemeta.json")
"""Files that describe the folder they lie in; earlier ones win, field by field."""


def lying_beside(sources: Iterable[str | Path]) -> Iterator[tuple[Path, bool]]:
    """Files of such names in the folders given, or beside the files given, and whether it is a folder that was given.

    Blocks.
    """
    seen: set[Path] = set()
    for source in sources:
        path = Path(source)
        is_folder = path.is_dir()
        folder = path if is_folder else path.parent
        if folder in seen:
            continue
        seen.add(folder)
        for name in FOUND_NAMES:
            if (folder / name).is_file():
                yield folder / name, is_folder
