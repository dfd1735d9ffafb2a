"""A job of several processes in memory: one item, every file once, no part sent that Figshare had."""

from __future__ import annotations

import dataclasses
import io
import os
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.fakes.metadata import Metadata
from tests.fakes.world import KILLED
from tests.support.teams import Crew, process, some_contents
from uploader.cluster import assignment, leader, member, roster, team
from uploader.cluster.files import REPORT, MemberFiles
from uploader.cluster.messages import Entry, FileHashed, PartDone
from uploader.errors import ExitStatus, NoToken, RequestRejected, StateDiskFull
from uploader.sources.source import Source
from uploader.transfer.destination.options import ItemOptions
from uploader.transfer.notices import Warned
from uploader.transfer.options import Options
from uploader.transfer.parts import queue

pytestmark = pytest.mark.anyio
NewCrew = Callable[..., Crew]


@pytest.fixture
def new_crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster) -> NewCrew:
    no_blocking_calls.deactivate()
    for module in (queue, leader):
        monkeypatch.setattr(module, "SMALL", 300)

    def make(contents: Mapping[str, bytes], *, strangers: bool = False, name: str = "") -> Crew:
        return Crew(tmp_path / name, monkeypatch, contents, strangers=strangers)

    return make


@pytest.mark.search
@pytest.mark.parametrize("strangers", [False, True], ids=["one machine", "strangers"])
async def test_several_processes_are_one_job(new_crew: NewCrew, strangers: bool) -> None:
    crew = new_crew(some_contents(random.Random(1), big=1, small=20), strangers=strangers)

    await crew.play_together(4)
    assert {member.status for member in crew.members.values()} == {0}
    crew.check()
    assert {name for name, *_ in crew.figshare.sent} == set(crew.members)


@pytest.mark.search
async def test_the_next_leader_resumes_after_a_kill(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(2), big=2, small=20), strangers=True)

    async def script(crew: Crew) -> None:
        for _ in range(3):
            crew.start()
        await crew.clock.sleep(20)
        crew.kill("p0")

    await crew.play(script)
    assert sorted(member.status for member in crew.members.values() if member.status is not None) == [KILLED, 0, 0]
    crew.check()


async def happen(crew: Crew, choice: random.Random) -> None:
    """Start processes, and kill, freeze, wake, stop and slow down some at random, until one is left to finish."""
    for _ in range(choice.randrange(1, 5)):
        crew.start()
    for _ in range(choice.randrange(1, 9)):
        await crew.clock.sleep(choice.choice((0.3, 2, 7, 15, 40, 90)) * choice.random())
        what = choice.choice(("start", "kill", "freeze", "wake", "freeze", "stop", "slow_down"))
        running = crew.running
        if what == "start" and len(running) < 6:
            crew.start(share=choice.choice((None, (0, 2), (1, 2))))
        elif running:
            getattr(crew, what if what != "start" else "wake")(choice.choice(running))
    crew.start()


SEEDS = 8
SLOW = 1.7
"""Bytes per second at which the upload service just waits long enough for a part."""
ALL_SEEDS, BLOCKS = 1000, 20


async def play_at_random(new_crew: NewCrew, seed: int) -> None:
    choice = random.Random(seed)
    contents = some_contents(choice, big=choice.randrange(3), small=choice.randrange(1, 25))
    crew = new_crew(contents, strangers=choice.random() < 0.7, name=str(seed))
    speed = {f"p{n}": 2.0 + 6.0 * random.Random(f"{seed}p{n}").random() for n in range(20)}
    crew.figshare.speed = lambda who: SLOW if who in crew.slowed else speed[who]
    try:
        await crew.play(lambda crew: happen(crew, choice))
        assert {member.status for member in crew.members.values()} <= {0, 75, KILLED}
        crew.check()
    except BaseException as error:
        error.add_note(f"seed {seed}: {[(m.name, m.status, m.error) for m in crew.members.values()]}")
        raise


@pytest.mark.search
async def test_after_any_faults_there_is_one_item_with_every_file_once(new_crew: NewCrew) -> None:
    for seed in range(SEEDS):
        await play_at_random(new_crew, seed)


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("block", range(BLOCKS))
async def test_a_thousand_schedules(new_crew: NewCrew, block: int) -> None:
    for seed in range(block, ALL_SEEDS, BLOCKS):
        await play_at_random(new_crew, seed)


EVERY = 20
"""Of the points at which a process can be killed, every so many are in the sample."""


async def crash_at(new_crew: NewCrew, role: int, point: int) -> bool:
    """Kill the process that leads first (0) or another one (1) at this point of its writes; False if it has no such."""
    crew = new_crew(some_contents(random.Random(4), big=1, small=12), strangers=True, name=f"{role}-{point}")

    async def script(crew: Crew) -> None:
        for number in range(3):
            crew.start(crash_at=point if number == role else 0)
            await crew.clock.sleep(1.0)

    await crew.play(script)
    statuses = [member.status for member in crew.members.values()]
    assert [status for number, status in enumerate(statuses) if number != role] == [0, 0], (point, statuses)
    crew.check()
    return statuses[role] == KILLED


@pytest.mark.search
@pytest.mark.parametrize("role", [0, 1], ids=["leader", "member"])
async def test_killed_at_a_write_to_the_files_of_the_team(new_crew: NewCrew, role: int) -> None:
    point = 1 + role
    while await crash_at(new_crew, role, point):
        point += EVERY
    assert point > 2 * EVERY


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("role", [0, 1], ids=["leader", "member"])
async def test_killed_at_every_write_to_the_files_of_the_team(new_crew: NewCrew, role: int) -> None:
    point = 1
    while await crash_at(new_crew, role, point):
        point += 1
    assert point > 20


async def test_a_process_without_a_token_never_leads(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(5), big=1, small=5), strangers=True)

    async def script(crew: Crew) -> None:
        crew.start(may_lead=False)
        await crew.clock.sleep(100)
        assert not crew.figshare.log
        crew.start()

    await crew.play(script)
    assert [member.status for member in crew.members.values()] == [0, 0]
    crew.check()


async def test_without_any_token_it_ends_and_says_so(new_crew: NewCrew) -> None:
    crew = new_crew({"a": b"abc"})

    async def script(crew: Crew) -> None:
        crew.start(may_lead=False)

    await crew.play(script)
    assert crew.members["p0"].status == 3
    assert "no process with a token" in str(crew.members["p0"].error)


async def test_all_end_with_an_error_of_the_job(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(6), big=0, small=3))
    crew.figshare.fail("complete", RequestRejected("this file is not wanted"), times=99)

    await crew.play_together(3)
    assert [member.status for member in crew.members.values()] == [1, 1, 1]
    assert len({str(member.error) for member in crew.members.values()}) == 1


@pytest.mark.search
async def test_connections_are_limited_for_all_together(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(7), big=2, small=10))
    crew.options = Options(connections=5)

    async def script(crew: Crew) -> None:
        for _ in range(7):
            crew.start()
            await crew.clock.sleep(11)

    await crew.play(script)
    assert {member.status for member in crew.members.values()} == {0}
    assert crew.figshare.most_connections <= 5
    crew.check()


@pytest.mark.search
async def test_orders_are_read_seldom_while_there_is_much_to_send(
    new_crew: NewCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = new_crew(some_contents(random.Random(9), big=6, small=0))
    crew.options = Options(connections=4)
    crew.figshare.speed = lambda _: 20.0
    reads: list[float] = []
    read = MemberFiles.orders

    async def watched(wire: MemberFiles) -> object:
        reads.append(crew.clock.monotonic())
        return await read(wire)

    monkeypatch.setattr(MemberFiles, "orders", watched)

    async def script(crew: Crew) -> None:
        crew.start()
        crew.start()

    await crew.play(script)
    crew.check()
    seconds = crew.clock.monotonic()
    assert seconds > 100
    # Often at the beginning, and while the last parts are given one by one.
    assert len(reads) < 0.5 * seconds + 3 * member.SOON / member.POLL_SOON


@pytest.mark.search
async def test_the_rate_is_limited_for_all_together(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(8), big=3, small=0))
    limit, burst = 16.0, 512
    crew.options = Options(connections=8, limit_rate=limit)
    crew.figshare.speed = lambda _: 50.0

    async def script(crew: Crew) -> None:
        crew.start()
        crew.start()

    await crew.play(script)
    crew.check()
    assert len({who for who, *_ in crew.figshare.sent}) == 2
    total = sum(map(len, crew.contents.values()))
    assert crew.figshare.sent[-1][3] >= (total - 2 * burst) / (1.15 * limit)


async def test_members_of_another_version_get_nothing_to_send(
    new_crew: NewCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = new_crew(some_contents(random.Random(4), big=1, small=5))
    monkeypatch.setattr(team, "__version__", "0.0.9")

    await crew.play_together(2)
    assert {member.status for member in crew.members.values()} == {0}
    crew.check()
    assert {name for name, *_ in crew.figshare.sent} == {"p0"}
    warnings = [notice.message for notice in crew.world.notices if isinstance(notice, Warned)]
    assert [text for text in warnings if "runs figup 0.0.9" in text and "it gets nothing to send" in text] == warnings
    assert len(warnings) == 1


@pytest.mark.search
@pytest.mark.parametrize("full", ["p0", "p1"], ids=["leader", "member"])
async def test_the_others_continue_without_a_process_whose_quota_is_used_up(new_crew: NewCrew, full: str) -> None:
    crew = new_crew(some_contents(random.Random(5), big=2, small=20), strangers=True)

    def refuse(*_: object, **__: object) -> None:
        raise StateDiskFull("no space left")

    async def script(crew: Crew) -> None:
        for _ in range(3):
            crew.start()
        await crew.clock.sleep(20)
        disk = crew.members[full].disk
        for name in ("put", "append", "write", "replace", "create"):
            setattr(disk, name, refuse)

    await crew.play(script)
    assert {name: member.status for name, member in crew.members.items()} == {
        name: ExitStatus.RESUMABLE if name == full else 0 for name in crew.members
    }
    crew.check()


def folders_of_members(crew: Crew) -> list[Path]:
    return [folder for job in crew.world.jobs() for folder in job.glob("team/*")]


@pytest.mark.search
@pytest.mark.parametrize("damage", [lambda data: data + b"{}\n", lambda data: data[:-9]], ids=["added to", "cut off"])
async def test_a_member_whose_report_is_damaged_begins_another_one(
    new_crew: NewCrew, damage: Callable[[bytes], bytes]
) -> None:
    crew = new_crew(some_contents(random.Random(6), big=12, small=5))

    async def script(crew: Crew) -> None:
        for _ in range(3):
            crew.start()
        await crew.clock.sleep(20)
        report = next(folder / REPORT for folder in folders_of_members(crew))
        report.write_bytes(damage(report.read_bytes()))

    await crew.play(script)
    assert {member.status for member in crew.members.values()} == {0}
    crew.check()


@pytest.mark.search
async def test_what_members_leave_does_not_become_more_with_each_interruption(
    new_crew: NewCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "UNREADABLE", 15.0)
    crew = new_crew(some_contents(random.Random(7), big=8, small=5))
    left: list[int] = []

    async def script(crew: Crew) -> None:
        for end in (crew.stop, crew.kill, crew.stop, crew.kill):
            names = [crew.start() for _ in range(3)]
            await crew.clock.sleep(30)
            left.append(len(folders_of_members(crew)))
            for name in names:
                end(name)
            while crew.running:
                await crew.clock.sleep(3)
        crew.start()

    await crew.play(script)
    crew.check()
    assert max(left) <= 4, "of the last run and the present one"


@pytest.mark.search
async def test_an_archive_is_sent_by_the_leader_alone(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(3), big=2, small=20), strangers=True)
    crew.options = Options(pack="zip")

    await crew.play_together(3)
    assert {member.status for member in crew.members.values()} == {0}
    assert {name for name, *_ in crew.figshare.sent} == {"p0"}
    (item,) = crew.figshare.stored_items.values()
    (file,) = item.files.values()
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert {name: archive.read(name) for name in crew.contents} == dict(crew.contents)


@pytest.mark.search
async def test_a_task_that_stays_alone_warns(new_crew: NewCrew) -> None:
    for tasks, others in ((1, 0), (3, 0), (3, 1)):
        crew = new_crew(some_contents(random.Random(9), big=4, small=0), name=f"{tasks}-{others}")

        async def script(crew: Crew, tasks: int = tasks, others: int = others) -> None:
            crew.start(tasks=tasks)
            for _ in range(others):
                crew.start()

        await crew.play(script)
        warned = [n for n in crew.world.notices if isinstance(n, Warned) and n.facts.situation == "alone"]
        assert len(warned) == (tasks > 1 and not others)


async def test_a_member_that_is_stopped_before_there_is_a_job(new_crew: NewCrew) -> None:
    crew = new_crew({"a": b"abc"})

    async def script(crew: Crew) -> None:
        name = crew.start(may_lead=False)
        await crew.clock.sleep(5)
        crew.stop(name)

    await crew.play(script)
    assert crew.members["p0"].status == 75


async def test_a_file_that_the_leader_did_not_see_is_sent(new_crew: NewCrew) -> None:
    contents = some_contents(random.Random(5), big=1, small=3)
    crew = new_crew({f"results/{name}": content for name, content in contents.items()})
    crew.sources = [str(crew.world.folder / "results")]

    async def script(crew: Crew) -> None:
        crew.start()
        await crew.clock.sleep(20)
        crew.world.source("results/late", b"found by the second process only")
        crew.start()

    await crew.play(script)
    assert {member.status for member in crew.members.values()} == {0}
    (item,) = crew.figshare.stored_items
    assert "late" in {name.rpartition("/")[2] for name, _ in crew.world.contents(item)}
    assert len(crew.world.jobs()) == 1


@pytest.mark.search
async def test_a_process_without_a_token_does_not_claim_what_was_not_sent(new_crew: NewCrew) -> None:
    contents = some_contents(random.Random(5), big=1, small=3)
    crew = new_crew({f"results/{name}": content for name, content in contents.items()})
    crew.sources = [str(crew.world.folder / "results")]

    async def script(crew: Crew) -> None:
        crew.start()
        await crew.clock.sleep(20)
        crew.world.source("results/late", b"found by the second process only")
        crew.start(may_lead=False)

    await crew.play(script)
    assert crew.members["p0"].status == 0
    assert isinstance(crew.members["p1"].error, NoToken)


EVERYTHING = ItemOptions(metadata=Metadata(), reserve_doi=True, private_link=True, publish=True)
REQUESTS = {
    "metadata": ItemOptions(metadata=Metadata()),
    "DOI": ItemOptions(reserve_doi=True),
    "private link": ItemOptions(private_link=True),
    "publish": ItemOptions(metadata=Metadata(), publish=True),
    "everything": EVERYTHING,
}


def is_requested(crew: Crew, requested: ItemOptions) -> bool:
    """Return True if the only item is as these options ask."""
    (item,) = crew.figshare.stored_items.values()
    return (
        ("description" in item.fields or requested.metadata is None)
        and (bool(item.doi) or not requested.reserve_doi)
        and (bool(item.links) or not requested.private_link)
        and item.version == (1 if requested.publish else 0)
    )


@pytest.mark.parametrize("requested", REQUESTS.values(), ids=REQUESTS)
async def test_a_member_does_not_claim_what_only_its_own_command_requests(
    new_crew: NewCrew, requested: ItemOptions
) -> None:
    crew = new_crew(some_contents(random.Random(5), big=1, small=3), strangers=True)

    async def script(crew: Crew) -> None:
        crew.start()
        await crew.clock.sleep(20)
        crew.target = {"title": "title", "item_options": requested}
        crew.start()
        await crew.clock.sleep(5)

    await crew.play(script)
    assert {member.status for member in crew.members.values()} == {0}
    crew.check()
    assert is_requested(crew, requested)


async def start_with_two_commands(crew: Crew) -> None:
    """Start a process that is to do everything with the item, and another one with a command that requests less."""
    target, crew.target = crew.target, {"title": "title", "item_options": EVERYTHING}
    crew.start()
    await crew.clock.sleep(20)
    crew.target = target
    crew.start()
    await crew.clock.sleep(5)


async def test_a_member_does_not_undo_what_the_leader_was_asked_for(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(5), big=1, small=3), strangers=True)

    await crew.play(start_with_two_commands)
    assert {member.status for member in crew.members.values()} == {0}
    assert is_requested(crew, EVERYTHING)


async def test_a_leader_that_lost_the_job_still_gets_what_it_was_asked_for(new_crew: NewCrew) -> None:
    """It sleeps while another one, with a command that requests less, takes over."""
    crew = new_crew(some_contents(random.Random(5), big=2, small=3), strangers=True)

    async def script(crew: Crew) -> None:
        await start_with_two_commands(crew)
        crew.freeze("p0")
        await crew.clock.sleep(100)
        crew.wake("p0")

    await crew.play(script)
    assert {member.status for member in crew.members.values()} == {0}
    crew.check()
    assert is_requested(crew, EVERYTHING)


async def test_a_process_without_a_token_does_not_claim_what_nobody_published(new_crew: NewCrew) -> None:
    crew = new_crew(some_contents(random.Random(5), big=1, small=3))

    async def script(crew: Crew) -> None:
        crew.start()
        await crew.clock.sleep(20)
        crew.target = {"title": "title", "item_options": EVERYTHING}
        crew.start(may_lead=False)
        await crew.clock.sleep(5)

    await crew.play(script)
    assert crew.members["p0"].status == 0
    assert isinstance(crew.members["p1"].error, NoToken)


async def test_a_process_without_a_token_waits_for_one_that_does_what_is_missing(new_crew: NewCrew) -> None:
    """Also if that takes two of them, one after the other."""
    crew = new_crew(some_contents(random.Random(5), big=1, small=3), strangers=True)

    async def script(crew: Crew) -> None:
        crew.start()
        await crew.clock.sleep(20)
        for requested, may_lead in [("DOI", True), ("everything", False), ("everything", True)]:
            crew.target = {"title": "title", "item_options": REQUESTS[requested]}
            crew.start(may_lead=may_lead)
            await crew.clock.sleep(2)
        for name in ("p1", "p3"):
            crew.freeze(name)
        for name in ("p1", "p3"):  # one after the other, each some time after the job has ended
            while crew.members["p0"].status is None or (name == "p3" and crew.members["p1"].status is None):
                await crew.clock.sleep(5)
            await crew.clock.sleep(20)
            crew.wake(name)

    await crew.play(script)
    assert {member.status for member in crew.members.values()} == {0}
    crew.check()
    assert is_requested(crew, EVERYTHING)


@pytest.mark.search
@pytest.mark.parametrize("touched", [False, True], ids=["shown to one member", "touched"])
async def test_a_source_that_has_another_time(
    new_crew: NewCrew, monkeypatch: pytest.MonkeyPatch, touched: bool
) -> None:
    crew = new_crew(some_contents(random.Random(6), big=3, small=5))

    class Shown(Source):
        """A source as a file system without fractions of seconds shows it to a member, or one that was touched."""

        def __init__(self, path: str) -> None:
            if touched and path == crew.sources[0]:
                os.utime(path, (1, 1))
            super().__init__(path)
            if process.get() == "p1" and not touched:
                self.snapshot = dataclasses.replace(self.snapshot, mtime_ns=1)

    monkeypatch.setattr(assignment, "Source", Shown)
    await crew.play_together(3)
    assert {member.status for member in crew.members.values()} == {0}
    crew.check()
    assert {name for name, *_ in crew.figshare.sent} == {"p0", "p2"} | ({"p1"} if touched else set())


@pytest.mark.search
async def test_the_md5_of_a_file_that_changed_meanwhile_is_not_reported(
    new_crew: NewCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = new_crew(some_contents(random.Random(6), big=0, small=20))
    reported: list[Entry] = []
    report = MemberFiles.report

    async def watched(wire: MemberFiles, entries: list[Entry]) -> None:
        reported.extend(entries)
        await report(wire, entries)

    def touch(who: str, size: int) -> float:
        if who == "p1":
            for path in map(Path, crew.sources):
                path.chmod(path.stat().st_mode ^ 0o040)  # another ctime, as after a change with the mtime restored
        return size / 4

    monkeypatch.setattr(MemberFiles, "report", watched)
    crew.figshare.duration = touch

    async def script(crew: Crew) -> None:
        crew.start()
        crew.start()

    await crew.play(script)
    crew.check()
    assert any(isinstance(entry, PartDone) for entry in reported)
    assert not any(isinstance(entry, FileHashed) for entry in reported)
