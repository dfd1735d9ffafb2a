"""Several files in one job: an error of one file ends only that file; an error that concerns all ends the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Figup
from tests.support.control import drop_faults
from tests.support.invariants import check_exactly_once
from tests.support.sandbox import Sandbox

Start = Callable[..., Sandbox]
FAST = ["--api-rate", "1000", "--settle-timeout", "1"]


@pytest.fixture
def faulty(bare_figup: Figup, start_sandbox: Start) -> Callable[..., Sandbox]:
    """Start a sandbox with these faults, which `bare_figup` uses, and with parts of 1 KiB."""

    def start(*faults: str) -> Sandbox:
        sandbox = start_sandbox("--part-size", "1KiB", "--control", *(w for f in faults for w in ("--fault", f)))
        bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
        return sandbox

    return start


def sources(folder: Path, parts: list[int]) -> list[Path]:
    """Files with this number of parts each."""
    paths = [folder / f"{number:02}.bin" for number in range(len(parts))]
    for path, count in zip(paths, parts, strict=True):
        path.write_bytes(path.name.encode() * (1024 * count // len(path.name)))
    return paths


def test_a_repeatedly_lost_upload_fails_its_file(bare_figup: Figup, faulty: Callable[..., Sandbox]) -> None:
    faulty("put-part@3:every=lose-upload")
    paths = sources(bare_figup.cwd, [3, 2, 2])
    done = bare_figup.run("upload", *paths, "--title", "Title", "--json", *FAST).expect(1)
    assert [f["status"] for f in done.summary["files"]] == ["failed", "verified", "verified"]
    assert done.summary["files"][0]["error"]["code"] == "upload-failing"
    assert "00.bin: Figshare lost its upload 4 times" in done.stderr


def test_a_repeatedly_rejected_part_fails_its_file(bare_figup: Figup, faulty: Callable[..., Sandbox]) -> None:
    sandbox = faulty("put-part@3:every=503")
    # The others are slow, so that some of their parts are accepted while this one is refused.
    paths = sources(bare_figup.cwd, [3] + [2] * 16)
    slowly = ["--api-rate", "16", "--retry-timeout", "1.5"]
    done = bare_figup.run("upload", *paths, "--title", "Title", "--json", *slowly).expect(1)
    assert [f["status"] for f in done.summary["files"]] == ["failed"] + ["verified"] * 16
    error = done.summary["files"][0]["error"]
    assert (error["code"], "answered 503" in error["message"]) == ("upload-failing", True)
    drop_faults(sandbox)
    bare_figup.run("upload", *paths, "--title", "Title", "--json", *FAST).expect(0)
    check_exactly_once(sandbox, *paths)


def test_an_upload_service_that_rejects_everything_ends_the_run(
    bare_figup: Figup, faulty: Callable[..., Sandbox]
) -> None:
    faulty("put-part:every=503")
    paths = sources(bare_figup.cwd, [2] * 12)
    done = bare_figup.run("upload", *paths, "--title", "Title", "--json", *FAST, "--retry-timeout", "1").expect(75)
    assert "server-failing" in [event["code"] for event in done.events if event["event"] == "error"]
    assert "failed" not in [f["status"] for f in done.summary["files"]]
