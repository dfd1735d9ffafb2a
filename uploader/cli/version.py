"""`figup version`."""

from __future__ import annotations

import click

from uploader._version import __version__
from uploader.cli.options import GlobalOptions, output_options
from uploader.cli.runner import Session, run


@click.command("version")  # no FigupCommand: a mistake in the configuration must not hide the version
@output_options
def version(common: GlobalOptions) -> int:
    """Print the version."""

    async def work(session: Session) -> int:
        session.console.event("version", version=__version__)
        session.console.result(f"figup, version {__version__}")
        return 0

    return run(common, work)
