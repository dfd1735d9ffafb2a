"""The soak, of FIGUP_SOAK_MINUTES."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.slow.soak import soak

MINUTES = float(os.environ.get("FIGUP_SOAK_MINUTES", "0.5"))


@pytest.mark.soak
@pytest.mark.timeout(MINUTES * 60 + 1800)
def test_a_soak_leaves_every_file_exactly_once(tmp_path: Path) -> None:
    seed = os.environ.get("FIGUP_SOAK_SEED") or str(random.randrange(10**6))
    soak(MINUTES, seed, tmp_path)
