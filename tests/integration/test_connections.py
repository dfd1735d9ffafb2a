"""How many parts are sent at the same time, as seen by the sandbox."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

from tests.support.command import Figup
from tests.support.invariants import check_exactly_once, files, items
from tests.support.sandbox import Sandbox
from tests.support.waiting import until

Start = Callable[..., Sandbox]


def prepare(figup: Figup, start_sandbox: Start, *args: str) -> Sandbox:
    sandbox = start_sandbox("--part-size", "20KiB", *args)
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_TOKEN": sandbox.token}
    return sandbox


def complete_parts(sandbox: Sandbox) -> int:
    """Return the number of parts of its only file that the sandbox has."""
    for item in items(sandbox):
        for file in files(sandbox, item["id"]):
            with urllib.request.urlopen(file["upload_url"], timeout=30) as answer:
                return sum(part["status"] == "COMPLETE" for part in json.load(answer)["parts"])
    return 0


def test_the_requested_number_of_connections_is_used(bare_figup: Figup, start_sandbox: Start) -> None:
    # Every part is accepted at once and answered after an hour: no connection gets a second one.
    sandbox = prepare(bare_figup, start_sandbox, "--fault", "put-part:every=hang")
    source = bare_figup.cwd / "data.bin"
    source.write_bytes(bytes(240 << 10))
    run = bare_figup.start("upload", source, "--connections", "6", "--api-rate", "1000")
    until(lambda: complete_parts(sandbox) >= 6)
    run.kill()
    assert complete_parts(sandbox) == 6
    sandbox.restart("--part-size", "20KiB")
    bare_figup.run("upload", source, "--api-rate", "1000").expect(0)
    check_exactly_once(sandbox, source)


def test_a_part_in_backoff_holds_no_connection(bare_figup: Figup, start_sandbox: Start) -> None:
    sandbox = prepare(bare_figup, start_sandbox, "--fault", "put-part@1=503,retry-after=4")
    source = bare_figup.cwd / "data.bin"
    source.write_bytes(bytes(100 << 10))
    bare_figup.run("upload", source, "--connections", "1", "--api-rate", "1000").expect(0)
    # In the order in which they were answered.
    puts = [int(put["path"].rsplit("/", 1)[1]) for put in sandbox.requests(kind="put-part")]
    assert puts == [1, 2, 3, 4, 5, 1]
    check_exactly_once(sandbox, source)
