"""The memory that a job keeps for each of many records."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from tests.fakes.records import RecordWorld, record
from tests.support.memory import measured_memory
from uploader.errors import ResourcesExhausted
from uploader.figshare.models import Account
from uploader.records import journal as ev
from uploader.records.job import job_store, plan
from uploader.records.packed import Packed
from uploader.records.plan import Planned
from uploader.records.preview import preview

RECORDS = 2000


def test_the_state_of_a_record_is_kept_encoded() -> None:
    state = ev.JobState()
    with measured_memory() as memory:
        for number in range(RECORDS):
            key = f"10.1234/dam.{number}"
            url = f"https://figshare.com/articles/dataset/beavers_and_their_dams/{number}"
            seen = ev.Seen(url=url, doi=f"{key}/1", modified="2026-01-02T03:04:05+00:00", content=f"{number:016x}")
            state.apply(ev.CreateIntended(key=key, at="2026-01-02T03:04:05+00:00", mark="a mark"))
            state.apply(ev.ItemCreated(key=key, id=number))
            state.apply(ev.Described(key=key, fingerprint=f"{number:016x}"))
            state.apply(ev.LinkIntended(key=key, link=f"https://doi.org/{key}"))
            state.apply(ev.Linked(key=key, link=f"https://doi.org/{key}"))
            state.apply(ev.Published(key=key, visibility="public"))
            state.apply(ev.Observed(key=key, seen=seen, done=True))
    assert memory.kept / RECORDS < 500, memory.kept / RECORDS
    assert state.of(key) == ev.RecordState(
        item_id=number, created=True, described=f"{number:016x}", link=f"https://doi.org/{key}", published="public",
        seen=seen, done=True, link_shown=True,
    )  # fmt: skip


def test_records_are_on_the_disk() -> None:
    texts = random.Random(1)
    with measured_memory() as memory:
        packed = Packed(Planned)
        for number in range(RECORDS):
            packed.append(record(number, description=texts.randbytes(2000).hex()))
        assert [one.line for one in packed] == [*range(1, RECORDS + 1)]
    assert memory.peak / RECORDS < 1500, memory.peak / RECORDS


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    packed = Packed(Planned)
    with pytest.raises(ResourcesExhausted, match="cannot write temporary files"):
        packed.extend(record(number, description=f"{number}" * 9000) for number in range(1 << 20))


@pytest.mark.anyio
@pytest.mark.usefixtures("threads_are_fakes")
async def test_records_are_not_read_all_at_once_to_see_which_exist(world: RecordWorld) -> None:
    records = Packed(Planned)
    for number in range(RECORDS):
        records.append(record(number, description=f"{number} What became of a dam. " * 50))
    states, job = job_store(world.folder), plan("", 1, "create", world.folder, world.clock)
    with measured_memory() as memory:
        counts = await preview(world.api, states, job, Account(id=1), records, warn=world.warnings.append)
    assert counts == {"to be created": RECORDS}
    assert memory.peak / RECORDS < 600, memory.peak / RECORDS
