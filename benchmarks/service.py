"""The service that nginx fronts: the sandbox's API, informed which parts nginx has already put into its folder.

nginx stores the bodies of parts (DAV PUT into PARTS/TOKEN/NUMBER). Before it forwards a request whose response depends
on parts, it asks here (`auth_request`), and the stored parts become COMPLETE in the sandbox's database. The MD5 of a
completed file is not computed during the measurement: the service returns one given in advance for a file of that size,
and the benchmark compares it with the stored bytes afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sqlite3
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import xxhash
from aiohttp import web

from uploader.sandbox import files_db
from uploader.sandbox.context import Context
from uploader.sandbox.parts import Uniform
from uploader.sandbox.server import running
from uploader.sandbox.settings import Delays, Settings

TOKEN = "t0ken"  # noqa: S105 - protects nothing
"""The only token that the service accepts."""

_UPLOAD = re.compile(r"/upload/(?P<token>[^/]+)")
_COMPLETE = re.compile(r"/v2/account/articles/\d+/files/(?P<file>\d+)")
_SWEEP_SECONDS = 0.05


class Books:
    """Updates the sandbox's database from the folder of parts."""

    def __init__(self, context: Context, parts: Path, sums: Path) -> None:
        self._context = context
        self._parts = parts
        self._sums = sums
        self._noted: defaultdict[str, set[str]] = defaultdict(set)
        """Parts already recorded, by the upload's token: rereading a large folder would be slow."""

    async def before(self, request: web.Request) -> web.Response:
        """Called by nginx before a request, whose address is in `X-Address`."""
        address = request.headers["X-Address"]
        if upload := _UPLOAD.match(address):
            await self._context.db.run(self._note_parts, upload["token"])
        elif completed := _COMPLETE.match(address):
            await self._context.db.run(self._note_sum, int(completed["file"]))
        return web.Response(status=204)

    def _note_parts(self, db: sqlite3.Connection, token: str) -> files_db.File | None:
        file = files_db.by_token(db, token)
        folder = self._parts / token
        if file is None or not folder.is_dir():
            return file
        noted = self._noted[token]
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder) if entry.name not in noted}
        for part in files_db.parts(db, file.id) if sizes else ():
            if not part.complete and sizes.get(str(part.number)) == part.length:
                files_db.finish_part(db, file.id, part.number)
                noted.add(str(part.number))
        return file

    def _note_sum(self, db: sqlite3.Connection, file_id: int) -> None:
        file = files_db.by_id(db, file_id)
        if file is None or self._note_parts(db, file.token) is None or files_db.missing_parts(db, file_id):
            return
        sums: dict[str, str] = json.loads(self._sums.read_text(encoding="utf-8"))
        files_db.hashed(db, file_id, sums[str(file.size)], self._context.now())


class Sweeper:
    """Frees memory for files larger than memory: a received part is compared with zeros and becomes a hole."""

    def __init__(self, parts: Path) -> None:
        self._parts = parts
        self._done: set[str] = set()
        self._zeros: dict[int, int] = {}

    async def run(self) -> None:
        """Until cancelled. Raises ValueError for a part that is not zeros."""
        while True:
            await asyncio.to_thread(self.sweep)
            await asyncio.sleep(_SWEEP_SECONDS)

    def sweep(self) -> None:
        """Raises ValueError for a part that is not zeros."""
        for folder in self._parts.iterdir():
            with suppress(FileNotFoundError):  # Between two uploads the benchmark removes the parts.
                self._sweep_upload(folder)

    def _sweep_upload(self, folder: Path) -> None:
        for path in folder.iterdir():
            if path.name.isdecimal() and str(path) not in self._done:
                self._discard(path)
                self._done.add(str(path))

    def _discard(self, path: Path) -> None:
        size = path.stat().st_size
        with path.open("rb") as file:
            hasher = xxhash.xxh3_64()
            while chunk := file.read(1 << 20):
                hasher.update(chunk)
            if hasher.intdigest() != self._sum_of_zeros(size):
                raise ValueError(f"{path} holds something else than zeros")
        hole = self._parts.parent / "hole"
        with hole.open("wb") as file:
            file.truncate(size)
        hole.replace(path)

    def _sum_of_zeros(self, size: int) -> int:
        if size not in self._zeros:
            hasher, chunk = xxhash.xxh3_64(), bytes(1 << 20)
            for start in range(0, size, len(chunk)):
                hasher.update(chunk[: size - start])
            self._zeros[size] = hasher.intdigest()
        return self._zeros[size]


async def serve(options: argparse.Namespace) -> None:
    """Print the address as one line of JSON, and serve until SIGTERM."""
    settings = Settings(
        directory=options.folder / "sandbox",
        token=TOKEN,
        public_url=f"{options.public_url}/v2",
        public_upload_url=f"{options.public_url}/upload",
        part_plan=Uniform(options.part_size),
        delays=Delays(created=0, checking=0, success=0, moving=0, md5=0),
        quota=1 << 50,
        request_log=options.folder / "requests.jsonl",
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(settings) as sandbox:
        app = web.Application()
        app.router.add_get(
            "/books", Books(sandbox.context, options.folder / "parts", options.folder / "sums.json").before
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        books = runner.addresses[0]
        at = {"api": sandbox.url, "upload": sandbox.upload_url, "books": f"http://{books[0]}:{books[1]}"}
        print(json.dumps(at), flush=True)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        if options.discard:
            tasks.append(asyncio.create_task(Sweeper(options.folder / "parts").run()))
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--public-url", required=True)
    parser.add_argument("--part-size", type=int, required=True)
    parser.add_argument("--discard", action="store_true")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
