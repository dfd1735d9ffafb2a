"""What packing saves: thousands of small files as one archive, and what the archive costs for large files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Send, Sent, perform
from benchmarks.files import md5_of, random_file, sparse_file
from benchmarks.harness import Measurement, Spread, in_turn, of_one_round
from benchmarks.many_files import KB, compare, folder_of, sandbox_files, send_to_sandbox
from benchmarks.report import Bar, Column, Report
from benchmarks.stage import stage
from tests.support.archives import plan_of
from tests.support.sandbox import Sandbox
from uploader.sources.archive.layout import Format
from uploader.sources.archive.reader import ArchiveSource

GIB = 1 << 30
MIB = 1 << 20
FILES, SIZE = 10_000, 20 * KB
LINE = "400mbit"
API_RATE, BURST = 1.0, 20
"""Requests a second, and how many may be made at once before."""
FEW = 60
"""Files that are really sent one by one: with one request a second, 10,000 take hours."""
_AS_IT_IS = "as it is"
_HASHED = "as it is, and md5sum"
_PACKED: dict[str, tuple[Format, bool]] = {
    "in a tar file without its list": ("tar", False),
    "in a zip file without its list": ("zip", False),
    "in a zip file": ("zip", True),
}


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """10,000 files of 20 KB at one API request a second, packed and one by one; CPU of large files in archives."""
    count, few = (200, 25) if quick else (FILES, FEW)
    folder, some = folder_of(work, count, SIZE), folder_of(work, few, SIZE)
    _, md5 = _archive(folder, "zip", manifest=True)
    packed = send_to_sandbox(work, _command(folder, "--pack", "zip"), count, partial(_compare, md5))
    plain = send_to_sandbox(work, _command(some), few, partial(compare, some))
    if plain.cost.seconds < (plain.requests - BURST) / API_RATE - 1:
        raise RuntimeError(f"{plain.requests} requests took {plain.cost.seconds} s: they were not held")
    unpacked = (plain.requests / few * count - BURST) / API_RATE
    large = _large(work, size or (GIB // 8 if quick else GIB), rounds=1 if quick else 3)
    reference = Spread.of([sent.cost.cpu_seconds for sent in large[_HASHED]]).median
    cpu = {name: [sent.cost.cpu_seconds / reference for sent in found] for name, found in large.items()}
    return Report(
        "pack",
        f"{count:,} files of {SIZE // KB} KB at {LINE} and {API_RATE:g} request a second; large files in archives",
        [Column("seconds", 1), Column("CPU seconds", 2), Column("CPU / as it is, and md5sum", 2, plot=True)],
        {
            f"{count:,} files, packed": of_one_round(packed.cost.seconds, packed.cost.cpu_seconds, 0),
            f"{count:,} files, one by one (computed)": of_one_round(unpacked, plain.cost.cpu_seconds / few * count, 0),
            f"{few} files, one by one": of_one_round(plain.cost.seconds, plain.cost.cpu_seconds, 0),
            **{
                f"a large file, {name}": [
                    Spread.of([sent.cost.seconds for sent in found]),
                    Spread.of([sent.cost.cpu_seconds for sent in found]),
                    Spread.of(cpu[name]),
                ]
                for name, found in large.items()
            },
        },
        [
            Bar("wall time, packed / one by one", packed.cost.seconds / unpacked, most=0.01),
            *(
                Bar(f"CPU of a large file {name} / {_HASHED}", Spread.of(cpu[name]).median, most=1.1)
                for name in _PACKED
            ),
        ],
        [
            f"One by one is computed: {few} files were sent, with {plain.requests / few:.2f} requests each, which were "
            f"held to {API_RATE:g} a second after a burst of {BURST}; {count:,} files need as many each. In an archive "
            "each member is hashed once more, on its own; so is the file that archives are compared with."
        ],
    )


def _command(folder: Path, *options: str) -> list[object]:
    command = [sys.executable, "-m", "uploader", "upload", folder, "--title", "many", "--json", *options]
    return [*command, "--api-rate", API_RATE, "--limit-rate", LINE]


def _compare(md5: str, sandbox: Sandbox) -> None:
    """Raise RuntimeError unless the item has the archive and nothing else."""
    found = [known for _, _, known in sandbox_files(sandbox)]
    if found != [md5]:
        raise RuntimeError(f"the item holds {found}, not {md5}")


def _large(work: Path, size: int, *, rounds: int) -> dict[str, list[Sent]]:
    """One file sent as it is, and as the only member of archives."""
    source = random_file(work, size)
    folder = work / "large"
    folder.mkdir(exist_ok=True)
    if not (folder / "member").exists():
        os.link(source, folder / "member")
    with stage() as place:
        runs: dict[str, Callable[[], Sent]] = {
            _AS_IT_IS: partial(perform, contenders.figup, place, source, md5_of(source)),
            _HASHED: partial(perform, _figup_and_md5sum, place, source, md5_of(source)),
        }
        for name, (form, manifest) in _PACKED.items():
            options = ["--pack", form, *([] if manifest else ["--no-pack-manifest"])]
            size, md5 = _archive(folder, form, manifest=manifest)
            # The stage knows a source by its size.
            runs[name] = partial(perform, partial(_figup, folder, options), place, sparse_file(work, size), md5)
        measured, _ = in_turn(rounds, runs)
    return measured


def _figup(folder: Path, options: Sequence[str], send: Send) -> Measurement:
    return contenders.figup(dataclasses.replace(send, source=folder), options)


def _figup_and_md5sum(send: Send) -> Measurement:
    return contenders.figup(send).then(send.run("md5sum", send.source)[0])


def _archive(folder: Path, form: Format, *, manifest: bool) -> tuple[int, str]:
    """Size and MD5 of the archive that figup makes of a folder."""
    plan = plan_of(folder, form, manifest=manifest)
    source, digest = ArchiveSource(plan, "archive"), hashlib.md5(usedforsecurity=False)
    reader = source.in_order()
    for start in range(0, plan.layout.size, MIB):
        digest.update(reader.read(start, min(MIB, plan.layout.size - start)))
    source.close()
    return plan.layout.size, digest.hexdigest()
