"""Sources that change, or seem to, at every stage of a job, with the real command. Two versions are never mixed.

The state of the MD5 is kept every few parts, as it is of large files.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Figup, Result, Running
from tests.support.control import add_faults, drop_faults
from tests.support.invariants import check_nothing_sent_twice, check_token_stayed_home, download, files, items, md5_of
from tests.support.sandbox import Sandbox
from tests.support.secrets import TOKEN, UploadSecrets, check_silent
from tests.support.waiting import until

PART = 40 << 10
SIZE = 20 * PART + 77
_KEEP_STATES = """
from uploader.sources import digest, md5
from uploader.transfer.files import content

digest.READ = 16 << 10
digest.SAVE_BYTES = content.SAVE_BYTES = 64 << 10
digest.SAVE_SECONDS = 0
md5._MARGIN = 0.1
md5.file_system_of = lambda _: next(iter(md5._KEEPING_CTIME))
"""
_names = itertools.count()


# --- what happens to a source ---------------------------------------------------------------------------------------


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, PART // 2)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(random.Random("other").randbytes(SIZE))
    other.replace(path)


def change_unseen(path: Path) -> None:
    """Other bytes, the same size, the same mtime."""
    before = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"other bytes")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def touch(path: Path) -> None:
    path.touch()


def copy_back(path: Path) -> None:
    """Moved aside, and put back as a copy."""
    aside = path.with_name("aside")
    path.rename(aside)
    shutil.copy(aside, path)


def round_times(path: Path) -> None:
    """Round the times, as some network file systems do once they are no longer cached."""
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns // 10**9 * 10**9))


def remove(path: Path) -> None:
    path.unlink()


CHANGES = [grow, shrink, replace, change_unseen]
Change = Callable[[Path], None]


# --- when it happens ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all scenarios, each with its own item. MD5s take a moment."""
    folder = tmp_path_factory.mktemp("changes")
    quick = "--checking-delay 0 --success-delay 0 --moving-delay 0 --lock-linger 0.05 --md5-delay 0.4 --control"
    sandbox = Sandbox(folder / "sandbox", token=TOKEN, args=["--part-size", str(PART), *quick.split()])
    sandbox.start()
    yield sandbox
    check_nothing_sent_twice(sandbox)
    check_token_stayed_home(sandbox)
    sandbox.stop()


class Story:
    """One job with one source, run to a certain stage."""

    def __init__(self, figup: Figup, sandbox: Sandbox) -> None:
        figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
        self.figup, self.sandbox = figup, sandbox
        self.title = f"story {next(_names)}"
        self.path = figup.cwd / "dätä.bin"
        self.content = random.Random(self.title).randbytes(SIZE)
        self.path.write_bytes(self.content)
        # Not of this second's beginning, so that rounding it changes it.
        os.utime(self.path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
        self.job = ""

    def start(self, *more: str) -> Running:
        words = ["upload", str(self.path), "--title", self.title, "--json", "--api-rate", "1000"]
        return self.figup.start(*words, "--settle-timeout", "3", *more)

    def run(self, *more: str) -> Result:
        return self.start(*more).wait()

    @property
    def item_id(self) -> int:
        (item,) = [item for item in items(self.sandbox) if item["title"] == self.title]
        identity: int = item["id"]
        return identity

    @property
    def stored(self) -> list[dict[str, Any]]:
        """The files that the item holds."""
        return files(self.sandbox, self.item_id)

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self.sandbox.requests(item_id=self.item_id)

    def under_way(self) -> Running:
        """A run that has sent and recorded some parts, with others still to send."""
        run = self.start("--limit-rate", "500k", "--connections", "1")
        self.job = run.wait_for_event("job")["job"]
        journal = self.figup.state_dir / "jobs" / self.job / "journal"
        deadline = time.monotonic() + 20
        while journal.read_text("utf-8").count('{"e":"p",') < 2:
            assert time.monotonic() < deadline, journal.read_text("utf-8")
            time.sleep(0.01)
        return run

    def refused(self, result: Result, *, gone: bool = False) -> None:
        """Assert the exit status and one line that names the file and says what to do."""
        result.expect(4 if gone else 5)
        error = next(event for event in result.events if event["event"] == "error")
        assert error["code"] == ("source-missing" if gone else "source-changed")
        assert error["path"] == str(self.path)
        assert self.path.name in error["message"]
        assert "run the same command again" in error["hint"] or "--restart-changed" in error["hint"]
        assert "back" in error["hint"] or "in its place" in error["hint"]

    def put_back(self) -> None:
        """Restore the old bytes from another file."""
        self.path.with_name("again").write_bytes(self.content)
        self.path.with_name("again").replace(self.path)

    def check(self) -> None:
        """The item holds the source as it is now, once, and nothing else."""
        (file,) = self.stored
        assert (file["name"], file["size"]) == (self.path.name, self.path.stat().st_size)
        assert file["computed_md5"] == md5_of(self.path)
        assert download(self.sandbox, file) == self.path.read_bytes()


@pytest.fixture
def story(bare_figup: Figup, shared: Sandbox) -> Iterator[Story]:
    secrets = UploadSecrets(shared)
    before = len(secrets.after())
    bare_figup.always = ("-vv", "--log-file", "figup.log")
    bare_figup.plug = _KEEP_STATES
    yield Story(bare_figup, shared)
    drop_faults(shared)
    check_silent(bare_figup.cwd, bare_figup.outputs, [TOKEN, *secrets.after(before)])


def while_planned(story: Story, change: Change) -> Result:
    add_faults(story.sandbox, "initiate=400")
    story.job = story.run().expect(1).summary["job"]
    change(story.path)
    return story.run()


def while_sending(story: Story, change: Change) -> Result:
    run = story.under_way()
    change(story.path)
    return run.wait()


def between_kill_and_resume(story: Story, change: Change) -> Result:
    story.under_way().kill()
    change(story.path)
    return story.run()


def while_the_checksum_is_out(story: Story, change: Change) -> Result:
    run = story.start()
    story.job = run.wait_for_event("job")["job"]
    run.wait_for_event("sent")
    change(story.path)
    return run.wait()


def between_completion_and_verification(story: Story, change: Change) -> Result:
    story.job = story.run("--verify-timeout", "0").expect(7).summary["job"]
    change(story.path)
    return story.run()


def after_the_end(story: Story, change: Change) -> Result:
    story.job = story.run().expect(0).summary["job"]
    change(story.path)
    return story.run()


STAGES = [
    while_sending,
    between_kill_and_resume,
    while_the_checksum_is_out,
    between_completion_and_verification,
    after_the_end,
]
Stage = Callable[[Story, Change], Result]


# --- what becomes of it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("stage", STAGES)
def test_a_changed_source_is_an_error_and_resent_on_request(stage: Stage, change: Change, story: Story) -> None:
    story.refused(stage(story, change))
    item = story.item_id
    before = [file["id"] for file in story.stored]
    summary = story.run("--restart-changed").expect(0).summary
    assert (summary["job"], summary["item_id"]) == (story.job, item)
    assert summary["files"][0]["status"] == "verified"
    story.check()
    assert [file["id"] for file in story.stored] != before, "another version is another file"
    if stage not in (while_sending, between_kill_and_resume):
        _check_removed_last(story, before[0], story.stored[0]["id"])


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        *((between_kill_and_resume, change) for change in CHANGES),
        (while_sending, shrink),
        (while_sending, change_unseen),
        (between_completion_and_verification, replace),
        (after_the_end, grow),
    ],
)
def test_a_restored_source_is_resumed(stage: Stage, change: Change, story: Story) -> None:
    story.refused(stage(story, change))
    before = [file["id"] for file in story.stored]
    story.put_back()
    story.run().expect(0)
    story.check()
    assert [file["id"] for file in story.stored] == before


def test_an_unchanged_source_is_not_hashed_from_its_beginning_again(story: Story) -> None:
    time.sleep(0.2)
    story.under_way().kill()
    (journal,) = story.figup.state_dir.glob("jobs/*/journal")
    assert '{"e":"md5~"' in journal.read_text("utf-8")
    story.run().expect(0)
    story.check()
    log = (story.figup.cwd / "figup.log").read_text("utf-8")
    position = re.search(r"dätä.bin: its MD5 is continued at byte (\d+)", log)
    assert position is not None
    assert int(position[1]) >= 64 << 10


@pytest.mark.parametrize("change", CHANGES)
def test_a_source_may_change_as_long_as_nothing_was_sent(change: Change, story: Story) -> None:
    while_planned(story, change).expect(0)
    story.check()


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        *((stage, touch) for stage in STAGES),
        *((stage, copy_back) for stage in STAGES[:2]),
        (after_the_end, copy_back),
        (between_kill_and_resume, round_times),
        (between_completion_and_verification, round_times),
        (after_the_end, round_times),
    ],
)
def test_a_touched_source_succeeds(stage: Stage, change: Change, story: Story) -> None:
    result = stage(story, change).expect(0)
    story.check()
    assert len([r for r in story.requests if r["kind"] == "initiate" and r["status"] == 201]) == 1
    assert result.summary["job"] == story.job


def test_a_touched_source_is_not_resent_with_restart_changed(story: Story) -> None:
    story.under_way().kill()
    touch(story.path)
    assert story.run("--restart-changed").expect(0).summary["files"][0]["parts_found"] >= 2
    story.check()
    touch(story.path)
    story.run("--restart-changed").expect(0)
    assert len([r for r in story.requests if r["kind"] == "initiate"]) == 1


@pytest.mark.parametrize("stage", [while_planned, *STAGES])
def test_a_missing_source_is_reported_and_resumed_once_restored(stage: Stage, story: Story) -> None:
    result = stage(story, remove)
    story.refused(result, gone=True)
    story.put_back()
    story.run().expect(0)
    story.check()


def test_with_restart_changed_a_change_during_sending_restarts(story: Story) -> None:
    words = ["--limit-rate", "500k", "--connections", "1", "--restart-changed"]
    run = story.start(*words)
    run.wait_for_event("progress")
    change_unseen(story.path)
    assert [event["event"] for event in run.wait().expect(0).events].count("restart") <= 1
    story.check()


def test_a_changed_source_does_not_stop_the_others(story: Story) -> None:
    other = story.path.with_name("other.bin")
    other.write_bytes(b"other" * 1000)
    command = ["upload", str(story.path), str(other), "--title", story.title, "--json", "--api-rate", "1000"]
    assert story.figup.run(*command, "--verify-timeout", "0").returncode == 7
    change_unseen(story.path)
    result = story.figup.run(*command).expect(1)
    assert [file["status"] for file in result.summary["files"]] == ["verified", "verified"]
    assert next(error["path"] for error in result.events if error["event"] == "error") == str(story.path)
    story.figup.run(*command, "--restart-changed").expect(0)
    stored = {file["name"]: file["computed_md5"] for file in story.stored}
    assert stored == {story.path.name: md5_of(story.path), other.name: md5_of(other)}
    assert len(story.stored) == 2


def test_a_change_after_the_announced_md5_leaves_no_failed_file(
    bare_figup: Figup, start_sandbox: Callable[..., Sandbox]
) -> None:
    # The checksum is there before the check that fails.
    slow = "--md5-delay 0 --checking-delay 0.5 --success-delay 0 --moving-delay 0 --control"
    story = Story(bare_figup, start_sandbox("--part-size", "1MiB", *slow.split()))
    add_faults(story.sandbox, "get-upload=hang,seconds=20")
    run = story.start("--hash-first")
    job = run.wait_for_event("job")["job"]
    journal = story.figup.state_dir / "jobs" / job / "journal"
    until(lambda: '{"e":"init",' in journal.read_text("utf-8"))
    run.kill()
    drop_faults(story.sandbox)
    change_unseen(story.path)
    story.run().expect(0)
    until(lambda: story.stored[0]["status"] != "ic_checking")
    story.check()
    assert story.stored[0]["status"] == "available"


def test_a_run_stopped_before_checking_the_new_version_does_not_exit_with_0(story: Story) -> None:
    story.run().expect(0)
    replace(story.path)
    add_faults(story.sandbox, "get-account=hang,seconds=3")
    run = story.start("--restart-changed", "--grace", "0")
    run.wait_for_event("job")
    run.send_signal(signal.SIGTERM)
    run.wait().expect(75)
    story.run("--restart-changed").expect(0)
    story.check()


# --- a source that cannot be read -----------------------------------------------------------------------------------

_BAD_SECTOR = f"""
import errno, os
_pread = os.pread
def pread(fd, count, offset):
    if offset + count > {6 * PART} and "dätä" in os.readlink(f"/proc/self/fd/{{fd}}"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return _pread(fd, count, offset)
os.pread = pread
"""
"""A disk that cannot read the second half of the source."""


def test_a_source_that_becomes_unreadable(story: Story) -> None:
    story.figup.plug = _BAD_SECTOR
    result = story.run().expect(75)
    error = next(event for event in result.events if event["event"] == "error")
    assert (error["code"], error["path"]) == ("storage-unavailable", str(story.path))
    assert "Input/output error" in error["message"]
    assert "run the same command again" in error["hint"].lower()
    story.figup.plug = ""
    story.run().expect(0)
    story.check()


# --- MD5s that differ -----------------------------------------------------------------------------------------------


def _check_removed_last(story: Story, bad: int, good: int) -> None:
    """The bad file was removed once, and only after the good one was verified on Figshare."""
    seen = [(r["kind"], r["file_id"]) for r in story.requests]
    removed = seen.index(("delete-file", bad))
    completed = seen.index(("complete", good))
    assert ("get-file", good) in seen[completed:removed], seen
    assert [kind for kind, _ in seen].count("delete-file") == 1


@pytest.mark.parametrize("fault", ["complete=wrong-md5", "put-part:3=flip-bit"])
@pytest.mark.parametrize("hidden", ["", "initiate:2=hide,seconds=0.5"])
def test_a_damaged_copy_is_removed_after_a_good_one_is_verified(fault: str, hidden: str, story: Story) -> None:
    add_faults(story.sandbox, fault, *([hidden] if hidden else []))
    events = story.run().expect(0).events
    story.check()
    bad, good = (event["file_id"] for event in events if event["event"] == "sent")
    assert good == story.stored[0]["id"]
    _check_removed_last(story, bad, good)


def test_a_copy_damaged_twice_is_an_error_and_a_rerun_retries(story: Story) -> None:
    add_faults(story.sandbox, "complete:..2=wrong-md5")
    result = story.run().expect(5)
    error = next(event for event in result.events if event["event"] == "error")
    local = md5_of(story.path)
    assert error["code"] == "md5-mismatch"
    assert local in error["message"]
    assert f"{int(local[0], 16) ^ 1:x}{local[1:]} on Figshare" in error["message"], "as the fault makes it"
    assert "run the same command again" in error["hint"]
    bad = [file["id"] for file in story.stored]
    assert len(bad) == 2, "nothing is removed before there is something better"
    assert story.run().expect(0).summary["job"] == result.summary["job"]
    story.check()
    assert story.stored[0]["id"] not in bad


def test_a_lost_upload_next_to_a_new_file_is_not_a_conflict(story: Story) -> None:
    other = story.path.with_name("other.bin")
    other.write_bytes(b"other" * 1000)
    command = ["upload", str(story.path), str(other), "--title", story.title, "--json", "--api-rate", "1000"]
    command += ["--settle-timeout", "3"]
    add_faults(story.sandbox, "initiate=400", "initiate:2..=hang,seconds=1")
    run = story.figup.start(*command, "--limit-rate", "200k", "--connections", "1")
    run.wait_for_event("file")
    run.kill()
    drop_faults(story.sandbox)
    add_faults(story.sandbox, "get-upload=lose-upload")
    story.figup.run(*command).expect(0)
    assert sorted(file["name"] for file in story.stored) == sorted([story.path.name, other.name])
