"""The sandbox's directory: one holder, private files, a persistent token and ports."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from uploader.sandbox.data_dir import DataDir, SandboxBusy, SandboxUnusable, read_token


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path / "s"), DataDir(tmp_path / "s")
    first.open()
    with pytest.raises(SandboxBusy) as caught:
        second.open()
    assert caught.value.exit_status == 8
    second.close()
    first.close()
    second.open()
    second.close()


def test_the_note_exists_while_the_directory_is_locked(tmp_path: Path) -> None:
    home = DataDir(tmp_path)
    home.open()
    home.announce({"url": "u"})
    assert json.loads(home.note.read_text()) == {"url": "u"}
    assert mode(home.note) == 0o600
    home.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "lock"]


def test_the_token_is_kept(tmp_path: Path) -> None:
    token = read_token(tmp_path / "new")
    assert read_token(tmp_path / "new") == token
    assert mode(tmp_path / "new" / "token") == 0o600
    (tmp_path / "new" / "token").write_text(" given\n")
    assert read_token(tmp_path / "new") == "given"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"api": "x", "upload": 1}', "\0"])
def test_unreadable_ports_are_unknown(tmp_path: Path, text: str) -> None:
    home = DataDir(tmp_path)
    assert home.ports() == (0, 0, 0)
    (tmp_path / "ports").write_text(text)
    assert home.ports() == (0, 0, 0)
    home.save_ports(1, 2, 3)
    assert home.ports() == (1, 2, 3)


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for broken in (tmp_path / "file", tmp_path / "file" / "s"):
        with pytest.raises(SandboxUnusable):
            DataDir(broken).open()
        with pytest.raises(SandboxUnusable):
            read_token(broken)
