"""The upload service fails while the API works; quotas and locks during a job."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.support.command import Figup
from tests.support.control import add_faults, drop_faults
from tests.support.invariants import check_exactly_once
from tests.support.sandbox import Sandbox
from tests.support.servers import free_ports

Start = Callable[..., Sandbox]
QUICK = ("--json", "--retry-timeout", "1s", "--settle-timeout", "1s", "--connections", "1")
HOST = "upload.example"
NAMES = f"""
import functools, os, socket, aiohttp
aiohttp.TCPConnector.__init__ = functools.partialmethod(aiohttp.TCPConnector.__init__, use_dns_cache=False)
real, left = socket.getaddrinfo, [int(os.environ["LOOKUPS"])]
def getaddrinfo(host, *args, **more):
    if host != {HOST!r}:
        return real(host, *args, **more)
    left[0] -= 1
    if left[0] < 0:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return real("127.0.0.1", *args, **more)
socket.getaddrinfo = getaddrinfo
"""


def point(figup: Figup, sandbox: Sandbox, size: int = 500_000) -> Path:
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(size))
    return path


def test_an_upload_host_that_refuses_connections(bare_figup: Figup, start_sandbox: Start) -> None:
    (nobody,) = free_ports(1)
    sandbox = start_sandbox("--public-upload-url", f"http://127.0.0.1:{nobody}/upload")
    path = point(bare_figup, sandbox)
    done = bare_figup.run("upload", "data.bin", *QUICK).expect(75)
    assert done.events[-2]["code"] == "unreachable"
    assert "refuse" in done.events[-2]["message"]
    assert sandbox.requests(service="upload") == []
    sandbox.restart("--part-size", "100KiB")
    bare_figup.run("upload", "data.bin", *QUICK).expect(0)
    check_exactly_once(sandbox, path)


def test_the_upload_host_stops_resolving_between_two_parts(bare_figup: Figup, start_sandbox: Start) -> None:
    (port,) = free_ports(1)
    sandbox = start_sandbox(
        *("--upload-port", str(port), "--public-upload-url", f"http://{HOST}:{port}/upload"),
        *("--part-size", "100KiB", "--fault", "put-part:3=reset"),
    )
    path = point(bare_figup, sandbox)
    (bare_figup.cwd / "sitecustomize.py").write_text(NAMES, "utf-8")
    bare_figup.env["PYTHONPATH"] = os.pathsep.join([str(bare_figup.cwd), str(Path(__file__).parents[2])])
    bare_figup.env["LOOKUPS"] = "1"
    done = bare_figup.run("upload", "data.bin", "--insecure-http", *QUICK).expect(75)
    assert HOST in done.events[-2]["message"]
    assert done.summary["files"][0]["parts_sent"] == 2
    bare_figup.env["LOOKUPS"] = "1000"
    again = bare_figup.run("upload", "data.bin", "--insecure-http", *QUICK).expect(0)
    assert again.summary["files"][0]["parts_found"] == 2
    check_exactly_once(sandbox, path)


def test_a_quota_that_fills_up_between_two_of_several_files(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--control")
    point(bare_figup, sandbox)
    paths = [bare_figup.cwd / f"{number}.bin" for number in range(5)]
    for path in paths:
        path.write_bytes(os.urandom(1000))
    # The last two are looked at when the first of the others is complete, which is what fills it up.
    add_faults(sandbox, "initiate:4..5=stall,seconds=4", "complete:1=quota-full")
    words = ("upload", *(path.name for path in paths), "--title", "several", *QUICK)
    done = bare_figup.run(*words).expect(1)
    assert sorted(file["status"] for file in done.summary["files"]) == ["failed"] * 2 + ["verified"] * 3
    assert "quota" in done.stderr.lower()
    drop_faults(sandbox)
    bare_figup.run(*words).expect(0)
    check_exactly_once(sandbox, *paths)


def test_a_part_locked_for_a_minute_delays_no_other(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = start_sandbox("--part-size", "100KiB", "--fault", "put-part@2=lock,seconds=60")
    path = point(bare_figup, sandbox)
    done = bare_figup.run("upload", "data.bin", *QUICK).expect(75)
    assert done.summary["files"][0]["parts_sent"] == 4
    # No lock survives that.
    sandbox.restart("--part-size", "100KiB")
    again = bare_figup.run("upload", "data.bin", *QUICK).expect(0)
    assert again.summary["files"][0]["parts_found"] == 4
    check_exactly_once(sandbox, path)
