"""The remembered connection count of an endpoint, which is optional."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader.disk import FILE_MODE, Disk
from uploader.errors import StateDiskFull
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.tuning import remember_connections, remembered_connections


def test_it_is_remembered_for_each_endpoint(tmp_path: Path) -> None:
    states = JobStore(tmp_path, Disk())
    assert remembered_connections(states, "https://a") is None
    remember_connections(states, "https://a", 12)
    remember_connections(states, "https://b", 3)
    assert remembered_connections(states, "https://a") == 12
    for number in range(200):
        remember_connections(states, f"https://{number}", 5)
    assert remembered_connections(states, "https://a") is None
    assert (tmp_path / "connections.json").stat().st_size < 5000


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"https://a": "x"}', b"\xff\xfe", b'{"https://a": 1e99}'])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "connections.json").write_bytes(content)
    states = JobStore(tmp_path, Disk())
    assert remembered_connections(states, "https://a") is None
    remember_connections(states, "https://a", 7)
    assert remembered_connections(states, "https://a") == 7


def test_a_full_disk_does_no_harm(tmp_path: Path) -> None:
    class Full(Disk):
        def replace(self, path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
            raise StateDiskFull("full")

    remember_connections(JobStore(tmp_path, Full()), "https://a", 7)
