"""Names that fit into terminal columns, whatever characters they contain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm.utils import disp_len

from uploader.text import columns, named_few, shorten


@pytest.mark.parametrize(
    ("name", "width", "text"),
    [
        ("short.bin", 20, "short.bin"),
        ("a very long name of a file.tar.gz", 15, "a very ….tar.gz"),
        ("new\nline", 20, "new\\nline"),
        ("\x1b[2J", 20, "\\x1b[2J"),
    ],
)
def test_names(name: str, width: int, text: str) -> None:
    assert shorten(name, width) == text


@given(st.text(min_size=1), st.integers(min_value=4, max_value=60))
def test_a_shortened_name_fits_its_columns(name: str, width: int) -> None:
    fitted = shorten(name, width)
    assert columns(fitted) == disp_len(fitted) <= width
    assert fitted.isprintable()


def test_a_long_list_is_cut_and_its_rest_counted() -> None:
    assert named_few(["a", "b"], 2) == "a, b"
    assert named_few(["a", "b", "c", "d"], 2) == "a, b and 2 more"
