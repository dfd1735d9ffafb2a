"""Programs outside Python that a test may need."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def require_program(name: str, debian_package: str) -> str:
    """The path of the program. Without it the test is skipped, and the reason says what to install; in CI it fails
    instead. The package must be in scripts/debian-packages.txt.
    """
    found = shutil.which(name)
    if found is None:
        skip(f"{name} is missing (Debian: apt-get install {debian_package})")
    return found


def skip(reason: str) -> NoReturn:
    """Skip the test since something is missing here; in CI it fails instead."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
