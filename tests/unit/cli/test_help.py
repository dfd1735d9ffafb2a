"""`figup help`, `completion`, `version`, hints for mistaken command names, and options before the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.support.programs import require_program
from uploader import __version__, manual
from uploader.cli import profiles
from uploader.cli.global_options import with_global_options_last
from uploader.cli.help import SHELLS, page, topics
from uploader.cli.main import COMMANDS, POINTERS, main


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run figup in this process."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_help_lists_the_pages(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["help"], capsys)
    assert status == 0
    for name, title in topics().items():
        assert re.search(rf"^  {name} +{re.escape(title)}$", out, re.MULTILINE)


@pytest.mark.parametrize("words", [["--help"], ["upload", "--help"], ["item", "files", "--help"], ["help"]])
def test_help_fits_a_narrow_terminal(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    # Examples of commands, after the options, and titles are not wrapped.
    wrapped = re.split(r"\n +(?:Examples|Start here):\n|\n\nfigup COMMAND", run(words, capsys)[1])[0]
    assert max(len(line) for line in wrapped.splitlines() if not line.endswith(":")) <= 40


def test_the_index_lists_every_page() -> None:
    pages = {path.stem for path in Path(manual.__path__[0]).glob("*.md")}
    assert pages == {"index", *topics()}


def test_the_reference_lists_every_command() -> None:
    rows = [line for line in page("reference").splitlines() if line.startswith("| `figup ")]
    assert {words.split()[1].strip("`") for row in rows for words in re.findall(r"`figup [^`]+`?", row)} == {*COMMANDS}


def test_the_top_level_help_shows_the_global_options(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(["--help"], capsys)
    listed = out.partition("Global options, before or after the command:\n")[2].partition("\n\n")[0]
    for option in ("--endpoint URL", "--sandbox", "--json", "-q, --quiet", "--state-dir DIR"):
        assert f"  {option} " in listed


@pytest.mark.parametrize("topic", topics())
def test_help_shows_a_page_without_comments_and_pictures(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["help", topic], capsys)
    assert status == 0
    assert out == page(topic)
    assert out.startswith("# ")
    assert "<!--" not in out
    assert "![" not in out


def test_help_shows_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "item", "show"], capsys)[1] == run(["item", "show", "--help"], capsys)[1]


def test_help_for_an_unknown_topic_lists_the_topics(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(["help", "nope"], capsys)
    assert status == 2
    assert "unknown topic or command 'nope'" in err
    assert "datasets" in err
    named = err.partition("known topics: ")[2].partition(".")[0].split(", ")
    assert sorted(named) == sorted({*topics(), *COMMANDS})


def test_help_for_a_mistyped_topic_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(["help", "dataset"], capsys)
    assert (status, err.splitlines()[0].partition(";")[2]) == (2, " did you mean datasets? See `figup help --help`.")


@pytest.mark.parametrize("words", [["-V"], ["--version"], ["version"]])
def test_the_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words, capsys)[:2] == (0, f"figup, version {__version__}\n")


def test_the_version_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["--json", "version"], capsys)
    first, summary = map(json.loads, out.splitlines())
    assert (status, first["event"], first["version"]) == (0, "version", __version__)
    assert (summary["event"], summary["exit_status"]) == ("summary", 0)


def test_the_version_does_not_depend_on_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text("[broken")
    monkeypatch.setattr(profiles, "config_file", lambda: tmp_path / "config.toml")
    monkeypatch.setenv("FIGUP_PROFILE", "unknown")
    before = ["--state-dir", "d", "--token-file", "f", "--ca-file", "f", "--insecure-http", "--profile", "p"]
    assert run([*before, "--impersonate=x", "--bind", "y", "-q", "version"], capsys)[0] == 0
    assert run(["jobs"], capsys)[0] == 2


@pytest.mark.parametrize("word", POINTERS)
def test_likely_guesses_point_to_the_command(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run([word], capsys)
    assert status == 2
    assert f"unknown command '{word}'; use 'figup {POINTERS[word]}'" in err
    assert POINTERS[word].split()[0] in COMMANDS


@pytest.mark.parametrize(
    ("words", "moved"),
    [
        (["--json", "jobs"], ["jobs", "--json"]),
        (["-v", "--state-dir", "x", "status", "JOB"], ["status", "JOB", "-v", "--state-dir", "x"]),
        (["--state-dir=x", "jobs"], ["jobs", "--state-dir=x"]),
        (["-vvv", "-qv", "jobs"], ["jobs", "-vvv", "-qv"]),
        (["-vvv", "--profile", "x", "version"], ["version", "-vvv"]),
        (["--quiet", "upload", "--", "--json"], ["upload", "--quiet", "--", "--json"]),
        (["jobs", "--json"], ["jobs", "--json"]),
        (["--version"], ["--version"]),
        (["--json", "--help"], ["--help"]),
        (["--no-color", "--profile", "x", "help", "datasets"], ["help", "datasets"]),
        (["-q", "completion", "bash"], ["completion", "bash"]),
        (["--json", "version"], ["version", "--json"]),
        (["--endpoint", "U", "--log-file=l", "--sandbox", "version"], ["version", "--log-file=l"]),
        (["--state-dir"], ["--state-dir"]),
        ([], []),
    ],
)
def test_global_options_work_before_the_command(words: list[str], moved: list[str]) -> None:
    assert with_global_options_last(words) == moved


def test_global_options_work_between_a_group_and_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    groups = 0
    waiting = [(name, main.get_command(click.Context(main), name)) for name in COMMANDS]
    for path, command in waiting:
        if isinstance(command, click.Group):
            groups += 1
            waiting += [(f"{path} {name}", each) for name, each in command.commands.items()]
            name = next(iter(command.commands))
            usual = run([*path.split(), name, "--help"], capsys)
            assert run([*path.split(), "--quiet", "--log-file", "x", name, "--help"], capsys) == usual
    assert groups > 15


@pytest.mark.parametrize("words", [["--sandbox"], ["--json", "-vv"], ["--profile", "x"]])
def test_global_options_without_a_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(words, capsys)
    assert (status, err) == (2, "figup: no command given. See `figup --help`.\n")
    assert ("--json" in words) == out.endswith("}\n")
    assert run(["--sandbox", "--nope"], capsys)[2].startswith("figup: no such option")


@pytest.mark.parametrize("group", ["item", "records", "slurm"])
@pytest.mark.parametrize("words", [["--json"], ["-vv", "--log-file", "x"]])
def test_global_options_of_a_group_without_a_command(
    group: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIGUP_STATE_DIR", str(tmp_path))
    status, out, err = run([group, *words], capsys)
    assert (status, err) == (2, f"figup: no command given. See `figup {group} --help`.\n")
    assert ("--json" in words) == out.endswith("}\n")
    assert "no such option" in run([group, *words, "--nope"], capsys)[2]
    assert run(["jobs", *words], capsys)[0] == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["completion", shell], capsys)
    assert status == 0
    assert "_FIGUP_COMPLETE" in out


def test_the_script_for_fish_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fish = require_program("fish", "fish")
    script = tmp_path / "figup.fish"
    script.write_text(run(["completion", "fish"], capsys)[1])
    command = f"source {script}; complete -C 'figup metad'"
    done = subprocess.run([fish, "-c", command], env=with_figup(tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout == "metadata\tWrite and check files that describe items.\n"


@pytest.mark.search
def test_the_script_for_zsh_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zsh = require_program("zsh", "zsh")
    script = tmp_path / "figup.zsh"
    script.write_text(run(["completion", "zsh"], capsys)[1])
    # Outside of a completion there is no compadd: print what the script passes to _describe.
    command = (
        f"autoload -Uz compinit; compinit -u -D; source {script}; _describe() {{ print -rl -- ${{(P)3}} }}; "
        "words=(figup metad); CURRENT=2; _figup_completion"
    )
    done = subprocess.run([zsh, "-fc", command], env=with_figup(tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout == "metadata:Write and check files that describe items.\n"


def with_figup(folder: Path) -> dict[str, str]:
    """Return an environment whose PATH has the command."""
    return {**os.environ, "HOME": str(folder), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def complete(*words: str, tmp_path: Path) -> list[str]:
    """Return the completions of the last word."""
    env = {
        **os.environ,
        "COMP_WORDS": " ".join(("figup", *words)),
        "COMP_CWORD": str(len(words)),
        "_FIGUP_COMPLETE": "bash_complete",
        "FIGUP_STATE_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "uploader"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_commands_and_topics_are_completed(tmp_path: Path) -> None:
    assert complete("up", tmp_path=tmp_path) == ["upload"]
    assert complete("help", "data", tmp_path=tmp_path) == ["datasets"]


def test_every_line_of_the_help_fits(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(["--help"], capsys)
    assert all(len(line) <= 80 for line in out.splitlines())
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name:11}  {summary}" in out
