"""`figup doctor`: diagnose this node."""

from __future__ import annotations

import base64
import dataclasses
import http.client
import os
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import anyio.to_thread
import click

from uploader.cli.context import Context, open_context, state_dir
from uploader.cli.errors import failure_of
from uploader.cli.options import FigupCommand, GlobalOptions, common_options
from uploader.cli.output.writer import RED, YELLOW, Mark
from uploader.cli.runner import Session, run
from uploader.errors import ExitStatus, FigupError
from uploader.figshare.settings import RetryPolicy
from uploader.figshare.urls import PUBLIC_ENDPOINT, is_address
from uploader.text import printable
from uploader.units import format_duration

if TYPE_CHECKING:
    from uploader.cluster.node import Finding

HELP = """\b
Examples:
  figup doctor
  srun figup doctor --state-dir /project/me/figup     on a compute node

\b
Exit status:
  0  uploads can work here
  2  something must be fixed first

"""
_PATIENCE = RetryPolicy(elapsed_cap=5.0)
_UPLOAD_HOST = "fup-eu-west-1.figshare.com"
"""Receives the parts of uploads to figshare.com (observed)."""
_CONNECT_TIMEOUT = 5.0
_MAX_SKEW = 60.0
"""Seconds by which this host's clock may differ from Figshare's."""
_LABELS = {"note": Mark("note", YELLOW), "problem": Mark("problem", RED)}


@click.command("doctor", cls=FigupCommand, epilog=HELP)
@common_options
def doctor(common: GlobalOptions) -> int:
    """Check whether uploads can work on this host, and say what to fix.

    It looks at Python and TLS, proxies, the connection to Figshare, the clock, the token, the state directory, limits
    of this process, and the batch job. It sends only a few read-only requests.
    """
    with open_context(common) as context:

        async def work(session: Session) -> int:
            problems = 0
            async for finding in _findings(common, context):
                _show(session, finding)
                problems += finding.status == "problem"
            return ExitStatus.USAGE if problems else ExitStatus.OK

        return run(common, work)


def _show(session: Session, finding: Finding) -> None:
    session.console.event("check", **dataclasses.asdict(finding))
    hint = f". {finding.hint}" if finding.hint else ""
    session.console.result(f"{finding.status}: {finding.check}: {finding.text}{hint}", _LABELS.get(finding.status))


async def _findings(common: GlobalOptions, context: Context) -> AsyncIterator[Finding]:
    from uploader.cluster import node

    async def listed(check: Callable[..., Iterable[Finding]], *args: object) -> list[Finding]:
        return await anyio.to_thread.run_sync(lambda: list(check(*args)))

    for finding in await listed(node.python_findings):
        yield finding
    for finding in await _network_findings(context):
        yield finding
    for finding in await listed(node.state_findings, state_dir(common)):
        yield finding
    for finding in await listed(node.limit_findings):
        yield finding
    for finding in await listed(node.scheduler_findings, os.environ):
        yield finding


async def _network_findings(context: Context) -> list[Finding]:
    """Check the proxy, the API, the clock and the token."""
    from uploader.cluster.node import Finding

    host = urlsplit(context.endpoint).hostname or ""
    found = [Finding(check="proxy", status="ok", text=_proxy_text())]
    try:
        async with context.client(retry=_PATIENCE) as client:
            with client.figshare() as api:
                account = await api.account()
                skew = abs((api.server_now() - datetime.now(UTC)).total_seconds())
    except FigupError as error:
        failure = failure_of(error, kept=False, repeated=context.common.repeated)
        found.append(Finding(check="api", status="problem", text=failure.message, hint=failure.hint))
        return [*found, *await anyio.to_thread.run_sync(_route_findings, host)]
    found.append(Finding(check="api", status="ok", text=f"{context.endpoint} answers"))
    if context.endpoint == PUBLIC_ENDPOINT:
        found.append(await anyio.to_thread.run_sync(upload_host_finding, context.common.bind))
    found.append(
        Finding(check="token", status="ok", text=f"the token of {printable(account.email or str(account.id))}")
    )
    wrong = skew > _MAX_SKEW
    hint = "Set the clock (NTP): TLS certificates and signed addresses depend on it." if wrong else None
    text = f"the clock differs from Figshare's by {format_duration(skew)}"
    return [*found, Finding(check="clock", status="problem" if wrong else "ok", text=text, hint=hint)]


def upload_host_finding(bind: str | None = None) -> Finding:
    """Check that the host that receives parts can be reached, directly or by the proxy for https. Blocks.

    `bind`: the address of this host to connect from.
    """
    from uploader.cluster.node import Finding

    proxy = "" if urllib.request.proxy_bypass(_UPLOAD_HOST) else urllib.request.getproxies().get("https", "")
    address = _proxy_address(proxy) or (_UPLOAD_HOST, 443)
    source = (bind, 0) if bind is not None else None
    connection = http.client.HTTPConnection(*address, timeout=_CONNECT_TIMEOUT, source_address=source)
    if proxy:
        connection.set_tunnel(_UPLOAD_HOST, 443, headers=_proxy_headers(proxy))
    try:
        connection.connect()
    except (OSError, http.client.HTTPException) as fault:
        hint = f"Ask for access to {_UPLOAD_HOST}, port 443: parts go there, not to the API."
        reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
        text = f"{printable(address[0])}, port {address[1]}: {printable(reason)}"
        return Finding(check="upload-host", status="problem", text=text, hint=hint)
    finally:
        connection.close()
    by = f" by the proxy {printable(address[0])}" if proxy else ""
    return Finding(check="upload-host", status="ok", text=f"{_UPLOAD_HOST} accepts connections{by}")


def _proxy_headers(proxy: str) -> dict[str, str]:
    user, password = (unquote(text or "") for text in (urlsplit(proxy).username, urlsplit(proxy).password))
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return {"Proxy-Authorization": f"Basic {encoded}"} if user or password else {}


def _route_findings(host: str) -> list[Finding]:
    """Check that the name of the host can be resolved: on many compute nodes it cannot. Blocks."""
    from uploader.cluster.node import Finding

    try:
        socket.getaddrinfo(host, None)
    except OSError as fault:
        hint = "Nodes without a route to the internet need a proxy (https_proxy), or another node must upload."
        return [
            Finding(check="route", status="problem", text=f"{host} has no address here: {fault.strerror}", hint=hint)
        ]
    return [Finding(check="route", status="ok", text=f"{host} has an address")]


def _proxy_text() -> str:
    """Describe the proxies of the environment, without passwords."""
    shown = []
    for scheme, url in urllib.request.getproxies().items():
        if scheme != "no":
            host, port = _proxy_address(url) or ("an invalid address", None)
            shown.append(f"{scheme} by {printable(host)}" + (f":{port}" if port is not None else ""))
    return f"proxy for {', '.join(shown)}" if shown else "no proxy is set"


def _proxy_address(url: str) -> tuple[str, int] | None:
    """Return host and port of a proxy in the environment, which may lack the scheme; None if it is not an address."""
    address = url if "://" in url else f"http://{url}"
    if not is_address(address):
        return None
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
