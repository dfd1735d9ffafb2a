"""`figup demo`: its claims hold and are measured, and it leaves nothing behind."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.support.command import Figup
from tests.support.invariants import md5_of


@pytest.fixture
def place(bare_figup: Figup) -> Path:
    place = bare_figup.cwd / "place"
    place.mkdir()
    return place


def test_the_demo_proves_its_claims_and_cleans_up(bare_figup: Figup, place: Path) -> None:
    done = bare_figup.run("demo", "--size", "20Mi", "--dir", place).expect(0)
    text = done.stdout
    found = int(re.findall(r"ok +(\d+) parts were already there", text)[0])
    sent = int(re.findall(r"ok +(\d+) parts were sent by the second run", text)[0])
    assert 50 <= found < 101
    assert sent + found == 101
    assert "ok   0 parts were sent twice" in text
    assert "killed with SIGKILL" in text
    assert "interrupted" in text
    local, remote = re.findall(r"MD5 +([0-9a-f]{32})", text)
    assert local == remote
    assert "ok   1 item on Figshare" in text
    assert "ok   1 file of this name, 1 in total" in text
    assert "http://127" not in text.splitlines()[-1], "an address that is dead by now"
    assert "NOT" not in text
    assert list(place.iterdir()) == []
    assert not bare_figup.state_dir.exists()


def test_on_a_terminal_the_page_can_be_opened_until_enter_is_pressed(bare_figup: Figup, place: Path) -> None:
    done = bare_figup.run_on_terminal("demo", "--size", "2Mi", "--dir", place, typed="\n")
    assert done.returncode == 0
    text = "".join(done.screen)
    assert re.search(r"The item's page: http://127\.0\.0\.1:\d+/account/articles/\d+", text)
    assert "Open it in a browser; Enter stops the local Figshare and removes everything." in text
    assert list(place.iterdir()) == []


def test_keep_keeps_the_files_of_the_demo(bare_figup: Figup, place: Path) -> None:
    done = bare_figup.run("demo", "--size", "5MiB", "--dir", place, "--keep", "--json").expect(0)
    assert all(event["holds"] for event in done.events if event["event"] == "claim")
    assert (done.summary["exit_status"], done.summary["bytes_total"]) == (0, 5 << 20)
    (kept,) = place.iterdir()
    assert done.summary["files"][0]["md5"] == md5_of(kept / "demo.bin")
    assert (kept / "requests.jsonl").exists()


def test_ctrl_c_cleans_up_too(bare_figup: Figup, place: Path) -> None:
    run = bare_figup.start("demo", "--size", "20Mi", "--dir", place)
    assert run.process.stdout.wait_for(lambda line: line.startswith("$ figup upload"), 20)
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    run.wait(15).expect(130)
    assert time.monotonic() - began < 10
    assert list(place.iterdir()) == []


def test_missing_disk_space_is_found_first(bare_figup: Figup, place: Path) -> None:
    done = bare_figup.run("demo", "--size", "900T", "--dir", place).expect(2)
    assert "free. Choose" in done.stderr
    assert list(place.iterdir()) == []
