"""Requests whose effect appears late or not at all: it is never left behind unnoticed, and files of others are never
adopted or removed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from tests.support.invariants import ask, check_nothing_sent_twice, files
from tests.support.sandbox import Sandbox
from uploader.errors import FigupError
from uploader.figshare.client import Figshare
from uploader.figshare.models import File
from uploader.figshare.settings import Settings
from uploader.transfer import notices as no
from uploader.transfer.client import Client
from uploader.transfer.options import Options

pytestmark = pytest.mark.anyio
Start = Callable[..., Sandbox]


class Story:
    """One source, one job, and an item that the user named, or none."""

    def __init__(self, sandbox: Sandbox, folder: Path, *, named: bool, settle: float, visible: float = 30.0) -> None:
        self.sandbox = sandbox
        self.item: int | None = ask(sandbox, "/account/articles", {"title": "named"})["entity_id"] if named else None
        self.warnings: list[str] = []
        self._source = folder / "a.bin"
        self._source.write_bytes(b"some bytes")
        self._settings = Settings(sandbox.url, api_rate=None, visibility_timeout=visible)
        self._options = Options(settle_timeout=settle, on_conflict="keep")
        self.state = folder / "state"

    def client(self) -> Client:
        return Client(self.sandbox.token, settings=self._settings, options=self._options, state_dir=self.state)

    async def run(self) -> int:
        """The exit status of one run."""
        try:
            async with self.client() as client:
                report = await client.upload(self._source, item=self.item, title=None, on_event=self._take)
        except FigupError as error:
            return error.exit_status
        self.item = report.item_id
        return report.exit_status

    async def stored(self) -> list[str]:
        """The statuses of the item's files, once all are final."""
        assert self.item is not None
        for _ in range(100):
            found = sorted(f["status"] for f in await anyio.to_thread.run_sync(files, self.sandbox, self.item))
            if "available" in found:
                break
            await anyio.sleep(0.05)
        return found

    def _take(self, notice: no.AnyNotice) -> None:
        if isinstance(notice, no.Warned):
            self.warnings.append(notice.message)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("gone", ["lose-upload", "abort-upload"])
async def test_an_upload_that_dies_before_its_lost_answer_is_looked_up(
    start_sandbox: Start, tmp_path: Path, *, named: bool, gone: str
) -> None:
    sandbox = start_sandbox("--fault", "initiate=lost-answer", "--fault", f"get-upload={gone}")
    story = Story(sandbox, tmp_path, named=named, settle=2)
    assert await story.run() == 0
    assert await story.stored() == ["available"]
    check_nothing_sent_twice(sandbox)


@pytest.mark.parametrize("named", [False, True])
async def test_the_last_lookup_is_at_the_end_of_its_time(start_sandbox: Start, tmp_path: Path, *, named: bool) -> None:
    sandbox = start_sandbox("--fault", "initiate=lost-answer", "--fault", "initiate=hide,seconds=2.5")
    story = Story(sandbox, tmp_path, named=named, settle=3)
    assert await story.run() == 0
    assert len(sandbox.requests(kind="initiate")) == 1
    assert await story.stored() == ["available"]


@pytest.mark.parametrize("named", [False, True])
async def test_an_intent_may_be_much_older_than_the_request_that_was_tried_again_for_it(
    start_sandbox: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    sandbox = start_sandbox("--hidden-for", "1.5", "--fault", "initiate:1=429,retry-after=3")
    story = Story(sandbox, tmp_path, named=named, settle=2.5)
    honest = Figshare.initiate

    async def killed(*given: Any, **named: Any) -> int:
        await honest(*given, **named)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Figshare, "initiate", killed)
        with pytest.raises(RuntimeError, match="killed"):
            await story.run()
    assert await story.run() == 0
    assert await story.stored() == ["available"]


async def test_an_announced_file_that_appears_late_is_removed(start_sandbox: Start, tmp_path: Path) -> None:
    # It appears after the second run has looked for it as long as `settle`, and while that looks for it at its end.
    sandbox = start_sandbox("--fault", "initiate=hide,seconds=14")
    story = Story(sandbox, tmp_path, named=True, settle=9, visible=1)
    assert await story.run() == 75
    assert await story.run() == 0
    assert len(sandbox.requests(kind="initiate")) == 2
    await anyio.sleep(1)
    assert await story.stored() == ["available"]


async def test_a_late_file_is_removed_from_our_own_item(start_sandbox: Start, tmp_path: Path) -> None:
    sandbox = start_sandbox(
        "--fault", "initiate:1=lost-answer", "--fault", "initiate:1=hide,seconds=2.2", "--md5-delay", "2"
    )
    story = Story(sandbox, tmp_path, named=False, settle=1)
    assert await story.run() == 0
    assert len(sandbox.requests(kind="initiate")) == 2
    assert await story.stored() == ["available"]


async def test_in_the_users_item_a_late_file_is_reported_and_kept(start_sandbox: Start, tmp_path: Path) -> None:
    sandbox = start_sandbox(
        "--fault", "initiate:1=lost-answer", "--fault", "initiate:1=hide,seconds=2.2", "--md5-delay", "2"
    )
    story = Story(sandbox, tmp_path, named=True, settle=1)
    assert await story.run() == 0
    assert await story.stored() == ["available", "created"]
    assert re.search(r"a\.bin: item \d+ also holds an unfinished file \d+ of this name", " ".join(story.warnings))


async def test_a_listing_without_upload_addresses_is_enough(
    start_sandbox: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = start_sandbox("--fault", "initiate=lost-answer")
    story = Story(sandbox, tmp_path, named=True, settle=1)
    honest = Figshare.files

    async def bare(api: Figshare, item_id: int) -> AsyncIterator[File]:
        async for file in honest(api, item_id):
            yield msgspec.structs.replace(file, upload_url=None)

    monkeypatch.setattr(Figshare, "files", bare)
    assert await story.run() == 0
    assert await story.stored() == ["available"]


async def test_a_deletion_is_verified(start_sandbox: Start, tmp_path: Path) -> None:
    sandbox = start_sandbox("--fault", "put-part:1=lose-upload", "--fault", "delete-file:1=404")
    story = Story(sandbox, tmp_path, named=False, settle=1)
    assert await story.run() == 0
    assert await story.stored() == ["available"]


async def test_cancel_waits_for_a_file_that_is_not_visible_yet(start_sandbox: Start, tmp_path: Path) -> None:
    sandbox = start_sandbox("--fault", "initiate=hide,seconds=2")
    story = Story(sandbox, tmp_path, named=True, settle=1)
    with anyio.move_on_after(1):
        await story.run()
    (job,) = [path.name for path in (story.state / "jobs").iterdir()]
    async with story.client() as client:
        done = await client.cancel(job)
    assert len(done.removed) == 1
    await anyio.sleep(1.5)
    assert story.item is not None
    assert await anyio.to_thread.run_sync(files, sandbox, story.item) == []


async def test_after_a_damaged_journal_no_foreign_file_is_adopted(start_sandbox: Start, tmp_path: Path) -> None:
    sandbox = start_sandbox("--fault", "initiate:2=hang,seconds=20")
    story = Story(sandbox, tmp_path, named=True, settle=1)
    theirs = ask(sandbox, f"/account/articles/{story.item}/files", {"name": "a.bin", "size": 10})["location"]
    with anyio.move_on_after(2):
        await story.run()
    (journal,) = (story.state / "jobs").glob("*/journal")
    intact = journal.read_bytes()
    journal.write_bytes(intact.replace(b'"init?"', b'"inXt?"'))
    assert journal.read_bytes() != intact
    assert await story.run() == 0
    assert story.item is not None
    stored = {file["id"]: file["status"] for file in await anyio.to_thread.run_sync(files, sandbox, story.item)}
    assert stored[int(theirs.rpartition("/")[2])] == "created"
    assert sandbox.requests(kind="delete-file") == []


async def test_a_page_with_200_is_not_a_completion(start_sandbox: Start, tmp_path: Path) -> None:
    story = Story(start_sandbox("--fault", "complete=html"), tmp_path, named=False, settle=1)
    assert await story.run() == 0
    assert await story.stored() == ["available"]
