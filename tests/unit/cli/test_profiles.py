"""The configuration file: which values reach a command, what takes precedence, and how mistakes in it are reported."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from uploader.cli import profiles
from uploader.cli.metadata_options import Item, item_options
from uploader.cli.options import FigupCommand, GlobalOptions, common_options
from uploader.cli.parameters import ParsedParam
from uploader.cli.profiles import option_defaults
from uploader.errors import UsageError
from uploader.units import parse_rate

CONFIG = """
profile = "work"
[defaults]
state-dir = "~/jobs"
no-progress = true
[defaults.upload]
limit-rate = "50M"
exclude = ["*.tmp", "*.bak"]
[profiles.work]
endpoint = "https://work.example.org/v2"
token-file = "~/work.token"
[profiles.work.upload]
limit-rate = 20
[profiles.home]
[profiles.home.item.update]
title = "Home"
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("FIGUP_PROFILE", "FIGSHARE_ENDPOINT", "FIGUP_STATE_DIR", "FIGSHARE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    monkeypatch.setattr(profiles, "config_file", lambda: path)
    return path


def run(*words: str, name: str = "upload") -> dict[str, Any]:
    """Run a command of this name and return the values it received."""
    got: dict[str, Any] = {}

    @click.option("--limit-rate", type=ParsedParam("rate", parse_rate))
    @click.option("--exclude", multiple=True)
    @common_options
    def command(common: GlobalOptions, **values: Any) -> int:
        got.update(values, common=common)
        return 0

    FigupCommand(name, params=command.__click_params__, callback=command).main(
        list(words), standalone_mode=False, prog_name=name
    )
    return got


def test_the_profile_takes_precedence_over_defaults(config: Path, tmp_path: Path) -> None:
    got = run()
    assert got["limit_rate"] == 20
    assert got["exclude"] == ("*.tmp", "*.bak")
    common = got["common"]
    assert (common.endpoint, common.endpoint_given) == ("https://work.example.org/v2", False)
    assert (common.state_dir, common.no_progress) == (tmp_path / "jobs", True)
    assert common.token_file == tmp_path / "work.token"


def test_the_command_line_and_the_environment_take_precedence(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIGSHARE_ENDPOINT", "https://env.example.org/v2")
    monkeypatch.setenv("FIGSHARE_TOKEN", "t0ken")
    got = run("--limit-rate", "7", "--exclude", "x")
    assert (got["limit_rate"], got["exclude"]) == (7, ("x",))
    assert got["common"].endpoint == "https://env.example.org/v2"
    assert got["common"].token_file is None
    assert run("--token-file", "mine")["common"].token_file == Path("mine")


def test_a_profile_is_named_by_an_option_or_a_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--profile", "home")["common"].endpoint is None
    assert run("--profile=home")["limit_rate"] == 50_000_000
    monkeypatch.setenv("FIGUP_PROFILE", "home")
    assert run()["common"].endpoint is None
    assert run("--profile", "work")["common"].endpoint == "https://work.example.org/v2"


def test_resume_takes_the_defaults_of_upload(config: Path) -> None:
    assert run(name="resume")["limit_rate"] == 20
    assert run(name="verify")["limit_rate"] is None


def test_the_sandbox_may_be_the_default(config: Path) -> None:
    config.write_text("[defaults]\nsandbox = true\n")
    assert run()["common"].sandbox is True
    run(name="sandbox")
    config.write_text("[defaults.sandbox]\nlimit-rate = 5\n")
    assert run()["common"].sandbox is False
    assert run(name="sandbox")["limit_rate"] == 5


@pytest.mark.parametrize(
    ("content", "words", "expected"),
    [
        ("project = 5\ntitle = 'Set'\nmetadata = 'm.yaml'", ["--item", "7"], {"item": 7}),
        ("project = 5\nmetadata = 'm.yaml'", ["--item", "7", "--update-metadata"], {"item": 7, "metadata": "m.yaml"}),
        ("item = 7", ["--title", "Set"], {"title": "Set"}),
        ("item = 7", ["--project", "5"], {"project": 5}),
        ("project = 5", ["--title", "Set"], {"title": "Set", "project": 5}),
        ("item = 7", [], {"item": 7}),
    ],
)
def test_an_item_on_the_command_line_replaces_a_configured_new_one_and_vice_versa(
    config: Path, content: str, words: list[str], expected: dict[str, Any]
) -> None:
    config.write_text(f"[defaults.upload]\n{content}")

    got: dict[str, Any] = {}

    @common_options
    @item_options
    def command(common: GlobalOptions, about: Item) -> int:
        got.update((name, getattr(about, name)) for name in ("item", "title", "project", "metadata"))
        return 0

    FigupCommand("upload", params=command.__click_params__, callback=command).main(
        words, standalone_mode=False, prog_name="upload"
    )
    assert {name: value for name, value in got.items() if value is not None} == expected


def test_two_exclusive_options_in_the_file_are_named_as_configured(config: Path) -> None:
    config.write_text("[defaults.upload]\nitem = 7\nproject = 5")
    command: Any = common_options(item_options(lambda **_: 0))
    upload = FigupCommand("upload", params=command.__click_params__, callback=command)
    with pytest.raises(click.UsageError, match=r"--item \(from the configuration file\) and --project \(from"):
        upload.main([], standalone_mode=False, prog_name="upload")


HERE, THERE = "http://127.0.0.1:1/v2", "http://127.0.0.1:2/v2"


@pytest.mark.parametrize(
    ("content", "environment", "words", "used"),
    [
        ("[defaults]\nsandbox = true", HERE, [], HERE),
        ("[defaults]\nsandbox = true", "", ["--endpoint", HERE], HERE),
        ("[defaults]\nsandbox = true\n[profiles.p]\nendpoint = 'http://127.0.0.1:1/v2'", "", ["--profile", "p"], HERE),
        ("[defaults]\nendpoint = 'http://127.0.0.1:1/v2'\n[profiles.p]\nsandbox = true", "", ["--profile", "p"], None),
        (f"[defaults]\nendpoint = '{HERE}'\n[defaults.upload]\nsandbox = true", "", [], None),
        (f"[defaults]\nsandbox = true\n[defaults.upload]\nendpoint = '{HERE}'", "", [], HERE),
        (f"[defaults]\nendpoint = '{HERE}'\n[defaults.upload]\nsandbox = true", "", ["--endpoint", THERE], THERE),
        (f"[defaults]\nsandbox = true\n[defaults.upload]\nendpoint = '{HERE}'", "", ["--sandbox"], None),
        (f"[defaults.upload]\nsandbox = true\n[profiles.p]\nendpoint = '{HERE}'", "", ["--profile", "p"], HERE),
        ("[defaults]\nendpoint = 'http://127.0.0.1:1/v2'", THERE, ["--sandbox"], None),
        ("[defaults]\nendpoint = 'http://127.0.0.1:1/v2'", THERE, [], THERE),
    ],
)
def test_the_sandbox_has_the_precedence_of_an_endpoint(
    config: Path, monkeypatch: pytest.MonkeyPatch, content: str, environment: str, words: list[str], used: str | None
) -> None:
    config.write_text(content)
    monkeypatch.setenv("FIGSHARE_ENDPOINT", environment)
    common = run(*words)["common"]
    assert (common.sandbox, None if common.sandbox else common.endpoint) == (used is None, used)


def test_the_configuration_file_is_optional(config: Path) -> None:
    config.unlink()
    assert run()["limit_rate"] is None
    with pytest.raises(UsageError, match="unknown profile 'work'"):
        run("--profile", "work")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("profile = ", "not valid TOML"),
        ("profiles = 3", "profiles must be a table"),
        ("profil = 'x'", "unknown key 'profil'"),
        ("profile = 'wrok'\n[profiles.work]", "unknown profile 'wrok'"),
        ("[defaults]\nendpont = 'x'", "unknown key 'endpont'"),
        ("[defaults]\ntoken = 'x'", "token is not allowed here"),
        ("[defaults.upload]\nlimit_rate = 'x'", "unknown key 'limit_rate'"),
        ("[defaults]\njson = 'yes'", "json must be true or false"),
        ("[defaults]\nendpoint = ['x']", "endpoint must be a single string or number"),
        ("[defaults]\nupload = 3", "unknown key 'upload'"),
        ("profile = ['work']", "profile must be the name of a profile"),
        ("profile = {name = 'work'}", "profile must be the name of a profile"),
        ("[defaults]\nsandbox = true\nendpoint = 'http://localhost/v2'", "sandbox and endpoint are mutually exclusive"),
        (f"[defaults.upload]\nsandbox = true\nendpoint = '{HERE}'", "sandbox and endpoint are mutually exclusive"),
        (f"[defaults]\nendpoint = {'9' * 5000}", "has a number with too many digits"),
        (f"[defaults]\nendpoint = 0x{'f' * 5000}", "endpoint is a number with too many digits"),
    ],
)
def test_configuration_errors_are_reported(config: Path, content: str, message: str) -> None:
    config.write_text(content)
    with pytest.raises(UsageError, match=message) as error:
        run()
    assert error.value.path == str(config)


def test_a_file_in_another_encoding_is_reported_with_the_line(config: Path) -> None:
    config.write_bytes("[defaults]\nstate-dir = '/fl\u00fcsse'".encode("latin-1"))
    with pytest.raises(UsageError, match="line 2 is not UTF-8"):
        run()


def test_an_option_of_one_command_is_shown_its_table(config: Path) -> None:
    config.write_text("[defaults]\nlimit-rate = '5M'")
    with pytest.raises(UsageError) as error:
        run()
    assert "[defaults.upload]" in str(error.value.hint)


def test_a_wrong_value_is_reported_like_one_on_the_command_line(config: Path) -> None:
    config.write_text("[defaults.upload]\nlimit-rate = 'fast'")
    with pytest.raises(click.BadParameter, match=r"invalid rate 'fast'.* \(from .*config.toml\)$"):
        run()
    with pytest.raises(click.BadParameter, match=r"invalid rate 'slow'.*[^)]$"):
        run("--limit-rate", "slow")


def test_a_byte_order_mark_is_no_part_of_the_file(config: Path) -> None:
    config.write_bytes(b"\xef\xbb\xbf[defaults.upload]\nlimit-rate = 5\n")
    assert run()["limit_rate"] == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[defaults.item]\npublic = true", r"unknown key 'public'"),
        ("[defaults.item]\njson = true", r"unknown key 'json'"),
        ("[defaults.item.show]\npublic = true", None),
        ("[defaults.item]\nlimit-rate = 5", None),
        ("[defaults]\nitem = 5", None),
    ],
)
def test_options_of_a_command_in_the_table_of_its_group(config: Path, content: str, message: str | None) -> None:
    config.write_text(content)
    found = functools.partial(
        option_defaults, ["item", "show"], [click.Option(["--public"], is_flag=True)], ["json", "item"], None
    )
    if message is None:
        found(outer=["limit-rate"])
        return
    with pytest.raises(UsageError, match=message) as error:
        found(outer=["limit-rate"])
    assert "[defaults.item.show]" in str(error.value.hint)


def test_help_works_whatever_the_file_contains(config: Path) -> None:
    config.write_text("profile = ")
    assert run("--help") == {}


@pytest.mark.parametrize("table", ["defaults.uplaod", "profiles.work.defaults"])
def test_a_table_of_an_unknown_command_is_reported(config: Path, table: str) -> None:
    config.write_text(f'profile = "work"\n[profiles.work]\n[{table}]\nlimit-rate = "1M"\n')
    group = click.Group("figup", commands=[FigupCommand("upload", params=[], callback=lambda: 0)])
    with pytest.raises(UsageError, match=f"unknown key '{table.rpartition('.')[2]}'"):
        group.main(["upload"], standalone_mode=False, prog_name="figup")
