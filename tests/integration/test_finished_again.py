"""A finished job that is run again: 0 only while the item still holds each file, complete and verified."""

from __future__ import annotations

import sqlite3

import pytest

from tests.support.command import Figup
from tests.support.invariants import check_exactly_once
from tests.support.sandbox import Sandbox

FAST = ("--api-rate", "1000")


def change_remote_file(sandbox: Sandbox, file_id: int, change: str) -> None:
    """Change the item's content without figup."""
    sandbox.stop()
    with sqlite3.connect(sandbox.dir / "sandbox.db") as db:
        assert db.execute(f"UPDATE files SET {change} WHERE id = ?", (file_id,)).rowcount == 1  # noqa: S608
    db.close()
    sandbox.start()


@pytest.mark.parametrize(
    ("change", "status", "code", "reason"),
    [
        ("size = 0", 1, "conflict", "has 0 bytes, not 7 bytes"),
        ("link = 'https://example.org/x'", 1, "conflict", "is a link"),
        ("name = 'other.bin'", 1, "conflict", "is named other.bin"),
        ("folder_path = '/elsewhere'", 1, "conflict", "is in folder elsewhere"),
        (
            "md5 = 'd41d8cd98f00b204e9800998ecf8427e'",
            1,
            "conflict",
            "has the MD5 d41d8cd98f00b204e9800998ecf8427e, not",
        ),
        ("md5 = NULL", 7, "md5-pending", "no longer gives its MD5"),
    ],
)
def test_a_changed_verified_file_is_reported_by_upload_and_dry_run(
    change: str, status: int, code: str, reason: str, figup: Figup, sandbox: Sandbox
) -> None:
    (figup.cwd / "data.bin").write_bytes(b"content")
    words = ("upload", "data.bin", "--title", "an item", *FAST)
    (sent,) = figup.run(*words, "--json").expect(0).summary["files"]
    change_remote_file(sandbox, sent["file_id"], change)
    again = figup.run(*words, "--json").expect(status)
    (error,) = [event for event in again.events if event["event"] == "error"]
    assert error["code"] == code
    assert reason in error["message"]
    dry = figup.run(*words, "--dry-run", "--json").expect(status)
    (plan,) = dry.summary["files"]
    assert (plan["status"], plan["action"]) == ("unverified" if status == 7 else "lost", "refuse")


@pytest.mark.parametrize(
    "change", ["completed = NULL, hashed = NULL", "supplied_md5 = 'd41d8cd98f00b204e9800998ecf8427e'"]
)
def test_a_useless_remote_file_is_sent_again(change: str, figup: Figup, sandbox: Sandbox) -> None:
    path = figup.cwd / "data.bin"
    path.write_bytes(b"content")
    words = ("upload", "data.bin", "--title", "an item", *FAST)
    (sent,) = figup.run(*words, "--json").expect(0).summary["files"]
    change_remote_file(sandbox, sent["file_id"], change)
    dry = figup.run(*words, "--dry-run", "--json").expect(0)
    (plan,) = dry.summary["files"]
    assert (plan["status"], plan["action"], plan["bytes_left"]) == ("lost", "send", 7)
    (again,) = figup.run(*words, "--json").expect(0).summary["files"]
    assert again["file_id"] != sent["file_id"]
    check_exactly_once(sandbox, path)


def test_a_missing_remote_file_takes_precedence_over_a_missing_md5(figup: Figup, sandbox: Sandbox) -> None:
    folder = figup.cwd / "d"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name)
    words = ("upload", "d", "--title", "an item", *FAST)
    first, second = figup.run(*words, "--json").expect(0).summary["files"]
    change_remote_file(sandbox, first["file_id"], "md5 = NULL")
    change_remote_file(sandbox, second["file_id"], "name = 'c'")
    assert "is named c" in figup.run(*words).expect(1).stderr
    assert figup.run(*words, "--dry-run", "--json").expect(1).events[0]["exit_status"] == 1
