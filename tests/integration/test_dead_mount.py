"""A source on a file system whose server dies during the upload: reported, and resumed once it is mounted again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Figup
from tests.support.invariants import check_exactly_once
from tests.support.programs import require_program
from tests.support.sandbox import Sandbox
from tests.support.waiting import until

Start = Callable[..., Sandbox]


class Mount:
    """A folder that mirrors another one through a process."""

    def __init__(self, stored: Path, place: Path) -> None:
        self._stored = stored
        self.place = place
        self._server: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        command = [require_program("bindfs", "bindfs"), "-f", "--no-allow-other", str(self._stored), str(self.place)]
        self._server = subprocess.Popen(command)
        until(self.place.is_mount)

    def hang(self) -> None:
        """Let every access wait."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        """Serve what waits."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def die(self) -> None:
        """End the process, and leave a dead mount."""
        assert self._server is not None
        self._server.send_signal(signal.SIGKILL)
        self._server.wait()

    def unmount(self) -> None:
        subprocess.run([require_program("fusermount", "fuse"), "-u", "-z", self.place], check=True)


def thread_states(pid: int) -> set[str]:
    """Return the states of a process's threads, such as "S" (sleeping) or "D" (uninterruptible)."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this user cannot mount (/dev/fuse)")
    stored, place = tmp_path / "stored", tmp_path / "mounted"
    stored.mkdir()
    place.mkdir()
    (stored / "data.bin").write_bytes(os.urandom(2_000_000))
    made = Mount(stored, place)
    made.serve()
    yield made
    made.die()
    made.unmount()


def test_a_mount_that_fails_during_the_upload(bare_figup: Figup, start_sandbox: Start, mount: Mount) -> None:
    sandbox = start_sandbox("--part-size", "100KiB")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    path = mount.place / "data.bin"
    command = ("upload", path, "--title", "Mounted", "--connections", "2")
    running = bare_figup.start(*command, "--limit-rate", "1M")
    until(lambda: len(sandbox.requests(kind="put-part", status=200)) > 3)
    mount.die()
    for done in (running.wait(), bare_figup.run(*command)):
        done.expect(75)
        assert f"figup: {path}: its storage does not answer: " in done.stderr
        assert "Mount it again" in done.stderr
    mount.unmount()
    mount.serve()
    bare_figup.run(*command).expect(0)
    check_exactly_once(sandbox, path)


def test_a_mount_that_hangs_delays_neither_other_files_nor_a_signal(
    bare_figup: Figup, start_sandbox: Start, mount: Mount
) -> None:
    sandbox = start_sandbox("--part-size", "100KiB")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    large, other = mount.place / "data.bin", bare_figup.cwd / "other.bin"
    os.truncate(large, 60_000_000)
    other.write_bytes(os.urandom(1_000_000))
    command = ("upload", large, other, "--title", "Hanging", "--connections", "4", "--json")
    running = bare_figup.start(*command, "--limit-rate", "1M", "--grace", "1")
    until(lambda: len(sandbox.requests(kind="initiate", status=201)) == 2)
    mount.hang()
    assert running.wait_for_event("verified")["path"] == str(other)
    running.process.send_signal(signal.SIGTERM)
    try:
        running.wait(15).expect(75)
    except subprocess.TimeoutExpired:
        # The kernel lets no process end that waits for a request which the server had begun to serve.
        assert "D" in thread_states(running.process.pid)
        mount.answer_again()
        running.wait(15).expect(75)
    mount.answer_again()
    bare_figup.run(*command).expect(0)
    check_exactly_once(sandbox, large, other)
