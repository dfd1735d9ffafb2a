"""`figup auth`: store a token, use it and remove it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.command import Figup
from tests.support.sandbox import Sandbox


@pytest.fixture
def without(figup: Figup) -> Figup:
    """The command with an endpoint and no token."""
    del figup.env["FIGSHARE_TOKEN"]
    return figup


def store(figup: Figup) -> Path:
    return figup.cwd / ".config" / "figup" / "tokens.json"


def test_login_checks_and_stores_the_token(without: Figup, sandbox: Sandbox) -> None:
    done = without.run("auth", "login", input="t0ken\n").expect(0)
    assert done.stdout == (
        f"Logged in at {sandbox.url} as Sandbox Owner <owner@sandbox.invalid>. "
        f"The token is in the file {store(without)}.\n"
    )
    assert stat.S_IMODE(store(without).stat().st_mode) == 0o600
    source = without.cwd / "a.bin"
    source.write_bytes(b"content")
    without.run("upload", "a.bin").expect(0)


@pytest.mark.parametrize("given", ["wr0ng\n", "\n", "", "two words\n"])
def test_an_invalid_token_is_not_stored(without: Figup, given: str) -> None:
    done = without.run("auth", "login", input=given)
    assert done.returncode in (2, 3)
    assert len(done.stderr.splitlines()) == 1
    assert not given.strip() or given.strip() not in done.stderr
    assert not store(without).exists()


def test_login_reads_a_token_file_too(without: Figup) -> None:
    place = without.cwd / "token"
    place.write_text("t0ken\n")
    place.chmod(0o600)
    without.run("auth", "login", "--token-file", "token").expect(0)
    assert store(without).exists()


def test_auth_status_shows_store_account_and_quota(figup: Figup, sandbox: Sandbox) -> None:
    done = figup.run("auth", "status").expect(0)
    assert done.stdout.splitlines() == [
        f"The token for {sandbox.url} is in the environment variable FIGSHARE_TOKEN.",
        "It is a personal token.",
        "It is valid and belongs to Sandbox Owner <owner@sandbox.invalid>.",
        "Free space: 1.00 TB of 1.00 TB.",
    ]
    result = figup.run("auth", "status", "--json").expect(0)
    assert [event["event"] for event in result.events] == ["token", "account", "summary"]
    assert result.events[1]["quota"] == 10**12


def test_auth_status_of_an_invalid_token(figup: Figup) -> None:
    figup.env["FIGSHARE_TOKEN"] = "wr0ng"
    done = figup.run("auth", "status").expect(3)
    assert "environment variable FIGSHARE_TOKEN" in done.stdout
    assert "not accepted" in done.stderr
    del figup.env["FIGSHARE_TOKEN"]
    assert "no token for" in figup.run("auth", "status").expect(3).stderr


def test_logout_reports_the_store_and_remaining_tokens(without: Figup, sandbox: Sandbox) -> None:
    without.run("auth", "login", input="t0ken\n").expect(0)
    without.env["FIGSHARE_TOKEN"] = "t0ken"
    done = without.run("auth", "logout").expect(0)
    assert done.stdout.splitlines() == [
        f"The token for {sandbox.url} was removed from the file {store(without)}.",
        "the environment variable FIGSHARE_TOKEN still holds a token, which commands will use.",
    ]
    del without.env["FIGSHARE_TOKEN"]
    again = without.run("auth", "logout").expect(0)
    assert again.stdout == f"The token for {sandbox.url} was not stored on this machine.\n"
    without.run("auth", "status").expect(3)
