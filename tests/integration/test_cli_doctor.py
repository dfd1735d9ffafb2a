"""`figup doctor`: what it looks at, and what it says where something is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.command import Figup, Result
from tests.support.sandbox import Sandbox


def checks(done: Result) -> dict[str, dict[str, Any]]:
    return {event["check"]: event for event in done.events if event["event"] == "check"}


def test_a_host_where_uploads_work(figup: Figup) -> None:
    figup.env |= {
        "SLURM_JOB_ID": "70",
        "SLURM_JOB_END_TIME": "1900000000",
        "https_proxy": "http://me:s3cret@proxy:3128",
    }
    done = figup.run("doctor", "--json").expect(0)
    found = checks(done)
    assert {"python", "certificates", "proxy", "api", "token", "clock", "state", "space", "open-files"} <= found.keys()
    assert {"exclusive", "link", "rename", "flock", "sync", "sync-folder"} <= found.keys()
    assert not [check for check in found.values() if check["status"] == "problem"]
    assert "proxy:3128" in found["proxy"]["text"]
    assert "s3cret" not in done.stdout
    assert found["scheduler"]["text"] == "Slurm job 70"
    assert "SLURM_JOB_END_TIME" in found["deadline"]["text"]
    assert not [path for path in figup.state_dir.iterdir() if path.name.startswith("doctor-")]


def test_problems_are_named_with_what_to_do(figup: Figup, sandbox: Sandbox) -> None:
    sandbox.stop()
    figup.state_dir.write_text("not a folder")
    done = figup.run("doctor").expect(2)
    lines = done.stdout.splitlines()
    assert any(line.startswith("problem: api: ") for line in lines)
    assert any(
        line.startswith("problem: state: ") and line.endswith("Choose another state directory.") for line in lines
    )
    assert "ok: python: Python 3." in done.stdout


def test_a_rejected_token_is_a_problem(figup: Figup) -> None:
    figup.env["FIGSHARE_TOKEN"] = "wrong"
    found = checks(figup.run("doctor", "--json").expect(2))
    assert found["api"]["status"] == "problem"
    assert found["api"]["hint"]
    assert json.dumps(found).count("wrong") == 0


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [("http://proxy:80x", "an invalid address"), ("proxy:3128", "proxy:3128")],
    ids=["invalid port", "no scheme"],
)
def test_an_odd_proxy_is_shown(figup: Figup, proxy: str, shown: str) -> None:
    figup.env["https_proxy"] = proxy
    assert f"ok: proxy: proxy for https by {shown}" in figup.run("doctor").expect(0).stdout
