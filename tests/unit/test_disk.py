"""Writes of state files: atomic, private, and never through a link."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from uploader.disk import Disk
from uploader.errors import StateUnusable


def test_no_write_follows_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    for name in ("replaced", ".put.new", "appended"):
        (tmp_path / name).symlink_to(victim)
    disk = Disk()
    disk.replace(tmp_path / "replaced", b"new")
    disk.put(tmp_path / "put", b"new")
    for refused in (disk.open_append, lambda path: disk.append(path, b"new")):
        with pytest.raises(StateUnusable):
            refused(tmp_path / "appended")
    assert victim.read_bytes() == b"kept"
    assert [disk.read(tmp_path / name) for name in ("replaced", "put")] == [b"new", b"new"]


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    disk = Disk()
    folder = tmp_path / "a" / "b"
    disk.make_folder(folder)
    disk.replace(folder / "replaced", b"x")
    disk.put(folder / "put", b"x")
    disk.append(folder / "appended", b"x")
    disk.create(folder / "created", b"x")
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}
