"""Archives: other programs can unpack them, reads at any offset agree, and every member is of one version."""

from __future__ import annotations

import dataclasses
import io
import os
import random
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.archives import BLOCK, MTIME, UNPACKERS, make_tree, plan_of, read_members, tree, unpack, whole
from tests.support.programs import require_program
from uploader.errors import FigupError, SourceChanged
from uploader.sources.archive.layout import Format
from uploader.sources.archive.members import Kind, Member, Members
from uploader.sources.archive.open_members import OPEN_MEMBERS
from uploader.sources.archive.plan import Plan, difference
from uploader.sources.archive.reader import ArchiveSource

FORMATS: list[Format] = ["zip", "tar"]
GIB = 1 << 30


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "survey")


class Seekable(io.RawIOBase):
    """An archive as a file object."""

    def __init__(self, source: ArchiveSource) -> None:
        self._source, self._at = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._source.snapshot.size)[whence]
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        count = min(len(buffer), self._source.snapshot.size - self._at)
        self._source.fill(self._at, memoryview(buffer)[:count])
        self._at += count
        return count


# --- what programs make of it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_programs_unpack_it(format: Format, top: Path, tmp_path: Path) -> None:
    archive = tmp_path / f"survey.{format}"
    archive.write_bytes(whole(plan_of(top, format)))
    expected = {f"survey/{path}": content for path, content in tree(top).items()}
    for program in UNPACKERS[format]:
        target = tmp_path / program.replace(" ", "-")
        unpack(program, archive, target)
        found = tree(target)
        manifest = found.pop("MANIFEST.md5")
        assert manifest is not None
        assert manifest.count(b"\n") == sum(content is not None for content in expected.values())
        assert found == expected, program
        if "pipe" not in program:  # the directory at the end has the modes
            assert (target / "survey/run.sh").stat().st_mode & 0o777 == 0o755
        assert (target / "survey/a/table.csv").stat().st_mtime == MTIME
    checked = subprocess.run(
        ["md5sum", "-c", "--strict", "--quiet", "MANIFEST.md5"],
        cwd=tmp_path / "7z", capture_output=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stdout) == (0, b"")


def test_python_reads_the_zip(top: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(whole(plan_of(top, "zip")))) as archive:
        assert archive.testzip() is None
        infos = {info.filename: info for info in archive.infolist()}
        assert list(infos)[-1] == "MANIFEST.md5"
        assert infos["survey/nothing in it/"].is_dir()
        assert infos["survey/run.sh"].external_attr >> 16 == 0o100755
        assert infos["survey/a/table.csv"].external_attr >> 16 == 0o100644
        assert infos["survey/a/table.csv"].date_time == (2023, 11, 14, 22, 13, 20)


def test_python_reads_the_tar(top: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(whole(plan_of(top, "tar")))) as archive:
        names = archive.getnames()
        assert names[-1] == "MANIFEST.md5"
        member = archive.getmember("survey/a/table.csv")
        assert (member.uid, member.gid, member.uname, member.mode, member.mtime) == (0, 0, "", 0o644, MTIME)


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    top, name = tmp_path / "old", os.fsdecode(b"caf\xe9.txt")
    top.mkdir()
    (top / name).write_bytes(b"1")
    with zipfile.ZipFile(io.BytesIO(whole(plan_of(top, "zip", manifest=False)))) as archive:
        assert [info.flag_bits & 1 << 11 for info in archive.infolist()] == [0]
    packed = tmp_path / "old.tar"
    packed.write_bytes(whole(plan_of(top, "tar", manifest=False)))
    (top / name).unlink()
    subprocess.run(["tar", "-xf", packed, "-C", tmp_path], check=True, stderr=subprocess.DEVNULL)
    assert (top / name).read_bytes() == b"1"


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_members_make_the_same_archive(format: Format, top: Path) -> None:
    plan = plan_of(top, format)
    (top / "a/table.csv").chmod(0o600)
    other = plan_of(top, format, reverse=True)
    assert whole(plan) == whole(other, 777)
    assert plan.id == other.id


def test_times_that_fields_cannot_hold(tmp_path: Path) -> None:
    top = tmp_path / "times"
    top.mkdir()
    for number, seconds in enumerate((-(1 << 33), -1, 0, 1 << 31, 1 << 33)):
        (top / str(number)).write_bytes(b"1")
        os.utime(top / str(number), (seconds, seconds))
    with tarfile.open(fileobj=io.BytesIO(whole(plan_of(top, "tar", manifest=False)))) as archive:
        assert [member.mtime for member in archive] == [(top / str(n)).stat().st_mtime for n in range(5)]
    with zipfile.ZipFile(io.BytesIO(whole(plan_of(top, "zip", manifest=False)))) as zipped:
        assert zipped.testzip() is None
        infos = zipped.infolist()
        assert [info.date_time[0] for info in infos] == [1980, 1980, 1980, 2038, 2107]
        # In the extra field, 7-Zip and libarchive take a time before 1970 for one of 2038 to 2106.
        assert [bool(info.extra) for info in infos] == [False, False, True, False, False]


def test_a_time_that_the_plan_cannot_hold(tmp_path: Path) -> None:
    """Nanoseconds since 1970 have 63 bits until 2262."""
    top = tmp_path / "times"
    top.mkdir()
    (top / "2286").write_bytes(b"1")
    os.utime(top / "2286", (10**10, 10**10))
    plan = plan_of(top, "tar", manifest=False)
    assert plan.examine() == dataclasses.replace(plan.stamp, device=top.stat().st_dev)
    assert b"2286" in whole(plan)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("seconds", [-11_644_473_600, 10**10])  # 1601: Windows' zero
def test_times_that_only_other_file_systems_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format, seconds: int
) -> None:
    path = tmp_path / "top/1601"
    path.parent.mkdir()
    path.write_bytes(b"1")

    def odd(status: os.stat_result) -> SimpleNamespace:
        names = ("st_mode", "st_size", "st_ino", "st_dev")
        times = dict.fromkeys(("st_mtime_ns", "st_ctime_ns"), seconds * 10**9)
        return SimpleNamespace(**{name: getattr(status, name) for name in names}, **times)

    swapped = SimpleNamespace(**vars(os))
    swapped.stat, swapped.fstat = lambda name: odd(Path(name).stat()), lambda fd: odd(os.fstat(fd))
    for module in ("plan", "open_members"):
        monkeypatch.setattr(f"uploader.sources.archive.{module}.os", swapped)
    status = odd(path.stat())
    members = Members()
    members.append(Member(b"1601", str(path), Kind.FILE, 1, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    plan = Plan.decoded((planned := Plan.of(format, members, manifest=True)).encoded(), planned.id)
    assert plan.examine() == dataclasses.replace(plan.stamp, device=status.st_dev)
    source = ArchiveSource(plan, "archive")
    try:
        data = bytes(source.in_order().read(0, plan.layout.size))
        assert source.is_steady
    finally:
        source.close()
    assert read_members(data)["1601"] == b"1"


# --- large ---------------------------------------------------------------------------------------------------------


def sparse_plan(tmp_path: Path, format: Format, sizes: dict[str, int]) -> Plan:
    top = tmp_path / "large"
    top.mkdir()
    for name, size in sizes.items():
        with (top / name).open("wb") as file:
            file.write(b"begin")
            file.truncate(size)
    return plan_of(top, format, manifest=False)


@pytest.mark.parametrize("format", FORMATS)
def test_sizes_beyond_32_bits(format: Format, tmp_path: Path) -> None:
    """The view of a sparse file of 9 GiB, and of a small one after it."""
    plan = sparse_plan(tmp_path, format, {"1": 9 * GIB, "2": 5, "3": (1 << 32) - 100})
    source = ArchiveSource(plan, "archive")
    for index in (0, 2):
        source.learned(index, 0x12345678, None)  # instead of reading it
    sizes = [9 * GIB, 5, (1 << 32) - 100]
    if format == "zip":
        with zipfile.ZipFile(Seekable(source)) as archive:
            infos = archive.infolist()
            assert [info.file_size for info in infos] == sizes
            assert [info.compress_size for info in infos] == [size + 5 * -(-size // BLOCK) for size in sizes]
            assert archive.read("large/2") == b"begin"
            assert infos[0].CRC == 0x12345678
    else:
        with tarfile.open(fileobj=Seekable(source)) as tar:
            assert [member.size for member in tar] == sizes
            assert tar.extractfile("large/2").read() == b"begin"  # type: ignore[union-attr]


def test_the_zip64_fields_are_complete(tmp_path: Path) -> None:
    """Otherwise unzip refuses what follows a member of 4 GiB - 1, the largest on FAT32."""
    size = (1 << 32) - 1
    plan = sparse_plan(tmp_path, "zip", {"1": size, "2": 5})
    source = ArchiveSource(plan, "archive")
    head = bytes(source.read(0, plan.layout.head_size(0)))
    packed = size + 5 * -(-size // BLOCK)
    assert head[-20:] == struct.pack("<HHQQ", 1, 16, size, packed)
    source.learned(0, 1, None)  # instead of reading it
    directory = bytes(source.read(plan.layout.start_of(2), plan.layout.size - plan.layout.start_of(2)))
    assert struct.pack("<HH3Q", 1, 24, size, packed, 0) in directory
    assert struct.pack("<HH3Q", 1, 24, 5, 10, plan.layout.start_of(1)) in directory


def size_for(body: int) -> int:
    """The size of a member whose blocks take this many bytes in a zip file."""
    return body - 5 * -(-body // (BLOCK + 5))


@pytest.mark.parametrize("distance", [-2, -1, 0, 1])
@pytest.mark.parametrize("what", ["size", "packed size", "offset of the next"])
def test_numbers_about_32_bits(what: str, distance: int, tmp_path: Path) -> None:
    """From 4 GiB - 1 on, a number is in a zip64 field."""
    number = (1 << 32) + distance
    around = 30 + len("large/1") + 9 + 16  # head and tail of a member whose packed size has 32 bits
    size = {"size": number, "packed size": size_for(number), "offset of the next": size_for(number - around)}[what]
    plan = sparse_plan(tmp_path, "zip", {"1": size, "2": 5})
    packed, offset = plan.layout.body_size(0), plan.layout.start_of(1)
    assert {"size": size, "packed size": packed, "offset of the next": offset}[what] == number
    source = ArchiveSource(plan, "archive")
    source.learned(0, 1, None)  # instead of reading it
    with zipfile.ZipFile(Seekable(source)) as archive:
        large, small = archive.infolist()
        assert (large.file_size, large.compress_size) == (size, packed)
        assert small.header_offset == offset
        assert archive.read(small) == b"begin"
        is_zip64 = [info.extract_version == 45 for info in (large, small)]
    assert is_zip64 == [packed >= (1 << 32) - 1, offset >= (1 << 32) - 1]


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_unzip_reads_the_largest_member_of_fat32(tmp_path: Path) -> None:
    plan = sparse_plan(tmp_path, "zip", {"1": (1 << 32) - 1, "2": 5})
    in_order, archive = ArchiveSource(plan, "archive").in_order(), tmp_path / "large.zip"
    with archive.open("wb") as file:
        for at in range(0, plan.layout.size, 1 << 20):
            file.write(in_order.read(at, min(1 << 20, plan.layout.size - at)))
    done = subprocess.run(
        [require_program("unzip", "unzip"), "-tq", archive], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("format", FORMATS)
def test_programs_read_a_large_member(format: Format, tmp_path: Path) -> None:
    plan = sparse_plan(tmp_path, format, {"1": 5 * GIB, "2": 5})
    source = ArchiveSource(plan, "archive")
    command = [require_program("bsdtar", "libarchive-tools"), "-xOf", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        counter = subprocess.Popen(["wc", "-c"], stdin=reader.stdout, stdout=subprocess.PIPE)
        in_order = source.in_order()
        assert reader.stdin is not None
        for at in range(0, plan.layout.size, 1 << 20):
            reader.stdin.write(in_order.read(at, min(1 << 20, plan.layout.size - at)))
        reader.stdin.close()
        assert int(counter.communicate()[0]) == 5 * GIB + 5
        assert reader.wait() == 0


@pytest.mark.search
@pytest.mark.parametrize("format", FORMATS)
def test_seventy_thousand_members(format: Format, tmp_path: Path) -> None:
    members, status = Members(), tmp_path.stat()
    for number in range(70_000):
        name = b"many/%06d" % number
        members.append(Member(name, str(tmp_path), Kind.FOLDER, 0, status.st_mtime_ns, 0, 0))
    source = ArchiveSource(Plan.of(format, members, manifest=True), "archive")
    if format == "zip":
        with zipfile.ZipFile(Seekable(source)) as archive:
            names = archive.namelist()
    else:
        assert source.read(source.snapshot.size - 1024, 1024) == bytes(1024)
        names = [bytes(source.read(512 * n, 100)).rstrip(b"\0").decode() for n in range(0, 70_000, 1000)]
        assert source.snapshot.size == 512 * 70_000 + 1024
    assert names == [f"many/{n:06}/" for n in range(0, 70_000, 1 if format == "zip" else 1000)]


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("format", FORMATS)
def test_programs_unpack_seventy_thousand_members(format: Format, tmp_path: Path) -> None:
    top = tmp_path / "many"
    for number in range(70_000):
        if number % 1000 == 0:
            (top / f"{number // 1000}").mkdir(parents=True)
        (top / f"{number // 1000}/{number}").write_bytes(b"%d" % number)
    archive = tmp_path / f"many.{format}"
    archive.write_bytes(whole(plan_of(top, format), 1 << 20))
    expected = {f"many/{path}": content for path, content in tree(top).items()}
    for program in UNPACKERS[format]:
        unpack(program, archive, tmp_path / "out")
        found = tree(tmp_path / "out")
        assert found.pop("MANIFEST.md5")
        assert found == expected
        (tmp_path / "out").rename(tmp_path / f"out-{program}")


# --- any range -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_any_range_is_that_of_the_whole(format: Format, manifest: bool, top: Path) -> None:
    """Reads out of order, after the members that the range depends on were read in order."""
    plan = plan_of(top, format, manifest=manifest)
    expected, choose = whole(plan), random.Random(2)
    source = ArchiveSource(Plan.decoded(plan.encoded(), plan.id), "archive")
    source._read_for_crc = None  # type: ignore[method-assign,assignment] # no CRC is missing
    reader, position = source.in_order(), 0
    for start in [*range(0, len(expected), 20_011), *(choose.randrange(len(expected)) for _ in range(300))]:
        stop = min(len(expected), start + choose.choice((1, 3, 100, 5000, 70_000, 200_000)))
        needed = source.depends_on(start, stop)
        assert needed <= len(expected)
        if needed > position:
            reader.read(position, needed - position)
            position = needed
        assert source.read(start, stop - start) == expected[start:stop], (start, stop)
    assert position < len(expected)


@pytest.mark.parametrize("format", FORMATS)
def test_ranges_before_the_digest_read_the_members(format: Format, top: Path) -> None:
    plan = plan_of(top, format, manifest=False)
    expected = whole(plan)
    source = ArchiveSource(plan, "archive")
    for start in reversed(range(0, len(expected), 50_000)):
        assert source.read(start, min(50_000, len(expected) - start)) == expected[start : start + 50_000]
    assert len(source._files._open) <= OPEN_MEMBERS
    source.close()
    assert not source._files._open


@pytest.mark.parametrize("format", FORMATS)
def test_cached_bytes_of_an_open_member(format: Format, tmp_path: Path) -> None:
    top = tmp_path / "one"
    top.mkdir()
    (top / "file").write_bytes(random.Random(3).randbytes(500_000))
    plan = plan_of(top, format, manifest=False)
    expected = whole(plan)
    source = ArchiveSource(plan, "archive")
    buffer = memoryview(bytearray(200_000))
    start = plan.layout.body_start(0) + 1000
    assert source.read_into(start, buffer) == 0  # it is not open
    source.read(start, 1)
    count = source.read_into(start, buffer)
    if count == 0:
        pytest.skip("this file system cannot tell what is in memory")
    assert buffer[:count] == expected[start : start + count]
    assert source.read_into(0, buffer) == 0
    source.close()


# --- changes -------------------------------------------------------------------------------------------------------


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def rewrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "grown": grow,
    "shrunk": lambda path: os.truncate(path, 5),
    "rewritten": rewrite,
    "gone": Path.unlink,
    "a folder": replace_by_folder,
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_member_is_named(change: str, format: Format, top: Path) -> None:
    path = top / "a/table.csv"
    plan = plan_of(top, format)
    source = ArchiveSource(plan, "archive")
    CHANGES[change](path)
    index = next(n for n in range(len(plan.members)) if plan.members.path(n) == str(path))
    body = plan.layout.body_start(index)
    for use in (
        lambda: source.read(body, 6),
        source.changed_since_open,
        lambda: ArchiveSource(plan, "archive"),
        lambda: source.in_order().read(0, plan.layout.size),
    ):
        with pytest.raises(SourceChanged) as caught:
            use()
        assert caught.value.path == str(path)
        assert str(path) in caught.value.message


def test_a_member_that_shrinks_while_it_is_open(top: Path) -> None:
    plan = plan_of(top, "tar")
    source = ArchiveSource(plan, "archive")
    index = next(n for n in range(len(plan.members)) if plan.members.path(n).endswith("image.bin"))
    source.read(plan.layout.body_start(index), 10)
    os.truncate(top / "a/b/image.bin", 100)
    with pytest.raises(SourceChanged, match=r"image\.bin: became shorter"):
        source.read(plan.layout.body_start(index), 1000)


def test_other_content_with_the_same_times_is_noticed(top: Path) -> None:
    """As far as metadata can tell: the ctime has changed, so that all is to be compared."""
    source = ArchiveSource(plan_of(top, "zip"), "archive")
    assert not source.changed_since_open()
    rewrite(top / "a/table.csv")
    os.utime(top / "a/table.csv", (MTIME, MTIME))
    assert source.changed_since_open()


def test_a_crc_that_changes_between_two_reads(top: Path) -> None:
    plan = plan_of(top, "zip", manifest=False)
    source = ArchiveSource(plan, "archive")
    source.read(0, plan.layout.size)
    rewrite(top / "a/table.csv")
    os.utime(top / "a/table.csv", (MTIME, MTIME))
    with pytest.raises(SourceChanged, match="table"):
        source.in_order().read(0, plan.layout.size)


def test_an_unreadable_member(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArchiveSource(plan_of(top, "zip"), "archive")

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FigupError, match="cannot be read"):
        source.read(0, 100_000)


# --- plans ---------------------------------------------------------------------------------------------------------


def test_a_plan_survives_its_storage(top: Path) -> None:
    plan = plan_of(top, "zip")
    data = plan.encoded()
    again = Plan.decoded(data, plan.id)
    assert (again.id, again.stamp, list(again.members)) == (plan.id, plan.stamp, list(plan.members))
    assert dataclasses.replace(again.stamp, device=top.stat().st_dev) == again.examine()


def test_a_plan_that_is_cut_or_damaged_anywhere_is_noticed(top: Path) -> None:
    plan = plan_of(top, "zip")
    data = plan.encoded()
    cut = [data[:length] for length in range(len(data))]
    damaged = [data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :] for at in range(len(data)) for bit in range(8)]
    for other in (*cut, *damaged, data + b"\0"):
        with pytest.raises(ValueError, match="not the plan of an archive"):
            Plan.decoded(other, plan.id)


@pytest.mark.parametrize(("size", "layouts"), [(1 << 30, 1), (3 << 30, 2)])
def test_an_earlier_layout_is_told_from_the_present_one(size: int, layouts: int) -> None:
    """Zip files of 4 GiB or more had one before."""
    members = Members()
    for number in range(3):
        members.append(Member(b"%d" % number, f"/{number}", Kind.FILE, size, 2, 3, 4))
    plan = Plan("zip", members)
    assert plan.layout.number == layouts
    assert not Plan.decoded(plan.encoded(), plan.id).is_outdated
    assert Plan.decoded(plan.encoded(), plan._id(1)).is_outdated == (layouts == 2)


def test_differences_are_named(top: Path) -> None:
    plan = plan_of(top, "zip")
    assert difference(plan, plan_of(top, "tar")) == ("", "has other options")
    (top / "a/new").write_bytes(b"")
    with_new = plan_of(top, "zip")
    assert difference(plan, with_new) == (str(top / "a/new"), "is new")
    assert difference(with_new, plan) == (str(top / "a/new"), "is no longer among its sources")
    (top / "a/new").write_bytes(b"1")
    assert difference(with_new, plan_of(top, "zip")) == (str(top / "a/new"), "has changed")
    (top / "zz").write_bytes(b"")
    assert difference(with_new, plan_of(top, "zip"))[0] == str(top / "a/new")


def test_the_folders_of_all_sources() -> None:
    members = Members()
    for name, path in ((b"data/1", "/data/1"), (b"data/2", "/data/2"), (b"b", "/x/b"), (b"c", "/y/original")):
        members.append(Member(name, path, Kind.FILE, 1, 2, 3, 4))
    assert members.source_folders() == ["/", "/x", "/y"]


def test_a_member_with_another_name_than_its_source() -> None:
    members = Members()
    members.append(Member(b"b/renamed", "/x/b/original", Kind.FILE, 1, 2, 3, 4))
    members.append(Member(b"b/kept", "/x/b/kept", Kind.FILE, 1, 2, 3, 4))
    members.append(Member(b"a/kept", "/x/a/kept", Kind.FILE, 1, 2, 3, 4))
    assert [member.path for member in members.sorted()] == ["/x/a/kept", "/x/b/kept", "/x/b/original"]
