"""`--pack` with real processes: killed at random, compared, tried dry, misused."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.archives import UNPACKERS, make_tree, tree, unpack
from tests.support.command import Figup
from tests.support.invariants import files, items, md5_of
from tests.support.sandbox import Sandbox


@pytest.fixture
def survey(figup: Figup) -> Path:
    return make_tree(figup.cwd / "survey")


def test_killed_at_random_and_continued(
    bare_figup: Figup, start_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    """What arrives is the folder, to the byte, whatever the order in which parts are sent after a kill."""
    choice = random.Random(7)
    sandbox = start_sandbox("--part-plan", "random:7", "--lock-linger", "0.2")
    bare_figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    survey = make_tree(tmp_path / "survey")
    for number in range(20):
        (survey / f"large {number}").write_bytes(choice.randbytes(100_000))
    command = ["upload", str(survey), "--pack", "zip", "--json", "--limit-rate", "1M", "--api-rate", "1000"]
    for _ in range(4):
        run = bare_figup.start(*command)
        time.sleep(choice.uniform(0.5, 1.5))
        run.kill()
    done = bare_figup.run(*command, "--connections", "7").expect(0)
    (item,) = items(sandbox)
    (file,) = files(sandbox, item["id"])
    puts = [request["path"] for request in sandbox.requests(kind="put-part") if request["status"] == 200]
    assert len(puts) == len(set(puts))
    bare_figup.run("download", str(item["id"]), "--output", str(tmp_path / "copy")).expect(0)
    archive = tmp_path / "copy" / "survey.zip"
    assert md5_of(archive) == file["computed_md5"] == done.summary["files"][0]["md5"]
    unpack("bsdtar from a pipe", archive, tmp_path / "unpacked")
    found = tree(tmp_path / "unpacked")
    assert found.pop("MANIFEST.md5")
    assert found == {f"survey/{path}": content for path, content in tree(survey).items()}


@pytest.mark.parametrize("options", [[], ["--no-pack-manifest"], ["--pack-name", "x.zip", "--pack-below", "100k"]])
@pytest.mark.parametrize("kind", UNPACKERS)
def test_verify_compares_without_making_the_archive(figup: Figup, survey: Path, kind: str, options: list[str]) -> None:
    done = figup.run("upload", "survey", "--pack", kind, "--api-rate", "1000", "--json", *options).expect(0)
    item = str(done.summary["item_id"])
    naming = options if "--pack-name" in options else []
    compared = figup.run("verify", item, "survey", "--packed", "--json", *naming).expect(0)
    assert {file["status"] for file in compared.summary["files"]} == {"same"}
    shown = figup.run("verify", item, "survey", "--packed", *naming).expect(0).stdout
    archive = "x.zip" if naming else f"survey.{kind}"
    assert f"{survey} as {archive}: the same" in shown
    (survey / "empty").write_bytes(b"no more")
    figup.run("verify", item, "survey", "--packed", *naming).expect(5)
    figup.run("verify", item, "survey", "--packed", "--pack-name", "other.zip").expect(1)


def test_the_dry_run_shows_what_is_saved(figup: Figup, survey: Path, sandbox: Sandbox) -> None:
    done = figup.run("upload", "survey", "--pack", "zip", "--pack-limit", "250k", "--pack-below", "200k", "--dry-run")
    lines = done.expect(0).stdout.splitlines()
    archives = [re.search(r"survey as (\S+), (\d+) members?  ", line) for line in lines]
    named = [(found[1], int(found[2])) for found in archives if found]
    assert [name for name, _ in named] == [f"survey-{number:03}.zip" for number in range(1, len(named) + 1)]
    assert sum(count for _, count in named) == 11
    assert any("image.bin" in line for line in lines)
    assert f"Saved by packing: about {2 * (11 - len(named))} requests" in lines
    assert items(sandbox) == []


def test_the_job_and_its_reports_show_the_archive(figup: Figup, survey: Path) -> None:
    done = figup.run("upload", "survey", "--pack", "tar", "--report", "report.html", "--report", "report.json").expect(
        0
    )
    assert "12 members" in done.stdout
    assert "12 members" in figup.run("status").expect(0).stdout
    assert "12 members" in (figup.cwd / "report.html").read_text()
    assert '"members":12' in (figup.cwd / "report.json").read_text().replace(" ", "")
    again = figup.run("upload", "survey", "--pack", "tar").expect(0)
    assert "nothing was sent" in again.stdout
    shutil.rmtree(survey / "nothing in it")
    gone = figup.run("upload", "survey", "--pack", "tar").expect(4)
    assert "nothing in it: no longer exists, but is a member of the archive survey.tar. Put it back" in gone.stderr
    assert "--restart-changed --forget-missing" in gone.stderr
    figup.run("upload", "survey", "--pack", "tar", "--restart-changed", "--forget-missing").expect(0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pack-below", "5M"], "--pack-below needs --pack"),
        (["--no-pack-manifest"], "--no-pack-manifest needs --pack"),
        (["--pack", "rar"], "'rar' is not one of"),
        (["--pack", "zip", "--pack-name", "a/b.zip"], "invalid name of an archive"),
        (["--pack", "zip", "--pack-below", "0"], "invalid value for '--pack-below': the size must be more than 0"),
        (["--pack", "zip", "--pack-limit", "1k"], "too large for an archive of at most"),
    ],
)
def test_misuse_is_explained(figup: Figup, survey: Path, words: list[str], message: str) -> None:
    assert message in figup.run("upload", "survey", *words).expect(2).stderr


def test_verify_options_need_packed(figup: Figup, survey: Path) -> None:
    assert "--pack-name needs --packed" in figup.run("verify", "1", "survey", "--pack-name", "x").expect(2).stderr


def test_many_files_name_packing(figup: Figup) -> None:
    folder = figup.cwd / "many"
    folder.mkdir()
    for number in range(501):
        (folder / f"{number}").write_bytes(b"1")
    done = figup.run("upload", "many", "--dry-run", "--api-rate", "0.2").expect(0)
    assert "would hold 501 files" in done.stderr
    assert "need at least 1 h 23 min of API requests" in done.stderr
    assert "--pack zip sends all of them as one file" in done.stderr
    assert (
        "--pack" not in figup.run("upload", "many", "--pack", "zip", "--dry-run", "--api-rate", "0.2").expect(0).stderr
    )
