"""The SQLite file of the sandbox, and one thread that all statements run on.

Write-ahead log without fsync: commits survive the end of the process, however it ends, but the last ones may be lost in
a power failure.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import anyio.to_thread

from uploader.sandbox import numbers
from uploader.sandbox.data_dir import SandboxUnusable
from uploader.sandbox.schema import STEPS, VERSION

P = ParamSpec("P")
T = TypeVar("T")

_MAPPED = 2**28
"""Bytes of the file that are read through a mapping: listings look at many rows."""


class Database:
    """One connection, used by one thread. `await run(function, *args)` calls function(connection, *args) there.

    Each call is one transaction: it is committed when the function returns, and rolled back when it raises. It is
    committed before `run` returns, even if the caller is cancelled meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox-db")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or create the file. SandboxUnusable if it is not a sandbox's database, or from a newer version."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def run(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call `function` with the connection, in one transaction, on the database's thread."""

        def call() -> T:
            connection = self._connection
            if connection is None:
                message = "the database is closed"
                raise RuntimeError(message)
            connection.execute("BEGIN")
            try:
                result = function(connection, *args, **kwargs)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def close(self) -> None:
        """Finish pending calls and close."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        await anyio.to_thread.run_sync(self._thread.shutdown)

    def _open(self) -> None:
        try:
            # SQLite creates its auxiliary files with the mode of the main file.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=256)
        except (sqlite3.Error, OSError) as error:
            raise _unusable(self._path, error) from error
        try:
            self._prepare(connection)
        except sqlite3.Error as error:
            connection.close()
            raise _unusable(self._path, error) from error
        except SandboxUnusable:
            connection.close()
            raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA mmap_size={_MAPPED}")
        connection.create_function("figures", 5, numbers.figures, deterministic=True)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            message = f"{self._path} was written by a newer figup"
            raise SandboxUnusable(message)
        for number, step in enumerate(STEPS[version:], version + 1):
            connection.executescript(f"BEGIN;{step}PRAGMA user_version={number};COMMIT;")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _unusable(path: Path, error: Exception) -> SandboxUnusable:
    return SandboxUnusable(f"{path} cannot be used: {error}")
