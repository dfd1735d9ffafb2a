"""`figup sandbox`: a local Figshare in the foreground. Turns the command line into settings, and nothing else."""

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

from uploader.cli import units
from uploader.cli.options import Figures
from uploader.errors import UsageError
from uploader.sandbox.home import kept_token
from uploader.sandbox.parts import PartPlan, Uniform, read_plan
from uploader.sandbox.server import running
from uploader.sandbox.settings import Delays, Settings

SIZE = Figures("size", units.parse_size)
SECONDS = Figures("time", units.parse_duration)
SECONDS_OR_NEVER = Figures("time|never", lambda text: -1.0 if text == "never" else units.parse_duration(text))
PLAN = Figures("plan", lambda text: read_plan(text, units.parse_size))


def _default_directory() -> Path:
    state = os.environ.get("FIGUP_STATE_DIR")
    return (Path(state) if state else Path(platformdirs.user_state_path("figup"))) / "sandbox"


@click.command(context_settings={"show_default": True, "max_content_width": 110})
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the API; 0: the last one used on this directory if it is free, else any.",
)
@click.option("--upload-port", type=click.IntRange(0, 65535), default=0, help="Port of the upload service, likewise.")
@click.option(
    "--host", default="127.0.0.1", help="Address to listen on. The pages ask for no token: mind who can see it."
)
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), show_default="state directory",
              help="Where everything is kept. One sandbox at a time.")  # fmt: skip
@click.option("--token", envvar="FIGUP_SANDBOX_TOKEN", show_envvar=True, show_default="one is made and kept",
              help="The token that clients must use; it is no secret.")  # fmt: skip
@click.option("--public-url", help="What clients call the API behind a proxy, such as https://host/v2.")
@click.option("--public-upload-url", help="What clients call the upload service, such as https://up.host/upload.")
@click.option("--request-log", type=click.Path(path_type=Path, dir_okay=False),
              help="Append a line of JSON for each request.")  # fmt: skip
@click.option("--part-size", type=SIZE, default="10MiB", help="Size of all parts.")
@click.option("--part-plan", type=PLAN, help="Uneven parts: sizes to repeat (1MiB,7MiB,3) or random:SEED.")
@click.option("--quota", type=SIZE, default="1TB", help="Quota of the account.")
@click.option("--max-file-size", type=SIZE, default="0", help="Largest file; 0 is not stated, and no limit.")
@click.option("--quota-status", type=click.Choice(["422", "403"]), default="422", help="Answer over quota or size.")
@click.option("--quota-counts", type=click.Choice(["initiated", "completed"]), default="initiated",
              help="Which files use quota.")  # fmt: skip
@click.option("--auth-status", type=click.Choice(["403", "401"]), default="403", help="Answer to a bad token.")
@click.option("--empty-files", type=click.Choice(["refuse", "accept"]), default="refuse", help="Files of zero bytes.")
@click.option("--mixed-links", type=click.Choice(["refuse", "accept"]), default="refuse",
              help="Linked and uploaded files in one item.")  # fmt: skip
@click.option("--reput", type=click.Choice(["accept", "refuse"]), default="accept", help="A PUT of a COMPLETE part.")
@click.option("--incomplete", type=click.Choice(["refuse", "accept"]), default="refuse",
              help="Completing with parts missing: 400, or 202 that changes nothing.")  # fmt: skip
@click.option("--item-files", type=click.IntRange(0), show_default="all", help="Files that an item's object shows.")
@click.option("--hidden-gets", type=click.IntRange(0), default=0, help="GETs of a new file that answer 404.")
@click.option("--hidden-for", type=SECONDS, default="0", help="How long a new file is invisible.")
@click.option("--lock-linger", type=SECONDS, default="1", help="How long a broken connection's lock stays.")
@click.option("--short-body-timeout", type=SECONDS, default="5", help="Wait for a body shorter than its part.")
@click.option("--idle-timeout", type=SECONDS, default="60", help="Wait for a body that stands still.")
@click.option("--md5-delay", type=SECONDS_OR_NEVER, default="0.2", help="From completion to computed_md5.")
@click.option("--created-delay", type=SECONDS, default="0", help="Time that a completed file still shows created.")
@click.option("--checking-delay", type=SECONDS, default="0.1", help="Least time in ic_checking.")
@click.option("--success-delay", type=SECONDS, default="0.1", help="Time in ic_success.")
@click.option("--moving-delay", type=SECONDS, default="0.2", help="Time in moving_to_final.")
@click.option("--latency", type=SECONDS, default="0", help="Wait before every answer of the API.")
@click.option("--connection-rate", type=SIZE, default="0", help="Bytes a second read of one PUT; 0 is no limit.")
def sandbox(
    directory: Path | None,
    token: str | None,
    part_size: int,
    part_plan: PartPlan | None,
    quota_status: str,
    auth_status: str,
    **options: Any,
) -> None:
    """Run a Figshare on this machine, with a real disk store, until SIGTERM or Ctrl-C.

    Prints "ready URL" when it listens; URL is the API, for FIGSHARE_ENDPOINT or --endpoint. Items have a page in
    the browser at the same port. All it acknowledged is kept over restarts and kills. Sizes are written 10MiB
    (binary) or 20GB (decimal), times 1.5 (seconds) or 2min.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="figup sandbox: %(message)s")
    directory = (directory or _default_directory()).absolute()
    delays = {name: options.pop(f"{name}_delay") for name in ("created", "checking", "success", "moving", "md5")}
    if delays["md5"] < 0:
        delays["md5"] = None
    if part_size < 1:
        raise UsageError("--part-size must be at least 1 byte")
    if not token:
        token = kept_token(directory)
        click.echo(f"token {token}", err=True)
    settings = Settings(
        directory=directory,
        token=token,
        part_plan=part_plan or Uniform(part_size),
        delays=Delays(**delays),
        quota_status=int(quota_status),
        auth_status=int(auth_status),
        **options,
    )
    anyio.run(_serve, settings)


async def _serve(settings: Settings) -> None:
    """Run until a signal comes."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with running(settings) as at:
            click.echo(f"ready {at.url}")
            async for _ in signals:
                return
