"""A job's report, built from journal and history, also as a kill leaves them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import xxhash

from tests.unit.transfer.journal.test_plan_and_jobs import make_job
from uploader.disk import Disk
from uploader.errors import JobNotFound, JournalDamaged
from uploader.items.payload import ItemPayload
from uploader.transfer.history import run_log as hi
from uploader.transfer.history.build_report import Described, Incident, RetrySummary, build_report
from uploader.transfer.journal import events as ev
from uploader.transfer.report import FileReport, Problem
from uploader.transfer.store.jobs import JobStore

MD5 = "0" * 32
FIRST = hi.RunBegan("2026-03-01T12:00:00+00:00", "0.1.0", "laptop", 11)
SECOND = hi.RunBegan("2026-03-02T09:00:00+00:00", "0.2.0", "node7", 12)


@pytest.fixture
def states(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path, Disk())


def remember(states: JobStore, job: str, *entries: hi.AnyEntry) -> None:
    hi.append(states.folder(job), b"".join(map(hi.encode, entries)), states.disk)


def test_a_job_over_two_runs_the_first_of_which_was_killed(states: JobStore) -> None:
    make_job(
        states,
        "k3",
        ev.ItemReady(id=3, url="https://x/3"),
        ev.UploadInitiated(0, id=8),
        ev.Completed(0),
        ev.Verified(0, MD5),
    )
    remember(
        states,
        "k3",
        FIRST,
        hi.Sample(at=2.0, sent=100, done=100, files=0, connections=4),
        hi.RetryEntry(2.0, "503", 2),
        hi.Sample(at=4.0, sent=300, done=200, files=0, connections=4),
        SECOND,
        hi.RetryEntry(1.0, "503", 3),
        hi.RetryEntry(1.0, "reset", 1),
        hi.Restart(1.5, "/a", "lost"),
        hi.FileDone(2.0, 8),
        hi.RunEnded(3.0, None, None, 50),
    )
    made = build_report(states, "k3")
    assert (made.state, made.item_id, made.item_url, made.counts) == ("done", 3, "https://x/3", {"verified": 1})
    first, second = made.runs
    assert (first.outcome, first.seconds, first.sent, first.host) == ("killed", 4.0, 300, "laptop")
    assert first.samples == ((0.0, 0), (2.0, 100), (4.0, 300))
    assert (second.outcome, second.seconds, second.sent, second.version) == ("verified", 3.0, 50, "0.2.0")
    assert second.samples == ((0.0, 0), (3.0, 50))
    assert (made.bytes_sent, made.seconds) == (350, 7.0)
    assert made.faults == (
        RetrySummary(reason="503", times=5, first="2026-03-01T12:00:02+00:00", last="2026-03-02T09:00:01+00:00"),
        RetrySummary(reason="reset", times=1, first="2026-03-02T09:00:01+00:00", last="2026-03-02T09:00:01+00:00"),
    )
    assert made.incidents == (Incident(at="2026-03-02T09:00:01+00:00", kind="restarted", path="/a", message="lost"),)
    (file,) = made.files
    assert (file.status, file.md5, file.file_id, file.verified_at) == ("verified", MD5, 8, "2026-03-02T09:00:02+00:00")


def test_what_a_process_wrote_after_it_had_lost_the_job_does_not_end_the_run_of_the_next(states: JobStore) -> None:
    make_job(states, "k3", ev.ItemReady(id=3, url="https://x/3"))
    remember(
        states,
        "k3",
        msgspec.structs.replace(FIRST, term=1),
        msgspec.structs.replace(SECOND, term=2),
        hi.RunEnded(9.0, "job-busy", "another machine took over this job", 7, 1),
        hi.Sample(at=2.0, sent=50, done=50, files=0, connections=4),
        hi.RunEnded(3.0, None, None, 50, 2),
        hi.RunEnded(99.0, "job-busy", "another machine took over this job", 7, 1),
        msgspec.structs.replace(SECOND, term=3),
        hi.RunEnded(4.0, None, None, 0, 3),
    )
    made = build_report(states, "k3")
    assert [(run.host, run.outcome, run.sent, run.seconds) for run in made.runs] == [
        ("laptop", "killed", 0, 0.0),
        ("node7", "verified", 50, 3.0),
        ("node7", "verified", 0, 4.0),
    ]


def test_the_report_has_the_time_and_version_of_publishing(states: JobStore) -> None:
    spec = ItemPayload(fields={"tags": ["a"]}, authors=[])
    make_job(
        states, "k3", ev.MetadataRequested("m1", spec), ev.OptionsGiven({"grace": 5.0}),
        ev.FinalStepsRequested(reserve_doi=True, private_link=True, publish=True), ev.ItemReady(id=3, url="u"),
        ev.FoundIdentical(0, id=8, md5=MD5),
        ev.FinalStepDone(step="reserve_doi", value="10.1/3"), ev.FinalStepDone(step="private_link", value="https://x/s/secret"),
        ev.PublishIntended(1, xxhash.xxh3_64_hexdigest(b"8")),
        ev.FinalStepDone(step="publish", value="public", at="2026-03-01T12:00:09+00:00"),
    )  # fmt: skip
    made = build_report(states, "k3")
    assert (made.doi, made.published, made.published_version) == ("10.1/3", "public", 2)
    assert (made.published_at, made.account, made.options) == ("2026-03-01T12:00:09+00:00", None, {"grace": 5.0})
    values = {"tags": ["a"], "authors": []}
    assert made.description == Described(mark="m1", fields=("tags", "authors"), done=False, values=values)
    assert made.final_steps == ("reserve_doi", "private_link", "publish")
    assert b"secret" not in msgspec.json.encode(made)


def test_a_job_without_history_is_reported_from_its_journal(states: JobStore) -> None:
    make_job(states, "k3", ev.ItemReady(id=3, url="u"), ev.Failed(0, code="conflict", message="other file"))
    made = build_report(states, "k3")
    assert (made.runs, made.faults, made.bytes_sent) == ((), (), 0)
    (file,) = made.files
    assert isinstance(file, FileReport)
    assert (file.status, file.error, file.verified_at) == (
        "failed", Problem(code="conflict", message="other file"), None,
    )  # fmt: skip


def test_jobs_with_incomplete_records(states: JobStore) -> None:
    with pytest.raises(JobNotFound):
        build_report(states, "nowhere")
    make_job(states, "rot")
    (states.folder("rot") / "journal").write_bytes(b"rubbish\n")
    with pytest.raises(JournalDamaged):
        build_report(states, "rot")
