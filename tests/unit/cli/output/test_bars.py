"""Bars: their text at different terminal widths."""

from __future__ import annotations

import os

import msgspec
import pytest

from uploader.cli.output import bars
from uploader.cli.output.writer import OutputThread
from uploader.transfer import notices as no


def small_files(*, request_rate: float | None) -> no.Progress:
    waiting = no.ActiveFile(path="/a", name="a", size=9, bytes_done=9, waiting=True)
    return no.Progress(
        bytes_done=4000,
        bytes_total=5000,
        files_done=112,
        files_total=500,
        rate=0.0,
        connections=0,
        active=(waiting,),
        request_rate=request_rate,
        requests_left=540,
        requests_total=1000,
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (80, "total  46%, 112 of 500 files, limit: 1 request/s, 9 min 00 s left"),
        (120, "| 112 of 500 files, held by Figshare's limit of one request a second, about 9 min 00 s left"),
    ],
)
def test_many_small_files_show_the_limiting_resource(columns: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "_terminal", lambda: os.terminal_size((columns, 24)))
    shown = bars.Bars(OutputThread())
    shown._draw(small_files(request_rate=None), 0.0)
    assert shown._total is not None
    assert bars.WAITING in str(shown._total)
    assert len(shown._bars) == 1
    shown._draw(msgspec.structs.replace(small_files(request_rate=None), rate=50.0), 0.5)
    assert "112 of 500 files, 50 bytes/s" in str(shown._total)
    shown._draw(small_files(request_rate=1.0), 1.0)
    assert words in str(shown._total)
    assert bars.WAITING not in str(shown._total)
    assert shown._bars == {}, "each of them waits, and that is said once"
    assert len(str(shown._total)) <= columns - 2
    shown._close()


@pytest.mark.parametrize("request_rate", [None, 1.0])
@pytest.mark.parametrize("waiting", [False, True])
def test_lines_of_narrow_terminals_are_not_cut_off(
    waiting: bool, request_rate: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "_terminal", lambda: os.terminal_size((40, 24)))
    shown = bars.Bars(OutputThread())
    file = no.ActiveFile(path="/a", name="a" * 50, size=9_000_000, bytes_done=4_000_000, waiting=waiting)
    progress = msgspec.structs.replace(small_files(request_rate=request_rate), rate=1_720_000.0, active=(file,))
    shown._draw(progress, 0.0)
    shown._draw(progress, 1.0)
    lines = [str(shown._total), *map(str, shown._bars.values())]
    assert len(lines) == 2
    assert all(line.rstrip().endswith(("left", "awaiting checksum")) and len(line) <= 38 for line in lines), lines
    shown._close()


@pytest.mark.parametrize(
    ("columns", "fields", "words"),
    [
        (80, {}, "| 112 of 500 files, 50.0 kB/s, 0 s left"),
        (80, {"files_failed": 2}, "| 112 of 500 files, 2 failed, 50.0 kB/s, 0 s left"),
        (80, {"files_total": 1, "files_done": 0}, "| 50.0 kB/s, 0 s left"),
        (120, {}, "| 4.00 kB of 5.00 kB, 112 of 500 files, 50.0 kB/s, 0 s left"),
        (120, {"files_total": 1, "files_done": 0}, "| 4.00 kB of 5.00 kB, 50.0 kB/s, 0 s left"),
        (80, {"files_total": 1, "files_done": 0, "request_rate": 1.0}, "46%, limit: 1 request/s"),
    ],
)
def test_the_parts_of_the_total_are_separated_by_commas(
    columns: int, fields: dict[str, float], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "_terminal", lambda: os.terminal_size((columns, 24)))
    shown = bars.Bars(OutputThread())
    progress = msgspec.structs.replace(small_files(request_rate=None), rate=50_000.0, active=())
    shown._draw(msgspec.structs.replace(progress, **fields), 0.0)
    assert words in str(shown._total)
    assert len(str(shown._total)) <= columns - 2
    shown._close()
