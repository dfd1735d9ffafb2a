"""Error output: one line, the documented exit status, never a traceback."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Figup, Result
from tests.support.environment import plugged
from tests.support.invariants import check_exactly_once, items
from tests.support.sandbox import Sandbox

Start = Callable[..., Sandbox]
QUICK = ("--retry-timeout", "1s", "--settle-timeout", "1s")


def source(figup: Figup, name: str = "data.bin", size: int = 10_000) -> Path:
    path = figup.cwd / name
    path.write_bytes(os.urandom(size))
    return path


def point(figup: Figup, sandbox: Sandbox) -> None:
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}


def refused(result: Result, status: int, *words: str) -> str:
    """Return the only error line, which must contain all these words."""
    result.expect(status)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("figup: ")
    for word in words:
        assert word in line
    return line


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "unknown command 'nonsense'"),
        (["upload"], "no files given"),
        (["uplaod", "x"], "unknown command 'uplaod'; did you mean upload?"),
        (
            ["upload", "x", "--zzz"],
            "no such option '--zzz'. Put file names that begin with a dash after `--`.",
        ),
        (["upload", "-odd.txt"], "no such option '-o'. Put file names that begin with a dash after `--`."),
        (["upload", "x", "--jsno"], "no such option '--jsno'. Did you mean --json? See `figup upload --help`."),
        (["jobs", "-x"], "no such option '-x'. See `figup jobs --help`."),
        (["item", "shwo", "5"], "unknown command 'shwo'; did you mean show? See `figup item --help`."),
        (["upload", "x", "--item", "0"], "'0' is not an item"),
        (["upload", "x", "--item", "1", "--title", "abc"], "--item and --title are mutually exclusive"),
        (["upload", "x", "--title", " \n "], "a title has 3 to 1000 characters"),
        (["item", "create", "--title", "   "], "a title has 3 to 1000 characters"),
        (["item", "update", "5", "--title", "   "], "a title has 3 to 1000 characters"),
        (["project", "create", "   "], "a title has 3 to 1000 characters"),
        (["upload", "x", "--limit-rate", "fast"], "invalid rate 'fast'"),
        (["upload", "x", "--connections", "33"], "neither 'auto' nor a number from 1 to 32"),
        (["upload", "x", "--connections", "0"], "neither 'auto' nor a number from 1 to 32"),
        (["upload", "x", "--api-rate", "0"], "invalid number of requests per second"),
        (["upload", "x", "--grace", "soon"], "invalid duration 'soon'"),
        (["upload", "x", "--sandbox", "--endpoint", "http://localhost/v2"], "are mutually exclusive"),
        (["upload", "x", "--endpoint", "figshare.com"], "is not an http(s) address"),
        (["upload", "x", "--endpoint", "http://example.org/v2"], "would send the token in the clear"),
        (["upload", "https://example.org/x"], "is an address; to add it to the item as a link, use --link https://"),
        (
            ["upload", "x", "--limit-rate", "20"],
            "20 is 20 bytes per second; write 20M for megabytes, or 20B for bytes",
        ),
        (["upload", "x", "--limit-rate", "08:00,20M 19:00,40"], "40 is 40 bytes per second"),
        (
            ["verify", ".", "1234567"],
            "'.' is a file or folder; the item's number, address or DOI comes before any files",
        ),
        (["verify", "abc", "x"], "'abc' is not an item: use its number, the address of its page or its DOI"),
        (["upload", "x", "--item", "https://figshare.com/collections/A/123"], "is the address of a collection"),
        (["cancel"], "missing argument 'JOB'"),
        (["auth", "login", "t0ken-on-the-line"], "is not given on the command line"),
        (["upload", "x", "--token", "t0ken-on-the-line"], "not accepted on the command line"),
        (["demo", "--size", "1k"], "the demo needs at least 1Mi"),
    ],
)
def test_a_usage_error_is_one_line_and_status_2(bare_figup: Figup, words: list[str], said: str) -> None:
    bare_figup.env["FIGSHARE_TOKEN"] = "unused"
    done = bare_figup.run(*words)
    assert said in refused(done, 2)
    assert len(done.stderr.splitlines()) == 1
    assert "t0ken-on-the-line" not in done.stderr
    assert not bare_figup.state_dir.exists()


@pytest.mark.parametrize(
    "words", [["upload", "--json"], ["nonsense", "--json"], ["upload", "x", "--json", "--item", "z"]]
)
def test_a_usage_error_has_a_json_summary(bare_figup: Figup, words: list[str]) -> None:
    done = bare_figup.run(*words).expect(2)
    assert [event["event"] for event in done.events] == ["error", "summary"]
    assert done.events[0]["code"] == "usage"
    summary = done.summary
    assert (summary["job"], summary["item_id"], summary["files"], summary["exit_status"]) == (None, None, [], 2)


def test_no_command_shows_the_help(bare_figup: Figup) -> None:
    done = bare_figup.run().expect(2)
    assert done.stderr.startswith("Usage: figup")


# --- sources --------------------------------------------------------------------------------------------------------


def test_a_missing_file(figup: Figup, sandbox: Sandbox) -> None:
    refused(figup.run("upload", "nope.bin"), 4, f"{figup.cwd}/nope.bin", "no such file")
    refused(figup.run("upload", "1234567"), 4, "1234567: no such file. To send files to that item, use --item 1234567.")
    token = figup.env.pop("FIGSHARE_TOKEN")
    refused(figup.run("upload", "nope.bin"), 4, f"{figup.cwd}/nope.bin", "no such file")
    figup.env["FIGSHARE_TOKEN"] = token
    refused(figup.run("upload", "nope\n.bin"), 4, "nope\\n.bin")
    assert sandbox.requests() == []
    assert not (figup.state_dir / "jobs").exists() or not list((figup.state_dir / "jobs").iterdir())


def test_an_early_failure_promises_no_job(figup: Figup, sandbox: Sandbox) -> None:
    (figup.cwd / "data.bin").write_bytes(b"data")
    sandbox.kill()
    done = figup.run("upload", "data.bin", "--json", "--retry-timeout", "0").expect(75)
    assert done.summary["job"] is None
    assert done.events[-2]["hint"] == "Run the same command again."
    assert figup.run("jobs", "--json").expect(0).events[0]["event"] == "summary"


def test_a_dash_is_a_source_only_if_such_a_file_exists(figup: Figup) -> None:
    refused(figup.run("upload", "-"), 2, "file - not found", "`--from-file -` reads a list of paths")
    (figup.cwd / "-").write_text("data")
    figup.run("upload", "-", "--title", "Dash").expect(0)


def test_a_folder(figup: Figup) -> None:
    (figup.cwd / "folder").mkdir()
    refused(figup.run("upload", "folder"), 2, "/folder", "an empty folder")


def unreadable(path: Path) -> bool:
    try:
        path.open("rb").close()
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def test_an_unreadable_file_is_an_error(figup: Figup) -> None:
    mine = source(figup)
    mine.chmod(0)
    # Root can read a file without permissions, but not one that cannot be read at all.
    candidates = [path for path in (mine, Path("/proc/sys/vm/compact_memory")) if unreadable(path)]
    if not candidates:
        pytest.skip("this user may read everything")
    refused(figup.run("upload", candidates[0]), 4, str(candidates[0]), "cannot be read", "Permission denied")


def test_a_pipe(figup: Figup) -> None:
    os.mkfifo(figup.cwd / "pipe")
    refused(figup.run("upload", "pipe"), 2, "pipe", "not a regular file")


def test_a_failure_before_the_job_exists_has_its_summary(figup: Figup) -> None:
    done = figup.run("upload", "nope.bin", "--json").expect(4)
    error, summary = done.events
    assert (error["event"], error["code"], error["path"]) == ("error", "source-missing", f"{figup.cwd}/nope.bin")
    assert (summary["job"], summary["files"], summary["exit_status"]) == (None, [], 4)


# --- token ----------------------------------------------------------------------------------------------------------


def test_no_token(figup: Figup) -> None:
    del figup.env["FIGSHARE_TOKEN"]
    source(figup)
    refused(figup.run("upload", "data.bin"), 3, "no token", "FIGSHARE_TOKEN", "figup auth login")


@pytest.mark.parametrize("status", ["403", "401"])
def test_a_wrong_token(bare_figup: Figup, start_sandbox: Start, status: str) -> None:
    point(bare_figup, start_sandbox("--auth-status", status))
    bare_figup.env["FIGSHARE_TOKEN"] = "wr0ng"
    source(bare_figup)
    line = refused(bare_figup.run("upload", "data.bin"), 3, status, "figup auth login")
    assert "wr0ng" not in line
    assert bare_figup.run("jobs").expect(0).stdout == f"No jobs in {bare_figup.state_dir}.\n"


def test_a_token_file_that_others_can_read(figup: Figup) -> None:
    source(figup)
    token = figup.cwd / "token"
    token.write_text("t0ken\n")
    token.chmod(0o644)
    refused(figup.run("upload", "data.bin", "--token-file", "token"), 3, "other users can read", "chmod 600")
    token.chmod(0o600)
    figup.run("upload", "data.bin", "--token-file", "token").expect(0)
    refused(figup.run("upload", "data.bin", "--token-file", "nope"), 3, "does not exist")


# --- the other side -------------------------------------------------------------------------------------------------


def test_an_unknown_item(figup: Figup) -> None:
    source(figup)
    refused(figup.run("upload", "data.bin", "--item", "12345"), 4, "no item 12345")
    source(figup, "more.bin")
    several = figup.run("upload", "data.bin", "more.bin", "--item", "12345").expect(4)
    assert several.stdout == "", "nothing was begun that could be unfinished"


@pytest.mark.parametrize(
    ("switch", "words"),
    [
        (("--quota", "5k"), "this account has 5.00 kB"),
        (("--max-file-size", "5k"), "files of at most 5.00 kB (5000 bytes)"),
    ],
)
def test_limits_are_found_before_the_first_byte(
    bare_figup: Figup, start_sandbox: Start, switch: tuple[str, str], words: str
) -> None:
    sandbox = start_sandbox(*switch)
    point(bare_figup, sandbox)
    source(bare_figup)
    refused(bare_figup.run("upload", "data.bin"), 6, words)
    assert items(sandbox) == []
    assert sandbox.requests(kind="put-part") == []


def test_a_missing_remote_checksum_is_status_7(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--md5-delay", "6")
    point(bare_figup, sandbox)
    path = source(bare_figup)
    done = bare_figup.run("upload", "data.bin", "--verify-timeout", "0.5s", "--json").expect(7)
    assert done.events[-2]["code"] == "md5-pending"
    assert done.events[-2]["hint"].startswith(f"Later: figup verify {done.summary['item_id']} ")
    assert done.summary["files"][0]["status"] == "sent"
    assert bare_figup.run("verify", str(done.summary["item_id"]), "data.bin").expect(7).stdout.startswith(str(path))
    bare_figup.run("upload", "data.bin").expect(0)
    check_exactly_once(sandbox, path)


def test_nothing_listens_at_the_endpoint(bare_figup: Figup) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        bare_figup.env |= {
            "FIGSHARE_ENDPOINT": f"http://127.0.0.1:{taken.getsockname()[1]}/v2",
            "FIGSHARE_TOKEN": "t0ken",
        }
        source(bare_figup)
        done = bare_figup.run("upload", "data.bin", *QUICK)
    refused(done, 75, "127.0.0.1", "refused", "Run the same command again.")


class Html(http.server.BaseHTTPRequestHandler):
    """A captive portal."""

    def do_GET(self) -> None:
        body = b"<html><h1>Please log in</h1></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def portal() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Html) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v2"
        server.shutdown()
        thread.join()


def test_something_that_is_not_figshare(bare_figup: Figup, portal: str) -> None:
    bare_figup.env |= {"FIGSHARE_ENDPOINT": portal, "FIGSHARE_TOKEN": "t0ken"}
    source(bare_figup)
    refused(bare_figup.run("upload", "data.bin"), 2, "--endpoint", "api.figshare.com")


# --- the state directory --------------------------------------------------------------------------------------------


def test_a_state_directory_that_is_a_file(figup: Figup) -> None:
    source(figup)
    figup.state_dir.write_text("")
    refused(figup.run("upload", "data.bin"), 2, str(figup.state_dir), "--state-dir")


def test_a_state_directory_that_cannot_be_written(figup: Figup, sandbox: Sandbox) -> None:
    place = Path("/proc/sys/figup")
    if not place.parent.exists():
        pytest.skip("no folder here that even root cannot write to")
    source(figup)
    refused(figup.run("upload", "data.bin", "--state-dir", place), 2, str(place), "FIGUP_STATE_DIR")
    assert items(sandbox) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with almost no space."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or unmount is None:
        pytest.skip("only root can mount a disk that is full")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k,mode=700", "none", place], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run([unmount, "-l", place], check=True)


def test_a_job_stopped_by_a_full_disk_can_be_resumed(figup: Figup, sandbox: Sandbox, tiny_disk: Path) -> None:
    path = source(figup)
    filler = tiny_disk / "filler"
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(b"x" * 4096)
    refused(figup.run("upload", "data.bin", "--state-dir", tiny_disk), 75, "is full", "Free space on")
    filler.unlink()
    figup.run("upload", "data.bin", "--state-dir", tiny_disk).expect(0)
    check_exactly_once(sandbox, path)


def begun(figup: Figup) -> Path:
    """The journal of a job that was killed during its upload."""
    source(figup, size=1_000_000)
    run = figup.start("upload", "data.bin", "--json", "--limit-rate", "200k")
    job: str = run.wait_for_event("job")["job"]
    run.wait_for_event("file")
    run.kill()
    return figup.state_dir / "jobs" / job / "journal"


def test_a_damaged_journal_is_recovered_from_figshare(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB", "--lock-linger", "0.1")
    point(bare_figup, sandbox)
    journal = begun(bare_figup)
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4][:5] + b"\xff\x00" + lines[4][7:]
    journal.write_bytes(b"".join(lines))
    done = bare_figup.run("upload", "data.bin", *QUICK).expect(0)
    assert "damaged" in done.stderr
    check_exactly_once(sandbox, bare_figup.cwd / "data.bin")


def test_a_journal_with_foreign_content(bare_figup: Figup, start_sandbox: Start) -> None:
    point(bare_figup, start_sandbox("--part-size", "100KiB"))
    journal = begun(bare_figup)
    journal.write_bytes(b"\x00" * 1000)
    refused(bare_figup.run("resume", journal.parent.name), 2, "journal")
    listed = bare_figup.run("jobs").expect(0).stdout
    assert "damaged" in listed


def test_a_journal_of_a_newer_figup(bare_figup: Figup, start_sandbox: Start) -> None:
    from uploader.transfer.journal.log import Header, encode_line

    point(bare_figup, start_sandbox("--part-size", "100KiB"))
    journal = begun(bare_figup)
    header, _ = encode_line(Header(99), 0)
    journal.write_bytes(header + journal.read_bytes().split(b"\n", 1)[1])
    refused(bare_figup.run("upload", "data.bin"), 2, "format 99", "Update figup")


def test_two_processes_on_one_job(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB")
    point(bare_figup, sandbox)
    path = source(bare_figup, size=600_000)
    first = bare_figup.start("upload", "data.bin", "--json", "--limit-rate", "30k")
    first.wait_for_event("file")
    second = bare_figup.run("upload", "data.bin", "--json").expect(8)
    assert second.events[-2]["code"] == "job-busy"
    assert f"process {first.process.pid} on " in second.events[-2]["message"]
    job = first.wait_for_event("job")["job"]
    assert f"`figup status {job} --watch` follows it" in second.events[-2]["hint"]
    first.send_signal(signal.SIGUSR2)  # lifts the limit
    first.wait().expect(0)
    check_exactly_once(sandbox, path)


# --- our own mistakes -----------------------------------------------------------------------------------------------


def test_an_internal_error_is_one_line_and_its_traceback_is_in_the_log(bare_figup: Figup) -> None:
    broken = (
        "import uploader.transfer.client as c\n"
        "async def account(self, **_): raise KeyError('inside')\n"
        "c.Client.account = account\n"
    )
    bare_figup.env |= {"FIGSHARE_TOKEN": "t0ken", "PYTHONPATH": plugged(bare_figup.cwd / "broken", broken)}
    done = bare_figup.run("auth", "status", "--log-file", "log").expect(1)
    (line,) = done.stderr.splitlines()
    assert line.startswith("figup: internal error (KeyError). Please report it")
    assert "Traceback" in (bare_figup.cwd / "log").read_text()
    loud = bare_figup.run("auth", "status", "-vv").expect(1)
    assert "Traceback" in loud.stderr
