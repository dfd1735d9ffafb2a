"""What a program may ask for."""

from __future__ import annotations

import math
from typing import Any

import pytest

from uploader.errors import UsageError
from uploader.transfer.options import Options


@pytest.mark.parametrize(
    "wrong",
    [
        {"connections": 0},
        {"connections": 33},
        {"limit_rate": 0},
        {"limit_rate": -1.0},
        {"limit_rate": math.nan},
        {"limit_rate": math.inf},
        {"max_errors": -1},
        {"verify_timeout": -1},
        {"grace": math.inf},
        {"settle_timeout": math.nan},
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Options(**wrong)


def test_limits_that_make_sense() -> None:
    Options(connections=32, limit_rate=1, max_errors=0, verify_timeout=0, grace=0, settle_timeout=0)
