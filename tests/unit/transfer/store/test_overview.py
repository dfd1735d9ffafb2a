"""The overview of a closed job saves reading the journal, and is valid only while the journal is unchanged."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest

from tests.unit.transfer.journal.test_plan_and_jobs import make_job
from uploader.cli.status import format_job
from uploader.disk import Disk
from uploader.system import process_namespace
from uploader.transfer import notices as no
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import encode
from uploader.transfer.journal.state import JobState
from uploader.transfer.store import overview as overviews
from uploader.transfer.store import progress_file
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.lease import Lease, machine_id
from uploader.transfer.store.overview import keep_overview, list_jobs, overview, summarize

MD5 = "0" * 32


class Counted(JobStore):
    """Counts how often a journal is read."""

    reads = 0

    def read(self, job: str) -> JobState:
        self.reads += 1
        return super().read(job)


@pytest.fixture
def states(tmp_path: Path) -> Counted:
    states = Counted(tmp_path, Disk())
    make_job(
        states, "k3", ev.ItemReady(id=3, url="u"), ev.UploadInitiated(0, id=8), ev.PartsMissing(0, done=3, total=9)
    )
    return states


def test_a_cached_overview_equals_a_read_one(states: Counted) -> None:
    read = overview(states, "k3")
    keep_overview(states, "k3", states.read("k3"))
    states.reads = 0
    assert overview(states, "k3") == read
    assert list_jobs(states) == [read]
    assert states.reads == 0
    fields = msgspec.structs.asdict(summarize(states, "k3"))
    assert [file.name for file in fields.pop("files")] == [read.first]
    assert [fields.pop(name) for name in ("manifest", "manifest_remote", "manifest_members")] == [None] * 3
    assert fields == msgspec.structs.asdict(read)


def test_a_journal_that_went_on_is_read(states: Counted) -> None:
    keep_overview(states, "k3", states.read("k3"))
    journal = states.folder("k3") / "journal"
    more = encode([*states.log("k3").events, ev.PartSent(0, no=4, xxh3=1)])[0]
    journal.write_bytes(more)
    assert overview(states, "k3").bytes_done > 0
    assert overview(states, "k3") == overview(states, "k3")
    keep_overview(states, "k3", states.read("k3"))
    os.utime(journal, ns=(1, 1))
    states.reads = 0
    overview(states, "k3")
    assert states.reads == 1


def test_what_took_long_to_read_is_read_once(states: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    small = overview(states, "k3")
    assert not (states.folder("k3") / "overview.json").exists()
    monkeypatch.setattr(overviews, "CACHE_FROM", 10)
    assert overview(states, "k3") == small
    states.reads = 0
    assert overview(states, "k3") == small
    assert states.reads == 0


@pytest.mark.parametrize("rubbish", [b"", b"{}", b'{"journal": [1, 2, 3]}', b"\xff"])
def test_an_invalid_overview_is_ignored(states: Counted, rubbish: bytes) -> None:
    read = overview(states, "k3")
    (states.folder("k3") / "overview.json").write_bytes(rubbish)
    assert overview(states, "k3") == read


def damage(states: JobStore, job: str, how: str) -> None:
    """Make a job unreadable in one of the ways that do not need another user."""
    folder = states.folder(job)
    journal, lease = folder / "journal", folder / "lease-1"
    if how in ("journal is a link", "journal is gone", "journal is a folder"):
        journal.unlink()
    match how:
        case "journal is a link":
            journal.symlink_to("nowhere")
        case "journal is a folder":
            journal.mkdir()
        case "journal is cut":
            journal.write_bytes(journal.read_bytes()[:9])
        case "journal is binary":
            journal.write_bytes(bytes(range(256)))
        case "lease is a link":
            lease.symlink_to("nowhere")
        case "lease is a folder":
            lease.mkdir()


DAMAGES = [
    *("journal is a link", "journal is a folder", "journal is gone", "journal is cut", "journal is binary"),
    *("lease is a link", "lease is a folder"),
]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_job_that_cannot_be_read_does_not_hide_the_others(states: Counted, how: str) -> None:
    for job in ("k4", "k5"):
        make_job(states, job)
    damage(states, "k4", how)
    found = {seen.job: seen for seen in list_jobs(states)}
    assert {job: seen.state for job, seen in found.items()} == {
        "k3": "interrupted",
        "k4": "damaged",
        "k5": "interrupted",
    }
    assert found["k4"].problem
    assert summarize(states, "k4").state == overview(states, "k4").state == "damaged"


def test_a_job_whose_folder_may_not_be_read_is_one(states: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    lstat = Path.lstat

    def refuse(path: Path) -> os.stat_result:
        if path.parent.name == "k3":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", refuse)
    assert states.names() == ["k3"]


def test_the_progress_of_the_working_process_takes_precedence(states: Counted) -> None:
    folder = states.folder("k3")
    member = no.Member(host="n2", pid=9, task="Slurm 10_3", bytes_sent=7, rate=3.0, silent=4.0)
    reported = no.Progress(
        bytes_done=77,
        bytes_total=90,
        files_done=0,
        files_total=1,
        rate=5.0,
        connections=2,
        active=(),
        members=(member,),
    )
    progress_file.write(
        folder, progress_file.Live(host="h", pid=os.getpid(), since="s", at="a", progress=reported), states.disk
    )
    assert overview(states, "k3").bytes_done == 30, "what a killed process reported does not count"
    machine = machine_id(states.folder("k3"))
    lease = Lease(nonce="n", machine=machine, host="h", pid=os.getpid(), namespace=process_namespace(), since="now")
    (folder / "lease-1").write_bytes(msgspec.json.encode(lease))
    assert overview(states, "k3").bytes_done == summarize(states, "k3").bytes_done == 77
    assert overview(states, "k3").members == (member,)
    text = format_job(summarize(states, "k3"))
    assert "\n  with process 9 on n2 (Slurm 10_3): 7 bytes sent at 3 bytes/s, last heard from 4 s before\n" in text
