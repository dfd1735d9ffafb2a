"""Find and load the metadata files in the folders of the sources.

The import of `load` is late: most uploads find no such file, and the parsers are slow to import.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from uploader.errors import FigupError

if TYPE_CHECKING:
    from uploader.metadata.load import Loaded

FOUND_NAMES = (
    "datacite.json", "ro-crate-metadata.json", "ro-crate-metadata.jsonld", ".zenodo.json", "CITATION.cff",
    "codemeta.json",
)  # fmt: skip
"""Files that describe the folder they are in; earlier ones win, field by field. RO-Crate 1.0 has .jsonld."""


def find_sidecars(sources: Iterable[str | Path]) -> Iterator[tuple[Path, bool]]:
    """Yield the metadata files in the given folders or beside the given files, and True for a folder. Blocks."""
    seen: set[Path] = set()
    for source in sources:
        path = Path(source)
        # A path that cannot be checked is reported when it is sent.
        is_folder = os.path.isdir(path)  # noqa: PTH112 - pathlib raises
        folder = path if is_folder else path.parent
        if folder in seen:
            continue
        seen.add(folder)
        for name in FOUND_NAMES:
            if os.path.isfile(folder / name):  # noqa: PTH113
                yield folder / name, is_folder


def load_sidecars(sources: Iterable[str | Path], today: date) -> list[Loaded]:
    """Load the metadata files in the given folders, or beside the given files, in order of precedence.

    An unusable file has a remark. Beside a single file the title is ignored: it is that of the folder.
    """
    loaded: list[Loaded] = []
    for path, describes_folder in find_sidecars(sources):
        sidecar = _load_sidecar(path, today, describes_folder=describes_folder)
        loaded.append(sidecar if describes_folder else _without_title(sidecar))
    return loaded


def _load_sidecar(path: Path, today: date, *, describes_folder: bool) -> Loaded:
    from uploader.metadata.load import interpret, kind_of, read, unused

    try:
        document = read(path)
    except FigupError as error:
        return unused(path, error.message)
    if kind_of(document) == "figup":
        return unused(path, f"{path.name}: is not in the format that its name suggests")
    return interpret(document, today, describes_folder=describes_folder)


def _without_title(loaded: Loaded) -> Loaded:
    if "title" not in loaded.fields:
        return loaded
    fields = {name: getattr(loaded.metadata, name) for name in loaded.fields if name != "title"}
    return dataclasses.replace(loaded, metadata=type(loaded.metadata)(**fields))
