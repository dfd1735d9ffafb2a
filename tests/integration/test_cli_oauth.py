"""`figup auth login --oauth2`: consent in a browser, refreshing in the middle of work, logging out."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import consent
from tests.support.command import COMMAND, Figup, Result
from tests.support.consent import decide
from tests.support.sandbox import Sandbox
from tests.support.sandbox_api import sandbox_api
from tests.support.secrets import check_silent
from uploader import Client, Options
from uploader.concurrency import in_thread
from uploader.figshare import auth
from uploader.figshare.grants import OAuth2Grant

SECRET = "the-application-s3cret"
LOUD = ("-vv", "--log-file", "figup.log")
PASTED = "https://localhost:8765/"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("provider") / "s", token=SECRET, args=["--control", "--rotate-refresh"])
    try:
        sandbox.start()
        yield sandbox
    finally:
        sandbox.stop()


@pytest.fixture
def person(bare_figup: Figup, provider: Sandbox) -> Figup:
    """The command before the provider, with the application's secret in a file, and no token."""
    bare_figup.env["FIGSHARE_ENDPOINT"] = provider.url
    (bare_figup.cwd / "secret").touch(0o600)
    (bare_figup.cwd / "secret").write_text(f"{SECRET}\n")
    return bare_figup


def store(figup: Figup) -> Path:
    return figup.cwd / ".config" / "figup" / "tokens.json"


def grant_in(figup: Figup) -> dict[str, Any]:
    [text] = json.loads(store(figup).read_text())["tokens"].values()
    grant: dict[str, Any] = json.loads(text)
    return grant


def free_redirect() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/back"


def login(figup: Figup, *more: str, decision: str = "allow") -> Result:
    figup.env["BROWSER"] = f"{sys.executable} {consent.__file__} {decision} %s &"
    words = ("--client-id", "sandbox", "--client-secret-file", "secret", "--redirect", free_redirect())
    return figup.run("auth", "login", "--oauth2", *words, *more)


def paste(figup: Figup, *more: str, answer: str | None = None) -> Result:
    """Sign in by pasting what a browser elsewhere was sent to, or this answer."""
    words = ("--client-id", "sandbox", "--client-secret-file", "secret", "--redirect", PASTED)
    args = ("auth", "login", "--oauth2", "--paste", *words, *more)
    with subprocess.Popen(
        [*COMMAND, *args], env=figup.env, cwd=figup.cwd, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        shown = [process.stderr.readline(), process.stderr.readline()]
        assert "/account/applications/authorize" in shown[1], shown
        typed = answer if answer is not None else decide(shown[1].strip())[1]
        out, err = process.communicate(f"{typed}\n", timeout=60)
    return Result(args, process.returncode, out, "".join(shown) + err)


def test_signing_in_by_callback_status_and_logout(person: Figup, provider: Sandbox) -> None:
    done = login(person, *LOUD).expect(0)
    assert re.fullmatch(
        rf"Logged in at {provider.url} as Sandbox Owner <owner@sandbox.invalid>. The sign-in is in the file .*\n",
        done.stdout,
    )
    grant = grant_in(person)
    assert store(person).stat().st_mode & 0o077 == 0
    status = person.run("auth", "status").expect(0)
    assert "OAuth 2 sign-in of Sandbox Owner <owner@sandbox.invalid> through the application sandbox" in status.stdout
    assert "UTC, and then refreshed." in status.stdout
    [token] = [one for one in person.run("auth", "status", "--json").expect(0).events if one["event"] == "token"]
    assert (token["kind"], token["application"]) == ("oauth2", "sandbox")
    assert datetime.fromisoformat(token["until"]) > datetime.now(UTC)
    secrets = [SECRET, grant["access_token"], grant["refresh_token"]]
    check_silent(
        person.cwd, [done.stdout, done.stderr, status.stdout], secrets, but=(store(person), person.cwd / "secret")
    )
    person.run("auth", "logout").expect(0)
    assert json.loads(store(person).read_text())["tokens"] == {}
    person.run("auth", "status").expect(3)


def test_signing_in_by_pasting(person: Figup) -> None:
    done = paste(person).expect(0)
    assert "Logged in" in done.stdout
    assert grant_in(person)["client_id"] == "sandbox"


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ("https://example.org/?code=x&state=y", 2, "this is not the address that the browser was sent to"),
        (f"{PASTED}?code=x&state=y", 3, "does not belong to this sign-in: its state differs"),
        ("", 2, "this is not the address that the browser was sent to"),
    ],
)
def test_a_wrong_address_is_not_accepted(person: Figup, answer: str, status: int, words: str) -> None:
    done = paste(person, answer=answer).expect(status)
    assert words in done.stderr
    assert not store(person).exists()


def test_what_ends_a_sign_in(person: Figup) -> None:
    refused = login(person, decision="refuse").expect(3)
    assert "the owner of the account refused consent" in refused.stderr
    unknown = login(person, "--client-id", "another").expect(3)
    assert "refuses the application 'another'" in unknown.stderr
    assert "Unknown application: client_id" in unknown.stderr
    assert "Compare --client-id and --redirect" in unknown.stderr
    (person.cwd / "secret").write_text("wr0ng-s3cret\n")
    wrong = login(person).expect(3)
    assert "invalid_client: Unknown client or wrong secret" in wrong.stderr
    assert "wr0ng" not in wrong.stderr
    (person.cwd / "secret").chmod(0o644)
    assert "other users can read the secret file" in login(person).expect(2).stderr
    assert "needs --client-id" in person.run("auth", "login", "--oauth2").expect(2).stderr
    assert "--paste needs --oauth2" in person.run("auth", "login", "--paste").expect(2).stderr
    words = ("--client-id", "x", "--client-secret-file", "secret", "--redirect", "http://example.org/")
    assert "in the clear" in person.run("auth", "login", "--oauth2", *words).expect(2).stderr
    assert not store(person).exists()


def test_a_sign_in_that_could_not_be_stored_is_not_begun(person: Figup, provider: Sandbox) -> None:
    (person.cwd / "file").touch()
    person.env["XDG_CONFIG_HOME"] = str(person.cwd / "file")
    before = len(provider.requests())
    done = login(person).expect(2)
    assert "tokens cannot be stored" in done.stderr
    assert "XDG_CONFIG_HOME" in done.stderr
    assert "--state-dir" not in done.stderr
    assert len(provider.requests()) == before


def test_a_port_in_use_is_named(person: Figup) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        done = login(person, "--redirect", address).expect(2)
    assert f"cannot listen at {address}: address already in use" in done.stderr
    assert "--paste" in done.stderr


def test_ctrl_c_while_waiting_for_the_browser(person: Figup) -> None:
    words = ("--client-id", "sandbox", "--client-secret-file", "secret", "--redirect", free_redirect())
    run = person.start("auth", "login", "--oauth2", *words)
    assert run.process.stderr.wait_for(lambda line: "/account/applications/authorize" in line, 20)
    run.send_signal(signal.SIGINT)
    assert run.wait().returncode == 130
    assert not store(person).exists()


def expire(figup: Figup, **changes: Any) -> None:
    """Let the stored sign-in be over."""
    tokens = json.loads(store(figup).read_text())
    [(endpoint, text)] = tokens["tokens"].items()
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    tokens["tokens"][endpoint] = json.dumps({**json.loads(text), "until": past, **changes})
    store(figup).write_text(json.dumps(tokens))


def test_two_processes_refresh_once(person: Figup, provider: Sandbox) -> None:
    """The refresh token is replaced, so a second refresh with the old one would be refused."""
    paste(person).expect(0)
    before = len(provider.requests(kind="create-token"))
    expire(person)
    for run in [person.start("auth", "status") for _ in range(3)]:
        assert run.wait().returncode == 0, run.process.stderr.text
    assert len(provider.requests(kind="create-token")) == before + 1


def test_a_job_script_refreshes_or_says_what_to_do(person: Figup, provider: Sandbox) -> None:
    (person.cwd / "a.bin").write_bytes(b"content")
    paste(person).expect(0)
    before = len(provider.requests(kind="create-token"))
    expire(person)
    person.run("upload", "a.bin").expect(0)
    assert len(provider.requests(kind="create-token")) == before + 1
    expire(person, access_token="expired-t0ken", refresh_token="")
    ended = person.run("upload", "a.bin", "--new-job", input="").expect(3)
    assert "the sign-in has expired, and cannot be refreshed" in ended.stderr
    assert "figup auth login --oauth2 --client-id ID" in ended.stderr
    expire(person, refresh_token="revoked-refresh-t0ken")
    assert "invalid_grant" in person.run("upload", "a.bin", "--new-job", input="").expect(3).stderr
    expire(person, refreshing=True)
    assert "was lost" in person.run("auth", "status").expect(3).stderr


# --- the first API ----------------------------------------------------------------------------------------------------

FIRST = ("--oauth1", "--client-id", "sandbox", "--client-secret-file", "secret")


def type_pin(figup: Figup, pin: str | None = None) -> Result:
    """Sign in with the PIN that the page shows, or with this one."""
    args = ("auth", "login", *FIRST, "--pin", *LOUD)
    with subprocess.Popen(
        [*COMMAND, *args], env=figup.env, cwd=figup.cwd, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        shown = ""
        while "/v1/pbl/oauth/authorize" not in shown or shown[-1] != "\n" or "figup: open" in shown.splitlines()[-1]:
            line = process.stderr.readline()
            assert line, shown
            shown += line
        page = re.search(r"^http\S+/authorize\S+$", shown, re.MULTILINE)
        assert page is not None
        found = re.search(r'id="pin">(\d+)<', decide(page[0])[0])
        assert found is not None
        out, err = process.communicate(f"{pin or found[1]}\n", timeout=60)
    return Result(args, process.returncode, out, shown + err)


def test_the_first_api_by_callback(person: Figup, provider: Sandbox) -> None:
    person.env["BROWSER"] = f"{sys.executable} {consent.__file__} allow %s &"
    done = person.run("auth", "login", *FIRST, "--redirect", free_redirect()).expect(0)
    assert f"Logged in at {provider.url[:-2]}v1 as account" in done.stdout
    grant = grant_in(person)
    for title in ("Beavers", "Otters"):
        made = person.run("item", "create", "--title", title, "--token-file", "secret").expect(0)
    listed = person.run("v1", "list").expect(0)
    assert made.stdout.split()[0] in listed.stdout
    assert "nothing found" in person.run("v1", "search", "nothing such", "--since", "2020-01-01").expect(0).stderr
    status = person.run("auth", "status").expect(0)
    assert "OAuth 1 sign-in at the first API" in status.stdout
    secrets = [SECRET, grant["token"], grant["token_secret"]]
    texts = [one for run in (done, listed, status) for one in (run.stdout, run.stderr)]
    check_silent(person.cwd, texts, secrets, but=(store(person), person.cwd / "secret"))
    person.env["BROWSER"] = f"{sys.executable} {consent.__file__} refuse %s &"
    refused = person.run("auth", "login", *FIRST, "--redirect", free_redirect()).expect(3)
    assert "the owner of the account refused consent" in refused.stderr
    person.run("auth", "logout").expect(0)
    assert json.loads(store(person).read_text())["tokens"] == {}
    assert "no OAuth 1 sign-in" in person.run("v1", "list").expect(3).stderr


def test_the_first_api_by_pin(person: Figup) -> None:
    wrong = type_pin(person, "0000000").expect(3)
    assert "Wrong or used verifier" in wrong.stderr
    assert not store(person).exists()
    type_pin(person).expect(0)
    assert grant_in(person)["type"] == "oauth1"
    assert "--pin needs --oauth1" in person.run("auth", "login", "--pin").expect(2).stderr
    words = ("auth", "login", "--oauth1", "--client-id", "another", "--client-secret-file", "secret", "--pin")
    assert "Unknown consumer or token" in person.run(*words).expect(3).stderr


def test_more_own_items_than_the_first_api_shows(person: Figup) -> None:
    type_pin(person).expect(0)
    for number in range(11):
        person.run("item", "create", "--title", f"Item {number}", "--token-file", "secret").expect(0)
    listed = person.run("v1", "list").expect(1)
    assert len(listed.stdout.splitlines()) == 10
    assert "the first API shows 10 of" in listed.stderr
    assert "figup item list" in listed.stderr


# --- in the middle of work --------------------------------------------------------------------------------------------


async def test_an_upload_continues_when_its_token_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's clock jumps beyond the token's end between two parts; one refresh is enough."""
    folder = tmp_path / "config"
    monkeypatch.setattr("uploader.transfer.client.default_config_dir", lambda: folder)
    monkeypatch.setattr(auth, "_keyring", lambda: None)
    monkeypatch.delenv("FIGSHARE_TOKEN", raising=False)
    (tmp_path / "a.bin").write_bytes(os.urandom(64))
    async with sandbox_api(tmp_path / "s", rotate_refresh=True) as api:
        grants = api.at.context.grants
        grant = OAuth2Grant(
            client_id="sandbox", client_secret=api.at.context.settings.token, access_token=grants.access_token(),
            refresh_token=grants.refresh_token(),
        )  # fmt: skip
        await in_thread(lambda: auth.store_text(grant.dump(), endpoint=api.at.url, config_dir=folder))

        def jump(event: object) -> None:
            if type(event).__name__ == "FileStarted":
                api.clock.ahead = 7200.0

        client = await in_thread(
            lambda: Client(endpoint=api.at.url, state_dir=tmp_path / "state", options=Options(connections=1))
        )
        async with client:
            report = await client.upload(tmp_path / "a.bin", on_event=jump)
        assert [file.status for file in report.files] == ["verified"]
        assert api.clock.ahead, "the clock jumped"
        kinds = [one["kind"] for one in api.requests()]
        assert kinds.count("create-token") == 1
