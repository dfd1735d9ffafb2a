"""The open members of an archive: when they are closed, and what is held up by that."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.open_files import open_files
from tests.support.waiting import until
from uploader.sources.archive.open_members import OPEN_MEMBERS, OpenMembers

COUNT = OPEN_MEMBERS + 3


@pytest.fixture
def members(tmp_path: Path) -> OpenMembers:
    paths = [tmp_path / str(number) for number in range(COUNT)]
    for path in paths:
        path.write_text("x")
    plan = Mock()
    plan.members.path = lambda index: str(paths[index])
    plan.check = lambda _index, status: status
    plan.members.ctimes = plan.members.inodes = [0] * COUNT
    return OpenMembers(plan)


def test_a_close_that_hangs_holds_up_no_other_member(members: OpenMembers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop looks for open members: it would wait for a close with the lock held."""
    for index in range(OPEN_MEMBERS):
        with members.open(index):
            pass
    hanging, go_on, close = threading.Event(), threading.Event(), os.close

    def hang(fd: int) -> None:
        hanging.set()
        assert go_on.wait(30)
        close(fd)

    def read() -> None:
        with members.open(OPEN_MEMBERS):
            pass

    monkeypatch.setattr(os, "close", hang)
    thread = threading.Thread(target=read)
    thread.start()
    found: list[bool] = []

    def look() -> None:
        with members.already_open(1) as fd:
            found.append(fd is not None)

    try:
        assert hanging.wait(30)
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(5)
        assert found == [True]
    finally:
        go_on.set()
        thread.join()
        monkeypatch.undo()
        for fd in members.detach():
            os.close(fd)


def test_all_are_closed_in_the_end(members: OpenMembers, tmp_path: Path) -> None:
    for index in range(COUNT):
        with members.open(index):
            pass
    assert len(open_files(tmp_path)) == OPEN_MEMBERS
    with members.already_open(COUNT - 1) as fd:
        assert fd is not None
        for other in members.detach():
            os.close(other)
        assert len(open_files(tmp_path)) == 1
    until(lambda: not open_files(tmp_path))
