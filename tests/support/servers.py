"""Third-party servers between figup and a sandbox: nginx for TLS, tinyproxy."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.environment import clean_environment
from tests.support.processes import Process
from tests.support.programs import require_program
from tests.support.tls import Certificate

_PORTS = range(20_000, 32_000)
"""Below those that Linux gives to connections and to servers that ask for any port, which other tests do meanwhile."""


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return currently unused ports."""
    free: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if len(free) == count:
            break
        with socket.socket() as one, suppress(OSError):
            one.bind((host, port))
            free.append(port)
    return free


@dataclass(frozen=True)
class Site:
    """What nginx serves on one port: TLS with a certificate, before a server that speaks plain http."""

    port: int
    certificate: Certificate
    upstream: str


_NGINX = """
daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 256; }}
http {{
  access_log access.log;
  client_max_body_size 0;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  {servers}
}}
"""
_SITE = """
  server {{
    listen {host}:{port} ssl;
    ssl_certificate {chain}; ssl_certificate_key {key};
    location / {{
      proxy_pass {upstream}; proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;
    }}
  }}
"""


@contextmanager
def nginx(folder: Path, sites: Sequence[Site], host: str = "127.0.0.1") -> Iterator[Path]:
    """Run an nginx with its own prefix during the block; yield its access log."""
    program = require_program("nginx", "nginx-light")
    folder.mkdir(parents=True)
    servers = "".join(
        _SITE.format(host=host, port=site.port, chain=site.certificate.chain, key=site.certificate.key,
                     upstream=site.upstream)
        for site in sites
    )  # fmt: skip
    (folder / "nginx.conf").write_text(_NGINX.format(servers=servers))
    command: list[str | Path] = [program, "-p", folder, "-e", "error.log", "-c", "nginx.conf"]
    with serving(command, folder, [(host, site.port) for site in sites]):
        yield folder / "access.log"


@contextmanager
def tinyproxy(folder: Path, *lines: str) -> Iterator[tuple[str, Path]]:
    """Run a tinyproxy on loopback during the block; yield its address (host:port) and its log."""
    program = require_program("tinyproxy", "tinyproxy-bin")
    folder.mkdir(parents=True)
    (port,) = free_ports(1)
    log = folder / "proxy.log"
    settings = (f"Port {port}", "Listen 127.0.0.1", "Timeout 60", f'LogFile "{log}"', "LogLevel Connect", *lines)
    (folder / "tinyproxy.conf").write_text("\n".join([*settings, ""]))
    with serving([program, "-d", "-c", folder / "tinyproxy.conf"], folder, [("127.0.0.1", port)]):
        yield f"127.0.0.1:{port}", log


@contextmanager
def serving(command: Sequence[str | Path], folder: Path, addresses: Sequence[tuple[str, int]]) -> Iterator[int]:
    """Run a server in `folder` that listens on all `addresses` during the block; yield its pid."""
    process = Process(command, env=clean_environment(folder), cwd=folder)
    try:
        for address in addresses:
            _wait_for(address, process, time.monotonic() + 20)
        yield process.pid
    finally:
        process.stop()


def _wait_for(address: tuple[str, int], process: Process, deadline: float) -> None:
    """Wait until something listens there."""
    while True:
        try:
            socket.create_connection(address, timeout=5).close()
        except ConnectionRefusedError:
            if process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.command[0]} does not listen: {process.stderr.text}") from None
            time.sleep(0.01)
        else:
            return
