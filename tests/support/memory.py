"""The memory that code under test allocates."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Memory:
    """Bytes that were allocated and not freed, and the most at a time, beyond what there was before."""

    kept: int = 0
    peak: int = 0


@contextmanager
def measured_memory() -> Iterator[Memory]:
    """Measure what is allocated inside; the values are known afterwards."""
    memory = Memory()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield memory
        now, peak = tracemalloc.get_traced_memory()
        memory.kept, memory.peak = now - before, peak - before
    finally:
        tracemalloc.stop()
