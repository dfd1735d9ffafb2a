"""Odd values for every option and argument that takes a path or a text: one line, a documented exit status, never a
traceback. The commands and their parameters are those that the command line has, so that a new one is tried, too.

Without `exhaustive`, each parameter is tried with one of the values, and all values are used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
import pytest

from tests.support.command import COMMAND, Figup
from tests.support.environment import clean_environment
from tests.support.forking import ForkedChild, fork_server
from tests.support.odd_system import ERRORS
from tests.support.processes import Process
from tests.support.sandbox import READY, Sandbox
from uploader.cli.main import main
from uploader.errors import ExitStatus

CHECKOUT = Path(__file__).parents[2]
LOCAL = ("--endpoint", "--token-file", "--state-dir", "--ca-file", "--log-file")
"""Options of all commands; they are tried with one command."""
MAX_LINE = 9000
WAIT = 30


@dataclass(frozen=True)
class Parameter:
    """One parameter of one command. `words` are those before it that the command needs."""

    command: tuple[str, ...]
    name: str
    option: str | None
    takes_path: bool
    required: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'-'.join(self.command)} {self.option or self.name}"


def _commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, (*words, name))
    else:
        yield words, command


def parameters() -> list[Parameter]:
    """All that take a value; the options of all commands are tried with one command only."""
    found = []
    for words, command in _commands(main):
        required = [p for p in command.params if isinstance(p, click.Argument) and p.required]
        for param in command.params:
            option = param.opts[0] if isinstance(param, click.Option) else None
            if (isinstance(param, click.Option) and (param.is_flag or param.count)) or isinstance(
                param.type, click.Choice
            ):
                continue
            if option in LOCAL and words != ("jobs",):
                continue
            others = tuple(p.name or "" for p in required if p is not param)
            path = isinstance(param.type, click.Path) or param.metavar in ("FILE", "PATH", "DIR")
            found.append(Parameter(words, param.name or "", option, path, others))
    return found


PARAMETERS = parameters()
TEXTS = ("not UTF-8", "a megabyte", "a megabyte of digits", "control characters")
PATHS = ("too long a name", "a circle of links", "not UTF-8", "a megabyte", *ERRORS)


def values(folder: Path, *, path: bool) -> Mapping[str, str]:
    """The odd values by their names."""
    if not path:
        odd = ("Caf\udce9 data", "m" * 1_000_000, "9" * 1_000_000, "a\x1b[31m\rb")
        return dict(zip(TEXTS, odd, strict=True))
    (folder / "loop.json").symlink_to("loop.json")
    paths = {
        "too long a name": f"{folder}/{'a' * 300}.json",
        "a circle of links": f"{folder}/loop.json",
        "not UTF-8": f"{folder}/caf\udce9.json",
        "a megabyte": f"{folder}/{'m' * 1_000_000}.json",
    }
    return paths | {name: f"{folder}/{name}/odd.json" for name in ERRORS}


class OddFigup:
    """Runs the command on the odd system, several at a time."""

    def __init__(self, home: Path, sandbox: Sandbox, item: str) -> None:
        self.home = home
        self.env = {
            **clean_environment(home),
            "FIGUP_STATE_DIR": str(home / "state"),
            "FIGSHARE_ENDPOINT": sandbox.url,
            "FIGSHARE_TOKEN": sandbox.token,
            "TMPDIR": str(home),
        }
        self.defaults = {"item": item, "collection": "1", "items": item, "file": str(home / "plain.json")}

    def start(
        self,
        words: Sequence[str],
        *,
        place: str | None = None,
        input: str = "",
        usual: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start the command, with `env` beside the usual environment, or the one that is given as such."""

        def start(_: object, whole: Mapping[str, str], cwd: Path, streams: tuple[int, int, int]) -> ForkedChild:
            args = [place or str(self.home), *words]
            return fork_server().start("tests.support.odd_system", args, whole, cwd, streams)

        return Process(
            ["figup"],
            env={**(self.env if usual is None else usual), **(env or {})},
            cwd=CHECKOUT,
            input=input,
            start=start,
        )

    def words(self, parameter: Parameter, value: str) -> list[str]:
        """A command line that is valid except for this value."""
        words = [*parameter.command, *(self.defaults.get(name, "word") for name in parameter.required)]
        sends = parameter.command == ("upload",)
        if (sends or parameter.command == ("verify",)) and parameter.name != "paths":
            words.append(str(self.home / "data.bin"))
        if sends and parameter.name not in ("reports", "failed_to"):
            words.append("--dry-run")
        if parameter.name == "metadata" and parameter.command == ("item", "create"):
            words += ["--title", "Odd data"]
        return [*words, *([parameter.option] if parameter.option else ["--"]), value]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddFigup]:
    home = tmp_path_factory.mktemp("odd")
    (home / "data.bin").write_bytes(b"data")
    (home / "plain.json").write_text('{"title": "Plain"}', "utf-8")
    sandbox = Sandbox(home / "sandbox", token="t0ken", args=())
    sandbox.start()
    figup = Figup(home, endpoint=sandbox.url, token=sandbox.token)
    try:
        item = figup.run("item", "create", "--title", "An item", "--json").expect(0).summary["item_id"]
        yield OddFigup(home, sandbox, str(item))
    finally:
        figup.end()
        sandbox.stop()


def check(process: Process, words: Sequence[str], *, status: int | None = None) -> None:
    """Assert a documented exit status and an error of one line."""
    shown = [word if len(word) < 100 else f"{word[:20]}..." for word in words]
    if words[0] == "sandbox" and process.stdout.wait_for(lambda line: line.startswith(READY), WAIT) is not None:
        process.stop()  # the value was good
    ended, errors = process.wait(WAIT), process.stderr.text
    details = f"{shown} ended with {ended}: {errors[:3000]}"
    assert ended in {*ExitStatus}, details
    assert ended == status or status is None, details
    assert "Traceback" not in errors, details
    assert "internal error" not in errors, details
    assert all(len(line) < MAX_LINE for line in errors.splitlines()), details
    assert not re.search("[\x00-\x09\x0b-\x1f\ud800-\udfff]", errors), details
    if ended and not process.stdout.text:
        assert errors.splitlines()[-1].startswith("figup"), details


def try_all(odd: OddFigup, runs: Sequence[Sequence[str]]) -> None:
    waiting = iter(runs)
    while some := list(islice(waiting, 4)):
        processes = [odd.start(words) for words in some]
        try:
            for process, words in zip(processes, some, strict=True):
                check(process, words)
        finally:
            for process in processes:
                process.end()


@pytest.mark.parametrize(
    "turn", [0, *(pytest.param(turn, marks=pytest.mark.exhaustive) for turn in range(1, len(PATHS)))]
)
@pytest.mark.parametrize("command", sorted({parameter.command for parameter in PARAMETERS}), ids=" ".join)
def test_every_parameter_with_every_odd_value(
    odd: OddFigup, tmp_path: Path, command: tuple[str, ...], turn: int
) -> None:
    texts, paths = (values(tmp_path, path=path) for path in (False, True))
    runs = []
    for number, parameter in enumerate(PARAMETERS):
        known = paths if parameter.takes_path else texts
        if parameter.command == command and turn < len(known):
            runs.append(odd.words(parameter, known[list(known)[(number + turn) % len(known)]]))
    try_all(odd, runs)


ENVIRONMENT = {
    "FIGSHARE_TOKEN": ("caf\udce9", "m" * 100_000, "two words", "\u20ac", "a\nb", ""),
    "FIGSHARE_ENDPOINT": (
        "caf\udce9",
        "https://caf\udce9.org/v2",
        "m" * 100_000,
        "https://[::1/v2",
        "http://a:99999999/v2",
    ),
    "FIGUP_STATE_DIR": ("too long a name", "a circle of links", "not UTF-8", *ERRORS),
    "XDG_CONFIG_HOME": ("too long a name", "not UTF-8", "EACCES", "ESTALE"),
    "HTTPS_PROXY": (
        "http://us%er:p%zz@127.0.0.1:1",
        "http://caf\udce9:secret-word@127.0.0.1:1",
        "http://user:secret-word@[::1",
        "http://user:secret-word@127.0.0.1:99999999",
        "http://u:s:secret-word@127.0.0.1:1",
        "http://\u20ac:\u20ac@127.0.0.1:1",
        "http://user:secret-word@" + "m" * 100_000,
        "socks5://user:secret-word@127.0.0.1:1",
        "nonsense",
    ),
    "SSL_CERT_FILE": ("too long a name", "a circle of links", "not UTF-8", "EACCES", "ENOTCONN"),
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_every_odd_value_of_a_variable(odd: OddFigup, tmp_path: Path, name: str) -> None:
    known = values(tmp_path, path=True)
    runs = []
    for value in ENVIRONMENT[name]:
        env = {name: known.get(value, value)}
        words = ["upload", str(odd.home / "data.bin"), "--title", "Odd data", "--retry-timeout", "0"]
        if name in ("HTTPS_PROXY", "SSL_CERT_FILE"):
            # Nothing listens there, but the address is resolved first.
            env["FIGSHARE_ENDPOINT"] = "https://unreachable.invalid/v2"
        if name == "XDG_CONFIG_HOME":
            words = ["auth", "logout"]
        runs.append((words, env))
    for words, env in runs:
        process = odd.start(words, env=env)
        try:
            check(process, [*words, *env.values()])
            assert "secret-word" not in process.stderr.text + process.stdout.text
        finally:
            process.end()


CONFIGURATIONS = {
    "not UTF-8": b'profile = "caf\xe9"',
    "NUL": b'profile = "a\0b"',
    "NUL as an escape": b'[defaults]\nendpoint = "a\\u0000b"',
    "a path with NUL": b'[defaults]\nstate-dir = "/a\\u0000b"',
    "a log file with NUL": b'[defaults]\nlog-file = "/a\\u0000b"',
    "nested too deeply": b"profile = " + b"[" * 100_000,
    "an unknown user": b'[defaults]\nstate-dir = "~nobody-of-that-name/x"',
    "a megabyte": b'profile = "' + b"m" * 1_000_000 + b'"',
    "too long a name": b'[defaults]\nstate-dir = "' + b"m" * 300 + b'"',
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_odd_configuration_file(odd: OddFigup, tmp_path: Path, name: str) -> None:
    (tmp_path / "figup").mkdir()
    (tmp_path / "figup" / "config.toml").write_bytes(CONFIGURATIONS[name])
    env = {key: value for key, value in odd.env.items() if not key.startswith(("FIGSHARE_", "FIGUP_"))}
    process = odd.start(
        ["upload", str(odd.home / "data.bin"), "--dry-run"], usual=env, env={"XDG_CONFIG_HOME": str(tmp_path)}
    )
    check(process, ["upload", name], status=ExitStatus.USAGE)


@pytest.mark.parametrize(
    ("place", "said"), [("removed", "the current folder cannot be used"), ("deep", "not a possible path")]
)
@pytest.mark.parametrize(
    "words", [["upload", "data.bin", "--title", "Odd data"], ["upload", "."], ["verify", "1", "data.bin"]], ids=" ".join
)
def test_an_unusable_current_folder(odd: OddFigup, place: str, said: str, words: list[str]) -> None:
    process = odd.start(words, place=place)
    check(process, words, status=ExitStatus.USAGE)
    assert said in process.stderr.text
    # An absolute path needs none.
    whole = [str(odd.home / "data.bin") if word in ("data.bin", ".") else word for word in words]
    process = odd.start([*whole, *(["--dry-run"] if words[0] == "upload" else [])], place=place)
    check(process, whole)
    assert process.returncode in (ExitStatus.OK, ExitStatus.NOT_FOUND), process.stderr.text


def test_an_odd_line_of_a_list_is_reported_with_its_number(odd: OddFigup) -> None:
    lines = ["data.bin", "a" * 300, f"{odd.home}/ESTALE/x", "caf\udce9", "m" * 1_000_000, "plain.json"]
    for line in lines[1:5]:
        process = odd.start(
            ["upload", "--from-file", "-", "--title", "Odd data"], input="\n".join(["data.bin", line, "plain.json"])
        )
        check(process, [line], status=ExitStatus.RESUMABLE if "ESTALE" in line else ExitStatus.USAGE)
        assert process.stderr.text.startswith("figup: stdin: line 2: "), process.stderr.text[:100]


def test_a_lone_surrogate_in_sidecar_metadata_does_not_prevent_the_upload(odd: OddFigup) -> None:
    folder = odd.home / "described"
    folder.mkdir()
    (folder / "data.csv").write_text("1", "utf-8")
    (folder / "datacite.json").write_text(
        '{"titles": [{"title": "Cut"}], "descriptions": [{"descriptionType": "Abstract", "description": "x \\ud83d"}]}'
    )
    words = ["upload", str(folder), "--api-rate", "100"]
    process = odd.start(words)
    check(process, words, status=ExitStatus.OK)
    assert "description: contains half of a character" in process.stderr.text


@pytest.mark.parametrize(
    "words", [["auth", "login"], ["upload", "--from-file", "-"], ["verify", "1", "--checksums", "-"]], ids=" ".join
)
@pytest.mark.parametrize(
    "typed", ["caf\udce9\n", "a\0b\n", "m" * 1_000_000, ""], ids=["not UTF-8", "NUL", "a megabyte", "nothing"]
)
def test_every_odd_text_on_stdin(odd: OddFigup, words: list[str], typed: str) -> None:
    process = odd.start(words, input=typed)
    check(process, words)
    assert process.returncode in (ExitStatus.USAGE, ExitStatus.NOT_PERMITTED, ExitStatus.NOT_FOUND)


def test_a_closed_stdin(odd: OddFigup) -> None:
    for words in (["auth", "login"], ["upload", "--from-file", "-"], ["verify", "1", "--checksums", "-"]):
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, *words]
        process = Process(command, env=odd.env, cwd=odd.home)
        check(process, words)
        assert process.returncode in (ExitStatus.USAGE, ExitStatus.NOT_PERMITTED)
