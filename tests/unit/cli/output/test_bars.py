"""Bars: names that fit, whatever they are made of. What they look like on a terminal is tested on one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm.utils import disp_len

from uploader.cli.output.bars import shorten


@pytest.mark.parametrize(
    ("name", "columns", "text"),
    [
        ("short.bin", 20, "short.bin"),
        ("a very long name of a file.tar.gz", 15, "a very ….tar.gz"),
        ("new\nline", 20, "new\\nline"),
        ("\x1b[2J", 20, "\\x1b[2J"),
    ],
)
def test_names(name: str, columns: int, text: str) -> None:
    assert shorten(name, columns) == text


@given(st.text(min_size=1), st.integers(min_value=4, max_value=60))
def test_a_name_never_takes_more_columns_than_it_may(name: str, columns: int) -> None:
    fitted = shorten(name, columns)
    assert disp_len(fitted) <= columns
    assert fitted.isprintable()
