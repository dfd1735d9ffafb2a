"""A killed upload of an archive leaves the states of its MD5s; the next run reads only the rest of the members, unless
one of them may have changed.
"""

from __future__ import annotations

import base64
import io
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from tests.fakes.figshare import Fault
from tests.fakes.world import KILLED, World, md5
from uploader.disk import Disk
from uploader.errors import ChecksumWrong
from uploader.sources.archive import open_members
from uploader.sources.archive.plan import Plan
from uploader.sources.archive.reader import ArchiveSource, InOrder
from uploader.sources.archive.sums import SumsFile
from uploader.sources.md5 import SavableMd5
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.log import decode, encode, synced_path
from uploader.transfer.options import Options

pytestmark = pytest.mark.anyio

OPTIONS = {
    "zip": Options(pack="zip"),
    "tar": Options(pack="tar"),
    "zip without a list": Options(pack="zip", pack_manifest=False),
}


@pytest.fixture(autouse=True)
def often(save_often: Callable[[int, int], None]) -> None:
    """Most states are in the middle of a member."""
    save_often(100, 300)


@pytest.fixture
def survey(world: World) -> Path:
    choose = random.Random(3)
    for number in range(12):
        size = 0 if number % 5 == 4 else choose.randrange(1000)
        world.source(f"survey/{number:02}", choose.randbytes(size))
    return world.folder / "survey"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Offsets of what digests read."""
    offsets: list[int] = []
    original = InOrder.read

    def counted(self: InOrder, offset: int, length: int) -> memoryview:
        offsets.append(offset)
        return original(self, offset, length)

    monkeypatch.setattr(InOrder, "read", counted)
    return offsets


def folder(world: World) -> Path:
    (job,) = world.jobs()
    return job


def kept(world: World) -> list[ev.DigestKept]:
    events = decode((folder(world) / "journal").read_bytes()).events
    return [event for event in events if isinstance(event, ev.DigestKept)]


def check(world: World, survey: Path) -> None:
    """The only item has one archive, complete, of the members as they are; the job's lists have their MD5s."""
    (item,) = world.figshare.stored_items.values()
    (file,) = item.files.values()
    assert file.status == "available"
    if file.name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(file.content)) as opened:
            assert opened.testzip() is None
            found = {name: opened.read(name) for name in opened.namelist()}
    else:
        with tarfile.open(fileobj=io.BytesIO(file.content)) as packed:
            found = {m.name: packed.extractfile(m).read() for m in packed}  # type: ignore[union-attr]
    lines = [f"{md5(path.read_bytes())}  survey/{path.name}" for path in sorted(survey.iterdir())]
    assert found.pop("MANIFEST.md5", "\n".join([*lines, ""]).encode()).decode().splitlines() == lines
    assert found == {f"survey/{path.name}": path.read_bytes() for path in survey.iterdir()}
    assert world.report is not None
    assert Path(world.report.manifest_members or "").read_text().splitlines() == lines


async def killed(world: World, survey: Path, options: Options = OPTIONS["zip"]) -> None:
    """Kill an upload when all was sent and hashed."""
    world.figshare.fail("complete", Fault.KILLED_BEFORE)
    assert await world.upload(str(survey), options=options) == KILLED
    assert kept(world)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("at", [5, 26, 61, 80])
async def test_killed_anywhere_the_members_are_read_once(
    world: World, survey: Path, read: list[int], options: Options, at: int
) -> None:
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=at)
    assert await world.upload(str(survey), options=options) == KILLED
    position = max((event.position for event in kept(world)), default=0)
    read.clear()
    assert await world.upload(str(survey), options=options) == 0
    assert min(read) == position
    assert world.figshare.resent_parts == []
    check(world, survey)


async def test_the_end_is_not_read_again(world: World, survey: Path, read: list[int]) -> None:
    await killed(world, survey)
    last = kept(world)[-1].position
    read.clear()
    assert await world.upload(str(survey), options=OPTIONS["zip"]) == 0
    assert min(read) == last > sum(path.stat().st_size for path in survey.iterdir())
    check(world, survey)


async def test_expected_md5s_hold_for_members_that_an_earlier_run_read(world: World, survey: Path) -> None:
    await killed(world, survey)
    (stored,) = folder(world).glob("archive-*.plan")
    plan = Plan.decoded(stored.read_bytes(), stored.stem.removeprefix("archive-"))
    plan.expected = {"survey/01": "0" * 32}
    source = ArchiveSource(plan, "archive", SumsFile(Disk(), stored.with_suffix(".sums")))
    with pytest.raises(ChecksumWrong, match="survey/01: has the MD5"):
        source.in_order(base64.b64decode(kept(world)[-1].reader))


@pytest.mark.parametrize("change", ["content", "touched", "replaced"])
async def test_a_member_that_may_have_changed(world: World, survey: Path, read: list[int], change: str) -> None:
    await killed(world, survey)
    path = survey / "03"
    before, status = path.read_bytes(), path.stat()
    if change == "replaced":
        path.unlink()
    path.write_bytes(before if change == "touched" else bytes(reversed(before)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    read.clear()
    result = await world.upload(str(survey), options=OPTIONS["zip"])
    assert min(read) == 0
    if change == "touched":
        assert result == 0
    else:
        assert result == 5
        assert await world.upload(str(survey), options=Options(pack="zip", restart_changed=True)) == 0
    check(world, survey)


async def test_no_state_is_kept_once_a_member_was_not_what_was_planned(
    world: World, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version that stands in its place only while it is read."""
    path, other = survey / "05", survey.parent / "other"
    status = path.stat()
    other.write_bytes(bytes(status.st_size))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    with monkeypatch.context() as patch:
        swapped = SimpleNamespace(**vars(os))
        swapped.open = lambda name, flags: os.open(other if name == str(path) else name, flags)
        patch.setattr(open_members, "os", swapped)
        world.figshare.fail("complete", Fault.KILLED_BEFORE)
        assert await world.upload(str(survey), options=OPTIONS["zip"]) == KILLED
    assert await world.upload(str(survey), options=OPTIONS["zip"]) == 5


def doctor(world: World, **changes: str) -> None:
    """Change the newest checkpoint, with correct checksums."""
    journal = folder(world) / "journal"
    events = list(decode(journal.read_bytes()).events)
    at = max(i for i, event in enumerate(events) if isinstance(event, ev.DigestKept))
    events[at] = msgspec.structs.replace(events[at], **changes)
    journal.write_bytes(encode(events)[0])
    synced_path(journal).unlink(missing_ok=True)


@pytest.mark.parametrize("damage", ["lost", "short", "changed", "no reader", "other reader", "other length"])
async def test_a_damaged_state_is_not_used(world: World, survey: Path, read: list[int], damage: str) -> None:
    await killed(world, survey)
    (sums,) = folder(world).glob("archive-*.sums")
    data = sums.read_bytes()
    reader = base64.b64decode(kept(world)[-1].reader)
    match damage:
        case "lost":
            sums.unlink()
        case "short":
            sums.write_bytes(data[:30])
        case "changed":
            sums.write_bytes(data[:7] + bytes([data[7] ^ 1]) + data[8:])
        case "no reader":
            doctor(world, reader="")
        case "other reader":
            doctor(world, reader=base64.b64encode(reader[:5] + b"\x01" + reader[6:]).decode())
        case _:
            doctor(world, reader=base64.b64encode(reader[:-1]).decode())
    read.clear()
    assert await world.upload(str(survey), options=OPTIONS["zip"]) == 0
    assert min(read) == 0
    check(world, survey)


async def test_a_state_of_other_bytes_is_noticed_and_nothing_is_sent_again(world: World, survey: Path) -> None:
    await killed(world, survey)
    other = SavableMd5()
    other.update(bytes(kept(world)[-1].position))
    doctor(world, state=base64.b64encode(other.save()).decode())
    sent = world.figshare.log.count("send_part")
    assert await world.upload(str(survey), options=OPTIONS["zip"]) == 0
    assert world.figshare.log.count("send_part") == sent
    check(world, survey)
