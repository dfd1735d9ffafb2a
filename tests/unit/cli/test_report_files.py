"""Files about a job: lists of failed files, and writing them to their destinations."""

from __future__ import annotations

import io
import os
import stat
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import click
import msgspec
import pytest

from tests.unit.cli.output.test_summary import FILE, REPORT
from uploader.cli.hints import Repeated
from uploader.cli.main import main
from uploader.cli.output.summary import LIST_THEM, MAX_LISTED, failed, summary_text
from uploader.cli.report_files import ReportOptions, check_outputs, failed_list, write_file, write_outputs
from uploader.disk import Disk
from uploader.errors import UsageError
from uploader.sources.lists import parse_list
from uploader.sources.models import Packing, Sources
from uploader.sources.packing import pack
from uploader.transfer.journal.log import encode
from uploader.transfer.journal.plan import Target
from uploader.transfer.report import FileReport, Problem, Report
from uploader.transfer.store.jobs import JobStore

LISTED = ReportOptions(failed_to=Path("failed.txt"))


def broken(number: int, status: str = "failed", path: str | None = None) -> FileReport:
    where = path or f"/data/{number}"
    problem = Problem(code="conflict", message=f"{where}: there is another", hint="Rename it.", exit_status=5)
    return FileReport(path=where, name=str(number), file_id=None, size=10, md5=None, status=status, error=problem)


def report(*files: FileReport) -> Report:
    return Report(
        job="k3",
        item_id=7,
        item_url="https://x/7",
        files=files,
        bytes_sent=0,
        bytes_total=0,
        seconds=2.0,
        exit_status=1,
    )


def test_the_list_names_each_with_its_reason() -> None:
    made = report(broken(1), FILE, broken(2, "verified"), broken(3, "sent"))
    assert failed(made) == [broken(1), broken(2, "verified")]
    assert failed_list(made, LISTED).decode() == (
        "# figup upload --from-file failed.txt --base /data --item 7\n"
        "# conflict: /data/1: there is another\n/data/1\n# conflict: /data/2: there is another\n/data/2\n"
    )
    assert failed_list(REPORT, LISTED) == b""
    assert failed_list(made, replace(LISTED, nul=True)) == b"/data/1\0/data/2\0"


def paths_in(data: bytes, *, nul: bool = False) -> list[str]:
    return [path for _, path in parse_list(data, "failed.txt", nul=nul)]


def test_the_list_can_be_used_with_from_file(tmp_path: Path) -> None:
    paths = ["/data/#1", "/data/a b", "/data/ü", "/data/\udcff", "/data/ "]
    files = [broken(number, path=path) for number, path in enumerate(paths)]
    link = broken(9, path="https://example.org/a")
    assert paths_in(failed_list(report(*files, link), LISTED)) == paths
    odd = [*files, broken(7, path="/data/a\nb")]
    assert paths_in(failed_list(report(*odd), replace(LISTED, nul=True)), nul=True) == [*paths, "/data/a\nb"]


def test_the_list_contains_the_command_to_retry() -> None:
    inside = msgspec.structs.replace(broken(1, path="/my data/set/a/1"), folder="set/a")
    beside = msgspec.structs.replace(broken(2, path="/my data/2"), folder="")
    first = failed_list(report(inside, beside), LISTED).decode().splitlines()[0]
    assert first == "# figup upload --from-file failed.txt --base '/my data' --item 7"
    renamed = broken(3, path="/data/other name")
    resumed = b"# figup resume k3: this list lacks the files' names on Figshare\n# conflict"
    assert failed_list(report(renamed), LISTED).startswith(resumed)
    assert failed_list(msgspec.structs.replace(report(inside), item_id=None), LISTED).startswith(resumed)
    again = Repeated(anywhere=("--state-dir", "my jobs"), on_job=("--x",))
    first = failed_list(report(inside), LISTED, again, "keep").decode().splitlines()[0]
    assert first.endswith(" --item 7 --on-conflict keep --state-dir 'my jobs'")
    assert failed_list(report(renamed), LISTED, again).startswith(b"# figup resume k3 --x: ")


def test_names_with_line_breaks_are_left_out() -> None:
    made = report(broken(1, path="/data/a\nb"), broken(2, path="/data/\udcff"))
    assert failed_list(made, LISTED).partition(b"\n")[2] == (
        b"# conflict: /data/a\\nb: there is another\n"
        b"# (the name contains a line break: add -0)\n"
        b"# conflict: /data/\\udcff: there is another\n/data/\xff\n"
    )


def test_a_summary_of_few_files_lists_all_with_reasons() -> None:
    lines = summary_text(report(FILE, broken(1))).splitlines()
    assert lines[1] == "1: 10 bytes, MD5 not known, failed"
    assert lines[2] == "Failed: /data/1: there is another"


def test_a_summary_of_many_files_has_counts_and_the_first_failures() -> None:
    made = report(*(broken(number) for number in range(10_000)), *([FILE] * 500))
    lines = summary_text(made).splitlines()
    assert lines[0] == "10500 files, 0 bytes: 10000 failed, 500 verified."
    assert lines[1 : MAX_LISTED + 1] == [f"Failed: /data/{number}: there is another" for number in range(MAX_LISTED)]
    assert lines[MAX_LISTED + 1] == f"And {10_000 - MAX_LISTED} more failed; {LIST_THEM}."
    assert len(lines) == MAX_LISTED + 4


def test_a_file_is_written_atomically(tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    target.write_bytes(b"old")
    write_file(target, b"new")
    assert target.read_bytes() == b"new"
    with pytest.raises(UsageError, match="cannot write"):
        write_file(tmp_path / "nowhere" / "r.html", b"new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot write"):
        write_file(tmp_path / "folder", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "r.html"]


@pytest.mark.parametrize("written", ["--report", "--failed-to", "--log-file"])
def test_a_file_that_is_read_is_not_written(written: str, tmp_path: Path) -> None:
    source, other = tmp_path / "data.json", tmp_path / "other.json"
    (tmp_path / "link.json").symlink_to(source)

    def check(output: Path) -> None:
        accounting = ReportOptions(
            reports=(output,) if written == "--report" else (), failed_to=output if written == "--failed-to" else None
        )
        check_outputs(accounting, output if written == "--log-file" else None, (str(source), None))

    check(other)
    for output in (source, tmp_path / "link.json"):
        with pytest.raises(click.UsageError, match=f"{written} .* would overwrite a file that is read"):
            check(output)


def test_a_source_in_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "data.txt"
    source.write_bytes(b"data")
    made = report(broken(1, path=str(source)))
    notes: list[str] = []
    common = SimpleNamespace(state_dir=tmp_path / "state", repeated=Repeated())
    session: Any = SimpleNamespace(common=common, console=SimpleNamespace(note=notes.append))
    for target in (source, tmp_path / "failed.txt"):
        anyio.run(partial(write_outputs, session, ReportOptions(failed_to=target), made, on_conflict="skip"))
    assert (source.read_bytes(), (tmp_path / "failed.txt").exists()) == (b"data", True)
    assert notes == [f"{source} is one of the files that are sent, and was not overwritten"]


@pytest.mark.parametrize("option", ["--failed-to", "--report", "--log-file"])
def test_the_list_of_an_upload_is_not_overwritten(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("uploader.cli.upload.open_context", None)
    (tmp_path / "list.json").write_text("data\n")
    with pytest.raises(SystemExit) as ending:
        main(["upload", "--from-file", "list.json", "--title", "Data", option, "./list.json"])
    assert ending.value.code == 2
    assert "list.json would overwrite a file that is read; name another one" in capsys.readouterr().err
    assert (tmp_path / "list.json").read_text() == "data\n"


def test_a_list_from_stdin_is_not_taken_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"# figup upload x\n")))
    with pytest.raises(SystemExit):
        main(["upload", "--from-file", "-", "--failed-to", "-"])
    assert "is a list of failed files" in capsys.readouterr().err


Packed = tuple[JobStore, Report, Path]


@pytest.fixture
def packed(tmp_path: Path) -> Packed:
    """A job that sends a folder as an archive, and a member of it."""
    folder, states = tmp_path / "data", JobStore(tmp_path / "state", Disk())
    folder.mkdir()
    (folder / "a.html").write_bytes(b"data")
    selection = pack(Sources((str(folder),)), Packing(format="zip"))
    target = Target(endpoint="https://api.example.org/v2", item=7)
    events = states.plan(target, selection, "k3")
    (states.folder("k3") / "journal").write_bytes(encode(events)[0])
    return states, report(*map(FileReport.of, states.read("k3").active)), folder / "a.html"


def noted(packed: Packed, accounting: ReportOptions) -> list[str]:
    """Write files about a run, and return what was noted."""
    states, made, _ = packed
    notes: list[str] = []
    common = SimpleNamespace(state_dir=states.path, repeated=Repeated())
    session: Any = SimpleNamespace(common=common, console=SimpleNamespace(note=notes.append))
    anyio.run(partial(write_outputs, session, accounting, made, on_conflict="skip"))
    return notes


@pytest.mark.parametrize("lost", [False, True])
def test_a_member_of_an_archive_is_not_overwritten(packed: Packed, tmp_path: Path, *, lost: bool) -> None:
    states, _, member = packed
    link = tmp_path / "link.html"
    link.symlink_to(member)
    if lost:
        for plan in states.folder("k3").glob("archive-*"):
            plan.write_bytes(b"damaged")
    why = "in a folder that is sent as an archive" if lost else "one of the files that are sent"
    for target in (member, link):
        for accounting in (ReportOptions(failed_to=target), ReportOptions(reports=(target,))):
            (note,) = noted(packed, accounting)
            assert note.startswith(f"{target} is {why}, and was not overwritten")
    assert (member.read_bytes(), link.is_symlink()) == (b"data", True)


def test_other_files_are_written_without_the_members(packed: Packed, tmp_path: Path) -> None:
    """A new one also beside them."""
    states, _, member = packed
    for plan in states.folder("k3").glob("archive-*"):
        plan.unlink()
    old, new = tmp_path / "data.html", member.with_name("new.html")
    old.write_bytes(b"old")
    for target in (old, new):
        assert noted(packed, ReportOptions(reports=(target,))) == [f"report: {target}"]
        assert target.read_bytes().startswith(b"<!doctype")


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file(pipe, b"new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666])
def test_a_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    target, new = tmp_path / "r.html", tmp_path / "new.html"
    target.write_bytes(b"old")
    target.chmod(mode)
    (tmp_path / "link.html").symlink_to(target)
    before = os.umask(0o022)
    try:
        for path in (target, new, tmp_path / "link.html"):
            write_file(path, b"new")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.lstat().st_mode) for path in (target, new, tmp_path / "link.html")]
    assert modes == [mode, 0o644, mode]
