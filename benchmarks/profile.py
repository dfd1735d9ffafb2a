"""Where figup's CPU time goes: samples of a whole upload over TLS, classified by purpose."""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.contenders import Send, check
from benchmarks.files import md5_of, random_file
from benchmarks.harness import Spread, cpu_seconds_of, program
from benchmarks.report import Column, Report
from benchmarks.stage import stage

GIB = 1 << 30
RATE = 999
"""Samples a second."""
READ = re.compile(r"copy_to_iter|filemap|copy_folio|page_cache|copy_page|shmem|ext4|vfs_read|pread")
FRESH = re.compile(
    r"fault|clear_page|anon|unmap|mmap|munmap|brk|vma|memcg|mem_cgroup|lruvec|alloc_pages|frozen_pages|free_pages|zap_|mas_"
)
_SAMPLE = re.compile(r"\s*(?P<pid>\d+)/(?P<tid>\d+)\s+[0-9a-f]+ (?P<symbol>.*) \((?P<dso>.*)\)")
KINDS = (
    "MD5",
    "TLS",
    "reading out of the page cache",
    "newly allocated memory",
    "sockets and the rest of the kernel",
    "copies in memory",
    "xxh3",
    "Python: event loop, hand-over, books, start-up",
)


def run(work: Path, *, quick: bool, size: int | None = None) -> Report:
    """4 GiB over TLS under `perf record`: hash, TLS, read, copy, Python."""
    perf = program("perf", "linux-perf")
    size = size or (GIB // 8 if quick else 4 * GIB)
    source = random_file(work, size)
    md5 = md5_of(source)
    with stage() as place, tempfile.TemporaryDirectory(dir=work) as folder:
        place.expect(source, md5)
        send, record = Send(place, source, md5, Path(folder)), Path(folder) / "perf.data"
        upload = (sys.executable, "-m", "uploader", "upload", source, "--quiet", "--ca-file", place.ca_file)
        before = cpu_seconds_of(place.pids)
        send.run(perf, "record", "--output", record, "--freq", RATE, "--", *upload)
        servers = cpu_seconds_of(place.pids) - before
        check(place, source, md5)
        samples = send.run(perf, "script", "--input", record, "--fields", "pid,tid,ip,sym,dso")[1]
    counted = Counter(kind_of(line) for line in samples.splitlines() if line.strip())
    each = GIB / size / RATE
    return Report(
        "profile",
        f"Where the CPU time of figup upload goes, {size / GIB:g} GiB over TLS",
        [Column("CPU seconds a GiB", 3, plot=True), Column("% of all", 1, plot=True)],
        {
            kind: [Spread.of([counted[kind] * each]), Spread.of([100 * counted[kind] / counted.total()])]
            for kind in KINDS
        },
        notes=[f"All together: {counted.total() * each:.2f} CPU seconds a GiB; nginx: {servers * GIB / size:.2f}."],
    )


def kind_of(sample: str) -> str:
    """Classify one line of `perf script`; everything but hashing in the digest's thread is TLS."""
    found = _SAMPLE.fullmatch(sample)
    if found is None:
        raise ValueError(f"perf says something unknown: {sample}")
    symbol, library = found["symbol"], found["dso"].rpartition("/")[2]
    if library.startswith("libcrypto") and found["pid"] != found["tid"]:
        return "MD5"
    if library.startswith(("libcrypto", "libssl", "_ssl")):
        return "TLS"
    if library.startswith("_xxhash"):
        return "xxh3"
    if re.search(r"memmove|memcpy|memset", symbol):
        return "copies in memory"
    if "kernel" in library or library.startswith("["):
        kinds = ((READ, "reading out of the page cache"), (FRESH, "newly allocated memory"))
        return next((kind for known, kind in kinds if known.search(symbol)), "sockets and the rest of the kernel")
    return "Python: event loop, hand-over, books, start-up"
