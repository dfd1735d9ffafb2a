"""The same command, rerun: sources that its job adds, drops and keeps, also with a damaged journal."""

from __future__ import annotations

import itertools

from tests.support.walks import MD5
from uploader.errors import SourceNotFound
from uploader.sources.models import Selection, Skipped, SourceFile
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Step, next_step
from uploader.transfer.journal.log import decode, encode
from uploader.transfer.journal.plan import Target, plan_events, renewal_events
from uploader.transfer.journal.recovery import recover
from uploader.transfer.journal.state import JobState, state_after
from uploader.transfer.journal.sync_facts import SyncFacts

HERE = Target(endpoint="https://example.org/v2", title="data")


def chosen(*names: str, md5: str | None = None) -> list[SourceFile]:
    return [
        SourceFile(
            source=f"/x/d/{name}",
            folder="/".join(["d", *name.split("/")[:-1]]),
            name=name.rpartition("/")[2],
            size=1,
            mtime_ns=2,
            inode=3,
            ctime_ns=4,
            md5=md5,
        )
        for name in names
    ]


def planned(*names: str) -> tuple[list[ev.AnyEvent], JobState]:
    events = plan_events(HERE, Selection(files=chosen(*names)), "j")
    return events, state_after(events)


def renew(job: JobState, selection: Selection) -> list[ev.AnyEvent]:
    events = renewal_events(job, selection)
    for event in events:
        job.apply(event)
    return events


def test_without_news_nothing_is_written() -> None:
    _, job = planned("a", "sub/b")
    assert renew(job, Selection(files=chosen("a", "sub/b"))) == []


def test_a_job_grows_by_what_was_added_and_its_files_keep_their_numbers() -> None:
    _, job = planned("b", "d")
    renew(job, Selection(files=chosen("a", "b", "c", "d")))
    assert [(t.index, t.remote_path) for t in job.transfers] == [(0, "d/b"), (1, "d/d"), (2, "d/a"), (3, "d/c")]
    assert job.complete
    assert renew(job, Selection(files=chosen("a", "b", "c", "d"))) == []


def test_a_journal_torn_while_the_job_grows_is_one_of_a_smaller_job() -> None:
    events, job = planned("a")
    whole, _ = encode([*events, *renewal_events(job, Selection(files=chosen("a", "b", "c")))])
    start = len(encode(events)[0])
    for end in range(start, len(whole) + 1):
        torn = state_after(decode(whole[:end]).events)
        assert torn.complete
        renew(torn, Selection(files=chosen("a", "b", "c")))
        assert sorted(t.name for t in torn.transfers) == ["a", "b", "c"]


def test_a_source_no_longer_named_is_dropped_reported_and_added_again_later() -> None:
    _, job = planned("a", "b", "old/c")
    renew(job, Selection(files=chosen("a"), skipped=[Skipped(path="/x/d/old/", reason="excluded")]))
    assert [t.dropped for t in job.transfers] == [False, True, True]
    assert job.skipped == {"/x/d/old/": "excluded", "/x/d/b": "vanished", "/x/d/old/c": "excluded"}
    assert [t.name for t in job.active] == ["a"]
    assert renew(job, Selection(files=chosen("a"), skipped=[Skipped(path="/x/d/old/", reason="excluded")])) == []
    renew(job, Selection(files=chosen("a", "b", "old/c")))
    assert not any(t.dropped for t in job.transfers)
    assert job.skipped == {}


def test_unfinished_files_are_removed_and_verified_ones_kept() -> None:
    _, job = planned("a", "b", "c", "d")
    job.apply(ev.UploadInitiated(0, id=50))
    job.apply(ev.FoundIdentical(1, id=51, md5=MD5))
    job.apply(ev.UploadIntended(2, at="t"))
    job.apply(ev.UploadInitiated(3, id=53))
    job.apply(ev.Failed(3, code="refused", message="no"))
    job.apply(ev.SourcePlanned(4, path="d/e"))
    renew(job, Selection(files=chosen("e")))
    assert not job.finished, "something is left to be removed"
    job.apply(ev.Resumed("t"))
    assert [next_step(t) for t in job.transfers[:4]] == [Step.DISCARD, Step.NOTHING, Step.LOOK_UP, Step.DISCARD]
    for event in (
        ev.UploadLost(0),
        ev.RemnantRemoved(0, 50),
        ev.UploadInitiated(2, id=52, found=True),
        ev.UploadLost(2),
        ev.RemnantRemoved(2, 52),
        ev.Completed(3),
        ev.FoundIdentical(4, id=54, md5=MD5),
    ):
        job.apply(event)
    assert [t.settled for t in job.transfers] == [True] * 5
    assert [t.file_id for t in job.reported] == [51, 53, 54], "verified or complete: it stays, and is reported"


def test_an_expected_md5_that_was_corrected_is_taken_over() -> None:
    _, job = planned("a")
    renew(job, Selection(files=chosen("a", md5=MD5)))
    assert job.transfers[0].expected == MD5
    renew(job, Selection(files=chosen("a")))
    assert job.transfers[0].expected is None


def test_a_file_that_is_named_and_missing_is_not_dropped() -> None:
    _, job = planned("a", "b")
    assert renew(job, Selection(files=chosen("a"), problems=[SourceNotFound("gone", path="/x/d/b")])) == []


def test_a_damaged_plan_is_made_whole_by_the_command() -> None:
    events, _ = planned("a", "b", "c")
    done: list[ev.AnyEvent] = [ev.ItemReady(id=3, url="u"), ev.FoundIdentical(2, id=9, md5=MD5)]
    for lost in range(len(events)):
        left = [e for at, e in enumerate(events) if at != lost] + done
        _, job = recover(left, events, SyncFacts())
        assert job is not None
        assert (job.transfers[2].name, job.transfers[2].state) == ("c", State.VERIFIED)
    for other in (["a", "b"], ["a", "b", "c", "d"], ["0", "a", "b", "c"], ["b", "a", "c"]):
        plan, _ = planned(*other)
        for lost in range(1, len(events)):
            left = [e for at, e in enumerate(events) if at != lost] + done
            _, job = recover(left, plan, SyncFacts())
            if job is None:  # it lacks a source that neither has
                assert (other, lost) == (["a", "b"], 3)
                continue
            # Never another source's file.
            verified = [transfer.name for transfer in job.transfers if transfer.state is State.VERIFIED]
            assert verified == ([] if lost == 3 else ["c"]), (other, lost)


def test_every_order_of_two_names_is_the_same_job() -> None:
    for names in itertools.permutations(["a", "b", "c"]):
        _, job = planned(*names)
        assert renew(job, Selection(files=chosen("a", "b", "c"))) == []
