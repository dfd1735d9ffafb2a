"""SIGKILL at random moments, and two jobs at once: always one item, one file, equal MD5s, and no part sent twice."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Figup
from tests.support.invariants import check_exactly_once, check_token_stayed_home, files, md5_of
from tests.support.sandbox import Sandbox
from tests.support.waiting import until

KILLS = 12
"""Maximum number of kills of one upload; it often finishes before."""


@pytest.mark.parametrize("seed", range(4))
def test_an_upload_killed_repeatedly_completes(
    seed: int, bare_figup: Figup, start_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    choice = random.Random(seed)
    plan = choice.choice(["64KiB", "random:7", "1MiB,3,200KiB"])
    sandbox = start_sandbox("--part-plan", plan, "--lock-linger", "0.2", "--hidden-gets", str(choice.choice([0, 2])))
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    source = tmp_path / "dätä set.bin"
    source.write_bytes(random.Random(seed).randbytes(3_000_000 + seed))
    command = ["upload", str(source), "--json", "--limit-rate", "2M", "--api-rate", "1000", "--settle-timeout", "2"]
    for _ in range(KILLS):
        run = bare_figup.start(*command)
        # From before the first request to well after the last: a run of its own takes less than two seconds.
        time.sleep(choice.uniform(0.0, 1.3))
        run.kill()
    bare_figup.run(*command).expect(0)
    check_exactly_once(sandbox, source)
    check_token_stayed_home(sandbox)
    assert bare_figup.run("jobs", "--json").expect(0).events[0]["state"] == "done"


@pytest.mark.fast
def test_both_sides_killed_at_once(bare_figup: Figup, start_sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    sandbox = start_sandbox("--part-size", "64KiB")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    source = tmp_path / "a.bin"
    source.write_bytes(os.urandom(3_000_000))
    run = bare_figup.start("upload", str(source), "--limit-rate", "1500k")
    until(lambda: len(sandbox.requests(kind="put-part")) >= 10)
    sandbox.kill()
    run.kill()
    sandbox.start()
    result = bare_figup.run("upload", str(source), "--json").expect(0)
    assert result.summary["files"][0]["parts_found"] >= 1
    check_exactly_once(sandbox, source)


def test_two_jobs_of_one_title_never_share_an_item(bare_figup: Figup, start_sandbox: Callable[..., Sandbox]) -> None:
    # The first job has a bad response, and looks for its item while the second job's exists and is not recorded yet.
    sandbox = start_sandbox("--fault", "create-item=503", "--fault", "get-item=hang,seconds=3")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    sources = [bare_figup.cwd / name / "data.bin" for name in ("one", "two")]
    for source in sources:
        source.parent.mkdir()
        source.write_bytes(os.urandom(1000))
    first = bare_figup.start("upload", str(sources[0]), "--json", "--settle-timeout", "1")
    until(lambda: sandbox.requests(kind="create-item"))
    second = bare_figup.start("upload", str(sources[1]), "--json", "--settle-timeout", "1")
    summaries = [run.wait().expect(0).summary for run in (first, second)]
    assert len({summary["item_id"] for summary in summaries}) == 2
    for source, summary in zip(sources, summaries, strict=True):
        (file,) = files(sandbox, summary["item_id"])
        assert file["computed_md5"] == md5_of(source)
