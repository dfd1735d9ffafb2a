"""The command itself: what is cheap about it, and what it does with the words it gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from uploader import __version__
from uploader.cli.main import COMMANDS, main
from uploader.cli.options import check_exclusive

HEAVY = {"aiohttp", "anyio", "asyncio", "msgspec", "tqdm"}


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(word: str) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*{n.partition('.')[0] for n in sys.modules}, file=sys.stderr))\n"
        f"sys.argv = ['figup', {word!r}]\n"
        "from uploader.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stderr.split()) & HEAVY
    assert done.stdout.startswith("Usage: figup" if word == "--help" else f"figup, version {__version__}")


@pytest.mark.parametrize("words", [["jobs"], ["status"], ["help"], ["help", "datasets"], ["jobs", "--help"]])
def test_commands_without_a_network_do_not_import_aiohttp(words: list[str], tmp_path: Path) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('aiohttp' in sys.modules, file=sys.stderr))\n"
        f"sys.argv = ['figup', *{words!r}]\n"
        "from uploader.cli.main import main\n"
        "main()\n"
    )
    env = {**os.environ, "FIGUP_STATE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == (4 if words == ["status"] else 0)
    assert done.stderr.splitlines()[-1] == "False"


def test_every_command_is_what_the_table_says() -> None:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name


@pytest.mark.parametrize(("words", "lines"), [(["nope", "--json"], 2), (["nope", "--", "--json"], 0)])
def test_json_is_asked_for_before_the_dashes_alone(
    words: list[str], lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(words)
    assert ending.value.code == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == lines
    assert all(json.loads(line) for line in out.splitlines())
    assert len(err.splitlines()) == 1


def _help(command: click.Command) -> str:
    return command.get_help(click.Context(command, info_name=command.name, terminal_width=80))


def test_the_help_lists_options_in_groups() -> None:
    from uploader.cli.upload import upload

    text = _help(upload)
    titles = ["What to send", "Item and description", "Conflicts", "Speed", "Reports", "Common options", "Advanced"]
    places = [text.index(f"\n{title}") for title in titles]
    assert places == sorted(places)
    advanced = text[places[-1] :]
    for option in ("--retry-timeout", "--stall-timeout", "--verify-timeout", "--grace", "--settle-timeout"):
        assert f"  {option}" in advanced
    assert "\nOptions:" not in text


def test_the_help_of_the_sandbox_has_the_same_kind_of_groups() -> None:
    from uploader.cli.sandbox import sandbox

    text = _help(sandbox)
    assert [
        text.index(f"\n{title}:") for title in ("Where", "Limits", "Behaviour", "Times", "Faults", "Common options")
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"--item": 1, "--title": "abc"}, "--item and --title are mutually exclusive"),
        ({"--remove": True, "--renew": False, "--expires": "x"}, "--remove and --expires are mutually exclusive"),
    ],
)
def test_exclusive_options_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(click.UsageError, match=words):
        check_exclusive(options)
    check_exclusive(dict.fromkeys(options) | {"--item": 1})
