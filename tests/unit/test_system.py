"""The translation of operating system errors, and the number of descriptors for one purpose."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from pathlib import Path

import pytest

from uploader.errors import ExitStatus, FigupError
from uploader.system import (
    absolute,
    descriptor_share,
    path_error,
    process_exists,
    system_error,
    system_errors,
    write_error,
)

EXPECTED = {
    errno.ENOENT: ("source-missing", 4),
    errno.ENOTDIR: ("source-missing", 4),
    errno.EACCES: ("source-unreadable", 4),
    errno.EPERM: ("source-unreadable", 4),
    errno.ELOOP: ("source-unreadable", 4),
    errno.ENAMETOOLONG: ("usage", 2),
    errno.EILSEQ: ("usage", 2),
    errno.ENOTCONN: ("storage-unavailable", 75),
    errno.ESTALE: ("storage-unavailable", 75),
    errno.EIO: ("storage-unavailable", 75),
    errno.ETIMEDOUT: ("storage-unavailable", 75),
    errno.EMFILE: ("out-of-resources", 75),
    errno.ENFILE: ("out-of-resources", 75),
    errno.ENOMEM: ("out-of-resources", 75),
    errno.EAGAIN: ("out-of-resources", 75),
}


def refused(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize("number", EXPECTED, ids=[errno.errorcode[number] for number in EXPECTED])
def test_a_path_that_cannot_be_read(number: int) -> None:
    error = path_error(refused(number), "/data/x\n")
    assert (error.code, error.exit_status) == EXPECTED[number]
    if error.code != "out-of-resources":
        assert error.message.startswith("/data/x\\n: ")
        assert error.path == "/data/x\n"


def test_a_folder_in_the_place_of_a_file_is_named_as_such() -> None:
    error = path_error(refused(errno.EISDIR), "/data")
    assert (str(error.message), error.hint, error.exit_status) == ("/data: is a folder, not a file", "Name a file.", 4)


@pytest.mark.parametrize("path", ["/a\0b", "/a\ud83d"])
def test_an_impossible_path_is_a_usage_error(path: str) -> None:
    with pytest.raises(ValueError, match=r"null|surrogates") as caught:
        os.stat(path)  # noqa: PTH116 - pathlib checks less
    error = path_error(caught.value, path)
    assert (error.code, error.message.partition(": ")[2].startswith("not a possible path")) == ("usage", True)


def test_unwritable_files_are_usage_errors_unless_transient() -> None:
    assert write_error(refused(errno.EACCES), "out.json").exit_status == ExitStatus.USAGE
    assert write_error(refused(errno.ESTALE), "out.json").exit_status == ExitStatus.RESUMABLE


@pytest.mark.parametrize(
    "fault", [MemoryError(), RuntimeError("can't start new thread"), refused(errno.EMFILE), refused(errno.ENOMEM)]
)
def test_exhausted_resources_are_transient(fault: BaseException) -> None:
    with pytest.raises(FigupError) as caught, system_errors():
        raise fault
    assert (caught.value.code, caught.value.exit_status) == ("out-of-resources", ExitStatus.RESUMABLE)
    assert caught.value.__cause__ is fault


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), OSError("made by a library"), refused(errno.EBADF)])
def test_a_bug_is_not_translated(fault: Exception) -> None:
    assert system_error(fault) is None
    with pytest.raises(type(fault)), system_errors():
        raise fault


def test_a_current_folder_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FigupError, match="the current folder cannot be used") as caught:
        absolute("data.bin")
    assert caught.value.exit_status == ExitStatus.USAGE
    assert absolute("/data.bin") == "/data.bin"


@pytest.mark.parametrize(
    ("limit", "share"), [(resource.RLIM_INFINITY, 100), (100_000, 100), (256, 48), (64, 4), (10, 4)]
)
def test_descriptors_are_shared_out(limit: int, share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert descriptor_share(100, 0.25) == share


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_that_ended_does_not_exist_even_if_nobody_waited_for_it() -> None:
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        os.kill(ended.pid, 0)
        assert not process_exists(ended.pid)
    assert process_exists(os.getpid())
    assert not process_exists(ended.pid)
