"""The cost of starting figup: imports, and an upload of one byte."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import perform
from benchmarks.harness import Measurement, Spread, in_turn, measure
from benchmarks.report import Bar, Column, Report
from benchmarks.stage import stage
from tests.support.environment import clean_environment

MIB = 1 << 20
AIOHTTP = "python -c 'import aiohttp'"
UPLOAD_IMPORTS = "python, importing what `figup upload` does"
JOBS = "figup jobs"
NOTHING = "python -c pass"
HEAVY = ("matplotlib", "numpy", "pandas", "keyring", "cryptography", "tkinter", "distributed", "tqdm.notebook")
_MODULES = """
import sys
import click
from uploader.__main__ import main
from uploader.cli.startup import gc_paused

main.get_command(click.Context(main), "upload")
with gc_paused():
    import uploader.transfer.client
print(*sys.modules)
"""
"""Imports as the command does."""


def run(work: Path, *, quick: bool, **other: object) -> Report:
    """Measure commands without a network and an upload of one byte, beside the import of aiohttp alone."""
    source = work / "byte"
    source.write_bytes(b"f")
    md5 = "8fa14cdd754f91cc6554c9e71929cce7"
    environment = clean_environment(work)

    def python(code: str) -> Measurement:
        return measure([sys.executable, "-c", code], env=environment)[0]

    def figup(word: str) -> Measurement:
        return measure([sys.executable, "-m", "uploader", word], env=environment)[0]

    with stage() as place:
        runs: dict[str, Callable[[], Measurement]] = {
            NOTHING: partial(python, "pass"),
            AIOHTTP: partial(python, "import aiohttp"),
            UPLOAD_IMPORTS: partial(python, _MODULES),
            "figup --version": partial(figup, "--version"),
            JOBS: partial(figup, "jobs"),
            "figup upload of one byte": lambda: perform(contenders.figup, place, source, md5).cost,
        }
        measured, _ = in_turn(1 if quick else 15, runs)
    loaded = measure([sys.executable, "-c", _MODULES], env=environment)[1].split()
    heavy = [name for name in HEAVY if name in loaded]
    bare = _median(measured[NOTHING])
    return Report(
        "start-up",
        "Before the first byte",
        [
            Column("wall time, ms", plot=True),
            Column("CPU time, ms", plot=True),
            Column("peak memory, MiB"),
        ],
        {
            name: [
                Spread.of([1000 * one.seconds for one in found]),
                Spread.of([1000 * one.cpu_seconds for one in found]),
                Spread.of([one.peak_memory / MIB for one in found]),
            ]
            for name, found in measured.items()
        },
        [
            Bar(
                "CPU to import what `figup upload` needs / to import aiohttp (without Python's own start)",
                (_median(measured[UPLOAD_IMPORTS]) - bare) / (_median(measured[AIOHTTP]) - bare),
                most=1.5,
            ),
            Bar(
                "CPU of `figup jobs` / to import aiohttp (both with Python's own start)",
                _median(measured[JOBS]) / _median(measured[AIOHTTP]),
                most=0.83,
            ),
            Bar("heavy modules imported", len(heavy), most=0),
        ],
        [f"Looked for: {', '.join(HEAVY)}; found: {', '.join(heavy) or 'none'}."],
    )


def _median(found: list[Measurement]) -> float:
    return Spread.of([one.cpu_seconds for one in found]).median
