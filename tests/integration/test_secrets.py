"""The token goes to the API and nowhere else, and upload addresses stay secret, whatever happens.

The command is run with all output options, under a sixth of all pairs of request and fault. The fault matrix,
the crash points, the changing sources and the signals have the same canary for a token, and look for it, too.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.command import Figup, Result
from tests.support.control import add_faults, drop_faults
from tests.support.environment import plugged
from tests.support.hostile import SECRET, Asked, Hostile, answer, hostile
from tests.support.sandbox import Sandbox
from tests.support.secrets import TOKEN, UploadSecrets, check_silent, encodings

QUICK = ("--retry-timeout", "0.6s", "--settle-timeout", "0.5s", "--verify-timeout", "0.5s", "--stall-timeout", "0.5s")
LOUD = ("-vv", "--json", "--log-file", "figup.log")
AT_ONCE = "--md5-delay 0 --checking-delay 0 --success-delay 0 --moving-delay 0 --lock-linger 0"

REQUESTS = (
    "get-account", "create-item", "list-items", "get-item", "list-files", "initiate", "get-file", "get-upload",
    "put-part", "get-part", "complete", "delete-file",
)  # fmt: skip
LEADS_TO = {
    "list-items": "create-item=lost-answer",
    "list-files": "initiate=lost-answer",
    "get-part": "put-part=503",
    "delete-file": "complete=wrong-md5",
}
FAULTS = (
    "400", "403", "404", "409,body=empty", "422", "500,body=html", "503", "html", "waf-202", "waf-403",
    "redirect,to=http://127.0.0.1:1/v2", "redirect,to=https://example.org/v2,code=308", "reset", "reset-mid-body",
    "lost-answer", "cut-answer", "truncated-json", "invalid-json", "revoke-token", "hang-mid-answer,seconds=0.3",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that takes faults over HTTP and accepts the canary."""
    folder = tmp_path_factory.mktemp("shared")
    sandbox = Sandbox(folder / "sandbox", token=TOKEN, args=["--control", "--part-size", "4KiB", *AT_ONCE.split()])
    try:
        sandbox.start()
        yield sandbox
    finally:
        sandbox.stop()


@pytest.fixture(scope="module")
def shared_secrets(shared: Sandbox) -> UploadSecrets:
    return UploadSecrets(shared)


@pytest.fixture
def loud(bare_figup: Figup, shared: Sandbox) -> Figup:
    """The command with the canary as its token, before 10,000 bytes to send."""
    point(bare_figup, shared)
    return bare_figup


def point(figup: Figup, sandbox: Sandbox) -> None:
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": TOKEN}
    (figup.cwd / "data.bin").write_bytes(os.urandom(10_000))


def check(figup: Figup, *results: Result, secrets: Iterable[str] = (), but: tuple[Path, ...] = ()) -> None:
    """Neither token nor upload addresses show in outputs, nor anywhere below the home directory, state included."""
    assert any(path.name in ("journal", "figup.log") for path in figup.cwd.rglob("*")), "there is nothing to look at"
    texts = [text for result in results for text in (result.stdout, result.stderr)]
    check_silent(figup.cwd, texts, [TOKEN, *secrets], but=but)


def check_sent_home_only(sandbox: Sandbox) -> None:
    """Every request to the API has the token, none to the upload service has one."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()[:16]
    assert {request["token_sha256"] for request in sandbox.requests(service="api")} == {digest}
    assert sandbox.requests(service="upload", authorization=True) == []
    assert TOKEN not in sandbox.request_log_file.read_text("utf-8")


# --- every fault at every request -------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_kind", REQUESTS)
def test_the_token_is_never_shown_under_any_fault(tmp_path: Path, request_kind: str) -> None:
    """Each request gets its share of the faults, and each fault is used twice."""
    share = [f for number, f in enumerate(FAULTS) if number % 6 == REQUESTS.index(request_kind) % 6]
    sandbox = Sandbox(tmp_path / "sandbox", token=TOKEN, args=["--control", "--part-size", "4KiB", *AT_ONCE.split()])
    try:
        sandbox.start()
        secrets = UploadSecrets(sandbox)
        for fault in share:
            _suffer(tmp_path, sandbox, secrets, request_kind, fault)
        check_sent_home_only(sandbox)
    finally:
        sandbox.stop()


def _suffer(tmp_path: Path, sandbox: Sandbox, secrets: UploadSecrets, request: str, fault: str) -> None:
    home = tmp_path / re.sub(r"\W+", "-", fault)
    home.mkdir()
    figup = Figup(home)
    point(figup, sandbox)
    drop_faults(sandbox)
    add_faults(sandbox, *([LEADS_TO[request]] if request in LEADS_TO else []), f"{request}={fault}")
    try:
        done = figup.run("upload", "data.bin", *LOUD, *QUICK)
        assert done.returncode in (0, 1, 2, 3, 4, 7, 75), done
        assert done.events[-1]["event"] == "summary"
        check(figup, done, secrets=secrets.after())
    finally:
        figup.end()


# --- other ends -------------------------------------------------------------------------------------------------------


def test_no_secret_is_left_by_a_killed_run(loud: Figup, shared: Sandbox, shared_secrets: UploadSecrets) -> None:
    loud.fresh = True  # for its command line
    run = loud.start("upload", "data.bin", *LOUD, "--limit-rate", "4k")
    run.wait_for_event("file")
    loud.fresh = False
    words = Path(f"/proc/{run.process.pid}/cmdline")
    if words.exists():
        assert TOKEN.encode() not in words.read_bytes()
    run.kill()
    killed = run.wait()
    check(loud, killed, secrets=shared_secrets.after())
    done = loud.run("resume", *LOUD).expect(0)
    check(loud, killed, done, loud.run("jobs"), secrets=shared_secrets.after())
    assert shared_secrets.after()
    check_sent_home_only(shared)


@pytest.mark.parametrize("damage", ["journal", "source"])
def test_a_bad_journal_and_a_changed_source(
    loud: Figup, shared: Sandbox, shared_secrets: UploadSecrets, damage: str
) -> None:
    run = loud.start("upload", "data.bin", *LOUD, "--limit-rate", "4k")
    job = run.wait_for_event("job")["job"]
    run.wait_for_event("file")
    run.kill()
    journal = loud.state_dir / "jobs" / job / "journal"
    if damage == "journal":
        text = journal.read_bytes()
        journal.write_bytes(text[:200] + b"\xff" + text[201:])
    else:
        (loud.cwd / "data.bin").write_bytes(os.urandom(9_000))
    done = loud.run("upload", "data.bin", *LOUD, *QUICK)
    assert done.returncode == (0 if damage == "journal" else 5), done
    check(loud, done, secrets=shared_secrets.after())


@pytest.mark.parametrize(
    "broken",
    [
        "uploader.figshare.part_upload:raise_for_response",
        "uploader.figshare.middleware:classify",
        "uploader.figshare.transport:read_response",
        "uploader.figshare.urls:check_upload_url",
        "uploader.transfer.journal.log:encode_line",
    ],
)
def test_an_internal_error_shows_no_secret(
    loud: Figup, shared: Sandbox, shared_secrets: UploadSecrets, broken: str
) -> None:
    """The bug is where token and upload address are in scope; -vv and --log-file then show a traceback."""
    module, name = broken.split(":")
    mistake = f"import {module} as m\ndef broken(*a, **k): raise RuntimeError('a mistake')\nm.{name} = broken\n"
    loud.env["PYTHONPATH"] = plugged(loud.cwd / "plug", mistake)
    done = loud.run("upload", "data.bin", *LOUD, *QUICK).expect(1)
    assert "Traceback" in done.stderr
    assert "Traceback" in (loud.cwd / "figup.log").read_text()
    assert "internal error (RuntimeError)" in done.stderr
    check(loud, done, secrets=shared_secrets.after())


def test_a_redirect_gets_no_credentials(bare_figup: Figup) -> None:
    """Two servers: the one that a response points to gets no token."""
    with hostile() as first, hostile() as second:
        bare_figup.env |= {"FIGSHARE_ENDPOINT": first.url, "FIGSHARE_TOKEN": TOKEN}
        (bare_figup.cwd / "data.bin").write_bytes(b"x" * 100)
        for kind in ("account", "create", "item", "initiate", "file", "upload", "put", "complete"):
            location = f"http://127.0.0.1:{second.port}/v2/account?token={TOKEN}"
            first.answers = {kind: lambda _, to=location: answer(307, b"", Location=to)}  # type: ignore[misc]
            done = bare_figup.run("upload", "data.bin", "--new-job", *LOUD, *QUICK)
            assert done.returncode in (1, 2, 75), done
            check(bare_figup, done, secrets=(SECRET,))
        assert second.asked == []
        assert {("authorization" in asked.headers) for asked in first.asked if asked.path.startswith("/v2")} == {True}
        assert not any("authorization" in asked.headers for asked in first.asked if asked.path.startswith("/upload"))


def test_secrets_echoed_by_a_server_are_redacted(bare_figup: Figup) -> None:
    """Server messages are shown, so a server could put the token into a log; it is redacted."""
    with hostile() as server:
        bare_figup.env |= {"FIGSHARE_ENDPOINT": server.url, "FIGSHARE_TOKEN": TOKEN}
        (bare_figup.cwd / "data.bin").write_bytes(b"x" * 100)
        words = {"message": f"bad token {TOKEN} for {server.upload_url}", "code": TOKEN}
        for status in (403, 422, 500):
            server.answers = {"initiate": lambda _, status=status: answer(status, words)}  # type: ignore[misc]
            done = bare_figup.run("upload", "data.bin", "--new-job", *LOUD, *QUICK)
            assert "bad token ... for http://127.0.0.1" in done.stderr
            check(bare_figup, done, secrets=(SECRET,))


EARLY = " ".join(encodings(TOKEN).values())
"""The token in every known encoding."""
ECHO = " ".join([EARLY, *encodings(SECRET).values()])
"""Also the secret of the upload address, for answers that come after it."""
TELLING: dict[str, dict[str, Callable[[Hostile], bytes]]] = {
    "messages": {"initiate": lambda _: answer(422, {"message": EARLY})},
    "codes": {"initiate": lambda _: answer(400, {"error": {"x": EARLY}, "code": EARLY})},
    "an answer that may pass": {"file": lambda _: answer(500, {"error_description": EARLY})},
    "reasons and headers": {
        "file": lambda _: f"HTTP/1.1 409 {EARLY}\r\nX-{TOKEN}: {EARLY}\r\nContent-Length: 0\r\n\r\n".encode()
    },
    "no HTTP": {"file": lambda _: f"{EARLY}\r\n\r\n".encode()},
    "a title and an address": {
        "item": lambda s: answer(200, {"id": 11, "title": EARLY, "figshare_url": f"{s.url}/{EARLY.replace(' ', '/')}"})
    },
    "names": {"files": lambda s: answer(200, [s.file(id=5, name=EARLY, status=EARLY, computed_md5=EARLY)])},
    "an MD5": {"file": lambda s: answer(200, s.file(computed_md5=ECHO if s.complete else ""))},
    "a file": {"file": lambda s: answer(200, s.file(name=EARLY, status=EARLY, supplied_md5=EARLY))},
    "an id": {"create": lambda _: answer(201, {"location": EARLY, "entity_id": EARLY})},
    "a redirect": {"file": lambda _: answer(307, Location=f"https://{TOKEN.upper()}.org/{TOKEN}?x={TOKEN}")},
    "a redirect of a part": {"put": lambda _: answer(307, Location=f"https://{SECRET}.org/{SECRET}")},
    "a part": {"put": lambda _: answer(422, {"message": ECHO})},
    "an upload": {"upload": lambda _: answer(403, {"message": ECHO})},
    "parts": {"upload": lambda s: answer(200, s.upload(status=ECHO, token=ECHO, name=ECHO))},
    "an account": {
        "account": lambda _: answer(200, {"id": 1, "email": EARLY, "first_name": EARLY, "last_name": EARLY})
    },
}


@pytest.mark.parametrize("place", TELLING)
def test_no_encoding_of_an_echoed_secret_is_shown_or_stored(bare_figup: Figup, place: str) -> None:
    with hostile() as server:
        bare_figup.env |= {"FIGSHARE_ENDPOINT": server.url, "FIGSHARE_TOKEN": TOKEN}
        (bare_figup.cwd / "data.bin").write_bytes(b"x" * 100)
        server.answers = {kind: lambda _, say=say: say(server) for kind, say in TELLING[place].items()}  # type: ignore[misc]
        reports = ("--report", "r.html", "--report", "r.json", "--failed-to", "failed")
        done = [bare_figup.run("upload", "data.bin", *LOUD, *QUICK, *reports)]
        if place in ("a title and an address", "names"):
            done.append(bare_figup.run("upload", "data.bin", "--item", "11", "--new-job", *LOUD, *QUICK))
        done += [
            bare_figup.run(*words) for words in (("status",), ("jobs",), ("auth", "status"), ("item", "show", "11"))
        ]
        assert all("internal error" not in one.stderr for one in done)
        check(bare_figup, *done, secrets=(SECRET,))


def test_proxy_credentials_are_never_shown(bare_figup: Figup) -> None:
    """The proxy echoes them, in the header as received and decoded."""
    user, password = "jo-proxy", "hunter2-c4nary"
    with hostile() as proxy:

        def say(asked: Asked) -> bytes:
            return answer(422, {"message": f"{asked.headers.get('proxy-authorization')} {' '.join(forms)}"})

        forms = [*encodings(password).values(), *encodings(f"{user}:{password}").values()]
        proxy.answers = dict.fromkeys(["other", "account", "create"], say)
        bare_figup.env |= {
            "FIGSHARE_ENDPOINT": "http://figshare.example/v2",
            "FIGSHARE_TOKEN": TOKEN,
            "HTTP_PROXY": f"http://{user}:{quote(password)}@127.0.0.1:{proxy.port}",
            "NO_PROXY": "",
        }
        (bare_figup.cwd / "data.bin").write_bytes(b"x" * 100)
        done = bare_figup.run("upload", "data.bin", *LOUD, *QUICK, "--insecure-http")
        assert proxy.asked
        assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")
        check(bare_figup, done, secrets=(password,))


# --- files ------------------------------------------------------------------------------------------------------------


def test_stored_files_are_private_whatever_the_umask(loud: Figup, shared: Sandbox) -> None:
    before = os.umask(0)
    try:
        loud.env["XDG_CONFIG_HOME"] = str(loud.cwd / "config")
        loud.run("auth", "login", input=f"{TOKEN}\n").expect(0)
        run = loud.start("upload", "data.bin", *LOUD, "--limit-rate", "4k")
        run.wait_for_event("file")
        kept = [loud.state_dir, *loud.state_dir.rglob("*"), loud.cwd / "figup.log"]
        kept += [loud.cwd / "config" / "figup", *(loud.cwd / "config" / "figup").iterdir()]
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in kept if path.exists()}
        run.kill()
    finally:
        os.umask(before)
    assert {"journal", "lock", "lease-1", "tokens.json", "figup.log"} <= {path.name for path in modes}
    assert {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_an_exposed_token_file_is_rejected_with_the_command_to_fix_it(loud: Figup) -> None:
    folder = loud.cwd / "my tokens; rm x"
    folder.mkdir()
    token = folder / "t"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o640)
    done = loud.run("auth", "status", "--token-file", token, *LOUD).expect(3)
    command = re.search(r"`(chmod .*?)`", done.events[0]["hint"])
    assert command is not None
    assert os.system(command[1]) == 0  # noqa: S605 - it is what a person would paste into a shell
    loud.run("auth", "status", "--token-file", token, *LOUD).expect(0)
    check(loud, done, but=(token,))
