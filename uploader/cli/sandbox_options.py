"""The options of `figup sandbox`, in the groups that its help shows, and what it says of faults."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from uploader import units
from uploader.cli.options import ParsedParam
from uploader.sandbox.custom_fields import read_definitions
from uploader.sandbox.faults import SPECS, Rule, Stage, read_rule, read_toml
from uploader.sandbox.operations import REQUESTS
from uploader.sandbox.parts import read_plan


def _rules_in(path: str) -> list[Rule]:
    """The rules of a TOML file. ValueError when it cannot be read or is wrong."""
    try:
        return read_toml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


_SIZE = ParsedParam("size", units.parse_size)
_TIME = ParsedParam("time", units.parse_duration)
_MD5_TIME = ParsedParam("time|never", lambda text: -1.0 if text == "never" else units.parse_duration(text))
_PLAN = ParsedParam("plan", lambda text: read_plan(text, units.parse_size))
_FAULT = ParsedParam("fault", read_rule)
_FAULTS = ParsedParam("faults", _rules_in)
_PORT = click.IntRange(0, 65535)
_CUSTOM = ParsedParam("file", read_definitions)
_EITHER = click.Choice(["refuse", "accept"])

GROUPS: dict[str, list[Callable[[Any], Any]]] = {
    "Where": [
        click.option("--port", metavar="N", type=_PORT, default=0,
                     help="Port of the API.  [default: the last one used on this directory if it is free, else any]"),
        click.option("--upload-port", metavar="N", type=_PORT, default=0,
                     help="Port of the upload service.  [default: likewise]"),
        click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True,
                     help="Address to listen on. The pages ask for no token: mind who can see them."),
        click.option("--dir", "directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
                     help="Where everything is kept; one sandbox at a time.  [default: STATE-DIR/sandbox]"),
        click.option("--token", metavar="T", envvar="FIGUP_SANDBOX_TOKEN", show_envvar=True,
                     help="The token that clients must use; it is no secret.  [default: one is made, kept and shown]"),
        click.option("--public-url", metavar="URL", help="What clients call the API behind a proxy (https://host/v2)."),
        click.option("--public-upload-url", metavar="URL",
                     help="What clients call the upload service (https://up.host/upload)."),
        click.option("--request-log", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
                     help="Append a line of JSON for each request."),
    ],
    "Limits": [
        click.option("--quota", metavar="SIZE", type=_SIZE, default="1TB", show_default=True, help="Of the account."),
        click.option("--max-file-size", metavar="SIZE", type=_SIZE, default="0", show_default=True,
                     help="Largest file; 0 is not stated, and no limit."),
        click.option("--quota-counts", type=click.Choice(["initiated", "completed"]), default="initiated",
                     show_default=True, help="Which files use quota."),
        click.option("--quota-status", type=click.Choice(["422", "403"]), default="422", show_default=True,
                     help="Answer to an initiate over quota or size."),
    ],
    "Behaviour": [
        click.option("--part-size", metavar="SIZE", type=_SIZE, default="10MiB", show_default=True,
                     help="Size of all parts."),
        click.option("--part-plan", metavar="PLAN", type=_PLAN,
                     help="Uneven parts: sizes over and over (1MiB,7MiB,3) or random:SEED."),
        click.option("--hidden-gets", metavar="N", type=click.IntRange(0), default=0, show_default=True,
                     help="So many GETs of a new file answer 404; it is in no listing until then."),
        click.option("--reput", type=_EITHER, default="accept", show_default=True, help="A PUT of a COMPLETE part."),
        click.option("--put", type=click.Choice(["keep", "wipe"]), default="keep", show_default=True,
                     help="What a PUT of an item does with the fields that it does not name."),
        click.option("--incomplete", type=_EITHER, default="refuse", show_default=True,
                     help="Completing with parts missing: 400, or a 202 that changes nothing."),
        click.option("--empty-files", type=_EITHER, default="refuse", show_default=True, help="Files of zero bytes."),
        click.option("--mixed-links", type=_EITHER, default="refuse", show_default=True,
                     help="Linked and uploaded files in one item."),
        click.option("--item-files", metavar="N", type=click.IntRange(0), default=1000, show_default=True,
                     help="Files that an item's object shows."),
        click.option("--institution", is_flag=True,
                     help="The account is an institution's, and administers it: it may impersonate others."),
        click.option("--custom-fields", metavar="FILE", type=_CUSTOM,
                     help="The institution's custom fields: a JSON list as the API's.  [default: some of each type]"),
        click.option("--auth-status", type=click.Choice(["403", "401"]), default="403", show_default=True,
                     help="Answer to a bad token."),
    ],
    "Times": [
        click.option("--hidden-for", metavar="TIME", type=_TIME, default="0", show_default=True,
                     help="A new file is invisible for so long."),
        click.option("--lock-linger", metavar="TIME", type=_TIME, default="1", show_default=True,
                     help="A part stays locked for so long after its connection broke."),
        click.option("--short-body-timeout", metavar="TIME", type=_TIME, default="5", show_default=True,
                     help="Until a connection is closed whose body was shorter than its part."),
        click.option("--idle-timeout", metavar="TIME", type=_TIME, default="60", show_default=True,
                     help="Until a connection is closed whose body stands still."),
        click.option("--created-delay", metavar="TIME", type=_TIME, default="0", show_default=True,
                     help="A completed file still shows created for so long,"),
        click.option("--checking-delay", metavar="TIME", type=_TIME, default="0.1", show_default=True,
                     help="then ic_checking at least so long,"),
        click.option("--success-delay", metavar="TIME", type=_TIME, default="0.1", show_default=True,
                     help="then ic_success,"),
        click.option("--moving-delay", metavar="TIME", type=_TIME, default="0.2", show_default=True,
                     help="then moving_to_final, and then it is available."),
        click.option("--md5-delay", metavar="TIME|never", type=_MD5_TIME, default="0.2", show_default=True,
                     help="From completion to computed_md5."),
        click.option("--latency", metavar="TIME", type=_TIME, default="0", show_default=True,
                     help="Before every answer of the API."),
        click.option("--public-delay", metavar="TIME", type=_TIME, default="0", show_default=True,
                     help="Until a published item can be seen by all."),
        click.option("--connection-rate", metavar="SIZE", type=_SIZE, default="0", show_default=True,
                     help="Bytes a second that are read of one PUT; 0 is no limit."),
    ],
    "Faults": [
        click.option("--fault", "fault_rules", metavar="RULE", type=_FAULT, multiple=True,
                     help="Something that goes wrong, see below; may be given many times."),
        click.option("--faults", "fault_files", metavar="FILE", type=_FAULTS, multiple=True,
                     help="The same from a TOML file."),
        click.option("--control", is_flag=True,
                     help="Let faults be set while it runs: GET, POST, DELETE /sandbox/faults, with the token."),
    ],
}  # fmt: skip


def _fault_help() -> str:
    def lines(stage: Stage) -> str:
        names = {name: spec for name, spec in SPECS.items() if spec.stage is stage}
        shown = [(" ".join([name, *(f"{one}=" for one in spec.options)]), spec.words) for name, spec in names.items()]
        return "\n".join(f"  {usage:<38}{words}" for usage, words in shown)

    requests = textwrap.fill(", ".join(sorted(REQUESTS)), 106, initial_indent="  ", subsequent_indent="  ",
                             break_on_hyphens=False)  # fmt: skip
    return f"""\b
RULE is REQUEST[@PART][:WHEN]=FAULT[,OPTION=VALUE]...
  put-part:2=reset-mid-body                     the second PUT of a part, whichever
  put-part@3:..2=503,retry-after=1              the first two PUTs of part 3
  initiate=lost-answer                          the first initiate; without WHEN it is 1
  get-file:4..=429,retry-after=date:2           from the fourth on
  any:every=hang,seconds=0.3                    all of them

\b
REQUEST is any or one of
{requests}

\b
FAULT spoils the answer (the first of a request's rules that does so counts):
{lines(Stage.ANSWER)}

\b
or changes the state, and then the request is served:
{lines(Stage.STATE)}

\b
In a TOML file: faults = ["put-part:2=reset", ...], or tables such as
  [[fault]]
  request = "put-part"
  part = 3
  when = "2.."
  fault = 503
  retry-after = 1
"""


class SandboxCommand(click.Command):
    """Shows its options in their groups."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings.setdefault("epilog", _fault_help())
        settings.setdefault("context_settings", {"max_content_width": 110})
        super().__init__(*args, **settings)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = [param.get_help_record(ctx) for param in self.get_params(ctx)]
        left = [record for record in records if record is not None]
        for title, options in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(left[: len(options)])
            del left[: len(options)]
        with formatter.section("Other"):
            formatter.write_dl(left)


def sandbox_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All options of the command, in the order of the groups."""
    for option in reversed([option for options in GROUPS.values() for option in options]):
        function = option(function)
    return function
