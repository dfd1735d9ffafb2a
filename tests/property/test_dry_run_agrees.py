"""The dry run and the upload make the same decision about a file, whatever the item holds in its place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import hypothesis
import pytest
from hypothesis import strategies as st

from tests.support.existing_files import CONTENT, MD5, ItemWithFiles, complete_file
from uploader.errors import Conflict
from uploader.sources.models import Sources
from uploader.sources.select import select
from uploader.sources.source import stat_source
from uploader.transfer.files.conflicts import identical_file
from uploader.transfer.files.planner import FilePlan
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.plan import Target
from uploader.transfer.options import Options
from uploader.transfer.preview import preview

KINDS: dict[str, dict[str, Any]] = {
    "identical": {},
    "identical, being checked": {"status": "ic_checking"},
    "different": {"computed_md5": "b" * 32},
    "larger": {"size": 99},
    "unknown MD5": {"computed_md5": None},
    "failed": {"status": "ic_failure"},
    "link": {"is_link_only": True, "download_url": "https://x"},
    "unfinished": {"status": "created", "computed_md5": None, "upload_url": "idle"},
    "unfinished, gone": {"status": "created", "computed_md5": None, "upload_url": "gone"},
    "unfinished, being sent": {"status": "created", "computed_md5": None, "upload_url": "busy"},
    "unfinished, of another job": {"status": "created", "computed_md5": None, "upload_url": "idle"},
    "unfinished, of another job, without address": {"status": "created", "computed_md5": None},
    "verified by another job": {"size": 99},
}


class Store:
    """A state directory in which only another job owns files."""

    def __init__(self, owned: dict[int, str]) -> None:
        self.owned = owned

    def owners(self, job: str) -> dict[int, str]:
        return self.owned

    def generation(self, name: str, *, new: bool) -> tuple[str, bool]:
        return name, True


class Content:
    """Prepare the source as in an upload."""

    async def md5(self) -> str:
        return MD5

    def release(self) -> None:
        """Nothing is open."""


async def planned(source: Path, service: Any, store: Any, options: Options) -> FilePlan:
    """Return the decision of the dry run."""
    selection = await anyio.to_thread.run_sync(select, Sources(paths=(str(source),)))
    found = await preview(
        service, store, Target(endpoint="https://example.org/v2", item=7, title=None), selection, options
    )
    (plan,) = found.files
    assert found.exit_status == (1 if plan.action == "refuse" else 0)
    return plan


async def sent(source: Path, service: Any, store: Any, options: Options) -> tuple[str, tuple[int, ...], str | None]:
    """Return the decision of the upload: the action, the files that it replaces, and the reason for a refusal."""
    now = await anyio.to_thread.run_sync(stat_source, str(source))
    transfer = Transfer(
        index=0, source=str(source), name="data.bin", size=now.size, mtime_ns=now.mtime_ns, inode=now.inode
    )

    async def commit(event: ev.ReplacementPlanned) -> None:
        transfer.apply(event)

    run: Any = SimpleNamespace(
        api=service,
        commit=commit,
        item_id=7,
        job="this",
        listing=SimpleNamespace(foreign_files={"data.bin": service.existing}, spellings={}, removed=set()),
        notify=lambda _: None,
        options=options,
        state=SimpleNamespace(own_at=lambda _: {}, owns=lambda _: False, owns_elsewhere=lambda *_: False),
        states=store,
    )
    content: Any = Content()
    try:
        same = await identical_file(run, transfer, content)
    except Conflict as error:
        return "refuse", (), error.message
    if same is not None:
        return "skip", transfer.replaces, None
    return ("replace" if transfer.replaces else "send"), transfer.replaces, None


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sources") / "data.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.search
@hypothesis.settings(max_examples=300, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    kinds=st.lists(st.sampled_from(sorted(KINDS)), max_size=4),
    on_conflict=st.sampled_from(["skip", "replace", "keep", "fail"]),
)
def test_the_dry_run_s_action_is_the_upload_s_outcome(source: Path, kinds: list[str], on_conflict: Any) -> None:
    existing = [complete_file(number, **KINDS[kind]) for number, kind in enumerate(kinds, 1)]
    owned = {file.id: "other" for file, kind in zip(existing, kinds, strict=True) if "another job" in kind}
    options = Options(on_conflict=on_conflict)

    async def both() -> tuple[FilePlan, tuple[str, tuple[int, ...], str | None]]:
        service, store = ItemWithFiles(existing), Store(owned)
        return await planned(source, service, store, options), await sent(source, service, store, options)

    plan, (action, replaces, message) = anyio.run(both)
    assert (plan.action, plan.replaces) == (action, replaces)
    assert message == (f"data.bin: {plan.reason}" if plan.reason is not None else None)
    owned_unfinished = any(file.id in owned and file.status == "created" for file in existing)
    assert not (action == "replace" and owned_unfinished), "another job's upload is never replaced"
