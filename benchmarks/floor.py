"""What each byte costs at least: MD5 alone, sending alone by plain threads and by aiohttp, beside figup."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import CHECKOUT, Contender, Send, perform
from benchmarks.files import md5_of, random_file
from benchmarks.harness import Measurement, Spread, in_turn
from benchmarks.report import Column, Report
from benchmarks.stage import stage

GIB = 1 << 30
MD5 = "MD5 alone"
THREADS = "reading and sending over TLS, plain threads"
AIOHTTP = "reading and sending over TLS, aiohttp"
FIGUP = "figup upload, in all"


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """CPU a GiB of MD5 alone, of sending over TLS by plain threads and by aiohttp alone, and of figup in all."""
    size = size or (GIB // 8 if quick else 4 * GIB)
    source = random_file(work, size)
    md5 = md5_of(source)
    runs: dict[str, Contender] = {
        THREADS: partial(_sent, "threads"),
        AIOHTTP: partial(_sent, "aiohttp"),
        FIGUP: contenders.figup,
    }
    with stage() as place:
        rounds: dict[str, Callable[[], Measurement]] = {MD5: lambda: _hashed(Send(place, source, md5, work))}
        rounds |= {name: lambda one=one: perform(one, place, source, md5).cost for name, one in runs.items()}  # type: ignore[misc]
        measured, missing = in_turn(1 if quick else 3, rounds)
    return Report(
        "floor",
        f"What {size / GIB:g} GiB cost at least",
        [Column("CPU seconds a GiB", 2, plot=True), Column("wall seconds a GiB", 2)],
        {
            name: [
                Spread.of([cost.cpu_seconds * GIB / size for cost in costs]),
                Spread.of([cost.seconds * GIB / size for cost in costs]),
            ]
            for name, costs in measured.items()
        },
        notes=[*missing, "Every row includes the start of its Python; sending alone has neither API nor journal."],
    )


def _way(send: Send, *words: object) -> Measurement:
    cost, stdout = send.run(sys.executable, CHECKOUT / "benchmarks" / "peers" / "floor_ways.py", *words)
    if stdout.strip() not in ("", send.md5):
        raise RuntimeError(f"the MD5 is {stdout.strip()}, but it should be {send.md5}")
    return cost


def _hashed(send: Send) -> Measurement:
    return _way(send, "md5", send.source)


def _sent(way: str, send: Send) -> Measurement:
    """Send the parts of an upload that is initiated beforehand."""
    upload = send.stage.initiate(send.source)
    plan = send.home / "plan.json"
    plan.write_text(json.dumps(upload | {"ca_file": os.fspath(send.stage.ca_file)}), encoding="utf-8")
    return _way(send, way, send.source, plan)
