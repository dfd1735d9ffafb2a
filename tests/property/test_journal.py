"""Properties of the journal for any history of a job: every prefix can be read, and every damage is detected."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.walks import AT, lives
from uploader.disk import Disk
from uploader.errors import JournalDamaged, JournalNewer
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State
from uploader.transfer.journal.log import Header, Journal, decode, encode, encode_line
from uploader.transfer.journal.recovery import recover, replay
from uploader.transfer.journal.state import ItemState, StateLoader
from uploader.transfer.journal.sync_facts import SyncFacts
from uploader.transfer.store.jobs import JobStore


@pytest.mark.search
@given(lives())
def test_written_events_are_read_back(events: list[ev.AnyEvent]) -> None:
    replay = decode(encode(events)[0])
    assert replay.events == events
    assert replay.clean


@pytest.mark.search
@given(lives(), st.data())
def test_any_prefix_is_a_journal_without_its_torn_last_line(events: list[ev.AnyEvent], data: st.DataObject) -> None:
    whole = encode(events)[0]
    cut = data.draw(st.integers(whole.index(b"\n") + 1, len(whole)))
    replay = decode(whole[:cut])
    assert replay.damaged == []
    assert replay.torn == (whole[cut - 1 : cut] != b"\n")
    assert replay.events == events[: whole[:cut].count(b"\n") - 1]
    loader = StateLoader()
    for event in replay.events:
        loader.apply(event)


@pytest.mark.search
@given(lives(), st.data())
def test_any_damaged_byte_is_detected(events: list[ev.AnyEvent], data: st.DataObject) -> None:
    whole = bytearray(encode(events)[0])
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        replay = decode(bytes(whole))
    except (JournalDamaged, JournalNewer):
        pytest.fail("a damaged first line was believed")
    assert not replay.clean
    read = iter(events)
    assert all(event in read for event in replay.events), "an event that was never written"
    assert len(events) - len(replay.events) <= 2


@pytest.mark.search
@given(lives(), st.data())
def test_a_lost_line_is_detected(events: list[ev.AnyEvent], data: st.DataObject) -> None:
    lines = encode(events)[0].splitlines(keepends=True)
    gone = data.draw(st.integers(0, len(lines) - 2))
    del lines[gone]
    assert not decode(b"".join(lines)).clean


@given(st.binary(max_size=2000))
def test_random_bytes_are_not_a_journal(rubbish: bytes) -> None:
    replay = decode(rubbish)
    assert replay.events == []
    assert not replay.clean


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(JournalNewer):
        decode(encode_line(Header(2), 0)[0])


def test_a_journal_needs_its_header() -> None:
    line, _ = encode_line(ev.Resumed("t"), 0)
    with pytest.raises(JournalDamaged):
        decode(line)


def test_a_part_takes_less_than_a_hundred_bytes() -> None:
    line, _ = encode_line(ev.PartSent(99_999, no=1_000_000, xxh3=2**64 - 1), 0)
    assert len(line) < 100


def write(folder: Path, data: bytes) -> JobStore:
    states = JobStore(folder, Disk())
    states.disk.make_folder(states.folder("abc"))
    states.disk.replace(states.folder("abc") / "journal", data)
    return states


def test_a_torn_line_is_dropped_before_appending(tmp_path: Path) -> None:
    events: list[ev.AnyEvent] = [
        ev.JobPlanned(job="abc", endpoint="e", item=None, title="t", created=AT, version="0", files=1),
        ev.SourcePlanned(0, path="/a", name="a", size=1, mtime_ns=1, inode=1),
    ]
    states = write(tmp_path, encode([*events, ev.ItemIntended("t")])[0][:-3])
    path = states.folder("abc") / "journal"
    replay, _ = states.load("abc")
    assert replay.torn
    journal = Journal.reopen(path, replay, states.disk)
    journal.record(ev.ItemIntended("again"))
    anyio.run(journal.commit)
    journal.close()
    assert decode(path.read_bytes()).events == [*events, ev.ItemIntended("again")]
    assert decode(path.read_bytes()).clean
    assert not path.with_name("journal.damaged").exists()


def test_a_damaged_journal_is_kept_for_diagnosis(tmp_path: Path) -> None:
    events: list[ev.AnyEvent] = [
        ev.JobPlanned(job="abc", endpoint="e", item=None, title="t", created=AT, version="0", files=1),
        ev.SourcePlanned(0, path="/a", name="a", size=1, mtime_ns=1, inode=1),
    ]
    data = encode([*events, ev.ItemIntended("t"), ev.ItemReady(id=1, url="u")])[0]
    damaged = data.replace(b'"item?"', b'"item!"')
    states = write(tmp_path, damaged)
    path = states.folder("abc") / "journal"
    replay, job = states.load("abc")
    assert replay.damaged == [4]
    assert job is not None
    assert job.item_id == 1
    Journal.reopen(path, replay, states.disk).close()
    assert path.with_name("journal.damaged").read_bytes() == damaged
    assert decode(path.read_bytes()).clean
    assert [p.stat().st_mode & 0o777 for p in path.parent.iterdir()] == [0o600] * 3


def test_impossible_events_after_a_gap_count_as_damage(tmp_path: Path) -> None:
    events: list[ev.AnyEvent] = [
        ev.JobPlanned(job="abc", endpoint="e", item=None, title="t", created=AT, version="0", files=1),
        ev.SourcePlanned(0, path="/a", name="a", size=1, mtime_ns=1, inode=1),
    ]
    lines = encode(
        [*events, ev.UploadIntended(0, at="t"), ev.UploadInitiated(0, id=8), ev.PartsMissing(0, done=0, total=3)]
    )[0]
    states = write(tmp_path, lines.replace(b'"init"', b'"Init"'))
    replay, job = states.load("abc")
    assert replay.damaged == [5, 5]
    assert job is not None
    assert (job.transfers[0].state, job.transfers[0].file_id) == (State.INITIATING, None)


@pytest.mark.search
@given(lives(), st.data())
def test_a_recovered_job_asks_before_it_creates(events: list[ev.AnyEvent], data: st.DataObject) -> None:
    whole = bytearray(encode(events)[0])
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    plan = [e for e in events if isinstance(e, ev.JobPlanned | ev.SourcePlanned)]
    taken, job = recover(decode(bytes(whole)).events, plan, SyncFacts())
    assert job is not None
    assert job.plan == plan[0]
    assert len(job.transfers) == len(plan) - 1
    assert job.item_state is not ItemState.UNKNOWN
    for transfer in job.transfers:
        assert transfer.state is not State.PLANNED or transfer.remnants
    assert replay(taken)[0] == taken


def test_a_journal_that_lost_its_plan_gets_it_from_the_command() -> None:
    plan: list[ev.AnyEvent] = [
        ev.JobPlanned(job="a", endpoint="e", item=None, title="t", created=AT, version="0", files=1),
        ev.SourcePlanned(0, path="/a", name="a", size=1, mtime_ns=1, inode=1),
    ]
    rest: list[ev.AnyEvent] = [ev.ItemReady(id=3, url="u"), ev.UploadInitiated(0, id=8)]
    assert recover(rest, None, SyncFacts())[1] is None
    job = recover(rest, plan, SyncFacts())[1]
    assert job is not None
    # Which source the file was of is lost, too: it is looked up.
    assert (job.item_id, job.transfers[0].file_id) == (3, None)
    assert recover([plan[0], *rest], plan, SyncFacts())[1].transfers[0].file_id == 8  # type: ignore[union-attr]


def test_state_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        states = write(tmp_path / "a" / "b", b"x")
    finally:
        os.umask(old)
    assert states.folder("abc").stat().st_mode & 0o777 == 0o700
    assert (states.folder("abc") / "journal").stat().st_mode & 0o777 == 0o600
