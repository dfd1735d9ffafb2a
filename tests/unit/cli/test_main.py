"""The command itself: cheap imports, and the handling of its arguments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from tests.support.command import write_program
from uploader import __version__
from uploader.cli.global_options import FLAGS, OF_OUTPUT, WITH_VALUE
from uploader.cli.main import COMMANDS, main
from uploader.cli.options import GroupedOption, check_exclusive
from uploader.cli.parameters import LocalPath, ParsedFile
from uploader.errors import ExitStatus

HEAVY = {"aiohttp", "anyio", "asyncio", "msgspec", "tqdm"}
LIST_MODULES = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from uploader.cli.main import main
main()
"""


def run_listing_modules(words: list[str], **env: str) -> tuple[str, set[str]]:
    """Return what `figup WORDS` writes to stdout, and the packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout, {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


def test_a_stdout_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "readable").touch()
    with (tmp_path / "readable").open("rb") as stdout:
        command = [sys.executable, "-m", "uploader", "--version"]
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (ExitStatus.RESUMABLE, 1)
    assert "cannot write to stdout: Bad file descriptor" in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["item", "shwo", "5"], "unknown command 'shwo'; did you mean show? See `figup item --help`.\n"),
        (["item", "tags", "nonsense"], "unknown command 'nonsense'. See `figup item tags --help`.\n"),
        (["jobs", "--state-dir", "x", "nonsense"], "unknown command 'nonsense'. See `figup jobs --help`.\n"),
        (["item", "--zzz"], "no such option '--zzz'. See `figup item --help`.\n"),
    ],
)
def test_unknown_commands_of_groups_are_reported_as_those_of_figup(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert (ended.value.code, capsys.readouterr().err) == (ExitStatus.USAGE, f"figup: {text}")


def test_too_little_memory_to_report_anything(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("uploader.cli.errors.failure_of", refuse)
    with pytest.raises(SystemExit) as ended:
        main(["nothing"])
    assert ended.value.code == ExitStatus.RESUMABLE
    assert capfd.readouterr().err.startswith("figup: out of memory.")


def add_job(state_dir: Path, name: str) -> None:
    (state_dir / "jobs" / name).mkdir(parents=True)
    (state_dir / "jobs" / name / "journal").write_bytes(b"")


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(word: str) -> None:
    out, modules = run_listing_modules([word])
    assert "uploader" in modules
    assert not modules & HEAVY
    assert out.startswith("Usage: figup" if word == "--help" else f"figup, version {__version__}")


@pytest.mark.parametrize(
    "command", ["jobs", "jobs --json", "status", "help", "help datasets", "upload --help", "item show --help"]
)
def test_commands_without_a_network_import_no_http_client(command: str, tmp_path: Path) -> None:
    _, modules = run_listing_modules(command.split(), FIGUP_STATE_DIR=str(tmp_path))
    assert "uploader" in modules
    assert "aiohttp" not in modules


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("figup res", {"resume"}),
        ("figup status ab", {"abc", "abd"}),
        ("figup --json resume abc", {"abc"}),
        ("figup cancel x", {"xyz"}),
        ("figup upload --on-", {"--on-conflict"}),
        ("figup jobs rm ab", {"abc", "abd", "abr"}),
        ("figup records undo a", {"abr"}),
        ("figup item sh", {"show"}),
        ("figup help tro", {"troubleshooting"}),
        ("figup completion z", {"zsh"}),
    ],
)
def test_completion_offers_commands_jobs_and_topics(line: str, offered: set[str], tmp_path: Path) -> None:
    for job in ("abc", "abd", "xyz"):
        add_job(tmp_path, job)
    add_job(tmp_path / "records", "abr")
    out, modules = run_listing_modules(
        [],
        _FIGUP_COMPLETE="bash_complete",
        COMP_WORDS=line,
        COMP_CWORD=str(len(line.split()) - 1),
        FIGUP_STATE_DIR=str(tmp_path),
    )
    assert {answer.partition(",")[2] for answer in out.splitlines()} == offered
    assert "aiohttp" not in modules


@pytest.mark.parametrize("word", ["bogus", "ls"])
def test_completion_after_an_unknown_command_prints_no_error(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert ShellComplete(main, {}, "figup", "_FIGUP_COMPLETE").get_completions([word], "resu")[0].value == "resume"
    assert capfd.readouterr() == ("", "")


LIST_COLLECTING = """
import gc, pathlib, sys

class Watch:
    def find_spec(self, name, *_):
        if name in {"click", "uploader.cli.upload", "aiohttp"}:
            print(name, gc.isenabled())

sys.meta_path.insert(0, Watch())
from %s import main
import click
main.get_command(click.Context(main), "upload")
from uploader.cli.context import Context
from uploader.cli.options import GlobalOptions
common = GlobalOptions(json=False, quiet=False, verbose=0, log_file=None, no_progress=False, no_color=False,
                       state_dir=pathlib.Path("state"))
Context(endpoint="http://127.0.0.1:1/v2", token="t", common=common).client()
print("loaded", gc.isenabled(), gc.get_freeze_count() > 0)
"""


@pytest.mark.search
@pytest.mark.parametrize(("module", "as_usual"), [("uploader.__main__", False), ("uploader.cli.main", True)])
def test_the_command_looks_for_garbage_once_it_is_loaded_and_another_program_as_usual(
    module: str, as_usual: bool
) -> None:
    done = subprocess.run([sys.executable, "-c", LIST_COLLECTING % module], check=True, capture_output=True, text=True)
    *importing, loaded = done.stdout.splitlines()
    assert importing == [f"{name} {as_usual}" for name in ("click", "uploader.cli.upload", "aiohttp")]
    assert loaded == f"loaded True {not as_usual}"


def test_ctrl_c_shows_no_traceback_while_modules_are_imported() -> None:
    code = """if True:
        import _signal, sys

        class Watch:
            def find_spec(self, name, *_):
                print(name, _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL)

        sys.modules.pop("signal", None)
        sys.meta_path.insert(0, Watch())
        import uploader.__main__
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    exposed = {line.partition(" ")[0] for line in done.stdout.splitlines() if line.endswith("False")}
    assert exposed <= {"uploader", "uploader.__main__", "uploader._version", "__future__"}
    assert "signal True" in done.stdout


@pytest.mark.search
def test_jobs_are_completed_in_the_state_directory_of_the_command_line(tmp_path: Path) -> None:
    add_job(tmp_path, "abc")
    for line in (f"figup --state-dir {tmp_path} status a", f"figup status --state-dir {tmp_path} a"):
        out, _ = run_listing_modules([], _FIGUP_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD="4")
        assert out == "plain,abc\n"


def test_bash_takes_the_completion_script(tmp_path: Path) -> None:
    add_job(tmp_path, "abc")
    write_program(tmp_path)
    script = """
        eval "$(figup completion bash)"
        complete -p figup
        COMP_WORDS=(figup status a); COMP_CWORD=2
        _figup_completion figup
        echo "offered: ${COMPREPLY[*]}"
    """
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "FIGUP_STATE_DIR": str(tmp_path)}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert "-F _figup_completion figup" in done.stdout
    assert done.stdout.endswith("offered: abc\n"), done.stderr


def test_the_options_that_work_before_the_command_are_those_of_all_commands() -> None:
    jobs = main.get_command(click.Context(main), "jobs")
    assert jobs is not None
    declared = {name for param in jobs.params for name in param.opts if isinstance(param, GroupedOption)}
    assert declared == FLAGS | WITH_VALUE
    version = main.get_command(click.Context(main), "version")
    assert version is not None
    assert {name for param in version.params for name in param.opts} == OF_OUTPUT


def test_every_command_matches_the_table() -> None:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name


@pytest.mark.parametrize(("words", "lines"), [(["nope", "--json"], 2), (["nope", "--", "--json"], 0)])
def test_json_is_an_option_only_before_the_dashes(
    words: list[str], lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(words)
    assert ending.value.code == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == lines
    assert all(json.loads(line) for line in out.splitlines())
    assert len(err.splitlines()) == 1


def _error_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ending:
        main(words)
    assert ending.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("upload ~/x", "[PATH]..."),
        ("upload x --metadata=~/x.yaml", "--metadata"),
        ("upload x --report ~/x.html", "--report"),
        ("download 1 --output ~/x", "-o' / '--output"),
        ("metadata check ~/x.yaml", "FILE"),
        ("jobs --state-dir ~", "--state-dir"),
        ("sandbox --faults ~jane/faults.toml", "--faults"),
    ],
)
def test_a_home_that_the_shell_did_not_replace(
    words: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    error = _error_of(words.split(), capsys)
    assert error.startswith(f"figup: invalid value for '{option}'")
    assert "'~" in error
    assert "the shell replaces ~" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["upload", ""], "invalid value for '[PATH]...': the path is empty."),
        (["upload", "x", "--state-dir", ""], "the path is empty."),
        (["upload", "x", "--from-file="], "invalid value for '--from-file': the path is empty."),
        (["upload", "x", "--endpoint", ""], "the endpoint is not an http(s) address."),
    ],
)
def test_a_value_from_a_variable_that_is_not_set(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in _error_of(words, capsys)
    assert not list(tmp_path.iterdir())


def test_a_path_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert LocalPath().convert("~$draft.docx", None, None) == "~$draft.docx"
    (tmp_path / "~").mkdir()
    assert LocalPath().convert("~/x", None, None) == "~/x"


def test_every_path_on_a_command_line_is_recognized_as_one() -> None:
    remote = {("download", "names"), ("rm", "names")}
    for command, context in _commands():
        for param in command.params:
            assert type(param.type) is not click.Path, (context.command_path, param.name)
            if re.search(r"FILE\b|PATH|DIR\b", param.metavar or "") and (command.name, param.name) not in remote:
                assert isinstance(param.type, LocalPath | ParsedFile), (context.command_path, param.name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--endpoint", "'--endpoint' requires an argument. See `figup --help`."),
        ("--json --endpoint", "'--endpoint' requires an argument. See `figup --help`."),
        ("upload --item", "'--item' requires an argument. See `figup upload --help`."),
        ("upload x --title --publish", "'--title' requires an argument, not '--publish'. See `figup upload --help`."),
        ("upload x --exclude -q", "'--exclude' requires an argument, not '-q'. See `figup upload --help`."),
        ("item update 3 --metadata --sandbox", "'--metadata' requires an argument, not '--sandbox'."),
    ],
)
def test_an_option_without_its_argument_takes_no_other_option(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"figup: option {said}" in _error_of(words.split(), capsys)


def test_an_argument_may_look_like_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no-such.yaml" in _error_of(["upload", "x", "--title=--publish", "--report", "no-such.yaml"], capsys)
    assert "no-such.yaml" in _error_of(["upload", "--report", "no-such.yaml", "--", "--title", "--publish"], capsys)


def _help(command: click.Command) -> str:
    return command.get_help(click.Context(command, info_name=command.name, terminal_width=80))


def test_the_help_lists_options_in_groups() -> None:
    from uploader.cli.upload import upload

    text = _help(upload)
    titles = ["Files", "Item and description", "Conflicts", "Speed", "Reports", "Common options", "Advanced"]
    places = [text.index(f"\n{title}") for title in titles]
    assert places == sorted(places)
    advanced = text[places[-1] :]
    for option in ("--retry-timeout", "--stall-timeout", "--verify-timeout", "--grace", "--settle-timeout"):
        assert f"  {option}" in advanced
    assert "\nOptions:" not in text


def test_the_help_of_the_sandbox_has_the_same_kind_of_groups() -> None:
    from uploader.cli.sandbox import sandbox

    text = _help(sandbox)
    assert [text.index(f"\n{title}:") for title in ("Where", "Limits", "Behavior", "Times", "Faults", "Common options")]


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


WIDTH = 78
"""Columns of help on a terminal of 80, of which click leaves two empty."""


def test_no_line_of_any_help_exceeds_80_columns() -> None:
    for command, context in _commands():
        assert not [line for line in command.get_help(context).splitlines() if len(line) > 80], context.command_path


def _commands(
    command: click.Command = main, name: str = "figup", parent: click.Context | None = None
) -> Iterator[tuple[click.Command, click.Context]]:
    """The command and all commands below it."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
    yield command, context
    if isinstance(command, click.Group):
        for one in command.list_commands(context):
            if (inner := command.get_command(context, one)) is not None:
                yield from _commands(inner, one, context)


def test_a_title_without_its_option_is_recognized(capsys: pytest.CaptureFixture[str]) -> None:
    error = _error_of(["item", "create", "My title"], capsys)
    assert error.startswith("figup: unexpected argument 'My title'; give the title with --title.")


def test_summaries_of_commands_fit_their_line() -> None:
    helps = [group.get_help(context) for group, context in _commands() if isinstance(group, click.Group)]
    assert len(helps) > 5
    for text in helps:
        commands = text.partition("\nCommands:\n")[2].partition("\n\n")[0].splitlines()
        assert commands
        assert not [line for line in commands if line.endswith("...") or len(line) > 80]
        assert all(re.match(r"  \S+ +\S", line) for line in commands), "none is continued on a second line"


@pytest.mark.parametrize("kind", ["project", "collection"])
def test_a_short_title_is_reported_as_an_argument(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = _error_of([kind, "create", "C"], capsys)
    assert error.endswith(f"and 'C' has 1. See `figup {kind} create --help`.\n")


@pytest.mark.parametrize(("agreed", "status"), [(True, 0), (False, 1)])
def test_a_record_that_was_not_removed_is_a_failure(
    agreed: bool, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(*_: object, yes: bool) -> bool:
        return agreed

    add_job(tmp_path, "abc")
    monkeypatch.setattr("uploader.cli.jobs.confirm", answer)
    with pytest.raises(SystemExit) as ending:
        main(["jobs", "rm", "abc", "--state-dir", str(tmp_path)])
    assert ending.value.code == status
    assert ("Removed the record" in capsys.readouterr().out) is agreed
    assert (tmp_path / "jobs" / "abc").exists() is not agreed


def test_ctrl_c_while_a_class_is_made_is_not_an_internal_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def load(*_: object, **__: object) -> None:
        type("Loaded", (), {"attribute": Interrupted()})

    monkeypatch.setattr(click.Group, "main", load)
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 130
    assert "figup: internal" not in capsys.readouterr().err


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    code = (
        "import threading, time; from uploader.cli import startup; startup.handle_signals(); "
        "threading.Thread(target=time.sleep, args=(100,)).start(); print('done'); startup.end_process(75)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (75, "done\n")
