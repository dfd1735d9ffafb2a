"""A request that was not certainly refused may have had its effect: its intent stays on record, and the effect is
looked up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.invariants import ask, check_exactly_once, files, items
from tests.support.sandbox import Sandbox
from uploader.errors import ProtocolViolation, RequestRejected
from uploader.figshare.client import Figshare
from uploader.figshare.item_api import Items
from uploader.figshare.settings import Settings
from uploader.sources.models import Sources
from uploader.transfer.client import Client
from uploader.transfer.options import Options
from uploader.transfer.report import RunFailed

pytestmark = pytest.mark.anyio
Start = Callable[..., Sandbox]


def client(sandbox: Sandbox, state: Path) -> Client:
    settings = Settings(sandbox.url, api_rate=None)
    return Client(sandbox.token, settings=settings, options=Options(settle_timeout=2), state_dir=state)


@pytest.mark.parametrize(("group", "request_name"), [(Items, "create"), (Figshare, "initiate"), (Figshare, "complete")])
@pytest.mark.parametrize("error", [RuntimeError("a mistake"), ProtocolViolation("no id"), None])
async def test_any_end_of_a_request_after_its_effect(
    error: Exception | None,
    group: type,
    request_name: str,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"some bytes")
    honest = getattr(group, request_name)

    async def done_and_spoilt(*args: Any, **kwargs: Any) -> None:
        await honest(*args, **kwargs)
        if error is not None:
            raise error
        first.cancel()
        await asyncio.sleep(60)

    async with client(sandbox, tmp_path / "state") as session:
        with monkeypatch.context() as patch:
            patch.setattr(group, request_name, done_and_spoilt)
            first = asyncio.create_task(session.upload(source, title="Title"))
            with pytest.raises((asyncio.CancelledError, RuntimeError, RunFailed)) as ended:
                await first
            fault = ended.value.error if isinstance(ended.value, RunFailed) else ended.value
            assert type(fault) is (asyncio.CancelledError if error is None else type(error))
        report = await session.upload(source, title="Title")
    assert report.exit_status == 0
    check_exactly_once(sandbox, source)


@pytest.mark.parametrize("refusals", ["1", "every"])
async def test_a_new_item_that_is_not_found_yet(refusals: str, start_sandbox: Start, tmp_path: Path) -> None:
    sandbox = start_sandbox("--fault", f"initiate:{refusals}=404", "--fault", "get-item:1=stall,seconds=1")
    source = tmp_path / "a.bin"
    source.write_bytes(b"some bytes")
    async with client(sandbox, tmp_path / "state") as session:
        if refusals == "1":
            assert (await session.upload(source, title="Title")).exit_status == 0
            check_exactly_once(sandbox, source)
        else:
            with pytest.raises(RunFailed) as failed:
                await session.upload(source, title="Title")
            assert isinstance(failed.value.error, RequestRejected)
            assert "rejects files for it" in failed.value.error.message
    assert len(sandbox.requests(kind="initiate")) == (2 if refusals == "1" else 3)
    assert len(sandbox.requests(kind="create-item")) == 1


async def test_a_known_item_is_never_searched(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"some bytes")

    async def cut_off(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(Figshare, "item", cut_off)
        async with client(sandbox, tmp_path / "state") as session:
            with pytest.raises(RuntimeError):
                await session.upload(source, title="Title")
    async with client(sandbox, tmp_path / "state") as session:
        await session.upload(source, title="Title")
    assert sandbox.requests(kind="list-items") == []
    check_exactly_once(sandbox, source)


async def test_another_draft_of_the_same_title_is_not_adopted(start_sandbox: Start, tmp_path: Path) -> None:
    sandbox = start_sandbox("--fault", "create-item:1=reset")
    source = tmp_path / "a.bin"
    source.write_bytes(b"some bytes")
    async with client(sandbox, tmp_path / "state") as session:
        upload = asyncio.create_task(session.upload(source, title="Title"))
        while not sandbox.requests(kind="list-items"):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(ask, sandbox, "/account/articles", {"title": "Title"})
        (theirs,) = await asyncio.to_thread(items, sandbox)
        report = await upload
    assert report.item_id not in (None, theirs["id"])
    assert files(sandbox, theirs["id"]) == []
    assert [row["title"] for row in items(sandbox)] == ["Title", "Title"]


async def test_a_truncated_journal_creates_no_second_item(sandbox: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"some bytes")
    async with client(sandbox, tmp_path / "state") as session:
        await session.upload(source, title="Title")
        (journal,) = (tmp_path / "state" / "jobs").glob("*/journal")
        lines = journal.read_bytes().splitlines(keepends=True)
        for kept in range(3, len(lines), 2):
            journal.write_bytes(b"".join(lines[:kept]))
            assert (await session.upload(source, title="Title")).exit_status == 0
            check_exactly_once(sandbox, source)
    assert journal.with_name("journal.recovered").exists()


async def test_a_lost_task_is_never_a_success(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"some bytes")

    async def vanish(*_: Any, **__: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Figshare, "initiate", vanish)
    async with client(sandbox, tmp_path / "state") as session:
        with pytest.raises(RuntimeError, match="before everything was verified"):
            await session.upload(source, title="Title")


@pytest.mark.parametrize("link", [False, True], ids=["file", "link"])
async def test_a_silent_response_does_not_reduce_the_lookup_time(
    link: bool, start_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    sandbox = start_sandbox("--hidden-for", "3", "--fault", "initiate=hang,seconds=60")
    source = tmp_path / "a.bin"
    source.write_bytes(b"some bytes")
    chosen = Sources(links=("https://example.org/a.bin",)) if link else Sources(paths=(str(source),))
    settings = Settings(sandbox.url, api_rate=None, answer_timeout=2)
    options = Options(settle_timeout=3)
    async with Client(sandbox.token, settings=settings, options=options, state_dir=tmp_path / "state") as session:
        report = await session.upload(chosen, title="Title")
    assert report.exit_status == 0
    assert len(sandbox.requests(kind="initiate")) == 1
    assert report.item_id is not None
    assert len(files(sandbox, report.item_id)) == 1
