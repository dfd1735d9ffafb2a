"""Bytes on disk: sparse for zeros, correct where data was overwritten."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uploader.sandbox import blobs as module
from uploader.sandbox.blobs import BLOCK, Blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path)


def write(blobs: Blobs, name: str, start: int, chunks: list[bytes], *, clean: bool) -> None:
    part = blobs.writer(name, start=start, length=sum(map(len, chunks)), clean=clean)
    part.write(chunks)
    part.close()


def used(blobs: Blobs, name: str) -> int:
    return blobs.path(name).stat().st_blocks * 512


def test_a_new_file_is_sparse(blobs: Blobs) -> None:
    name = blobs.create(2**34)
    assert blobs.path(name).stat().st_size == 2**34
    assert used(blobs, name) == 0


def test_zeros_are_not_written_to_a_clean_region(blobs: Blobs) -> None:
    name = blobs.create(20 * BLOCK)
    write(blobs, name, 0, [bytes(9 * BLOCK), b"x", bytes(BLOCK - 1), bytes(BLOCK)], clean=True)
    assert used(blobs, name) <= BLOCK
    assert blobs.path(name).read_bytes()[9 * BLOCK] == ord("x")


def test_zeros_replace_earlier_bytes(blobs: Blobs) -> None:
    name = blobs.create(2 * BLOCK)
    write(blobs, name, 0, [b"x" * (2 * BLOCK)], clean=True)
    write(blobs, name, 0, [bytes(BLOCK)], clean=False)
    assert blobs.path(name).read_bytes() == bytes(BLOCK) + b"x" * BLOCK


def test_zeros_are_written_without_hole_punching(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_punch", lambda *_: False)
    test_zeros_replace_earlier_bytes(blobs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.sampled_from([0, 1, 255])), max_size=12), st.integers(0, 9999))
def test_chunks_of_any_size_are_stored_as_sent(blobs: Blobs, pieces: list[tuple[int, int]], start: int) -> None:
    chunks = [bytes([value]) * length for length, value in pieces]
    data = b"".join(chunks)
    name = blobs.create(start + len(data))
    write(blobs, name, start, chunks, clean=True)
    assert blobs.path(name).read_bytes() == bytes(start) + data
    write(blobs, name, start, chunks[::-1], clean=False)
    assert blobs.path(name).read_bytes() == bytes(start) + b"".join(chunks[::-1])
    blobs.remove([name])


def test_a_short_write_is_continued(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[int, memoryview, int], int] = os.pwrite
    monkeypatch.setattr("os.pwrite", lambda descriptor, view, offset: real(descriptor, view[:3], offset))
    name = blobs.create(10)
    write(blobs, name, 0, [b"0123456789"], clean=True)
    assert blobs.path(name).read_bytes() == b"0123456789"


def test_a_write_after_the_close_does_nothing(blobs: Blobs) -> None:
    name = blobs.create(4)
    part = blobs.writer(name, start=0, length=4, clean=True)
    part.close()
    part.close()
    part.write([b"0123"])
    assert blobs.path(name).read_bytes() == bytes(4)


def test_the_md5(blobs: Blobs) -> None:
    data = os.urandom(3 * 2**20 + 7)
    name = blobs.create(len(data))
    write(blobs, name, 0, [data], clean=True)
    assert blobs.md5(name, lambda: False) == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert blobs.md5(name, lambda: True) is None
    assert blobs.md5("gone", lambda: False) is None


@given(st.lists(st.tuples(st.integers(1, 5 * 2**20), st.booleans()), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_the_md5_of_a_file_with_holes(blobs: Blobs, stretches: list[tuple[int, bool]]) -> None:
    name = blobs.create(sum(length for length, _ in stretches))
    digest, start = hashlib.md5(usedforsecurity=False), 0
    for length, hole in stretches:
        data = bytes(length) if hole else b"x" * length
        write(blobs, name, start, [data], clean=True)
        digest.update(data)
        start += length
    assert blobs.md5(name, lambda: False) == digest.hexdigest()


def test_stray_files_are_removed(blobs: Blobs, tmp_path: Path) -> None:
    kept, stray = blobs.create(1), blobs.create(1)
    blobs.remove_strays(frozenset({kept, "gone"}))
    assert [path.name for path in tmp_path.iterdir()] == [kept]
    blobs.remove([stray, kept])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_create_leaves_no_file(blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, size: int) -> None:
        raise OSError(errno.EFBIG, f"{size} bytes are too large")

    # A memory file system accepts any size.
    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(OSError, match="too large"):
        blobs.create(2**62)
    assert list(tmp_path.iterdir()) == []
