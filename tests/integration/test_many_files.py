"""Many files in one job: the number of requests, and the effect of one failing file on the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.command import COMMAND, Figup
from tests.support.control import drop_faults
from tests.support.invariants import check_exactly_once, files, items
from tests.support.processes import Process
from tests.support.sandbox import Sandbox
from tests.support.waiting import until

Start = Callable[..., Sandbox]


def sources(figup: Figup, count: int, size: int = 2000) -> list[str]:
    names = [f"f{number:04}.bin" for number in range(count)]
    for name in names:
        (figup.cwd / name).write_bytes(os.urandom(size))
    return names


def point(figup: Figup, sandbox: Sandbox) -> None:
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}


@pytest.mark.parametrize("more", [(), ("--hidden-for", "0.5"), ("--md5-delay", "3")])
def test_many_files_take_two_requests_each_and_few_more(
    bare_figup: Figup, start_sandbox: Start, more: tuple[str, ...]
) -> None:
    sandbox = start_sandbox(*more)
    point(bare_figup, sandbox)
    names = sources(bare_figup, 120)
    done = bare_figup.run("upload", *names, "--title", "many", "--api-rate", "200", "--json").expect(0)
    asked = sum(request["service"] == "api" for request in sandbox.requests())
    assert [file["status"] for file in done.summary["files"]] == ["verified"] * 120
    check_exactly_once(sandbox, *(bare_figup.cwd / name for name in names))
    assert asked <= 2.1 * 120 + 20


def test_a_killed_job_of_many_files_resumes_with_one_listing(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox()
    point(bare_figup, sandbox)
    names = sources(bare_figup, 120)
    command = ("upload", *names, "--title", "many", "--api-rate", "500", "--settle-timeout", "2")

    def kill_after(count: int) -> None:
        running = bare_figup.start(*command)
        until(lambda: len(sandbox.requests()) >= count)
        running.kill()

    for count in (40, 150, 260):
        kill_after(count)
    bare_figup.run(*command).expect(0)
    check_exactly_once(sandbox, *(bare_figup.cwd / name for name in names))


def test_a_failed_file_is_retried_at_the_end(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--fault", "initiate:2=400")
    point(bare_figup, sandbox)
    names = sources(bare_figup, 5)
    done = bare_figup.run("upload", *names, "--title", "many").expect(0)
    assert "trying 1 failed file again" in done.stderr
    check_exactly_once(sandbox, *(bare_figup.cwd / name for name in names))


def test_a_repeatedly_failing_file_does_not_stop_the_others(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox()
    point(bare_figup, sandbox)
    names = sources(bare_figup, 6)
    (bare_figup.cwd / "empty.bin").write_bytes(b"")
    done = bare_figup.run("upload", *names, "empty.bin", "--title", "many", "--json").expect(1)
    assert [f["status"] for f in done.summary["files"]] == ["verified"] * 6 + ["failed"]
    (item,) = items(sandbox)
    assert len(files(sandbox, item["id"])) == 6
    assert "again" not in "".join(e["message"] for e in done.events if e["event"] == "warning"), "it cannot pass"
    (error,) = [e for e in done.events if e["event"] == "error" and e["path"]]
    assert "Add content or leave the file out with --exclude, then run the same command again." in error["hint"]
    alone = bare_figup.run("upload", "empty.bin").expect(1)
    assert "Add content, then run the same command again." in alone.stderr
    bare_figup.run("upload", *names, "empty.bin", "--title", "many", "--exclude", "empty.bin").expect(0)


@pytest.mark.parametrize(("status", "again"), [(400, True), (422, False)])
def test_a_permanent_error_is_not_retried(status: int, again: bool, bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--fault", f"initiate:every={status}")
    point(bare_figup, sandbox)
    names = sources(bare_figup, 2)
    done = bare_figup.run("upload", *names, "--title", "many", "--api-rate", "1000").expect(1)
    # A 422 may mean that an MD5 is required: it is sent once more with one, by files in progress until that is known.
    assert len(sandbox.requests(kind="initiate")) in ((4,) if again else (3, 4))
    assert ("trying 2 failed files again" in done.stderr) == again
    assert "Fix what Figshare reports, or leave the file out with --exclude; then run" in done.stderr


@pytest.mark.parametrize(
    ("most", "rate"), [(0, "1000"), (3, "10"), pytest.param(3, "1000", marks=pytest.mark.exhaustive)]
)
def test_max_errors_is_respected(bare_figup: Figup, start_sandbox: Start, most: int, rate: str) -> None:
    # With a great rate all are under way when the limit is reached, and about to fail, too.
    sandbox = start_sandbox("--control", "--latency", "0.2", "--fault", "initiate:1..=400")
    point(bare_figup, sandbox)
    names = sources(bare_figup, 30)
    command = ("upload", *names, "--title", "many", "--max-errors", str(most), "--api-rate", rate)
    done = bare_figup.run(*command, "--json").expect(1)
    assert f"failed, more than the {most} allowed; not started: {29 - most}" in done.stderr
    assert Counter(f["status"] for f in done.summary["files"]) == {"failed": most + 1, "unfinished": 29 - most}
    assert sum(f["error"] is not None for f in done.summary["files"]) == most + 1
    assert len([e for e in done.events if e["event"] == "error" and e["code"] == "refused"]) == most + 1
    assert rate == "1000" or len(sandbox.requests(kind="initiate")) < 30
    drop_faults(sandbox)
    bare_figup.run(*command).expect(0)
    check_exactly_once(sandbox, *(bare_figup.cwd / name for name in names))


def test_files_in_progress_stop_gracefully_when_too_many_failed(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "1MB", "--connection-rate", "1MB")
    point(bare_figup, sandbox)
    big, small = bare_figup.cwd / "big.bin", bare_figup.cwd / "small.bin"
    big.write_bytes(os.urandom(20_000_000))
    small.write_bytes(os.urandom(1_000_000))  # its part takes a second, in which the other file's parts start
    manifest = bare_figup.cwd / "set.csv"
    manifest.write_text(f"path,md5\nbig.bin,\nsmall.bin,{'0' * 32}\n")
    command = ("upload", "--manifest", "set.csv", "--max-errors", "0", "--connections", "4", "--api-rate", "1000")
    done = bare_figup.run(*command, "--json").expect(1)
    assert "allowed; in progress, resumable: 1" in done.stderr
    reported = {f["name"]: f for f in done.summary["files"]}
    assert reported["small.bin"]["error"]["code"] == "checksum-wrong"
    assert (reported["big.bin"]["status"], reported["big.bin"]["error"]) == ("unfinished", None)
    # Parts in flight arrived, and none was started afterwards.
    put = sandbox.requests(kind="put-part")
    assert {request["status"] for request in put} == {200}
    assert 0 < reported["big.bin"]["parts_sent"] == len(put) - 1 < 18
    manifest.write_text("path,md5\nbig.bin,\nsmall.bin,\n")
    sandbox.restart("--part-size", "1MB")
    bare_figup.run(*command).expect(0)
    check_exactly_once(sandbox, big, small)


@pytest.mark.parametrize("fault", ["503,retry-after=0", "reset", "html", "truncated-json"])
def test_a_failed_listing_is_retried(bare_figup: Figup, start_sandbox: Start, fault: str) -> None:
    sandbox = start_sandbox("--fault", f"list-files:1..2={fault}")
    point(bare_figup, sandbox)
    names = sources(bare_figup, 30)
    bare_figup.run("upload", *names, "--title", "many", "--api-rate", "500").expect(0)
    assert any(request["fault"] for request in sandbox.requests(kind="list-files"))
    check_exactly_once(sandbox, *(bare_figup.cwd / name for name in names))


def test_repeatedly_failing_listings_end_the_run_resumably(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--fault", "list-files:1..=503")
    point(bare_figup, sandbox)
    names = sources(bare_figup, 30)
    command = ("upload", *names, "--title", "many", "--api-rate", "500")
    bare_figup.run(*command, "--retry-timeout", "1").expect(75)
    sandbox.restart("--idle-timeout", "60")
    bare_figup.run(*command).expect(0)
    check_exactly_once(sandbox, *(bare_figup.cwd / name for name in names))


def test_all_too_large_files_are_named_before_the_first_byte(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--max-file-size", "1kB")
    point(bare_figup, sandbox)
    names = sources(bare_figup, 3)
    (bare_figup.cwd / names[1]).write_bytes(b"small")
    done = bare_figup.run("upload", *names, "--title", "many").expect(6)
    assert f"{names[0]}: has 2.00 kB (2000 bytes); " in done.stderr
    assert f"{names[2]}: has 2.00 kB (2000 bytes); this account takes files of at most 1.00 kB" in done.stderr
    assert names[1] not in done.stderr
    assert items(sandbox) == []
    sandbox.restart("--max-file-size", "1kB", "--quota", "3kB")
    done = bare_figup.run("upload", *names, "--title", "many").expect(6)
    assert "at most 1.00 kB (1000 bytes); and the upload needs 4.00 kB (4005 bytes); this account has" in done.stderr
    assert "Leave out larger files with --exclude" in done.stderr
    assert "Free some space" in done.stderr
    assert len(done.stderr.splitlines()) == 2, "the job, and all that is too much"
    dry = bare_figup.run("upload", *names, "--title", "many", "--dry-run").expect(6)
    assert f"over this account's maximum file size of 1.00 kB: {bare_figup.cwd}/{names[0]}: has 2.00 kB" in dry.stdout


def test_more_files_than_an_item_of_a_free_account_holds(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--fault", "initiate:3..=400")
    point(bare_figup, sandbox)
    names = sources(bare_figup, 2)
    fast = ("--title", "many", "--api-rate", "1000", "--max-errors", "0")
    item = bare_figup.run("upload", *names, *fast, "--json").expect(0).summary["item_id"]
    (bare_figup.cwd / "set").mkdir()
    for number in range(499):
        (bare_figup.cwd / "set" / str(number)).write_bytes(b"x")
    words = ("upload", "set", "--item", str(item), *fast[2:])
    warning = "the item would hold 501 files; Figshare's free accounts allow 500 in one item"
    dry = bare_figup.run(*words, "--dry-run", "--json").expect(0)
    assert warning in next(e for e in dry.events if e["event"] == "warning")["message"]
    assert next(e for e in dry.events if e["event"] == "plan")["item_files"] == 501
    assert warning in bare_figup.run(*words).expect(1).stderr
    (bare_figup.cwd / "set" / "0").unlink()
    assert bare_figup.run(*words, "--new-job", "--dry-run").expect(0).stderr == ""


def test_few_descriptors_are_enough_whatever_the_rate(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox()
    point(bare_figup, sandbox)
    names = sources(bare_figup, 80)
    script = 'ulimit -n 36; exec "$@" --title many --api-rate 1000 --connections 32'
    process = Process(["sh", "-c", script, "sh", *COMMAND, "upload", *names], env=bare_figup.env, cwd=bare_figup.cwd)
    try:
        assert process.wait(60) == 0, process.stderr.text
    finally:
        process.end()
    assert "connection" not in process.stderr.text
    check_exactly_once(sandbox, *(bare_figup.cwd / name for name in names))
