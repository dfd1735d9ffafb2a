"""`figup help` and `figup completion`, which import little."""

from __future__ import annotations

import re
import sys
from importlib import resources

import click

from uploader.cli.main import COMMANDS
from uploader.text import suggest

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_PICTURE = re.compile(r"^(?:!\[.*\]\(.*\)|<p .*<img .*)\n\n?", re.MULTILINE)
_PAGE_LINK = re.compile(r"\]\((\w+)\.md\)")
SHELLS = ("bash", "zsh", "fish")


def topics() -> dict[str, str]:
    """Return the pages of the manual in the order of its index: name → title."""
    manual = resources.files("uploader.manual")
    names = _PAGE_LINK.findall(manual.joinpath("index.md").read_text("utf-8"))
    return {name: manual.joinpath(f"{name}.md").read_text("utf-8").partition("\n")[0].lstrip("# ") for name in names}


def page(topic: str) -> str:
    """Return a page of the manual without comments and pictures, for a terminal."""
    text = resources.files("uploader.manual").joinpath(f"{topic}.md").read_text("utf-8")
    return _PICTURE.sub("", _COMMENT.sub("", text))


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in (*topics(), *COMMANDS) if name.startswith(incomplete)]


@click.command("help", context_settings={"ignore_unknown_options": True})
@click.argument("words", metavar="[TOPIC | COMMAND]", nargs=-1, shell_complete=_complete)
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...]) -> int:
    """Show a page of the manual or the help of a command. Without TOPIC, list the pages."""
    known = topics()
    if not words:
        formatter = ctx.make_formatter()
        with formatter.section("Manual (figup help TOPIC)"):
            formatter.write_dl(list(known.items()))
        click.echo(formatter.getvalue().rstrip() + "\n\nfigup COMMAND --help lists the options of a command.")
        return 0
    if words[0] in known and len(words) == 1:
        _show(page(words[0]))
        return 0
    group = ctx.find_root().command
    if words[0] not in COMMANDS or not isinstance(group, click.Group):
        names = dict.fromkeys((*known, *COMMANDS))
        near = suggest(words[0], names)
        rest = f"did you mean {near[0]}?" if near else f"known topics: {', '.join(names)}"
        raise click.UsageError(f"unknown topic or command {words[0]!r}; {rest}")
    return group.main([*words, "--help"])


def _show(text: str) -> None:
    """Print the text, through the pager on a terminal."""
    if sys.stdout.isatty():
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=False)


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    \b
    bash:  figup completion bash >> ~/.bashrc
    zsh:   figup completion zsh >> ~/.zshrc
    fish:  figup completion fish > ~/.config/fish/completions/figup.fish
    """
    from click.shell_completion import get_completion_class

    maker = get_completion_class(shell)
    if maker is None:
        raise click.UsageError(f"unknown shell {shell!r}")
    click.echo(maker(ctx.find_root().command, {}, "figup", "_FIGUP_COMPLETE").source())
    return 0
