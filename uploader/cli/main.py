"""The command `figup`: finds the command asked for and imports that one alone, so that `--version` is instant."""

from __future__ import annotations

import importlib

import click

from uploader._version import __version__

COMMANDS: dict[str, str] = {
    "sandbox": "uploader.cli.sandbox:sandbox",
}
"""Command name → module:attribute, in the order in which `figup --help` lists them."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="figup")
def main() -> None:
    """Put large files on Figshare, and do not lose them on the way."""
