"""Options that all commands take, and options grouped in the help."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from uploader.cli.global_options import lacks_command, unknown_command, with_global_options_last
from uploader.cli.parameters import LocalPath, ParsedParam
from uploader.text import is_unicode

if TYPE_CHECKING:
    from uploader.cli.hints import Repeated

F = TypeVar("F", bound=Callable[..., Any])

ENVIRONMENT = """\b
Environment:
  FIGSHARE_TOKEN      the token; takes precedence over a stored one
  FIGSHARE_ENDPOINT   address of the API, unless --endpoint is given
  FIGUP_STATE_DIR     where jobs are stored, unless --state-dir is given
  FIGUP_PROFILE       profile of the configuration, unless --profile is given
"""
"""Shown at the end of a command's help."""
COMMON, ADVANCED = "Common options", "Advanced options"
_TWO_COLUMNS = 50
"""The width from which options and what they do are listed side by side."""
_LAST = (COMMON, ADVANCED)
"""Groups listed after a command's own."""


@dataclass(frozen=True, kw_only=True)
class GlobalOptions:
    """The options that every command takes. `endpoint_given`: the endpoint is from the command line itself.

    `given`: those of the command line that a command on its job needs, too, such as ("--state-dir", "X").
    """

    json: bool
    quiet: bool
    verbose: int
    log_file: Path | None
    no_progress: bool
    no_color: bool
    profile: str | None = None
    endpoint: str | None = None
    endpoint_given: bool = False
    token_file: Path | None = None
    sandbox: bool = False
    state_dir: Path | None = None
    ca_file: Path | None = None
    insecure_http: bool = False
    impersonate: int | None = None
    bind: str | None = None
    given: tuple[tuple[str, ...], ...] = ()

    @property
    def repeated(self) -> Repeated:
        """The options that commands printed by this one repeat."""
        from uploader.cli.hints import Repeated

        which: tuple[str, ...] = ("--sandbox",) if self.sandbox else ()
        if self.endpoint_given and self.endpoint is not None:
            which = ("--endpoint", self.endpoint)
        on_job = tuple(chain.from_iterable(self.given))
        to_log_in = chain.from_iterable(words for words in self.given if words[0] not in _OF_TOKEN)
        return Repeated(anywhere=(*which, *on_job), on_job=on_job, to_log_in=(*which, *to_log_in))


class GroupedOption(click.Option):
    """An option that the help of a `FigupCommand` lists under the title `group`."""

    def __init__(self, *args: Any, group: str, **settings: Any) -> None:
        self.group = group
        super().__init__(*args, **settings)


def grouped(group: str) -> Callable[..., Callable[[F], F]]:
    """Return a `click.option` whose options belong to this group of the help."""
    return functools.partial(click.option, cls=GroupedOption, group=group)


class FigupCommand(click.Command):
    """A command whose help lists its options in groups: its own in the order of declaration, then the common ones."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings.setdefault("context_settings", {}).setdefault("max_content_width", 100)
        super().__init__(*args, **settings)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Create the context with the defaults of the configuration file. Raises UsageError for errors in it."""
        from uploader.cli.profiles import named_profile, option_defaults

        path = [*(parent.command_path.split()[1:] if parent is not None else []), info_name or ""]
        if not (set(args) & {"-h", "--help"} or extra.get("resilient_parsing")):
            defaults = option_defaults(
                path, self.params, _common_names(), named_profile(args), _commands(parent), _outer_names(parent)
            )
            extra.setdefault("default_map", defaults)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            if not ctx.resilient_parsing:
                self._check_values(ctx, args)
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click's parser does not name the command
            if isinstance(error, click.BadParameter) and is_configured(ctx, error.param):
                from uploader.cli.profiles import config_file

                where = f"{error.message} (from {config_file()})"
                raise click.BadParameter(where, ctx, error.param, error.param_hint) from None
            raise
        for param in self.get_params(ctx):
            # File names may be arbitrary bytes; errors about them appear when they are used.
            if not isinstance(param.type, LocalPath) and not _is_unicode(ctx.params.get(param.name or "")):
                raise click.BadParameter("not valid UTF-8", ctx, param)
        return rest

    def _check_values(self, ctx: click.Context, args: list[str]) -> None:
        """Raise BadOptionUsage if an option lacks its value, so that click would take the next option for it."""
        known = {name: each for each in self.get_params(ctx) for name in (*each.opts, *each.secondary_opts)}
        before_files = args[: args.index("--")] if "--" in args else args
        for word, following in pairwise(before_files):
            option = known.get(word) if word.startswith("-") else None
            takes_value = isinstance(option, click.Option) and not (option.is_flag or option.count)
            if takes_value and following.startswith("-") and following in known:
                raise click.BadOptionUsage(word, f"option {word!r} requires an argument, not {following!r}", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                groups.setdefault(self._group_of(param, ctx), []).append(record)
        for title in sorted(groups, key=lambda title: _LAST.index(title) if title in _LAST else -1):
            with formatter.section(title):
                write_options(formatter, groups[title])

    def _group_of(self, param: click.Parameter, ctx: click.Context) -> str:
        if param is self.get_help_option(ctx):
            return COMMON
        return param.group if isinstance(param, GroupedOption) else "Options"


def write_options(formatter: click.HelpFormatter, records: list[tuple[str, str]]) -> None:
    """List options and what they do, on a narrow terminal one below the other."""
    formatter.write_dl(records, col_max=30 if formatter.width >= _TWO_COLUMNS else 4)


def _commands(context: click.Context | None) -> frozenset[str]:
    """Return the names of all commands, or of none for a command on its own."""
    root = context.find_root() if context is not None else None
    if root is None or not isinstance(root.command, click.Group):
        return frozenset()
    return frozenset(root.command.list_commands(root))


def _outer_names(context: click.Context | None) -> frozenset[str]:
    """Return the names of the options of a context and those above it, without dashes."""
    names: set[str] = set()
    while context is not None:
        names |= {opt.lstrip("-") for param in context.command.params for opt in param.opts}
        context = context.parent
    return frozenset(names)


class CommandGroup(click.Group):
    """A group of commands. Global options work before its command, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if lacks_command(args) and not self.invoke_without_command:
            ctx.fail("no command given")  # click would call the first option unknown
        return super().parse_args(ctx, with_global_options_last(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, and report an unknown command in the words of `figup` itself."""
        is_option = args[0].startswith("-")  # click names an unknown one
        if not (is_option or ctx.resilient_parsing) and self.get_command(ctx, args[0]) is None:
            ctx.fail(unknown_command(args[0], self.commands))
        return super().resolve_command(ctx, args)


class FigupGroup(FigupCommand, CommandGroup):
    """A command with subcommands; its help lists both its options and the subcommands."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def _is_unicode(value: object) -> bool:
    """Whether a parsed value, or each of several, can be written as UTF-8."""
    if isinstance(value, tuple | list):
        return all(map(_is_unicode, value))
    return is_unicode(str(value)) if isinstance(value, str | os.PathLike) else True


def _local_address(text: str) -> str:
    """Return the IP address if it is one of this host. Raises ValueError."""
    import socket

    family = socket.AF_INET6 if isinstance(ipaddress.ip_address(text), ipaddress.IPv6Address) else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((text, 0))
        except OSError:
            raise ValueError(f"{text} is not an address of this host") from None
    return text


_OF_TOKEN = frozenset({"--token-file", "--impersonate"})
_REPEATED = frozenset({"profile", "state_dir", "token_file", "ca_file", "insecure_http", "impersonate", "bind"})
_PATH = LocalPath(path_type=Path, readable=False)
_common, _advanced = grouped(COMMON), grouped(ADVANCED)
_ENDPOINT_OPTIONS = [
    _common("--profile", metavar="NAME", envvar="FIGUP_PROFILE", show_envvar=True,
            help="Take defaults from this profile of the configuration file."),
    _common("--endpoint", metavar="URL", envvar="FIGSHARE_ENDPOINT", show_envvar=True,
            help="Address of the API.  [default: https://api.figshare.com/v2]"),
    _common("--token-file", metavar="PATH", type=_PATH,
            help="File with the token, readable only by you. A token is never given on the command line."),
    _common("--sandbox", is_flag=True,
            help="Use a local Figshare, stored in STATE-DIR/sandbox; it is started if none is running there."),
    _common("--state-dir", metavar="DIR", type=_PATH, envvar="FIGUP_STATE_DIR", show_envvar=True,
            help="Where jobs are stored.  [default: the platform's state directory]"),
    _advanced("--ca-file", metavar="PATH", type=_PATH,
              help="Trust these certificate authorities instead of the system's."),
    _advanced("--insecure-http", is_flag=True,
              help="Allow plain http to other machines: anyone on the network path can read the token."),
    _advanced("--impersonate", metavar="ACCOUNT_ID", type=click.IntRange(min=1),
              help="Act for this account, as an administrator of its institution."),
    _advanced("--bind", metavar="ADDRESS", type=ParsedParam("address", _local_address),
              help="Connect from this local IP address, and so through its network interface."),
]  # fmt: skip
_OUTPUT = [
    _common("--json", is_flag=True, help="Write JSON Lines to stdout; the last line is the summary."),
    _common("-q", "--quiet", is_flag=True, help="Print only errors and the requested output."),
    _common("-v", "verbose", count=True,
            help="Log steps to stderr; -vv also logs every request."),
    _common("--log-file", metavar="PATH", type=_PATH, help="Append a full log, with times in UTC."),
    _common("--no-progress", is_flag=True, help="Show no progress."),
    _common("--no-color", is_flag=True, help="Use no color on a terminal; so does NO_COLOR in the environment."),
]  # fmt: skip


def common_options(command: Callable[..., int]) -> Any:
    """Add the options that all commands take, as one argument `common`."""
    return with_options(_collected(command), [*_ENDPOINT_OPTIONS, *_OUTPUT])


def output_options(command: Callable[..., int]) -> Any:
    """Add the common options that a command without an endpoint takes, as one argument `common`."""
    return with_options(_collected(command), _OUTPUT)


def _given(context: click.Context) -> tuple[tuple[str, ...], ...]:
    """Return the options of the command line that a command on the same job needs.

    Endpoint and sandbox are recorded with the job.
    """
    given: list[tuple[str, ...]] = []
    for param in context.command.params:
        if param.name in _REPEATED and context.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            value = context.params.get(param.name)
            given.append((param.opts[0],) if value is True else (param.opts[0], str(value)))
    return tuple(given)


def _collected(command: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(command)
    def collected(**values: Any) -> int:
        names = {f.name for f in dataclasses.fields(GlobalOptions)} & values.keys()
        context = click.get_current_context()
        source = context.get_parameter_source("endpoint")
        common = GlobalOptions(
            endpoint_given=source is ParameterSource.COMMANDLINE,
            given=_given(context),
            **{name: values.pop(name) for name in names},
        )
        if is_configured(context, "token_file"):
            common = _unless_in_environment(common)
        if is_configured(context, "sandbox") and source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            common = dataclasses.replace(common, sandbox=False)
        if common.endpoint_given:
            check_exclusive({"--sandbox": common.sandbox, "--endpoint": common.endpoint})
        if context.obj is not None:
            # For errors that end the command before it has a console.
            context.obj["repeated"] = common.repeated
        return command(common=common, **values)

    return collected


def is_configured(context: click.Context, param: click.Parameter | str | None) -> bool:
    """Return whether the value of a parameter is from the configuration file."""
    name = param.name if isinstance(param, click.Parameter) else param
    return name is not None and context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP


def _unless_in_environment(common: GlobalOptions) -> GlobalOptions:
    """Ignore the configuration's token file if the environment has a token, which takes precedence."""
    return dataclasses.replace(common, token_file=None) if "FIGSHARE_TOKEN" in os.environ else common


@functools.cache
def _common_names() -> frozenset[str]:
    """Return the names of the options that all commands take, without dashes."""
    probe: Any = common_options(lambda: 0)
    return frozenset(opt.lstrip("-") for param in probe.__click_params__ for opt in param.opts)


def common_help(ctx: click.Context) -> list[tuple[str, str]]:
    """Return the help on the common options, for the help of `figup` itself."""
    probe: Any = common_options(lambda: 0)
    options = [param for param in reversed(probe.__click_params__) if param.group == COMMON]
    return [record for option in options if (record := option.get_help_record(ctx)) is not None]


def _configured_options() -> set[str]:
    """Return the options of the current command whose values are from the configuration file."""
    context = click.get_current_context(silent=True)
    if context is None:
        return set()
    return {opt for param in context.command.params if is_configured(context, param) for opt in param.opts}


def check_exclusive(options: Mapping[str, object], reason: str = "") -> None:
    """Raise UsageError if more than one of these options, by their names on the command line, is given."""
    present = [name for name, value in options.items() if value is not None and value is not False]
    if len(present) > 1:
        configured = _configured_options()
        named = [f"{name} (from the configuration file)" if name in configured else name for name in present]
        text = f"{' and '.join(named)} are mutually exclusive"
        raise click.UsageError(f"{text}: {reason}" if reason else text)


def with_options(command: Any, options: list[Any]) -> Any:
    """Apply these decorators so that the first is listed first."""
    for option in reversed(options):
        command = option(command)
    return command
