"""`python -m benchmarks [NAME...]` runs benchmarks, prints their tables and stores the results; exits with 1 on a
missed bar.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    bulk,
    catalog,
    cluster,
    cluster_simulated,
    floor,
    many_files,
    memory,
    one_pass,
    pack,
    profile,
    resume,
    scale,
    startup,
    throughput,
    wide_area,
)
from benchmarks.contenders import NO_PEERS
from benchmarks.report import Report

BENCHMARKS: dict[str, Callable[..., Report]] = {
    "throughput": throughput.run,
    "profile": profile.run,
    "floor": floor.run,
    "memory": memory.run,
    "wide-area": wide_area.run,
    "resume": resume.run,
    "resume-large": resume.run_large,
    "many-files": many_files.run,
    "pack": pack.run,
    "scale": scale.run,
    "start-up": startup.run,
    "one-pass": one_pass.run,
    "cluster": cluster.run,
    "catalog": catalog.run,
    "bulk": bulk.run,
    "cluster-simulated": cluster_simulated.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures figup.",
        epilog="Benchmarks: " + "; ".join(f"{name}: {run.__doc__}" for name, run in BENCHMARKS.items()),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="the benchmarks to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="small files and one round: does it work, no results kept")
    parser.add_argument("--dir", type=Path, help="where files are made; 8 GiB of room on a real disk (default: temp)")
    parser.add_argument("--size", type=int, metavar="MIB", help="another size of file than the benchmark's own")
    parser.add_argument("--no-peers", action="store_true", help="fetch no other program to compare with")
    options = parser.parse_args()
    if options.no_peers:
        os.environ[NO_PEERS] = "1"
    names = options.names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")

    held = True
    with tempfile.TemporaryDirectory(prefix="figup-bench-", dir=options.dir) as folder:
        for name in names:
            print(f"== {name}", flush=True)
            report = BENCHMARKS[name](Path(folder), quick=options.quick, size=options.size and options.size << 20)
            print(f"\n{report.title}\n\n{report.table()}\n", *report.notes, *report.bars, sep="\n", flush=True)
            if not options.quick:
                report.save()
            held = held and (report.held or options.quick)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
