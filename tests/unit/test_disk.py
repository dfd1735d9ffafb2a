"""Writes of state files: atomic, private, and never through a link."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from uploader.disk import Disk, check_private, temporary_folder
from uploader.errors import ResourcesExhausted, StateUnusable


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


def test_nothing_is_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"secret\n")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    for read in (Disk().read, lambda path: list(Disk().lines(path))):
        with pytest.raises(StateUnusable, match="symbolic link"):
            read(tmp_path / "link")


@pytest.mark.parametrize(("mode", "private"), [(0o700, True), (0o755, True), (0o775, False), (0o777, False)])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int, private: bool) -> None:
    folder = tmp_path / "it's"
    check_private(folder)  # it does not exist
    folder.mkdir()
    folder.chmod(mode)
    if private:
        check_private(folder)
        return
    with pytest.raises(StateUnusable, match="other users can write to") as caught:
        check_private(folder)
    hint = caught.value.hint or ""
    subprocess.run(["sh", "-c", hint.split("`")[1]], check=True)
    check_private(folder)


@pytest.mark.parametrize(
    ("owner", "me", "private"), [(1000, 1000, True), (0, 1000, True), (1001, 1000, False), (1001, 0, True)]
)
def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, me: int, private: bool
) -> None:
    real = tmp_path.stat()
    status = os.stat_result((0o40700, *real[1:4], owner, *real[5:10]))
    monkeypatch.setattr(Path, "stat", lambda _: status)
    monkeypatch.setattr(os, "geteuid", lambda: me)
    if private:
        check_private(tmp_path)
    else:
        with pytest.raises(StateUnusable, match="belongs to another user"):
            check_private(tmp_path)


def test_a_file_of_another_user_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone with write access to a parent folder can replace a state directory after it was checked."""
    path = tmp_path / "journal"
    path.write_bytes(b"line\n")
    real = path.stat()
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result((*real[:4], 1001, *real[5:10])))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for read in (Disk().read, lambda path: list(Disk().lines(path)), lambda path: Disk().read_from(path, 0)):
        with pytest.raises(StateUnusable, match="belongs to another user"):
            read(path)
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    assert Disk().read(path) == b"line\n"


def test_an_append_that_the_system_cuts_short_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))
    Disk().append(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("fault", "folder", "words"),
    [
        (OSError(errno.ENOSPC, "No space left"), "/scratch", "cannot write temporary files in /scratch: No space left"),
        (FileNotFoundError(errno.ENOENT, "No usable one"), None, "cannot write temporary files: No usable one"),
    ],
)
def test_a_folder_for_temporary_files_that_cannot_be_made(
    fault: OSError, folder: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise fault

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    monkeypatch.setattr(tempfile, "tempdir", folder)
    with pytest.raises(ResourcesExhausted, match=words) as caught, temporary_folder():
        pass
    assert (caught.value.hint or "").startswith("Free space there, or set TMPDIR to another folder; then")
