"""`figup report` run against records in memory: what it replaces."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio.to_thread
import pytest

from tests.fakes.catalog import COUNT, Figshare
from uploader.cli import report
from uploader.cli.main import main
from uploader.cli.options import GlobalOptions
from uploader.cli.runner import OnContext, Session, run
from uploader.errors import ItemNotFound
from uploader.figshare.records import Page

WORDS = ["report", "public", "--institution", "1", "--output"]
THEIRS = "of a person"


@pytest.fixture
def figshare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Figshare:
    found = Figshare()
    api: Any = SimpleNamespace(
        records=found,
        endpoint="https://api.example.org/v2",
        requests=0,
        request_rate=None,
        request_burst=1,
        clock=found.clock,
    )

    def on_context(common: GlobalOptions, work: OnContext, **_: object) -> int:
        async def connected(session: Session) -> int:
            context: Any = None
            return await work(session, context, api)

        return run(common, connected)

    monkeypatch.setattr(report, "on_context", on_context)
    monkeypatch.setenv("FIGUP_STATE_DIR", str(tmp_path / "state"))
    return found


def overwrite_while_reading(figshare: Figshare, path: Path, patch: pytest.MonkeyPatch) -> None:
    page = figshare.page

    async def overwriting(*args: Any, **more: Any) -> Page:
        await anyio.to_thread.run_sync(path.write_text, THEIRS)
        return await page(*args, **more)

    patch.setattr(figshare, "page", overwriting)


def make(path: Path) -> int | str | None:
    with pytest.raises(SystemExit) as ending:
        main([*WORDS, str(path)])
    return ending.value.code


def test_a_file_that_was_created_while_records_were_read_is_kept_by_this_run_and_the_next(
    figshare: Figshare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    overwrite_while_reading(figshare, path, monkeypatch)
    for _ in range(2):
        assert make(path) == 2
        assert "t.csv exists" in capsys.readouterr().err
        assert path.read_text() == THEIRS


@pytest.mark.parametrize("edited", [False, True])
def test_an_incomplete_table_is_replaced_by_the_next_run_unless_it_is_edited_meanwhile(
    figshare: Figshare,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    edited: bool,
) -> None:
    path = tmp_path / "t.csv"
    figshare.broken[COUNT] = ItemNotFound("no")
    assert make(path) == 1
    figshare.broken = {}
    if edited:
        overwrite_while_reading(figshare, path, monkeypatch)
    assert make(path) == (2 if edited else 0)
    assert ("t.csv exists, and was changed meanwhile" in capsys.readouterr().err) is edited
    if edited:
        assert make(path) == 2
    assert (path.read_text("utf-8") == THEIRS) is edited
