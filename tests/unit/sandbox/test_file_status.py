"""A file's status over time, with a fake clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.sandbox.file_status import Progress, accepted_at, computed_md5, settled, status
from uploader.sandbox.settings import Delays

MD5 = "a" * 32
DELAYS = Delays(created=10, checking=10, success=10, moving=10, md5=25)
HASHED = Progress(completed=1000.0, hashed=1001.0, md5=MD5, supplied="")
ORDER = ["created", "ic_checking", "ic_success", "moving_to_final", "available"]


@pytest.mark.parametrize(
    ("now", "state", "md5"),
    [
        (1000, "created", ""),
        (1009.9, "created", ""),
        (1010, "ic_checking", ""),
        (1020, "ic_success", ""),
        (1030, "moving_to_final", ""),
        (1034.9, "moving_to_final", ""),
        (1035, "moving_to_final", MD5),
        (1040, "available", MD5),
        (10**9, "available", MD5),
    ],
)
def test_status_after_completion(now: float, state: str, md5: str) -> None:
    assert (status(HASHED, now, DELAYS), computed_md5(HASHED, now, DELAYS)) == (state, md5)


def test_status_waits_for_the_hash() -> None:
    unhashed = Progress(completed=1000.0, hashed=None, md5=None, supplied="")
    assert status(unhashed, 5000, DELAYS) == "ic_checking"
    assert computed_md5(unhashed, 5000, DELAYS) == ""
    late = Progress(completed=1000.0, hashed=5000.0, md5=MD5, supplied="")
    assert status(late, 5000, DELAYS) == "ic_success"


def test_an_upload_that_was_not_completed() -> None:
    fresh = Progress(completed=None, hashed=None, md5=None, supplied="")
    assert (status(fresh, 10**9, DELAYS), accepted_at(fresh, 10**9, DELAYS)) == ("created", False)
    assert not settled(fresh, 10**9, DELAYS)


def test_a_wrong_md5() -> None:
    wrong = Progress(completed=1000.0, hashed=1001.0, md5=MD5, supplied="b" * 32)
    assert [status(wrong, now, DELAYS) for now in (1015, 1020, 10**9)] == ["ic_checking", "ic_failure", "ic_failure"]
    assert status(Progress(completed=1000.0, hashed=1001.0, md5=MD5, supplied=MD5), 10**9, DELAYS) == "available"


def test_md5_never_appears() -> None:
    never = Delays(md5=None)
    assert computed_md5(HASHED, 10**9, never) == ""
    assert settled(HASHED, 10**9, never)
    assert settled(HASHED, 10**9, DELAYS)
    assert not settled(HASHED, 1041, Delays(moving=0, md5=100))


@given(
    st.builds(Delays, **{name: st.floats(0, 100) for name in ("created", "checking", "success", "moving", "md5")}),
    st.floats(0, 100),
    st.lists(st.floats(0, 600), min_size=2, max_size=20).map(sorted),
)
def test_status_never_goes_back(delays: Delays, hashed: float, moments: list[float]) -> None:
    progress = Progress(completed=0.0, hashed=hashed, md5=MD5, supplied="")
    steps = [ORDER.index(status(progress, now, delays)) for now in moments]
    assert steps == sorted(steps)
    shown = [bool(computed_md5(progress, now, delays)) for now in moments]
    assert shown == sorted(shown)
