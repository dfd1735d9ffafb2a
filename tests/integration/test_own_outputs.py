"""What figup writes itself into a folder that it sends is not sent: it would change with every run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.command import COMMAND, Figup
from tests.support.invariants import files, items
from tests.support.sandbox import Sandbox
from uploader import upload


@pytest.fixture
def data(figup: Figup) -> Path:
    folder = figup.cwd / "data"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw/a.bin").write_bytes(b"a")
    (folder / "b.bin").write_bytes(b"b")
    figup.cwd = folder
    figup.env["FIGUP_STATE_DIR"] = str(folder / "state")
    return folder


OPTIONS = ("--log-file", "figup.log", "--report", "report.json", "--failed-to", "failed.txt")


@pytest.mark.parametrize("words", [["."], ["*"], [".", "--pack", "zip"]], ids=" ".join)
def test_logs_reports_and_state_are_skipped(figup: Figup, data: Path, sandbox: Sandbox, words: list[str]) -> None:
    figup.always = OPTIONS
    for _ in range(3):
        done = figup.run("upload", *words, "--json").expect(0)
    (item,) = items(sandbox)
    sent = {"data.zip"} if "zip" in words else {"a.bin", "b.bin"}
    assert {Path(file["name"]).name for file in files(sandbox, item["id"])} == sent
    skipped = {Path(skip["path"]).name: skip["reason"] for skip in done.summary["skipped"]}
    assert skipped == dict.fromkeys(["failed.txt", "figup.log", "report.json", "state"], "own-output")


def test_the_dry_run_and_verify_skip_them_too(figup: Figup, data: Path) -> None:
    item = figup.run("upload", ".", *OPTIONS, "--json").expect(0).summary["item_id"]
    planned = figup.run("upload", ".", "--dry-run", *OPTIONS, "--json").expect(0)
    assert {Path(file["path"]).name for file in planned.summary["files"]} == {"a.bin", "b.bin"}
    compared = figup.run("verify", str(item), ".", *OPTIONS[:2], "--json", "--exclude", "*.[jt]*").expect(0)
    assert {file["status"] for file in compared.summary["files"]} == {"same"}


def test_the_file_of_stdout_is_skipped(figup: Figup, data: Path, sandbox: Sandbox) -> None:
    for _ in range(2):
        with (data / "slurm-1.out").open("ab") as output:
            subprocess.run(
                [*COMMAND, "upload", "."], env=figup.env, cwd=data, stdout=output, stderr=output, check=True, timeout=60
            )
    (item,) = items(sandbox)
    assert {Path(file["name"]).name for file in files(sandbox, item["id"])} == {"a.bin", "b.bin"}
    assert "written by figup itself" in (data / "slurm-1.out").read_text()


def test_a_named_output_is_skipped(figup: Figup, data: Path) -> None:
    (data / "state").mkdir(mode=0o700)
    done = figup.run("upload", "b.bin", "state", "--json").expect(0)
    assert [Path(file["path"]).name for file in done.summary["files"]] == ["b.bin"]


def test_the_library_skips_its_state(data: Path, sandbox: Sandbox) -> None:
    for _ in range(2):
        report = upload(data, endpoint=sandbox.url, token=sandbox.token, state_dir=data / "state")
        assert {Path(file.path).name for file in report.files} == {"a.bin", "b.bin"}
