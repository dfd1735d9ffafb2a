"""The job of a command, its plan, and where it is stored."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.walks import AT, MD5, PLAN
from uploader.disk import Disk
from uploader.errors import FigupError, JobNotFound, JournalDamaged, StateUnusable, UsageError
from uploader.sources.models import Selection, Skipped, SourceFile
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.log import Journal, decode, encode
from uploader.transfer.journal.plan import Target, checked_title, default_title, job_name, plan_events
from uploader.transfer.journal.state import JobState, state_after
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import list_jobs, summarize, unfinished_job

HERE = Target(endpoint="https://example.org/v2", title="data")


def make_job(states: JobStore, job: str, *events: ev.AnyEvent, item: int | None = None) -> None:
    states.disk.make_folder(states.folder(job))
    plan = ev.JobPlanned(
        job=job,
        endpoint="https://example.org/v2",
        item=item,
        title=None if item else "data",
        created=AT,
        version="0.1.0",
        files=1,
    )
    source = ev.SourcePlanned(0, path="/data/a", name="a", size=90, mtime_ns=1, inode=2)
    Journal.create(states.folder(job) / "journal", [plan, source, *events], states.disk).close()


@pytest.fixture
def states(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "state", Disk())


def test_a_job_whose_folder_others_can_write_to_is_not_continued(states: JobStore) -> None:
    make_job(states, "job")
    assert states.recover("job", None)[1].plan.title == "data"
    states.folder("job").chmod(0o770)
    with pytest.raises(StateUnusable, match="other users can write to"):
        states.recover("job", None)


def test_the_same_command_is_the_same_job_and_any_other_is_another() -> None:
    name = job_name(HERE, ["/a", "/b"])
    assert name == job_name(HERE, ["/b", "/a"])
    others = [
        (Target(endpoint="https://example.org/v3", title="data"), ["/a", "/b"]),
        (Target(endpoint="https://example.org/v2", title="Data"), ["/a", "/b"]),
        (Target(endpoint="https://example.org/v2", item=1), ["/a", "/b"]),
        (HERE, ["/a"]),
    ]
    assert len({name, *(job_name(*other) for other in others)}) == 5


def test_titles() -> None:
    assert default_title(Selection(title="a\nb.nc")) == "a b.nc"
    with pytest.raises(UsageError, match="suggest no title"):
        default_title(Selection())
    assert checked_title("abc") == "abc"
    for title in ("", "ab", " ab ", "x" * 1001):
        with pytest.raises(UsageError, match="3 to 1000 characters"):
            checked_title(title)


def test_the_plan_has_every_file_and_what_was_skipped() -> None:
    chosen = [
        SourceFile(source="/x/data/a.csv", folder="data", name="a.csv", size=4, mtime_ns=5, inode=6, ctime_ns=7),
        SourceFile(
            source="/x/data/sub/b.csv", folder="data/sub", name="b.csv", size=8, mtime_ns=9, inode=10, ctime_ns=11
        ),
        SourceFile(source="/y/c", folder="", name="other name", size=1, mtime_ns=2, inode=3, ctime_ns=4, md5=MD5),
        SourceFile(source="https://example.org/d", folder="", name="d", link=True),
    ]
    selection = Selection(files=chosen, skipped=[Skipped(path="/x/data/.git/", reason="hidden")])
    events = plan_events(HERE, selection, "j")
    plan, *sources, skip = events
    assert isinstance(plan, ev.JobPlanned)
    assert (plan.files, plan.root) == (4, "/x")
    assert [s.path for s in sources if isinstance(s, ev.SourcePlanned)] == [
        "data/a.csv",
        "data/sub/b.csv",
        "/y/c",
        "https://example.org/d",
    ]
    assert skip == ev.SourceSkipped("/x/data/.git/", "hidden")
    job = state_after(decode(encode(events)[0]).events)
    assert job.complete
    reported = [
        SourceFile(
            source=t.path,
            folder=t.folder,
            name=t.name,
            size=t.size,
            mtime_ns=t.mtime_ns,
            inode=t.inode,
            ctime_ns=t.ctime_ns,
            md5=t.expected,
            link=t.link,
        )
        for t in job.transfers
    ]
    assert reported[:3] == chosen[:3]
    assert (reported[3].path, reported[3].link) == ("https://example.org/d", True)


def test_generations(states: JobStore) -> None:
    assert states.latest("abc") is None
    assert states.generation("abc") == states.generation("abc", new=True) == ("abc", True)
    make_job(states, "abc")
    make_job(states, "abcd-7")
    assert (states.generation("abc"), states.generation("abc", new=True)) == (("abc", False), ("abc-2", True))
    make_job(states, "abc-2")
    make_job(states, "abc-10")
    assert (states.generation("abc"), states.generation("abc", new=True)) == (("abc-10", False), ("abc-11", True))


def test_jobs_are_found_by_the_beginning_of_their_name(states: JobStore) -> None:
    make_job(states, "abc")
    make_job(states, "abd")
    assert states.find("abc") == "abc"
    assert states.find("abd"[:3]) == "abd"
    with pytest.raises(UsageError, match="abc, abd"):
        states.find("ab")
    for text in ("x", ""):
        with pytest.raises(JobNotFound):
            states.find(text)


def test_what_the_journals_say(states: JobStore) -> None:
    make_job(states, "new")
    make_job(
        states,
        "half",
        ev.ItemReady(id=3, url="u"),
        ev.UploadInitiated(0, id=8),
        ev.PartsMissing(0, done=3, total=9),
        ev.PartSent(0, no=4, xxh3=1),
    )
    make_job(states, "bad", ev.Failed(0, code="refused", message="no room"))
    make_job(states, "gone", ev.Cancelled(0))
    make_job(states, "done", ev.ItemReady(id=3, url="u"), ev.FoundIdentical(0, id=8, md5=MD5), item=3)
    make_job(states, "rot")
    (states.folder("rot") / "journal").write_bytes(b"rubbish\n")
    by_name = {s.job: s for s in list_jobs(states)}
    assert {name: s.state for name, s in by_name.items()} == {
        "new": "interrupted",
        "half": "interrupted",
        "bad": "failed",
        "gone": "cancelled",
        "done": "done",
        "rot": "damaged",
    }
    assert (by_name["half"].bytes_done, by_name["half"].bytes_total) == (40, 90)
    assert summarize(states, "half").files[0].parts_done == 4
    assert by_name["bad"].problem == "no room"
    assert by_name["done"].files_done == 1
    with pytest.raises(UsageError, match="2 interrupted jobs: "):
        unfinished_job(states)
    with pytest.raises(JobNotFound):
        summarize(states, "nowhere")


def test_without_an_unfinished_job_there_is_nothing_to_resume(states: JobStore) -> None:
    with pytest.raises(JobNotFound, match="no interrupted job"):
        unfinished_job(states)
    make_job(states, "bad", ev.ItemReady(id=3, url="u"), ev.Failed(0, code="quota-exceeded", message="no room"))
    assert unfinished_job(states) == "bad"
    make_job(states, "half", ev.ItemReady(id=3, url="u"))
    assert unfinished_job(states) == "half", "one that was interrupted comes before one that waits for somebody"


def test_what_other_jobs_own(states: JobStore) -> None:
    make_job(states, "mine", ev.ItemReady(id=1, url="u"), ev.UploadInitiated(0, id=10))
    make_job(states, "created", ev.ItemReady(id=2, url="u"), ev.UploadInitiated(0, id=20), ev.UploadLost(0))
    make_job(states, "given", ev.ItemReady(id=3, url="u"), ev.UploadInitiated(0, id=30), item=3)
    assert states.foreign_ids("mine") == ({2}, {20, 30})


def test_what_a_job_with_a_damaged_plan_owns_is_still_known(states: JobStore) -> None:
    make_job(states, "lost", ev.ItemCreated(2), ev.UploadInitiated(0, id=20), ev.UploadLost(0))
    journal = states.folder("lost") / "journal"
    states.disk.replace(journal, journal.read_bytes().replace(b'"job"', b'"jab"'))
    with pytest.raises(JournalDamaged):
        states.read("lost")
    assert states.foreign_ids("mine") == ({2}, {20})


def test_the_manifest_is_one_that_md5sum_takes(states: JobStore, tmp_path: Path) -> None:
    job = JobState(plan=PLAN)
    for index, name in enumerate(["plain", "with blank", "new\nline", "back\\slash", "ünïcode"]):
        path = tmp_path / name
        path.write_bytes(name.encode())
        md5 = subprocess.run(["md5sum"], input=path.read_bytes(), capture_output=True, check=True).stdout[:32].decode()
        transfer = Transfer(
            index=index, source=str(path), name=name, size=1, mtime_ns=1, inode=1, state=State.VERIFIED, md5=md5
        )
        job.transfers.append(transfer)
    states.disk.make_folder(states.folder("j"))
    manifest = states.write_manifests("j", job).local
    checked = subprocess.run(["md5sum", "--strict", "-c", str(manifest)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(": OK") == 5


def test_a_state_directory_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FigupError, match="cannot be used") as caught:
        Disk().make_folder(tmp_path / "file" / "jobs")
    assert (caught.value.code, caught.value.exit_status) == ("state-unusable", 2)
