"""A wide-area line on one machine: a relay with a round-trip time, a window for each connection, and one rate for all.

Data from a client queues for the line, passes at its rate, arrives half a round trip later, and frees its space in the
connection's window after a whole one. Responses take half a round trip. A new connection costs a round trip before its
first byte. After a number of bytes, the sending connection is reset.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import struct
from collections import defaultdict
from dataclasses import asdict, dataclass

_PIECE = 64 << 10
"""Bytes passed at once; large enough that the relay itself costs little."""
_RECEIVE_BUFFER = 64 << 10
"""Receive buffer requested for a client's socket: its content is in addition to the window."""
_BULK = 4096
"""A piece of more bytes belongs to a part: requests and handshakes are smaller."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Line:
    """`rate` is bytes a second, `round_trip` seconds, `window` bytes; `drop_every` bytes, 0 for never.

    `own` is the rate of each client's address, whose data takes the line of that address first; 0 for no such line.
    """

    rate: float
    round_trip: float
    window: int
    drop_every: int = 0
    own: float = 0.0


@dataclass
class Carried:
    """The traffic towards the server. Times are monotonic, and those of parts only."""

    bytes: int = 0
    connections: int = 0
    drops: int = 0
    first: float = 0.0
    last: float = 0.0


class Link:
    """All connections through one line."""

    def __init__(self, line: Line, upstream: tuple[str, int]) -> None:
        self.carried = Carried()
        self._line = line
        self._upstream = upstream
        self._free = 0.0
        self._own_free: defaultdict[str, float] = defaultdict(float)
        self._next_drop = line.drop_every
        self._loop = asyncio.get_running_loop()

    def turn(self, count: int, client: str) -> float:
        """When the last of `count` bytes of a client's address will have passed the line, if they are queued now."""
        now = self._loop.time()
        started = max(self._free, now)
        self._free = passed = started + count / self._line.rate
        if self._line.own:
            self._own_free[client] = max(self._own_free[client], now) + count / self._line.own
            passed = max(passed, self._own_free[client])
        self.carried.bytes += count
        if count > _BULK:
            self.carried.first = self.carried.first or started
            self.carried.last = max(self.carried.last, passed)
        return passed

    def drops(self) -> bool:
        """Whether the connection that has just sent is to be reset."""
        if not self._next_drop or self.carried.bytes < self._next_drop:
            return False
        self._next_drop += self._line.drop_every
        self.carried.drops += 1
        return True

    async def relay(self, client: socket.socket) -> None:
        """One connection, from its first byte to its end."""
        self.carried.connections += 1
        with client, socket.socket() as server:
            for one in (client, server):
                one.setblocking(False)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tasks: list[asyncio.Task[None]] = []
            try:
                await asyncio.sleep(self._line.round_trip)
                await self._loop.sock_connect(server, self._upstream)
                tasks = [asyncio.create_task(self._up(client, server)), asyncio.create_task(self._down(server, client))]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            except OSError:
                pass
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _up(self, client: socket.socket, server: socket.socket) -> None:
        room = Window(self._line.window)
        arriving: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(arriving, server))
        address = client.getpeername()[0]
        try:
            while data := await self._loop.sock_recv(client, await room.wait(_PIECE)):
                passed = self.turn(len(data), address)
                room.take(len(data))
                self._loop.call_at(passed + self._line.round_trip, room.give_back, len(data))
                arriving.put_nowait((passed + self._line.round_trip / 2, data))
                if self.drops():
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    return
        finally:
            delivering.cancel()

    async def _down(self, server: socket.socket, client: socket.socket) -> None:
        arriving: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(arriving, client))
        try:
            while data := await self._loop.sock_recv(server, _PIECE):
                arriving.put_nowait((self._loop.time() + self._line.round_trip / 2, data))
            arriving.put_nowait((self._loop.time() + self._line.round_trip / 2, b""))
            await delivering
        finally:
            delivering.cancel()

    async def _deliver(self, arriving: asyncio.Queue[tuple[float, bytes]], to: socket.socket) -> None:
        """Deliver each piece at its time; end at an empty one."""
        while True:
            due, data = await arriving.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if not data:
                return
            await self._loop.sock_sendall(to, data)


class Window:
    """The window of one connection: bytes that may be in flight."""

    def __init__(self, size: int) -> None:
        self._room = size
        self._grown = asyncio.Event()

    async def wait(self, wanted: int) -> int:
        """Wait for space; return how many of `wanted` bytes fit."""
        while self._room <= 0:
            self._grown.clear()
            await self._grown.wait()
        return min(wanted, self._room)

    def take(self, count: int) -> None:
        self._room -= count

    def give_back(self, count: int) -> None:
        self._room += count
        self._grown.set()


async def serve(line: Line, upstream: tuple[str, int]) -> None:
    """Print the port, and on SIGUSR1 the traffic since the last time, as JSON; until SIGTERM."""
    loop = asyncio.get_running_loop()
    link, ended, running = Link(line, upstream), asyncio.Event(), set[asyncio.Task[None]]()

    def report() -> None:
        print(json.dumps(asdict(link.carried)), flush=True)
        link.carried = Carried()
        link._next_drop = line.drop_every

    loop.add_signal_handler(signal.SIGUSR1, report)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        listener.setblocking(False)
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        accepting = asyncio.create_task(_accept(listener, link, running))
        await ended.wait()
        accepting.cancel()
        for task in running:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting


async def _accept(listener: socket.socket, link: Link, running: set[asyncio.Task[None]]) -> None:
    while True:
        client, _ = await asyncio.get_running_loop().sock_accept(listener)
        task = asyncio.create_task(link.relay(client))
        running.add(task)
        task.add_done_callback(running.discard)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--round-trip", type=float, required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--drop-every", type=int, default=0)
    parser.add_argument("--own", type=float, default=0.0)
    parser.add_argument("--upstream-port", type=int, required=True)
    given = parser.parse_args()
    line = Line(given.rate, given.round_trip, given.window, given.drop_every, given.own)
    asyncio.run(serve(line, ("127.0.0.1", given.upstream_port)))


if __name__ == "__main__":
    main()
