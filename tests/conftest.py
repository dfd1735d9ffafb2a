"""Fixtures for every test: one event loop, no blocking calls on it, a local Figshare and the command itself."""

from __future__ import annotations

import builtins
import fcntl
import functools
import gc
import io
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from blockbuster import BlockBuster, BlockBusterFunction, blockbuster_ctx

from tests.support.command import Figup
from tests.support.credentials import check_credentials
from tests.support.sandbox import Sandbox
from tests.support.slurm import Slurm, require_slurm, running_slurm

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.register_profile("all", deadline=None, max_examples=300, print_blob=True)  # of ./scripts/test --all
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

TESTS = Path(__file__).parent
BLOCKING_TOO = (
    (builtins, ("open",)),
    (fcntl, ("flock", "lockf")),
    (io, ("open",)),
    (os, ("open", "pread", "preadv", "pwrite", "pwritev", "fsync", "fdatasync", "truncate", "ftruncate")),
)
"""Disk calls of this project that BlockBuster does not know."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage neither while tests are collected nor later in what that made: nearly all of it is kept."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m fast`, import no module without such a test."""
    if config.option.markexpr != "fast" or collection_path.suffix != ".py" or is_fast(collection_path):
        return None
    return "pytest.mark.fast" not in collection_path.read_text("utf-8")


@functools.cache
def is_fast(path: Path) -> bool:
    """Whether tests of this module are fast unless marked otherwise."""
    return path.is_relative_to(TESTS / "unit") or path.is_relative_to(TESTS / "property")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark unit and property tests as fast unless each takes seconds, and run the slowest tests first, so that others
    run beside them.
    """
    limits: dict[pytest.Item, float] = {}
    for item in items:
        marks = {mark.name: mark for mark in reversed(list(item.iter_markers()))}  # the closest of each name
        if not marks.keys() & {"search", "exhaustive"} and is_fast(item.path):
            item.add_marker(pytest.mark.fast)
        limits[item] = float(marks["timeout"].args[0]) if "timeout" in marks else 0.0
    items.sort(key=lambda item: -limits[item])


@pytest.fixture
def anyio_backend() -> str:
    """aiohttp requires asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """A blocking call raises BlockingError if code of the package makes it while an event loop runs. A test can allow
    one: `no_blocking_calls.functions["os.stat"].can_block_in("module.py", "name")`.
    """
    with blockbuster_ctx(scanned_modules="uploader") as blockbuster:
        for module, names in BLOCKING_TOO:
            for name in names:
                extra = BlockBusterFunction(module, name, scanned_modules="uploader")
                blockbuster.functions[extra.full_name] = extra.activate()
        # It reads only bytes that are already in memory.
        blockbuster.functions["os.preadv"].can_block_in("source.py", "read_into")
        yield blockbuster


@pytest.fixture
def start_sandbox(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes: `start_sandbox("--option", "value")`, each in its own folder; all are stopped at the end."""
    started: list[Sandbox] = []

    def start(*args: str, token: str = "t0ken") -> Sandbox:
        sandbox = Sandbox(tmp_path / f"sandbox-{len(started)}", token=token, args=args)
        started.append(sandbox)
        sandbox.start()
        return sandbox

    yield start
    for sandbox in started:
        sandbox.stop()
        check_credentials(sandbox.request_log_file)


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox without faults or delays beyond its own defaults."""
    return start_sandbox()


@pytest.fixture
def bare_figup(tmp_path: Path) -> Iterator[Figup]:
    """The command with neither endpoint nor token set."""
    home = tmp_path / "home"
    home.mkdir()
    figup = Figup(home)
    yield figup
    figup.end()


@pytest.fixture
def figup(bare_figup: Figup, sandbox: Sandbox) -> Figup:
    """The command, set up for `sandbox`."""
    bare_figup.env["FIGSHARE_ENDPOINT"] = sandbox.url
    bare_figup.env["FIGSHARE_TOKEN"] = sandbox.token
    return bare_figup


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A real Slurm with four nodes; see `tests.support.slurm`. A test that kills a node starts it again."""
    require_slurm()
    with running_slurm(stale=1.0) as running:
        yield running
