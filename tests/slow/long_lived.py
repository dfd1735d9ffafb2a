"""A long-running program that uploads through one `uploader.Client`: `python -m tests.slow.long_lived FOLDER SECONDS
SEED`, with endpoint, token and state directory in the environment.

Writes a line of JSON for each upload, and at the end one with its memory and open files then and after the first
uploads.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import anyio

import uploader
from tests.support.usage import usage_of

WARM_UP = 25
"""Number of uploads after which memory and open files are measured for the first time."""
MAX_ATTEMPTS = 100
"""Maximum attempts of one upload."""


async def upload_one(client: uploader.Client, path: Path, title: str, choice: random.Random) -> Counter[str]:
    """Upload until it is verified, cancelling some of the calls."""
    tally: Counter[str] = Counter()
    for attempt in range(MAX_ATTEMPTS):
        patience = choice.uniform(0.05, 1.5) if attempt < 3 and choice.random() < 0.3 else None
        with anyio.move_on_after(patience):
            try:
                report = await client.upload(path, title=title)
            except uploader.FigupError as error:
                tally[f"client error {error.code}"] += 1
                await anyio.sleep(min(1.0, 0.05 * (attempt + 1)))
                continue
            md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            if report.files[0].md5 != md5:
                raise AssertionError(f"{report.files[0].md5} is reported, {md5} is right")
            sys.stdout.write(json.dumps({"item": report.item_id, "name": path.name, "md5": md5}) + "\n")
            sys.stdout.flush()
            return tally
        tally["client calls cancelled"] += 1
    raise AssertionError(f"{title}: not done in {MAX_ATTEMPTS} attempts")


async def main(folder: Path, seconds: float, seed: str) -> None:
    choice = random.Random(seed)
    settings = uploader.Settings(
        os.environ["FIGSHARE_ENDPOINT"],
        api_rate=None,
        retry=uploader.RetryPolicy(first_delay=0.1, elapsed_cap=5),
        stall_timeout=2,
    )
    options = uploader.Options(settle_timeout=2, verify_timeout=20)
    tally: Counter[str] = Counter()
    before: dict[str, int] | None = None
    deadline = time.monotonic() + seconds
    async with uploader.Client(settings=settings, options=options) as client:
        while time.monotonic() < deadline or before is None:
            number = tally["client uploads"]
            path = folder / f"lib {number}.bin"
            path.write_bytes(choice.randbytes(choice.randint(1, 100_000)))
            tally += await upload_one(client, path, f"library {number}", choice)
            tally["client uploads"] += 1
            path.unlink()
            if tally["client uploads"] == WARM_UP:
                gc.collect()
                before = usage_of("self")
        gc.collect()
        after = usage_of("self")
    tasks = len(asyncio.all_tasks())
    sys.stdout.write(json.dumps({"before": before, "after": after, "tasks": tasks, "tally": tally}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
