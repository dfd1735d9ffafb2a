"""The environment of real processes in tests, without the developer's settings."""

from __future__ import annotations

import os
from pathlib import Path


def clean_environment(home: Path) -> dict[str, str]:
    """PATH and a UTF-8 locale, with `home` as the home directory; no proxy, no token, no other setting.

    PYTHONSAFEPATH keeps `python -m uploader` from importing what a test left in its working directory.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONSAFEPATH": "1",
    }


def plugged(folder: Path, code: str) -> str:
    """Create a folder with Python code that a process runs when it starts; return the PYTHONPATH for that."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(code, "utf-8")
    return os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
