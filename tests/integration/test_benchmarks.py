"""The quick benchmarks run; their results are not checked."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.link import Line
from benchmarks.service import Sweeper
from benchmarks.simulated import simulated
from tests.support.environment import clean_environment
from tests.support.processes import Process
from tests.support.programs import require_program

CHECKOUT = Path(__file__).parent.parent.parent
KB = 1000
pytestmark = pytest.mark.timeout(1200)


def bench(tmp_path: Path, *words: str) -> str:
    """What `scripts/bench --quick` prints, without fetching anything."""
    process = Process(
        [sys.executable, "-m", "benchmarks", "--quick", "--no-peers", "--dir", str(tmp_path), *words],
        env=clean_environment(tmp_path) | {"PYTHONPATH": str(CHECKOUT)},
        cwd=CHECKOUT,
    )
    try:
        assert process.wait(280) == 0, process.stderr.text
    finally:
        process.stop()
    return process.stdout.text


def test_figup_is_compared_over_tls_and_every_copy_is_checked(tmp_path: Path) -> None:
    require_program("nginx", "nginx-light")
    printed = bench(tmp_path, "--size", "16", "throughput", "start-up")
    assert re.search(r"^\| figup \| \d", printed, re.MULTILINE), printed
    assert re.search(r"^NOT MEASURED: pyfigshare, 4 workers: it is not to be installed", printed, re.MULTILINE), printed
    assert re.search(r"^\| figup upload of one byte \| \d", printed, re.MULTILINE), printed


def test_a_line_is_simulated_and_a_job_is_killed_and_resumed(tmp_path: Path) -> None:
    require_program("nginx", "nginx-light")
    printed = bench(tmp_path, "--size", "24", "wide-area", "resume")
    assert "| 1 Gbit/s, 10 ms: figup, no flags |" in printed
    assert "held   no line, on this machine: bytes sent again" in printed


def test_processes_of_a_job_are_simulated(tmp_path: Path) -> None:
    printed = bench(tmp_path, "cluster-simulated")
    assert "| one file, 1 process | 4.0 | 4 | 100.0 |" in printed
    assert "| files of 5 MiB, 8 processes |" in printed


def test_a_report_is_killed_and_compared_with_the_notebook(tmp_path: Path) -> None:
    printed = bench(tmp_path, "catalog")
    assert "held   killed 3 times: the same bytes" in printed
    assert re.search(r"^\| the notebook's way \| \d+ \|", printed, re.MULTILINE), printed


def test_processes_of_a_job_share_a_line(tmp_path: Path) -> None:
    require_program("nginx", "nginx-light")
    printed = bench(tmp_path, "--size", "24", "cluster")
    assert re.search(r"^\| one file, 1 process \| \d", printed, re.MULTILINE), printed
    assert re.search(r"^\| files of 2 MB, 2 processes \| \d", printed, re.MULTILINE), printed


def test_a_window_and_a_round_trip_bound_what_a_connection_carries() -> None:
    # 100 KB per round trip of 50 ms, whatever the rate: 400 KB take four of them, and one to connect.
    with (
        simulated(Line(rate=100e6, round_trip=0.05, window=100 * KB)) as link,
        socket.create_server(("127.0.0.1", link.upstream)) as server,
    ):
        began = time.monotonic()
        _send_through(link.port, server, 400 * KB)
        assert time.monotonic() - began > 0.18
        carried = link.carried()
    assert carried.bytes == 400 * KB
    assert carried.connections == 1


def test_the_line_has_one_rate_for_all_its_connections() -> None:
    with (
        simulated(Line(rate=1e6, round_trip=0.0, window=1000 * KB)) as link,
        socket.create_server(("127.0.0.1", link.upstream)) as server,
    ):
        began = time.monotonic()
        for _ in range(3):
            _send_through(link.port, server, 100 * KB)
        assert time.monotonic() - began > 0.29


def test_a_connection_is_dropped_at_regular_amounts_of_bytes() -> None:
    with (
        simulated(Line(rate=100e6, round_trip=0.0, window=1000 * KB, drop_every=500 * KB)) as link,
        socket.create_server(("127.0.0.1", link.upstream)) as server,
    ):
        _send_through(link.port, server, 400 * KB)
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as it comes
            _send_through(link.port, server, 400 * KB)
        assert link.carried().drops == 1


def _send_through(port: int, server: socket.socket, size: int) -> None:
    """Send this many bytes and read them all on the other side, where the connection appears with the first bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.settimeout(20)
        asyncio.run(_both(client, server, size))


async def _both(client: socket.socket, server: socket.socket, size: int) -> None:
    async def receive() -> None:
        arrived, _ = await asyncio.to_thread(server.accept)
        with arrived:
            arrived.settimeout(20)
            got = 0
            while got < size:
                count = len(await asyncio.to_thread(arrived.recv, 65536))
                if not count:
                    raise ConnectionResetError("the connection ended early")
                got += count

    await asyncio.gather(asyncio.to_thread(client.sendall, bytes(size)), receive())


def test_only_zeros_are_thrown_away(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    (parts / "token").mkdir(parents=True)
    (parts / "token" / "1").write_bytes(bytes(3_000_000))
    sweeper = Sweeper(parts)
    sweeper.sweep()
    assert (parts / "token" / "1").stat().st_blocks == 0
    assert (parts / "token" / "1").stat().st_size == 3_000_000
    (parts / "token" / "2").write_bytes(bytes(2_999_999) + b"x")
    with pytest.raises(ValueError, match="something else than zeros"):
        sweeper.sweep()


@pytest.mark.parametrize("when", ["before it is listed", "after it was listed"])
def test_an_upload_that_is_removed_during_a_sweep_does_not_end_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    parts, listed = tmp_path / "parts", Path.iterdir
    for token in ("1", "2"):
        (parts / token).mkdir(parents=True)
        (parts / token / "1").write_bytes(bytes(3_000_000))

    def iterdir(folder: Path) -> Iterator[Path]:
        before = list(listed(folder)) if when == "after it was listed" else None
        if folder.name == "1":
            shutil.rmtree(folder)
        return iter(before) if before is not None else listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    Sweeper(parts).sweep()
    assert not (parts / "1").exists()
    assert (parts / "2" / "1").stat().st_blocks == 0
