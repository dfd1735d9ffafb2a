"""The source of a transfer, opened and released on the event loop."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.waiting import until
from uploader.sources.source import Source
from uploader.transfer.files.content import SourceSession


def test_a_close_that_hangs_does_not_hold_up_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network mount whose server does not answer."""
    go_on, closed, close = threading.Event(), threading.Event(), os.close

    def hang(fd: int) -> None:
        close(fd)
        if go_on.wait(5):
            closed.set()

    (tmp_path / "a").write_bytes(b"a")
    session = SourceSession(Mock(), Mock(), Mock())
    session._source = Source(str(tmp_path / "a"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", hang)
        session.release()
        assert not closed.is_set()
        go_on.set()
        until(closed.is_set)
