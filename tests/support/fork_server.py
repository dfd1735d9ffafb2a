"""A process that has imported figup and forks a child for each run of the command.

`tests.support.forking` starts it as a script, with a Unix socket for stdin. A request is the length of its JSON text,
sent with the descriptors of stdin, stdout and stderr, and then the text. The server writes a line of JSON when the
child has begun and another when it has ended: `[PID, null, 0]`, `[PID, STATUS, KIB]` with a negative status for a
signal, and the largest amount of memory that it had resident.

The child leaves the loop and runs a module as `python -m` does, most often `uploader`. Nothing here imports the tests,
and of figup only what fills caches of the interpreter is called before the fork.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

import uploader
from uploader.errors import ProtocolViolation
from uploader.figshare import models
from uploader.figshare.decode import decode
from uploader.sandbox import control_routes, statistics_routes, upload_routes
from uploader.sandbox.categories import categories
from uploader.sandbox.routes import RouteTable
from uploader.sandbox.server import API
from uploader.sources.md5 import can_save

LENGTH = struct.Struct("!I")
STREAMS = 3
EXTRA = "distributed"
"""A library that few runs use. It makes the server half as large again, and every fork slower."""
LAZY = (
    "anyio._backends._asyncio",
    "anyio._core._signals",
    "encodings.idna",
)
"""Modules that a run imports lazily."""
_PR_SET_PDEATHSIG = 1
_CHECKOUT = Path(__file__).parents[2]


def import_all() -> None:
    """Import everything that a run may need but the modules that use EXTRA, and exempt it from garbage collection."""
    gc.disable()
    sys.modules[EXTRA] = None  # type: ignore[assignment]  # fails to import
    for found in pkgutil.walk_packages(uploader.__path__, "uploader."):
        if not found.name.endswith("__main__"):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                if error.name != EXTRA:
                    raise
    del sys.modules[EXTRA]
    for name in LAZY:
        importlib.import_module(name)
    fill_caches()
    gc.freeze()


def fill_caches() -> None:
    """Compile the patterns of the sandbox's routes, which `re` keeps, and read its categories: each of many hundred
    sandboxes would spend a third of its start on that. Try how an MD5 is kept, and plan how answers are read: each of
    thousands of uploads would spend a tenth of its time on that.
    """
    for group in (*API, control_routes, upload_routes, statistics_routes):
        RouteTable(group.routes()).add_to(web.Application())
    categories()
    can_save()
    for kind in vars(models).values():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            with suppress(ProtocolViolation):
                decode(kind, {}, "nothing")


class Server:
    """The loop that reads requests and reports the results of children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._woken, wake = socket.socketpair()
        self._woken.setblocking(False)
        wake.setblocking(False)
        self._wake = wake
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno())

    def serve(self) -> str:
        """Return in a child that is ready to run its module. In the server, exit once the test process has ended."""
        while True:
            ready, _, _ = select.select([self._control, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._reap()
            if self._control in ready:
                order = self._receive()
                if order is None:
                    self._end_all()
                    sys.exit()
                if self._fork(*order):
                    return str(order[0]["module"])

    def _receive(self) -> tuple[dict[str, Any], list[int]] | None:
        header, descriptors, _, _ = socket.recv_fds(self._control, LENGTH.size, STREAMS)
        if not header:
            return None
        header += self._read(LENGTH.size - len(header))
        order: dict[str, Any] = json.loads(self._read(*LENGTH.unpack(header)))
        return order, descriptors

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._control.recv(size - len(data))
        return data

    def _fork(self, order: dict[str, Any], descriptors: list[int]) -> bool:
        """Whether this is the child."""
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            self._leave(order, descriptors, parent)
            return True
        for descriptor in descriptors:
            os.close(descriptor)
        self._children.add(child)
        return False

    def _tell(self, child: int, status: int | None, memory: int = 0) -> None:
        self._control.sendall(json.dumps([child, status, memory]).encode() + b"\n")

    def _leave(self, order: dict[str, Any], descriptors: list[int], parent: int) -> None:
        """In the child: set up the requested process, and close what only the server needs."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control = self._control.dup()
        for end in (self._control, self._woken, self._wake):
            end.detach()
        become(order, descriptors, parent, control.fileno())
        self._control = control
        self._tell(os.getpid(), None)
        control.close()

    def _reap(self) -> None:
        while self._children:
            child, status, usage = os.wait4(-1, os.WNOHANG)
            if child == 0:
                return
            self._children.remove(child)
            self._tell(child, os.waitstatus_to_exitcode(status), usage.ru_maxrss)

    def _end_all(self) -> None:
        for child in self._children:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)


def become(order: dict[str, Any], descriptors: list[int], parent: int, kept: int) -> None:
    """Set up the state that a new interpreter would have, plus one descriptor."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - one of them is that of the listing itself
        if int(name) >= STREAMS and int(name) != kept:
            with suppress(OSError):
                os.close(int(name))
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    reset_signals()
    open_streams()
    if order["module"] != uploader.__name__:
        sys.path.insert(0, order["cwd"])
    sys.argv[1:] = order["args"]
    sys.orig_argv[1:] = ["-m", order["module"], *order["args"]]
    if order["plug"]:
        sys.path.append(os.fspath(_CHECKOUT))
        exec(order["plug"], {})  # noqa: S102 - a test's own code
    gc.enable()


def reset_signals() -> None:
    """Handle signals as Python does when it was started with none of them ignored or blocked."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def open_streams() -> None:
    """Open stdin, stdout and stderr as Python does at startup: their buffering depends on their kind."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        before: io.TextIOWrapper = getattr(sys, f"__{name}__")
        raw = io.FileIO(descriptor, mode, closefd=False)
        raw.name = f"<{name}>"
        buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        stream = io.TextIOWrapper(
            buffered,
            before.encoding,
            before.errors,
            newline=None if mode == "r" else "\n",
            line_buffering=raw.isatty() or name == "stderr",
        )
        stream.mode = mode  # type: ignore[misc]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def main() -> None:
    """Serve; in each child, run the request."""
    import_all()
    run(Server(socket.socket(fileno=0)).serve())


def run(module: str) -> None:
    """Run the module, and exit as Python does. After SystemExit, do only the visible part of Python's finalization:
    tearing down all modules takes longer than many commands.
    """
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        status = end.code
    else:
        status = 0
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        sys.exit(status)
    os._exit(status & 0xFF)


if __name__ == "__main__":
    main()
