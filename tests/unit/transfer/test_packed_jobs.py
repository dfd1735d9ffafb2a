"""Jobs that send archives: interrupted anywhere, with members that change, run again."""

from __future__ import annotations

import io
import os
import random
import weakref
import zipfile
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from tests.fakes.figshare import PART_SIZE, Fault
from tests.fakes.world import KILLED, World, md5
from tests.support.archives import read_members
from uploader.cli.hints import hint_for
from uploader.errors import ExitStatus, JobBusy
from uploader.figshare.outcomes import PartFailed
from uploader.sources.archive.plan import Plan
from uploader.sources.archive.zip_layout import ZipLayout
from uploader.sources.models import Packing, Skipped, Sources
from uploader.sources.packing import pack
from uploader.transfer import execution
from uploader.transfer.client import Client
from uploader.transfer.job import run_job
from uploader.transfer.notices import AnyNotice, FileSent, FileStarted, JobStarted, Warned
from uploader.transfer.options import Options
from uploader.transfer.preview import Preview
from uploader.transfer.report import Report

pytestmark = pytest.mark.anyio

ZIP = Options(pack="zip")
RESTART = Options(pack="zip", restart_changed=True, forget_missing=True)
FORMATS = ["zip", "tar"]


@pytest.fixture
def survey(world: World) -> Path:
    choose = random.Random(1)
    for number in range(4):
        world.source(f"survey/site {number % 2}/{number}.csv", choose.randbytes(choose.randrange(400)))
    world.source("survey/empty", b"")
    (world.folder / "survey/nothing").mkdir()
    return world.folder / "survey"


def archive(world: World, name: str = "survey.zip") -> bytes:
    """What the only item holds under this name, complete."""
    (item,) = world.figshare.stored_items.values()
    (file,) = [file for file in item.files.values() if file.name == name]
    assert file.status == "available"
    return file.content


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def expected(survey: Path) -> dict[str, bytes]:
    files = {f"survey/{p.relative_to(survey)}": p.read_bytes() for p in survey.rglob("*") if p.is_file()}
    return files | {"survey/nothing/": b""}


async def resume(world: World, options: Options = ZIP) -> int:
    """Continue the only job, which this process seems to work on, since it was not really killed."""
    (job,) = world.jobs()
    return await world.resume(job.name, options=options)


async def test_a_folder_becomes_one_file(world: World, survey: Path) -> None:
    assert await world.upload(str(survey), options=ZIP) == 0
    found = members(archive(world))
    lines = found.pop("MANIFEST.md5").decode().splitlines()
    files = {name: content for name, content in expected(survey).items() if not name.endswith("/")}
    assert sorted(lines) == sorted(f"{md5(content)}  {name}" for name, content in files.items())
    assert found == expected(survey)
    report = world.report
    assert report is not None
    (file,) = report.files
    assert (file.path, file.name, file.members, file.status) == (str(survey), "survey.zip", 6, "verified")
    assert Path(report.manifest_members or "").read_text().splitlines() == lines
    sources = {str(survey / name.removeprefix("survey/")): md5(content) for name, content in files.items()}
    listed = [line.split("  ", 1) for line in Path(report.manifest or "").read_text().splitlines()]
    assert {path: digest for digest, path in listed} == sources
    assert Path(report.manifest_remote or "").read_text() == f"{file.md5}  survey.zip\n"


async def test_the_same_command_confirms_without_reading(
    world: World, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await world.upload(str(survey), options=ZIP) == 0
    sent = archive(world)

    def refuse(*_: object) -> int:
        raise AssertionError("a member was opened to be read")

    monkeypatch.setattr("uploader.sources.archive.open_members.OpenMembers._opened", refuse)
    assert await world.upload(str(survey), options=ZIP) == 0
    assert world.figshare.resent_parts == []
    assert archive(world) == sent
    assert world.report is not None
    assert world.report.manifest_members is not None
    assert len(Path(world.report.manifest_members).read_text().splitlines()) == 5


@pytest.mark.parametrize("format", FORMATS)
async def test_killed_after_any_request_and_continued(world: World, survey: Path, format: str) -> None:
    options = Options(pack=format, connections=3)  # type: ignore[arg-type]
    choose, runs = random.Random(format), 0
    while True:
        request = choose.choice(("send_part", "complete", "initiate")) if runs > 2 else "send_part"
        world.figshare.fail(
            request, choose.choice((Fault.KILLED_AFTER, Fault.KILLED_BEFORE)), first=choose.randrange(1, 9)
        )
        status = await (world.upload(str(survey), options=options) if runs % 2 == 0 else resume(world, options))
        runs += 1
        if status == 0:
            break
        assert status == KILLED
        if runs > 6:
            world.figshare.clear_faults()
    assert runs > 3
    assert world.figshare.resent_parts == []
    world.figshare.clear_faults()
    whole = archive(world, f"survey.{format}")
    assert await world.upload(str(survey), title="once more", options=Options(pack=format)) == 0  # type: ignore[arg-type]
    copies = [f.content for item in world.figshare.stored_items.values() for f in item.files.values()]
    assert copies == [whole, whole]


class Watched(list[AnyNotice]):
    """Notices, at the first of which of one kind something happens."""

    def __init__(self, kind: type[AnyNotice], act: Any) -> None:
        super().__init__()
        self._kind, self._act = kind, act

    def append(self, notice: AnyNotice) -> None:
        super().append(notice)
        if isinstance(notice, self._kind) and self._act is not None:
            act, self._act = self._act, None
            act()


def grow(path: Path, by: int = 4) -> None:
    path.write_bytes(path.read_bytes() + bytes(by))


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


CHANGES: dict[str, Callable[[Path], Any]] = {
    "grown": grow,
    "touched": touch,
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
}
PHASES: dict[str, type[AnyNotice]] = {"planned": JobStarted, "begun": FileStarted, "sent": FileSent}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("change", CHANGES)
async def test_a_member_that_changes_is_named(world: World, survey: Path, change: str, phase: str) -> None:
    path = survey / "site 1/3.csv"
    world.notices = Watched(PHASES[phase], lambda: CHANGES[change](path))
    status = await world.upload(str(survey), options=ZIP)
    if phase == "planned" and change != "gone":
        assert status == 0  # nothing was sent yet
        assert members(archive(world))["survey/site 1/3.csv"] == path.read_bytes()
        return
    assert status == ExitStatus.INTEGRITY
    assert world.error is not None
    assert str(path) in world.error.message
    # The same command names it as well; then the archive is begun anew.
    assert await world.upload(str(survey), options=ZIP) == (ExitStatus.NOT_FOUND if change == "gone" else 5)
    assert world.error is not None
    assert str(path) in world.error.message
    assert await world.upload(str(survey), options=RESTART) == 0
    found = members(archive(world))
    found.pop("MANIFEST.md5")
    assert found == expected(survey)


@pytest.mark.parametrize("change", [None, "unsent", "sent"])
async def test_names_that_are_not_utf8(world: World, change: str | None) -> None:
    """Also as the folder that has all members, as which the journal knows an archive."""
    folder = world.folder / os.fsdecode(b"data/caf\xe9/b\xe9")
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / str(number)).write_bytes(bytes(500))
    if change is not None:
        world.notices = Watched(JobStarted if change == "unsent" else FileSent, (folder / "1").unlink)
    data = str(world.folder / "data")
    assert await world.upload(data, options=ZIP) == (0 if change is None else ExitStatus.INTEGRITY)
    if change is not None:
        assert await world.upload(data, options=RESTART) == 0
    assert world.report is not None
    assert [file.path for file in world.report.files] == [data]
    listed = Path(world.report.manifest_members or "").read_bytes().splitlines()
    assert listed[0] == md5(bytes(500)).encode() + b"  data/caf\xe9/b\xe9/0"


BOUNDS: dict[str, tuple[Options, Callable[[Path], Any], str]] = {
    "grows beyond the limit": (Options(pack="tar", pack_limit=11_000), lambda top: grow(top / "a", 4000), "a"),
    "grows within the limit": (Options(pack="tar", pack_limit=11_000), lambda top: grow(top / "a", 10), ""),
    "leaves room for the next": (Options(pack="tar", pack_limit=11_000), lambda top: os.truncate(top / "a", 9), "a"),
    "too large to be packed": (Options(pack="zip", pack_below=2000), lambda top: grow(top / "b", 2000), "b"),
    "small enough to be packed": (Options(pack="zip", pack_below=2000), lambda top: os.truncate(top / "c", 9), "c"),
    "a folder is filled": (Options(pack="zip"), lambda top: (top / "empty/new").write_bytes(b"1"), "empty"),
    "made executable": (Options(pack="zip"), lambda top: (top / "a").chmod(0o755), ""),
}


@pytest.mark.parametrize("case", BOUNDS)
@pytest.mark.parametrize("when", ["planned", "restarted"])
async def test_what_changes_before_it_is_sent_is_divided_as_by_a_new_command(
    world: World, case: str, when: str
) -> None:
    """What ends with 0 does so again."""
    for name, size in {"a": 1000, "b": 1500, "c": 3000, "d": 1000}.items():
        world.source(f"survey/{name}", bytes(size))
    survey = world.folder / "survey"
    (survey / "empty").mkdir()
    options, change, named = BOUNDS[case]
    options = replace(options, restart_changed=when == "restarted")
    world.notices = Watched(JobStarted if when == "planned" else FileStarted, lambda: change(survey))
    status = await world.upload(str(survey), options=options)
    assert (status != 0) == bool(named)
    if named:
        assert world.report is not None
        (error,) = [file.error for file in world.report.files if file.error is not None]
        assert (error.code, error.facts.situation) == ("source-changed", "select-again")
        assert str(survey / named) in error.message
        # Of archives that were sent meanwhile, other members may be chosen now.
        assert await world.upload(str(survey), options=replace(options, restart_changed=True)) == 0
    assert await world.upload(str(survey), options=replace(options, restart_changed=False)) == 0
    (item,) = world.figshare.stored_items.values()
    assert all(file.size <= (options.pack_limit or 1 << 30) for file in item.files.values())
    if options.pack_below is not None:
        beside = {path.name for path in survey.iterdir() if path.is_file() and path.stat().st_size >= 2000}
        assert {file.name for file in item.files.values() if file.status == "available"} == {"survey.zip", *beside}


async def test_a_member_made_executable_while_its_archive_is_sent_is_a_change(world: World, survey: Path) -> None:
    path = survey / "site 0/0.csv"
    world.notices = Watched(FileSent, lambda: path.chmod(0o755))
    assert await world.upload(str(survey), options=ZIP) == ExitStatus.INTEGRITY
    assert world.error is not None
    assert world.error.message == f"{path}: is now executable"
    assert await world.upload(str(survey), options=RESTART) == 0


def lines_of(survey: Path) -> bytes:
    """The list of MD5s of an archive, without its order."""
    files = [(f"survey/{path.relative_to(survey)}", path.read_bytes()) for path in survey.rglob("*") if path.is_file()]
    return b"".join(f"{md5(content)}  {name}\n".encode() for name, content in sorted(files))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("case", ["hash first", "lost at the end", "beside another of its size"])
async def test_the_list_is_right_where_the_md5_was_computed_before(
    world: World, survey: Path, format: Literal["zip", "tar"], case: str
) -> None:
    """The archive is closed after that, and opened again to be sent."""
    options, item, name = Options(pack=format, hash_first=case == "hash first"), None, f"survey.{format}"
    if case == "lost at the end":
        world.figshare.on_request["complete"] = lambda _: lose(world)
    if case.startswith("beside"):
        assert await world.upload(str(survey), options=options) == 0
        size = len(archive(world, name))
        world.figshare.stored_items.clear()
        item = world.figshare.add_item("another").id
        world.figshare.add_file(world.figshare.stored_items[item], name, bytes(size))
        options = Options(pack=format, on_conflict="replace")
    assert await world.upload(str(survey), item=item, options=options) == 0
    assert lines_of(survey) in archive(world, name)
    assert bytes(b"0" * 32) not in archive(world, name)
    assert world.figshare.resent_parts == []
    assert await world.upload(str(survey), item=item, options=options) == 0


def lose(world: World) -> None:
    """Remove all files of the only item, once."""
    (item,) = world.figshare.stored_items.values()
    item.files.clear()
    world.figshare.on_request.clear()


@pytest.mark.parametrize("format", FORMATS)
async def test_a_member_that_changes_after_the_md5_was_computed(
    world: World, survey: Path, format: Literal["zip", "tar"]
) -> None:
    """With its size and mtime, so that only the ctime shows it: the MD5s are computed again."""
    path = survey / "site 1/3.csv"
    status = path.stat()

    def change(_: str) -> None:
        path.write_bytes(bytes(reversed(path.read_bytes())))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        world.figshare.on_request.clear()

    world.figshare.on_request["initiate"] = change
    assert await world.upload(str(survey), options=Options(pack=format, hash_first=True)) == 0
    assert lines_of(survey) in archive(world, f"survey.{format}")


@pytest.mark.parametrize("phase", ["begun", "sent"])
async def test_the_archive_is_restarted_in_the_same_run(world: World, survey: Path, phase: str) -> None:
    path = survey / "site 1/3.csv"
    world.notices = Watched(PHASES[phase], lambda: grow(path))
    assert await world.upload(str(survey), options=Options(pack="zip", restart_changed=True)) == 0
    assert members(archive(world))["survey/site 1/3.csv"] == path.read_bytes()


async def test_a_finished_job_keeps_only_the_plans_that_it_needs(world: World, survey: Path) -> None:
    options = Options(pack="tar", pack_limit=9000, restart_changed=True)
    assert await world.upload(str(survey), options=options) == 0
    (job,) = world.jobs()
    kept: list[set[str]] = []
    for _ in range(2):
        grow(survey / "site 1/3.csv")
        assert await world.upload(str(survey), options=options) == 0
        kept.append({path.name for path in job.glob("archive-*")})
    (item,) = world.figshare.stored_items.values()
    assert [len(names) for names in kept] == [2 * len(item.files)] * 2
    assert await world.upload(str(survey), options=options) == 0
    assert await resume(world, options) == 0


@pytest.mark.parametrize("change", ["content", "new", "gone"])
async def test_a_change_between_two_runs(world: World, survey: Path, change: str) -> None:
    path = survey / "site 0/0.csv"
    world.figshare.fail("send_part", PartFailed("refused", transient=False), first=12)
    assert await world.upload(str(survey), options=ZIP) == ExitStatus.SOME_FAILED
    if change == "content":  # with the same size and mtime
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        resumed = await resume(world)
        assert resumed == ExitStatus.INTEGRITY
    elif change == "new":
        path = survey / "new"
        path.write_bytes(b"1")
    else:
        path.unlink()
    assert await world.upload(str(survey), options=ZIP) == (ExitStatus.NOT_FOUND if change == "gone" else 5)
    assert world.error is not None
    assert str(path) in world.error.message
    assert await world.upload(str(survey), options=RESTART) == 0
    found = members(archive(world))
    found.pop("MANIFEST.md5")
    assert found == expected(survey)
    (item,) = world.figshare.stored_items.values()
    assert len(item.files) == 1


async def send_until(world: World, survey: Path, when: str, options: Options) -> None:
    """Send the folder until its archive is planned, initiated, begun or verified, when the process is killed."""
    requests = {"planned": "create", "initiated": "initiate", "begun": "send_part"}
    if when in requests:
        world.figshare.fail(requests[when], Fault.KILLED_AFTER if when != "initiated" else Fault.KILLED_BEFORE)
    assert await world.upload(str(survey), options=options) == (0 if when == "verified" else KILLED)


@pytest.mark.parametrize("when", ["planned", "initiated", "begun", "verified"])
@pytest.mark.parametrize("restart", [False, True])
async def test_members_that_are_gone_are_never_forgotten_unasked(
    world: World, survey: Path, when: str, restart: bool
) -> None:
    options = Options(pack="zip", restart_changed=restart)
    await send_until(world, survey, when, options)
    (survey / "site 1").rename(world.folder / "unmounted")
    plan = await preview(world, str(survey), options)
    assert [(file.name, file.status, file.action) for file in plan.files] == [("survey.zip", "missing", "refuse")]
    assert plan.exit_status == ExitStatus.NOT_FOUND
    assert await world.upload(str(survey), options=options) == ExitStatus.NOT_FOUND
    assert world.error is not None
    assert world.error.message == f"{survey}/site 1/1.csv: no longer exists, but is a member of the archive survey.zip"
    assert "--restart-changed --forget-missing" in (hint_for(world.error) or "")
    await resume(world, options)
    assert world.error is not None
    assert "--restart-changed --forget-missing" in (hint_for(world.error) or "")
    if restart:
        assert await world.upload(str(survey), options=RESTART) == 0
    else:
        (world.folder / "unmounted").rename(survey / "site 1")
        assert await world.upload(str(survey), options=options) == 0
    found = members(archive(world))
    found.pop("MANIFEST.md5")
    assert found == expected(survey)


@pytest.mark.parametrize("when", ["planned", "initiated", "begun", "verified"])
@pytest.mark.parametrize("moved", ["site 1", "site 1/1.csv", "nothing"])
async def test_members_behind_a_link_are_never_left_out_unasked(
    world: World, survey: Path, when: str, moved: str
) -> None:
    options = Options(pack="zip", restart_changed=True)
    await send_until(world, survey, when, options)
    whole = expected(survey)
    (survey / moved).rename(world.folder / "elsewhere")
    (survey / moved).symlink_to(world.folder / "elsewhere")
    plan = await preview(world, str(survey), options)
    assert [(file.name, file.status, file.action) for file in plan.files] == [("survey.zip", "missing", "refuse")]
    assert plan.exit_status == ExitStatus.NOT_FOUND
    assert await world.upload(str(survey), options=options) == ExitStatus.NOT_FOUND
    assert world.error is not None
    member = "site 1/1.csv" if moved == "site 1" else moved
    text = f"{survey}/{member}: was moved, with a link in its place, but is a member of the archive survey.zip"
    assert world.error.message == text
    assert "--follow-symlinks" in (hint_for(world.error) or "")
    sources = Sources(paths=(str(survey),), follow_symlinks=True)
    assert await world.upload(sources, options=options) == 0
    found = members(archive(world))
    found.pop("MANIFEST.md5")
    assert found == whole


async def test_a_folder_behind_a_link_that_is_also_named_is_packed(world: World, survey: Path) -> None:
    (survey / "site 1").rename(world.folder / "elsewhere")
    (survey / "site 1").symlink_to(world.folder / "elsewhere")
    sources = Sources(paths=(str(survey), str(survey / "site 1")))
    world.figshare.fail("create", Fault.KILLED_BEFORE)
    assert await world.upload(sources, options=ZIP, title="Survey") == KILLED
    (survey / "new").write_bytes(b"new")
    assert await world.upload(sources, options=ZIP, title="Survey") == 0


async def test_an_archive_whose_members_are_all_gone_is_not_forgotten_unasked(world: World) -> None:
    """Nor if the command selects no archive of its name any more."""
    for number in range(4):
        world.source(f"data/sub/{number}", bytes(3000))
    data = world.folder / "data"
    world.figshare.fail("complete", Fault.KILLED_BEFORE, first=2)
    options = Options(pack="tar", pack_limit=14_000)
    assert await world.upload(str(data), options=options) == KILLED
    (data / "sub").rename(world.folder / "unmounted")
    world.source("data/sub2/0", b"small")
    for restart in (False, True):
        again = replace(options, restart_changed=restart)
        assert await world.upload(str(data), options=again) == ExitStatus.NOT_FOUND
    assert await world.upload(str(data), options=replace(RESTART, pack="tar", pack_limit=14_000)) == 0
    (item,) = world.figshare.stored_items.values()
    assert {name for file in item.files.values() for name in read_members(file.content)} >= {"data/sub2/0"}


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("limit", [None, 7_000])
async def test_a_new_file_after_a_kill_while_the_upload_was_begun(
    world: World, survey: Path, begun: bool, limit: int | None
) -> None:
    """All planned members are as they were, and yet the archive is not the one that the command selects now."""
    options = Options(pack="tar", pack_limit=limit, restart_changed=False)
    world.figshare.fail("initiate", Fault.KILLED_AFTER if begun else Fault.KILLED_BEFORE)
    assert await world.upload(str(survey), options=options) == KILLED
    new = survey / "a new file"
    new.write_bytes(b"new")
    status = await world.upload(str(survey), options=options)
    if limit is None:
        assert status == (ExitStatus.INTEGRITY if begun else 0)
    if status:
        assert await world.upload(str(survey), options=replace(options, restart_changed=True)) == 0
    (item,) = world.figshare.stored_items.values()
    found = [name for file in item.files.values() for name in read_members(file.content)]
    assert sorted(name for name in found if name != "MANIFEST.md5") == sorted(
        name for name in expected(survey) if not name.endswith("/")
    )


async def test_a_change_after_a_new_file_was_taken_up_is_taken_up_too(world: World, survey: Path) -> None:
    """Nothing of the archive was begun: it is planned again as often as needed."""
    world.figshare.fail("initiate", Fault.KILLED_BEFORE)
    options = Options(pack="tar", hash_first=True)
    assert await world.upload(str(survey), options=options) == KILLED
    new = survey / "a new file"
    new.write_bytes(b"new")
    planned = 0

    async def change(call: str) -> None:
        nonlocal planned
        planned += call == "Archives.renewed"
        if planned == 1 and call == "Archives.open":
            planned += 1
            new.write_bytes(b"newer")

    world.gate = change
    assert await world.upload(str(survey), options=options) == 0, world.error
    (item,) = world.figshare.stored_items.values()
    assert planned == 3
    assert b"newer" in b"".join(file.content for file in item.files.values())


class Alone:
    """A team whose other processes have all ended."""

    may_lead = True

    def leading(self, _: object) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def lead(self, *_: object) -> None:
        await anyio.sleep_forever()

    async def assist(self, *_: object) -> None:
        return None

    def may_send(self) -> bool:
        return True

    def members(self) -> tuple[()]:
        return ()


async def test_a_new_file_is_not_forgotten_if_another_process_of_the_team_leads_for_a_while(
    world: World, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def together() -> int:
        def call(client: Client) -> Awaitable[Report]:
            client.team = Alone()
            return client.upload(str(survey))

        return await world.run(call, "state", Options(pack="tar"))

    async def lose_the_lease(*_: object) -> Report:
        monkeypatch.setattr(execution, "run_job", run_job)
        raise JobBusy("another process leads the job")

    world.figshare.fail("initiate", Fault.KILLED_BEFORE)
    assert await together() == KILLED
    (survey / "a new file").write_bytes(b"newer")
    monkeypatch.setattr(execution, "run_job", lose_the_lease)
    assert await together() == 0, world.error
    assert b"newer" in archive(world, "survey.tar")


async def test_a_change_of_permissions_changes_nothing(world: World, survey: Path) -> None:
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=4)
    assert await world.upload(str(survey), options=ZIP) == KILLED
    for path in survey.rglob("*.csv"):
        path.chmod(0o640)
    assert await world.upload(str(survey), options=ZIP) == 0
    assert world.figshare.resent_parts == []


async def test_large_files_beside_it(world: World, survey: Path) -> None:
    large = survey / "large.bin"
    large.write_bytes(bytes(1000))
    assert await world.upload(str(survey), options=Options(pack="zip", pack_name="small.zip", pack_below=500)) == 0
    (item,) = world.figshare.stored_items.values()
    assert [path for path, _ in world.contents(item.id)] == ["small.zip", "survey/large.bin"]
    assert "survey/large.bin" not in members(archive(world, "small.zip"))


@pytest.mark.search
async def test_several_archives(world: World, survey: Path) -> None:
    for number in range(30):
        (survey / f"more {number:02}").write_bytes(bytes(number))
    options = Options(pack="tar", pack_limit=12_000)
    assert await world.upload(str(survey), options=options) == 0
    (item,) = world.figshare.stored_items.values()
    names = [path for path, _ in world.contents(item.id)]
    assert names == [f"survey-{number:03}.tar" for number in range(1, len(names) + 1)]
    assert len(names) > 2
    assert all(file.size <= 12_000 for file in item.files.values())
    assert await world.upload(str(survey), options=options) == 0
    (survey / "large").write_bytes(bytes(20_000))
    assert await world.upload(str(survey), title="other", options=options) == ExitStatus.USAGE
    assert world.error is not None
    assert "large: has 20.0 kB (20000 bytes), too large for an archive" in world.error.message


async def test_the_members_are_in_memory_once(world: World, survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a million, and their list is read again and again."""
    plans: list[weakref.ref[Plan]] = []
    kept = []
    init, decoded = Plan.__init__, Plan.decoded

    def count(self: Plan, *args: Any, **settings: Any) -> None:
        init(self, *args, **settings)
        plans.append(weakref.ref(self))

    def decode(data: bytes, plan_id: str) -> Plan:
        kept.append(sum(plan() is not None for plan in plans))
        return decoded(data, plan_id)

    monkeypatch.setattr(Plan, "__init__", count)
    monkeypatch.setattr(Plan, "decoded", decode)
    assert await world.upload(str(survey), options=ZIP) == 0
    assert len(kept) > 3
    assert not any(kept), kept


async def test_an_archive_that_is_no_longer_needed_is_named(world: World, survey: Path) -> None:
    for number in range(20):
        (survey / f"more {number:02}").write_bytes(bytes(number))
    options = Options(pack="tar", pack_limit=12_000, restart_changed=True, forget_missing=True)
    assert await world.upload(str(survey), options=options) == 0
    for number in range(20):
        (survey / f"more {number:02}").unlink()
    assert await world.upload(str(survey), options=options) == 0
    assert world.report is not None
    first, *others = sorted(file.name for file in world.report.files)
    assert len(others) > 1
    assert [(skip.path, skip.reason) for skip in world.report.skipped] == [(name, "vanished") for name in others]
    warnings = [notice.message for notice in world.notices if isinstance(notice, Warned)]
    assert warnings == [f"{name}: is no longer made of these sources, but stays in the item" for name in others]
    assert set(read_members(archive(world, first))) > {"MANIFEST.md5", "survey/empty"}


async def test_an_identical_archive_is_not_sent_again(world: World, survey: Path) -> None:
    assert await world.upload(str(survey), options=ZIP) == 0
    (item,) = world.figshare.stored_items
    parts = world.figshare.log.count("send_part")
    assert await world.upload(str(survey), item=item, options=ZIP) == 0
    assert world.figshare.log.count("send_part") == parts
    assert world.report is not None
    assert world.report.files[0].found
    grow(survey / "site 0/0.csv")
    assert await world.upload(str(survey), item=item, options=ZIP, new_job=True) == ExitStatus.SOME_FAILED
    replacing = Options(pack="zip", on_conflict="replace")
    assert await world.upload(str(survey), item=item, options=replacing, new_job=True) == 0
    assert members(archive(world))["survey/site 0/0.csv"] == (survey / "site 0/0.csv").read_bytes()


async def damage_plan(world: World, survey: Path, damage: Callable[[bytes], bytes | None]) -> None:
    """Kill an upload, damage its plan (None: remove it), and run it again."""
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=4)
    assert await world.upload(str(survey), options=ZIP) == KILLED
    (job,) = world.jobs()
    (plan,) = job.glob("archive-*.plan")
    intact = plan.read_bytes()
    damaged = damage(intact)
    plan.unlink() if damaged is None else plan.write_bytes(damaged)
    assert await resume(world) == ExitStatus.USAGE
    assert world.error is not None
    assert world.error.code == "journal-damaged"
    assert "archive's members" in world.error.message
    assert await world.upload(str(survey), options=ZIP) == 0
    assert world.figshare.resent_parts == []
    assert plan.read_bytes() == intact
    found = members(archive(world))
    found.pop("MANIFEST.md5")
    assert found == expected(survey)


@pytest.mark.parametrize("length", [None, 0, 10, 30, -1])
async def test_a_plan_that_is_lost_or_cut_is_made_again(world: World, survey: Path, length: int | None) -> None:
    await damage_plan(world, survey, lambda plan: plan[:length] if length is not None else None)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
async def test_a_damaged_plan_is_made_again(world: World, survey: Path, share: float) -> None:
    await damage_plan(world, survey, lambda plan: flip(plan, int(share * len(plan))))


@pytest.mark.exhaustive
async def test_a_plan_that_is_cut_or_damaged_anywhere_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: Any
) -> None:
    no_blocking_calls.deactivate()
    size, number = 1, 0
    while number < 2 * size:
        with monkeypatch.context() as patch:
            world = World(tmp_path / str(number), patch)
            survey = Path(world.source("survey/a.csv", b"1,2")).parent
            at, is_cut = divmod(number, 2)

            def damage(plan: bytes, at: int = at, is_cut: int = is_cut) -> bytes:
                nonlocal size
                size = len(plan)
                # Times and paths differ from round to round, and with them the size of a compressed plan.
                at = min(at, size - 1)
                return plan[:at] if is_cut else flip(plan, at)

            (survey / "nothing").mkdir()
            await damage_plan(world, survey, damage)
        number += 1


def flip(data: bytes, at: int) -> bytes:
    """Change one bit of a byte."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


async def test_an_archive_of_an_earlier_layout_is_sent_again_when_allowed(
    world: World, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=4)
    assert await world.upload(str(survey), options=ZIP) == KILLED
    monkeypatch.setattr(ZipLayout, "number", 2)
    assert await resume(world) == ExitStatus.INTEGRITY
    assert world.error is not None
    assert world.error.message == f"{survey}: its archive has another layout in this version of figup"
    assert await world.upload(str(survey), options=ZIP) == ExitStatus.INTEGRITY
    assert world.error.message == f"{survey}: its archive has another layout in this version of figup"
    assert await resume(world, Options(pack="zip", restart_changed=True)) == 0
    assert await world.upload(str(survey), options=ZIP) == 0
    assert len(members(archive(world))) == len(expected(survey)) + 1


async def test_given_md5s_hold_for_members(world: World, survey: Path) -> None:
    wrong = world.source("list.csv", f"path,md5\nsurvey/empty,{md5(b'')}\nsurvey/site 0/0.csv,{'0' * 32}\n".encode())
    sources = Sources(manifest=wrong)
    assert await world.upload(sources, options=ZIP) == ExitStatus.INTEGRITY
    assert world.error is not None
    assert "survey/site 0/0.csv: has the MD5" in world.error.message
    content = (survey / "site 0/0.csv").read_bytes()
    world.source("list.csv", f"path,md5\nsurvey/empty,{md5(b'')}\nsurvey/site 0/0.csv,{md5(content)}\n".encode())
    assert await world.upload(sources, options=ZIP) == 0
    assert set(members(archive(world, "list.zip"))) == {"empty", "0.csv", "MANIFEST.md5"}


@pytest.mark.parametrize("sums", ["kept", "lost"])
async def test_md5s_given_later_hold_for_members(world: World, survey: Path, sums: str) -> None:
    listed = Sources(manifest=world.source("list.csv", b"path\nsurvey/empty\nsurvey/site 0/0.csv\n"))
    assert await world.upload(listed, options=ZIP) == 0
    right = md5((survey / "site 0/0.csv").read_bytes())
    for given, status in (("0" * 32, ExitStatus.INTEGRITY), (right, 0)):
        world.source("list.csv", f"path,md5\nsurvey/empty,\nsurvey/site 0/0.csv,{given}\n".encode())
        if sums == "lost":
            (job,) = world.jobs()
            for path in job.glob("archive-*.sums"):
                path.unlink()
        assert await world.upload(listed, options=ZIP) == status
        assert await resume(world) == status
        if status:
            assert world.error is not None
            assert "survey/site 0/0.csv: has the MD5" in world.error.message


async def test_a_path_that_could_not_be_unpacked_is_refused(world: World, survey: Path) -> None:
    for length, status in ((4095, 0), (4096, ExitStatus.USAGE)):
        folder = "/".join(["f" * 200] * 20 + ["f" * (length - 20 * 201 - len("/0.csv"))])
        listed = world.source("list.csv", f"path,folder\nsurvey/site 0/0.csv,{folder}\n".encode())
        assert await world.upload(Sources(manifest=listed), title=str(length), options=ZIP) == status
    assert world.error is not None
    assert "0.csv: its path in the archive has 4096 bytes, more than 4095" in world.error.message


async def preview(world: World, what: str, options: Options, **target: Any) -> Preview:
    async with world.client(options) as client:
        return await client.preview(what, **target)


async def test_the_dry_run_shows_archives(world: World, survey: Path) -> None:
    plan = await preview(world, str(survey), ZIP)
    (file,) = plan.files
    assert (file.name, file.members, file.action, plan.requests, plan.requests_saved) == (
        "survey.zip",
        6,
        "send",
        2,
        10,
    )
    assert await world.upload(str(survey), options=ZIP) == 0
    assert file.size == len(archive(world))
    plan = await preview(world, str(survey), ZIP)
    assert (plan.files[0].status, plan.exit_status, plan.requests_saved) == ("done", 0, 0)
    grow(survey / "site 0/0.csv")
    plan = await preview(world, str(survey), ZIP)
    assert (plan.files[0].status, plan.exit_status) == ("changed", ExitStatus.INTEGRITY)


async def test_the_dry_run_knows_an_archive_by_its_place(world: World) -> None:
    world.source("data/a/1.csv", bytes(300))
    data = str(world.folder / "data")
    world.figshare.fail("send_part", Fault.KILLED_AFTER, first=2)
    assert await world.upload(data, options=ZIP) == KILLED
    world.source("data/b/2.csv", b"2")  # all sources have another folder in common now
    plan = await preview(world, data, ZIP)
    assert [(file.path, file.status, file.action) for file in plan.files] == [(data, "changed", "refuse")]
    assert plan.exit_status == ExitStatus.INTEGRITY
    assert await world.upload(data, options=ZIP) == ExitStatus.INTEGRITY
    (world.folder / "data/a").rename(world.folder / "data/c")  # the folder by which the job knows the archive
    assert [(file.path, file.status) for file in (await preview(world, data, ZIP)).files] == [(data, "missing")]


async def test_nothing_to_pack(world: World, survey: Path) -> None:
    assert await world.upload(str(survey / "nothing"), options=ZIP) == ExitStatus.USAGE
    assert await world.upload(str(survey / "nothing"), title="empty", options=ZIP) == ExitStatus.USAGE
    large = Packing(format="zip", below=1)
    (survey / "empty").unlink()
    packed = pack(Sources((str(survey),)), large)
    nothing = Skipped(path=f"{survey}/nothing/", reason="empty-folder", remote_path="survey/nothing/")
    assert packed.skipped == [nothing]
    assert packed.skipped[0].remote_path == nothing.remote_path
    assert len(packed.files) == 4


async def test_a_manifest_of_its_own(world: World, survey: Path) -> None:
    (survey / "MANIFEST.md5").write_bytes(b"")
    inside = str(survey) + "/."
    assert await world.upload(inside, title="one", options=ZIP) == ExitStatus.USAGE
    assert await world.upload(inside, title="two", options=Options(pack="zip", pack_manifest=False)) == 0
    assert members(archive(world))["MANIFEST.md5"] == b""
    assert world.report is not None
    listed = Path(world.report.manifest_members or "").read_text().splitlines()
    assert len(listed) == 6
    assert f"{md5(b'')}  MANIFEST.md5" in listed
    (item_id,) = world.figshare.stored_items
    async with world.client() as client:
        (same,) = await client.verify(item_id, inside, packing=Packing(format="zip", name="survey.zip"))
        (other,) = await client.verify(item_id, str(survey), packing=Packing(format="zip"))
    assert (same.status, same.size) == ("same", len(archive(world)))
    assert other.status == "different"


@pytest.mark.parametrize(
    ("form", "name", "warned"),
    [("zip", "x.tar", True), ("tar", "x.TAR.gz", True), ("zip", "x.ZIP", False), ("tar", "x", False)],
)
async def test_a_name_that_belies_the_format_is_named(
    world: World, survey: Path, form: Literal["zip", "tar"], name: str, warned: bool
) -> None:
    packed = pack(Sources((str(survey),)), Packing(format=form, name=name))
    assert packed.warnings == ([f"the archive {name} is a {form} file that is not compressed"] if warned else [])
    assert [file.name for file in packed.files] == [name]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("names", "text"), [((), ""), ((b"\xe9",), "1 name in the archive is not UTF-8"), ((b"\xe9", b"\xe8"), "2 names")]
)
async def test_names_that_java_refuses_are_counted(
    survey: Path, format: Literal["zip", "tar"], names: tuple[bytes, ...], text: str
) -> None:
    for name in names:
        (survey / os.fsdecode(name)).touch()
    warnings = pack(Sources((str(survey),)), Packing(format=format)).warnings
    assert len(warnings) == (format == "zip" and bool(names))
    assert all(warning.startswith(text) and "Java refuse all of it" in warning for warning in warnings)


async def test_a_folder_with_the_name_of_the_list_is_refused(world: World, survey: Path) -> None:
    folder = survey / "MANIFEST.md5"
    folder.mkdir()
    (folder / "1.csv").write_bytes(b"1")
    inside = str(survey) + "/."
    assert await world.upload(inside, title="both", options=ZIP) == ExitStatus.USAGE
    assert await world.upload(inside, title="both", options=Options(pack="zip", pack_manifest=False)) == 0


def test_parts_are_small_here() -> None:
    assert PART_SIZE < 100  # so that heads, frames and tails are cut


@pytest.mark.parametrize("finished", [False, True], ids=["interrupted", "finished"])
async def test_a_member_outside_the_folder_of_all_others_is_a_change(world: World, finished: bool) -> None:
    for number in range(5):
        world.source(f"survey/a/{number}", bytes(300))
    survey = str(world.folder / "survey")
    if not finished:
        world.figshare.fail("send_part", PartFailed("refused", transient=False), first=12)
    assert await world.upload(survey, options=ZIP) == (0 if finished else ExitStatus.SOME_FAILED)
    world.figshare.clear_faults()
    new = world.source("survey/b/new", b"new")
    assert await world.upload(survey, options=ZIP) == ExitStatus.INTEGRITY
    assert world.error is not None
    assert new in world.error.message
    assert await world.upload(survey, options=Options(pack="zip", restart_changed=True)) == 0
    assert members(archive(world))["survey/b/new"] == b"new"
    (item,) = world.figshare.stored_items.values()
    assert len(item.files) == 1


async def test_a_file_with_the_name_of_a_folder_is_refused(world: World, survey: Path) -> None:
    other = world.source("other/survey", b"a file")
    assert await world.upload([str(survey), other], title="both", options=ZIP) == ExitStatus.USAGE
    assert world.error is not None
    assert other in world.error.message
    assert world.figshare.stored_items == {}
