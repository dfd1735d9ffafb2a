"""The command itself: what is cheap about it, and what it does with the words it gets."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from uploader import __version__
from uploader.cli.main import COMMANDS, main

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


def test_every_command_is_what_the_table_says() -> None:
    from click import Context

    context = Context(main)
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
