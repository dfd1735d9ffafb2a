"""Parts must make up the file exactly."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import ProtocolViolation
from uploader.figshare import parts
from uploader.figshare.models import Part, Upload

Rows = list[dict[str, Any]]


def rows_of(sizes: list[int]) -> Rows:
    rows, start = [], 0
    for no, size in enumerate(sizes, 1):
        rows.append({"partNo": no, "startOffset": start, "endOffset": start + size - 1, "status": "PENDING"})
        start += size
    return rows


def upload(rows: Rows | None, size: int | None, status: str | None = "PENDING") -> Upload:
    body = {"token": "t", "md5": "", "name": "1/x", "size": size, "status": status, "parts": rows}
    return parts.parse_upload(json.dumps(body).encode())


SIZES = st.lists(st.integers(1, 1 << 40), min_size=1, max_size=20)


@given(SIZES, st.randoms(use_true_random=False))
def test_parts_are_accepted_in_any_order(sizes: list[int], shuffler: random.Random) -> None:
    rows = rows_of(sizes)
    shuffler.shuffle(rows)
    found = upload(rows, sum(sizes))
    assert [part.size for part in found.parts] == sizes
    assert [part.no for part in found.parts] == list(range(1, len(sizes) + 1))
    assert found.size == sum(sizes)


@given(SIZES, st.data())
def test_a_single_wrong_offset_is_detected(sizes: list[int], data: st.DataObject) -> None:
    rows = rows_of(sizes)
    row = data.draw(st.sampled_from(rows))
    row[data.draw(st.sampled_from(["startOffset", "endOffset"]))] += data.draw(
        st.integers(-(1 << 41), 1 << 41).filter(bool)
    )
    with pytest.raises(ProtocolViolation):
        upload(rows, sum(sizes))


@given(SIZES, st.data())
def test_a_missing_or_duplicate_part_is_detected(sizes: list[int], data: st.DataObject) -> None:
    rows = rows_of(sizes)
    row = data.draw(st.sampled_from(rows))
    if data.draw(st.booleans()):
        rows.append(dict(row))
    else:
        rows.remove(row)
    with pytest.raises(ProtocolViolation):
        upload(rows, sum(sizes))


@pytest.mark.parametrize("size", [0, 1, 11, -1, 2**63])
def test_the_size_must_match_the_parts(size: int) -> None:
    with pytest.raises(ProtocolViolation):
        upload(rows_of([5, 5]), size)


def test_a_duplicate_part_number_is_rejected() -> None:
    rows = rows_of([5, 5])
    rows[1]["partNo"] = 1
    with pytest.raises(ProtocolViolation, match="twice"):
        upload(rows, 10)


def test_too_many_parts_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_PARTS", 3)
    assert len(upload(rows_of([1, 1, 1]), 3).parts) == 3
    with pytest.raises(ProtocolViolation, match="more than 3 parts"):
        upload(rows_of([1, 1, 1, 1]), 4)


def test_an_empty_file_has_no_part_or_an_empty_one() -> None:
    assert upload([], 0).parts == ()
    assert upload(None, 0).parts == ()
    assert [part.size for part in upload(rows_of([0]), 0).parts] == [0]


def test_an_empty_part_of_a_non_empty_file_is_rejected() -> None:
    with pytest.raises(ProtocolViolation):
        upload(rows_of([5, 0, 5]), 10)


def test_a_finished_upload_may_list_no_parts() -> None:
    assert upload([], 10, "ABORTED").status == "aborted"
    assert upload(None, 10, "COMPLETED").status == "completed"
    with pytest.raises(ProtocolViolation):
        upload([], 10, "PENDING")


@pytest.mark.parametrize(
    ("word", "status"),
    [("PENDING", "pending"), ("COMPLETED", "completed"), ("ABORTED", "aborted"), ("NEW", "pending"), (None, "pending")],
)
def test_the_status_of_an_upload(word: str | None, status: str) -> None:
    assert upload(rows_of([1]), 1, word).status == status


def test_one_part() -> None:
    body = {"partNo": 3, "startOffset": 1024, "endOffset": 2047, "status": "COMPLETE", "locked": True, "new": 1}
    part = parts.parse_part(json.dumps(body).encode())
    assert part == Part(no=3, start=1024, end=2047, complete=True, locked=True)
    assert part.size == 1024


def test_a_part_without_lock_or_status_is_free_and_pending() -> None:
    part = parts.parse_part(b'{"partNo": 1, "startOffset": 0, "endOffset": 9, "locked": null, "status": null}')
    assert not part.complete
    assert not part.locked
