"""The benchmarks' own measurements: a wrong benchmark is worse than none."""

from __future__ import annotations

import hashlib
import json
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.files import md5_of, md5_of_zeros, random_file, sparse_file
from benchmarks.harness import Measurement, Missing, Spread, in_turn, measure
from benchmarks.profile import KINDS, kind_of
from benchmarks.report import Bar, Column, Report
from tests.support.environment import clean_environment

MIB = 1 << 20


def test_a_process_is_measured_by_itself(tmp_path: Path) -> None:
    ballast = bytes(200 * MIB)
    code = "import time; held = b'x' * (64 << 20); print(len(held)); time.sleep(0.3)"
    cost, stdout = measure([sys.executable, "-c", code], env=clean_environment(tmp_path))
    assert stdout == f"{64 * MIB}\n"
    assert cost.seconds >= 0.3
    assert 0 < cost.cpu_seconds < cost.seconds + 1
    assert 64 * MIB < cost.peak_memory < 150 * MIB < len(ballast)


def test_a_command_that_fails_is_not_a_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3: oh no"):
        measure([sys.executable, "-c", "import sys; print('oh no', file=sys.stderr); sys.exit(3)"], env={})


def test_runs_take_turns(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []

    def run(name: str) -> Measurement:
        calls.append(name)
        return Measurement(seconds=len(calls), cpu_seconds=0, peak_memory=0, storage_read=0)

    measured, missing = in_turn(2, {name: partial(run, name) for name in ("a", "b")})
    assert missing == []
    assert calls == ["a", "b", "a", "b"]
    assert [cost.seconds for cost in measured["b"]] == [2, 4]
    assert "round 2 of 2: b" in capsys.readouterr().out


def test_missing_tools_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    def nobody() -> int:
        raise Missing("nobody is missing (Debian: apt-get install nobody)")

    measured, missing = in_turn(2, {"b": nobody, "a": lambda: 1})
    assert measured == {"a": [1, 1]}
    assert missing == ["NOT MEASURED: b: nobody is missing (Debian: apt-get install nobody)"]
    assert missing[0] in capsys.readouterr().out


def test_benchmark_files_have_their_sizes(tmp_path: Path) -> None:
    sparse = sparse_file(tmp_path, 3 * MIB)
    assert sparse.stat().st_size == 3 * MIB
    assert md5_of(sparse) == md5_of_zeros(3 * MIB)
    noise = random_file(tmp_path, 2 * MIB)
    assert noise.stat().st_size == 2 * MIB
    assert md5_of(noise) == hashlib.md5(noise.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        (" 7/9  7f2aa57f02b5 [unknown] (/usr/lib/x86_64-linux-gnu/libcrypto.so.3)", "MD5"),
        (" 7/7  7f2aa57f02b5 [unknown] (/usr/lib/x86_64-linux-gnu/libcrypto.so.3)", "TLS"),
        (" 7/7  ffffffff821e86a7 _copy_to_iter ([kernel.kallsyms])", "reading out of the page cache"),
        (" 7/7  ffffffff821e86a7 clear_page_erms ([kernel.kallsyms])", "newly allocated memory"),
        (" 7/7  ffffffff821e86a7 tcp_sendmsg ([kernel.kallsyms])", "sockets and the rest of the kernel"),
        (" 7/7  7f2aa53a9c7d PyObject_Hash (/opt/a (b)/libpython3.11.so.1.0)", KINDS[-1]),
    ],
)
def test_samples_are_distinguished(sample: str, kind: str) -> None:
    assert kind_of(sample) == kind
    assert kind in KINDS


def test_a_requirement_says_whether_it_holds() -> None:
    assert str(Bar("size", 3, least=1, most=4)) == "held   size: 3 (at least 1, at most 4)"
    assert str(Bar("size", 5, most=4)) == "BROKEN size: 5 (at most 4)"


def test_a_report_is_a_table_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    found = Report(
        "name", "Title", [Column("MB/s", plot=True), Column("s", 1)], {"row": [Spread.of([1, 1]), Spread.of([2, 3, 9])]}
    )
    assert found.table().splitlines() == ["| | MB/s | s |", "|---|---:|---:|", "| row | 1 | 3.0 (2.0-9.0) |"]
    assert found.held
    found.save()
    kept = json.loads((tmp_path / "results" / "name.json").read_text())
    assert kept["rows"]["row"]["s"] == {"median": 3, "least": 2, "most": 9}
