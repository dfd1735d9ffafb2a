"""The disk of the state directory fails during an upload: reported, and resumed once it works again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Figup, Running
from tests.support.invariants import check_exactly_once
from tests.support.programs import require_program
from tests.support.sandbox import Sandbox

QUICK = ("--retry-timeout", "1s", "--settle-timeout", "1s")


class Disk:
    """A small file system in memory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._filler = place / "filler"

    def remount(self, mode: str) -> None:
        """`ro` or `rw`. A file that is open for writing keeps it from becoming `ro`."""
        subprocess.run([require_program("mount", "mount"), "-o", f"remount,{mode}", self.place], check=True)

    def fill(self) -> None:
        """Use up all free space."""
        with self._filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(bytes(4096))

    def empty(self) -> None:
        """Free it again."""
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    mount, unmount = require_program("mount", "mount"), require_program("umount", "mount")
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=256k,mode=700", "none", place], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield Disk(place)
    finally:
        subprocess.run([unmount, "-l", place], check=True)


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox("--part-size", "20KiB", "--lock-linger", "0.1")


def begun(figup: Figup, disk: Disk, *more: str) -> tuple[Running, Path]:
    """A running upload that takes some seconds."""
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(600_000))
    run = figup.start("upload", "data.bin", "--state-dir", disk.place, "--json", "--limit-rate", "200k", *QUICK, *more)
    run.wait_for_event("file")
    return run, path


def test_the_disk_fills_up(figup: Figup, sandbox: Sandbox, disk: Disk) -> None:
    run, path = begun(figup, disk)
    disk.fill()
    done = run.wait().expect(75)
    (error,) = [event for event in done.events if event["event"] == "error"]
    assert error["code"] == "state-full"
    assert str(disk.place) in error["message"]
    assert "Free space on" in error["hint"]
    assert done.summary["exit_status"] == 75
    assert "Traceback" not in done.stderr
    disk.empty()
    figup.run("upload", "data.bin", "--state-dir", disk.place).expect(0)
    check_exactly_once(sandbox, path)


def test_the_disk_can_no_longer_be_written(figup: Figup, sandbox: Sandbox, disk: Disk) -> None:
    """A disk cannot be remounted while a file is open, so the run is interrupted: killed, then resumed."""
    run, path = begun(figup, disk)
    run.kill()
    disk.remount("ro")
    done = figup.run("upload", "data.bin", "--state-dir", disk.place, "--json", *QUICK).expect(2)
    (error,) = [event for event in done.events if event["event"] == "error"]
    assert error["code"] == "state-unusable"
    assert "Read-only file system" in error["message"]
    assert "Traceback" not in done.stderr
    assert figup.run("jobs", "--state-dir", disk.place).expect(0).stdout.count("interrupted") == 1
    disk.remount("rw")
    figup.run("upload", "data.bin", "--state-dir", disk.place).expect(0)
    check_exactly_once(sandbox, path)


def test_a_full_log_disk_is_reported_once(figup: Figup, sandbox: Sandbox, disk: Disk, tmp_path: Path) -> None:
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(100_000))
    disk.fill()
    disk.empty()
    disk.fill()
    log = tmp_path / "disk" / "log"
    log.touch(mode=0o600)
    done = figup.run("upload", "data.bin", "-v", "--log-file", log).expect(0)
    assert done.stderr.count("--log-file: the log is incomplete") == 1
    assert "Traceback" not in done.stderr
    assert "Logging error" not in done.stderr
    check_exactly_once(sandbox, path)


@pytest.mark.parametrize("words", [["upload", "data.bin"], ["jobs"], ["resume"], ["status"]], ids=" ".join)
def test_a_state_directory_that_others_can_write_to(figup: Figup, sandbox: Sandbox, words: list[str]) -> None:
    (figup.cwd / "data.bin").write_bytes(b"data")
    figup.run("upload", "data.bin").expect(0)
    asked = len(sandbox.requests())
    for folder in (figup.state_dir, figup.state_dir / "jobs"):
        folder.chmod(0o777)
        done = figup.run(*words).expect(2)
        assert f"other users can write to {folder}" in done.stderr
        assert f"`chmod go-w {folder}`" in done.stderr
        folder.chmod(0o700)
    assert len(sandbox.requests()) == asked
    figup.run("upload", "data.bin").expect(0)


CREATING = [
    "item create --title Data",
    "project create Survey",
    "collection create Maps",
    "records create dams.csv",
    "report own --output own.csv",
    "report public --institution 1 --output public.csv",
    "stats show 1 --stats-endpoint http://127.0.0.1:9",
]


def test_no_command_writes_to_a_state_directory_that_others_can_write_to(figup: Figup, sandbox: Sandbox) -> None:
    (figup.cwd / "dams.csv").write_text("title,doi,metadata_only\nA dam,10.1234/dam,Kept elsewhere\n", "utf-8")
    figup.state_dir.mkdir(mode=0o700, exist_ok=True)
    figup.state_dir.chmod(0o777)
    for words in CREATING:
        done = figup.run(*words.split()).expect(2)
        assert f"other users can write to {figup.state_dir}" in done.stderr, words
        assert not list(figup.state_dir.iterdir()), words
    assert not [request for request in sandbox.requests() if request["method"] == "POST"]
    figup.state_dir.chmod(0o700)
    figup.run(*CREATING[0].split()).expect(0)
