"""`figup sandbox`: run a local Figshare in the foreground, with settings from the command line."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import click
import platformdirs

from uploader.cli.options import FigupCommand
from uploader.cli.sandbox_options import fault_help, sandbox_options
from uploader.errors import UsageError
from uploader.sandbox.custom_fields import DEFAULTS, CustomField
from uploader.sandbox.data_dir import read_token
from uploader.sandbox.faults import Rule
from uploader.sandbox.parts import PartPlan, Uniform
from uploader.sandbox.server import running
from uploader.sandbox.settings import Delays, Settings
from uploader.system import absolute


@click.command("sandbox", cls=FigupCommand, epilog=fault_help(), context_settings={"max_content_width": 110})
@sandbox_options
def sandbox(
    directory: Path | None,
    token: str | None,
    part_size: int,
    part_plan: PartPlan | None,
    quota_status: str,
    auth_status: str,
    page_cap_status: str,
    search: str,
    custom_fields: tuple[CustomField, ...] | None,
    fault_rules: tuple[Rule, ...],
    fault_files: tuple[list[Rule], ...],
    **options: Any,
) -> None:
    """Run a Figshare on this machine, with a real disk store, until SIGTERM or Ctrl-C.

    Prints "ready URL statistics URL" when it listens: the API, for FIGSHARE_ENDPOINT or --endpoint, and the statistics
    service, for FIGSHARE_STATS_ENDPOINT. The address of its pages
    in the browser goes to stderr. All acknowledged data survives restarts and kills.

    Sizes are written 10MiB (binary) or 20GB (decimal), times 1.5 (seconds) or 2min.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="figup sandbox: %(message)s")
    if part_size < 1:
        raise UsageError("--part-size must be at least 1 byte")
    if custom_fields is not None and not options["institution"]:
        raise UsageError("--custom-fields needs --institution")
    directory = Path(absolute(str(directory or _default_directory())))
    if not token:
        token = read_token(directory)
        click.echo(f"token {token}", err=True)
    settings = Settings(
        directory=directory,
        token=token,
        part_plan=part_plan or Uniform(part_size),
        delays=_delays(options),
        quota_status=int(quota_status),
        auth_status=int(auth_status),
        page_cap_status=int(page_cap_status),
        stems=search == "stems",
        custom_fields=DEFAULTS if custom_fields is None else custom_fields,
        faults=(*(rule for rules in fault_files for rule in rules), *fault_rules),
        **options,
    )
    anyio.run(_serve, settings)


def _default_directory() -> Path:
    state = os.environ.get("FIGUP_STATE_DIR")
    return (Path(state) if state else platformdirs.user_state_path("figup")) / "sandbox"


def _delays(options: dict[str, Any]) -> Delays:
    """Return the delays from the options."""
    names = ("created", "checking", "success", "moving")
    md5 = options.pop("md5_delay")
    return Delays(**{name: options.pop(f"{name}_delay") for name in names}, md5=None if md5 < 0 else md5)


async def _serve(settings: Settings) -> None:
    """Run until a signal arrives."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with running(settings) as at:
            click.echo(f"pages {at.pages_url}", err=True)
            click.echo(f"ready {at.url} statistics {at.stats_url}")
            async for _ in signals:
                return
