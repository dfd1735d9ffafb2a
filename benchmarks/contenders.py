"""The contenders: each sends one file to a stage with the command that a user would run."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Measurement, Missing, cpu_seconds_of, measure, program
from benchmarks.service import TOKEN
from benchmarks.stage import Stage
from tests.support.environment import clean_environment

CHECKOUT = Path(__file__).parent.parent
NO_PEERS = "FIGUP_BENCH_NO_PEERS"
"""Set in the environment if nothing may be downloaded."""
PEERS = CHECKOUT / ".venv-peers"


@dataclass(frozen=True)
class Send:
    """The input of a contender: an empty stage, a source with its MD5, and its own home directory."""

    stage: Stage
    source: Path
    md5: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "FIGSHARE_ENDPOINT": self.stage.endpoint,
            "FIGSHARE_TOKEN": TOKEN,
            "FIGUP_STATE_DIR": str(self.home / "state"),
            "REQUESTS_CA_BUNDLE": str(self.stage.ca_file),
        }
        return clean_environment(self.home) | own

    def run(self, *command: object) -> tuple[Measurement, str]:
        return measure([str(word) for word in command], env=self.environment)


Contender = Callable[[Send], Measurement]
"""Sends the source; raises RuntimeError if its command fails, Missing if it is not installed."""


def figup(send: Send, options: Sequence[str] = ()) -> Measurement:
    """`figup upload`."""
    command = (sys.executable, "-m", "uploader", "upload", send.source, "--json", "--ca-file", send.stage.ca_file)
    cost, stdout = send.run(*command, *options)
    reported = json.loads(stdout.splitlines()[-1])["files"][0]["md5"]
    if reported != send.md5:
        raise RuntimeError(f"figup says the MD5 is {reported}, but it is {send.md5}")
    return cost


def md5sum_and_curl(send: Send) -> Measurement:
    """`md5sum`, then `curl -Z` of parts that were cut, and listed with their addresses, beforehand."""
    curl = program("curl", "curl")
    upload = send.stage.initiate(send.source)
    parts = parts_of(send.source, upload["parts"])
    config = send.home / "curl.config"
    config.write_text(
        "next\n".join(
            f'upload-file = "{path}"\nurl = "{upload["upload_url"]}/{part["partNo"]}"\n'
            f'cacert = "{send.stage.ca_file}"\nsilent\nshow-error\nfail\noutput = "/dev/null"\n'
            for path, part in zip(parts, upload["parts"], strict=True)
        )
    )
    hashed, stdout = send.run("md5sum", send.source)
    if stdout.split()[0] != send.md5:
        raise RuntimeError(f"md5sum says {stdout}")
    sent, _ = send.run(curl, "--parallel", "--parallel-max", "4", "--config", config)
    return hashed.then(sent)


def parts_of(source: Path, parts: Sequence[Mapping[str, int]]) -> list[Path]:
    """The parts as files beside the source; they are cut once, and read so that they are in memory."""
    folder = source.with_name(f"{source.name}.parts-{len(parts)}")
    paths = [folder / f"{part['partNo']:06d}" for part in parts]
    if not folder.exists():
        folder.mkdir()
        with source.open("rb") as stream:
            for path, part in zip(paths, parts, strict=True):
                path.write_bytes(stream.read(part["endOffset"] - part["startOffset"] + 1))
    else:
        for path in paths:
            path.read_bytes()
    return paths


def pyfigshare(send: Send, workers: int) -> Measurement:
    """pyfigshare's library with this number of workers; it hashes the file first."""
    script = CHECKOUT / "benchmarks" / "peers" / "pyfigshare_upload.py"
    return send.run(peers_python(), script, send.stage.endpoint, send.source, workers, 1)[0]


def documented_flow(send: Send) -> Measurement:
    """Figshare's documented example: hash, then one part at a time."""
    script = CHECKOUT / "benchmarks" / "peers" / "documented_flow.py"
    return send.run(peers_python(), script, send.stage.endpoint, send.source)[0]


def rclone(send: Send) -> Measurement:
    """`rclone copyto` over WebDAV: no API, no parts, no MD5."""
    command = program("rclone", "rclone")
    if not send.stage.has_webdav:
        raise Missing("nginx's WebDAV module is missing (Debian: apt-get install libnginx-mod-http-dav-ext)")
    url = f"{send.stage.url}/dav"
    options = ["--webdav-url", url, "--webdav-vendor", "other", "--ca-cert", send.stage.ca_file, "--retries", "1"]
    return send.run(command, "copyto", send.source, f":webdav:{send.source.name}", *options)[0]


@functools.cache
def peers_python() -> Path:
    """The Python of an environment with pyfigshare and requests, created on first use."""
    if os.environ.get(NO_PEERS):
        raise Missing("it is not to be installed (--no-peers)")
    python, pins = PEERS / "bin" / "python", CHECKOUT / "scripts" / "requirements-peers.txt"
    stamp = PEERS / "made-from"
    if not (stamp.exists() and stamp.read_text() == pins.read_text()):
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS], check=True)
            subprocess.run([*pip, "install", "--requirement", pins], check=True)
        except subprocess.CalledProcessError as fault:
            raise Missing("pyfigshare and requests could not be installed from the package index") from fault
        stamp.write_text(pins.read_text())
    return python


@dataclass(frozen=True)
class Sent:
    """One contender's round: its cost, and that of the servers meanwhile."""

    cost: Measurement
    server_cpu_seconds: float


def perform(contender: Contender, stage: Stage, source: Path, md5: str, *, work: Path | None = None) -> Sent:
    """One round on a cleared stage, with its state in `work` or beside the source.

    Raises RuntimeError if the stored bytes are not the source.
    """
    stage.clear()
    stage.expect(source, md5)
    with tempfile.TemporaryDirectory(dir=work or source.parent) as home:
        before = cpu_seconds_of(stage.pids)
        cost = contender(Send(stage, source, md5, Path(home)))
        spent = cpu_seconds_of(stage.pids) - before
    check(stage, source, md5)
    stage.clear()
    return Sent(cost, spent)


def check(stage: Stage, source: Path, md5: str) -> None:
    """Raises RuntimeError when what is stored is not the source."""
    if stage.discards and any((stage.folder / "parts").iterdir()):
        zeros = stage.stored_zeros()
        if zeros != source.stat().st_size:
            raise RuntimeError(f"{zeros} zeros came, not {source.stat().st_size}")
    elif (stored := stage.stored_md5()) != md5:
        raise RuntimeError(f"the MD5 of what is stored is {stored}, but the source's is {md5}")
