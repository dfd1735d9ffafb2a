"""The configuration file: defaults for options, for every command or for one, in profiles.

    profile = "work"                  # the profile in use if none is named

    [defaults]                        # for every profile
    state-dir = "/scratch/jane/figup"

    [defaults.upload]                 # for one command; `resume` takes those of `upload`
    limit-rate = "50M"

    [profiles.work]
    endpoint = "https://api.figshare.com/v2"
    token-file = "~/.config/figup/work.token"

Keys are the names of options without their dashes. The command line comes first, then the environment, the profile,
`[defaults]`, and figup's own defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from uploader.cli.parameters import LocalPath, ParsedFile
from uploader.errors import UsageError
from uploader.system import transient_error
from uploader.text import did_you_mean, printable

PROFILE_VARIABLE = "FIGUP_PROFILE"
_SECRETS = ("token", "password", "secret")
_TOP = ("profile", "defaults", "profiles")


def config_file() -> Path:
    """Return the path of the configuration file, whether it exists or not."""
    import platformdirs

    return Path(platformdirs.user_config_dir("figup")) / "config.toml"


def named_profile(args: Sequence[str]) -> str | None:
    """Return the profile that the command line or the environment names; None if neither does."""
    words = list(args)
    words = words[: words.index("--")] if "--" in words else words
    for at, word in enumerate(words):
        if word.startswith("--profile="):
            return word.partition("=")[2]
        if word == "--profile" and at + 1 < len(words):
            return words[at + 1]
    return os.environ.get(PROFILE_VARIABLE) or None


def option_defaults(
    command: Sequence[str],
    params: Iterable[click.Parameter],
    common: Iterable[str],
    profile: str | None,
    commands: frozenset[str] = frozenset(),
    outer: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the defaults of a command's options, by parameter name.

    `command` is the path of its names, `common` the names of the options that all commands have, `commands` those of
    all commands, `outer` those of the options of its groups. Blocks briefly.
    Raises UsageError for a file that cannot be read, an unknown profile, command or option.
    """
    path = config_file()
    content = _read(path)
    if content is None:
        if profile is not None:
            raise UsageError(f"unknown profile {profile!r}: configuration file {path} not found")
        return {}
    options = {opt.lstrip("-"): param for param in params if isinstance(param, click.Option) for opt in param.opts}
    values: dict[str, Any] = {}
    for table in _tables(content, profile, path):
        for key, value in table.items():
            if isinstance(value, Mapping) and commands and key not in commands:
                raise _unknown(key, commands, path)
        for some in _of_command(table, command, frozenset(common), frozenset(options), frozenset(outer), path):
            found = {
                options[key].name or "": _value(value, options[key], key, path)
                for key, value in some.items()
                if key in options
            }
            values = _with_one_endpoint(values, found, path) | found
    return values


def _with_one_endpoint(values: Mapping[str, Any], preferred: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the values without an endpoint or sandbox that a preferred one replaces. Raises UsageError for both."""
    named, sandbox = "endpoint" in preferred, bool(preferred.get("sandbox"))
    if named and sandbox:
        raise UsageError(f"{path}: sandbox and endpoint are mutually exclusive", path=str(path))
    replaced = {"sandbox"} if named else {"endpoint"} if sandbox else set()
    return {name: value for name, value in values.items() if name not in replaced}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: line {line} is not UTF-8", hint="Save it as UTF-8.", path=str(path)) from None
    except OSError as error:
        text = f"{path}: cannot be read: {error.strerror}"
        raise transient_error(error, str(path)) or UsageError(text, path=str(path)) from None
    import tomllib  # only with a file: every command asks for one

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}", path=str(path)) from None
    except ValueError:
        raise UsageError(f"{path}: has a number with too many digits", path=str(path)) from None


def _tables(content: Mapping[str, Any], profile: str | None, path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the tables that apply, in ascending order of precedence."""
    for key in content:
        if key not in _TOP:
            raise _unknown(key, _TOP, path)
    profiles = _table(content.get("profiles", {}), "profiles", path)
    chosen = profile if profile is not None else content.get("profile")
    if chosen is not None and not isinstance(chosen, str):
        raise UsageError(
            f"{path}: profile must be the name of a profile", hint="Its options are in [profiles.NAME].", path=str(path)
        )
    if chosen is not None and chosen not in profiles:
        raise UsageError(
            f"{path}: unknown profile {printable(chosen)!r}",
            hint=did_you_mean(chosen, profiles, "The file defines no profiles." if not profiles else None),
            path=str(path),
        )
    yield _table(content.get("defaults", {}), "defaults", path)
    if chosen is not None:
        yield _table(profiles[chosen], f"profiles.{chosen}", path)


def _of_command(
    table: Mapping[str, Any],
    command: Sequence[str],
    common: frozenset[str],
    own: frozenset[str],
    outer: frozenset[str],
    path: Path,
) -> Iterator[Mapping[str, Any]]:
    """Yield the options for one command: those of all commands, then its own. Checks their names.

    `outer` are the options of the groups that it is in.
    """
    general = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    for key in (key for key in general if key not in common):
        raise _unknown(key, common, path, "Options of one command have a table: [defaults.upload].")
    yield general
    for names in ([["upload"]] if list(command) == ["resume"] else []) + [list(command)]:
        inner = _inner(table, names, path, outer)
        if ".".join(names) in common and not isinstance(inner, Mapping):
            continue  # "sandbox" is an option of all commands, and a command
        options = {
            key: value for key, value in _table(inner, ".".join(names), path).items() if not isinstance(value, Mapping)
        }
        for key in (key for key in options if key not in own and names == list(command)):
            raise _unknown(key, own, path)
        yield options


def _inner(table: Mapping[str, Any], names: Sequence[str], path: Path, outer: frozenset[str]) -> Any:
    """Return the table of a command. Raises UsageError for one of its options in that of its group."""
    inner: Any = table
    for depth, name in enumerate(names, start=1):
        inner = inner.get(name, {}) if isinstance(inner, Mapping) else {}
        for key, value in inner.items() if isinstance(inner, Mapping) and depth < len(names) else ():
            if not isinstance(value, Mapping) and key not in outer:
                raise _unknown(key, outer, path, f"Options of one command have a table: [defaults.{'.'.join(names)}].")
    return inner


def _value(value: Any, param: click.Option, key: str, path: Path) -> Any:
    """Return a value as click takes it: a text as on the command line, a list of them, or a flag."""
    if param.is_flag or param.count:
        if not isinstance(value, bool | int):
            raise UsageError(f"{path}: {key} must be true or false", path=str(path))
        return value
    if param.multiple:
        return [_text(each, param, key, path) for each in (value if isinstance(value, list) else [value])]
    return _text(value, param, key, path)


def _text(value: Any, param: click.Option, key: str, path: Path) -> str:
    if isinstance(value, bool | list | dict):
        raise UsageError(f"{path}: {key} must be a single string or number", path=str(path))
    try:
        text = str(value)
    except ValueError:  # of a hexadecimal number with too many digits
        raise UsageError(f"{path}: {key} is a number with too many digits", path=str(path)) from None
    if "\0" in text:  # a command line has none
        raise UsageError(f"{path}: {key} has a NUL character in it", path=str(path))
    try:
        return str(Path(text).expanduser()) if isinstance(param.type, LocalPath | ParsedFile) else text
    except RuntimeError:
        raise UsageError(f"{path}: {key}: unknown user in {text!r}", path=str(path)) from None


def _table(value: Any, name: str, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{path}: {name} must be a table", path=str(path))
    return value


def _unknown(key: str, known: Iterable[str], path: Path, otherwise: str | None = None) -> UsageError:
    """`otherwise` is the hint if no known key is like this one."""
    if key in _SECRETS:
        return UsageError(f"{path}: {key} is not allowed here; name a private file with token-file", path=str(path))
    return UsageError(
        f"{path}: unknown key {printable(key)!r}", hint=did_you_mean(key, known, otherwise), path=str(path)
    )
