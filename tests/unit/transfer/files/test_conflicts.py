"""The facts looked up for a decision about a file, and how the upload carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.existing_files import CONTENT, MD5, ItemWithFiles, complete_file, unfinished_file
from uploader.errors import Conflict
from uploader.figshare.models import File
from uploader.transfer import notices as no
from uploader.transfer.compare import Expected
from uploader.transfer.files.conflicts import identical_file, resolve
from uploader.transfer.files.decide import Decision
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.options import OnConflict, Options

pytestmark = pytest.mark.anyio
DIFFERENT = complete_file(1, size=99)


class Rig:
    """One transfer of a run, in an item with these files at its path."""

    def __init__(
        self, *existing: File, on_conflict: OnConflict = "skip", owners: Mapping[int, str] | None = None
    ) -> None:
        self.transfer = Transfer(
            index=0, source="/x/data.bin", name="data.bin", size=len(CONTENT), mtime_ns=1, inode=1, folder="d"
        )
        self.events: list[ev.AnyEvent] = []
        self.notices: list[no.AnyNotice] = []
        self.hashed = self.owners_read = 0
        self.api = ItemWithFiles(existing)
        self._owners = owners or {}
        self.run: Any = SimpleNamespace(
            api=self.api,
            commit=self._commit,
            item_id=7,
            job="this",
            listing=SimpleNamespace(foreign_files={"d/data.bin": list(existing)}, spellings={}, removed=set()),
            notify=self.notices.append,
            options=Options(on_conflict=on_conflict),
            state=SimpleNamespace(
                own_at=lambda _: {}, owns=lambda i: i in self.transfer.owned_ids(), owns_elsewhere=lambda *_: False
            ),
            states=SimpleNamespace(owners=self._read_owners),
        )

    async def identical(self) -> tuple[int, str] | None:
        content: Any = SimpleNamespace(md5=self._md5, release=lambda: None)
        return await identical_file(self.run, self.transfer, content)

    async def _commit(self, event: ev.AnyEvent) -> None:
        self.events.append(event)

    async def _md5(self) -> str:
        self.hashed += 1
        return MD5

    def _read_owners(self, job: str) -> Mapping[int, str]:
        self.owners_read += 1
        return self._owners


async def test_an_identical_file_is_taken_for_the_source() -> None:
    rig = Rig(DIFFERENT, complete_file(2))
    assert await rig.identical() == (2, MD5)
    assert (rig.events, rig.notices) == ([], [])


async def test_without_a_conflict_nothing_is_read_and_the_plan_is_kept() -> None:
    rig = Rig()
    rig.transfer.replaces = (5,)
    assert await rig.identical() is None
    assert (rig.hashed, rig.events) == (0, [])


async def test_the_job_s_own_files_and_those_removed_by_this_run_are_not_in_the_way() -> None:
    rig = Rig(complete_file(1, size=9), complete_file(2, size=9), complete_file(3, size=9))
    rig.transfer.remnants, rig.transfer.superseded = (1,), (2,)
    rig.run.listing.removed.add(3)
    assert await rig.identical() is None


@pytest.mark.parametrize(
    ("existing", "on_conflict", "hashed"),
    [
        (complete_file(), "skip", 1),
        (complete_file(), "fail", 0),
        (DIFFERENT, "replace", 0),
        (complete_file(computed_md5=None), "replace", 0),
        (complete_file(is_link_only=True), "replace", 0),
        (unfinished_file(), "replace", 0),
    ],
)
async def test_the_source_is_read_only_if_its_md5_decides(existing: File, on_conflict: OnConflict, hashed: int) -> None:
    rig = Rig(existing, on_conflict=on_conflict)
    try:
        await rig.identical()
    except Conflict:
        assert on_conflict == "fail"
    assert rig.hashed == hashed


async def test_a_refusal_is_a_conflict_that_names_the_file_and_its_source() -> None:
    with pytest.raises(Conflict, match=r"^d/data\.bin: the item holds a different file of that name") as raised:
        await Rig(DIFFERENT).identical()
    assert raised.value.path == "/x/data.bin"
    assert raised.value.hint is not None


async def test_replaced_files_are_journaled_before_anything_is_sent() -> None:
    rig = Rig(unfinished_file(7), DIFFERENT, on_conflict="replace")
    assert await rig.identical() is None
    assert rig.events == [ev.ReplacementPlanned(0, (1, 7), unfinished=(7,))]
    rig.transfer.replaces, rig.transfer.replaces_unfinished = (1, 7), (7,)
    await rig.identical()
    assert len(rig.events) == 1, "the same plan is not written again"


async def test_a_plan_to_replace_is_withdrawn_if_the_file_is_identical_now() -> None:
    rig = Rig(complete_file(), on_conflict="replace")
    rig.transfer.replaces = (1,)
    assert await rig.identical() == (1, MD5)
    assert rig.events == [ev.ReplacementPlanned(0, ())]


async def test_a_warning_says_that_nothing_is_replaced() -> None:
    rig = Rig(complete_file(1), complete_file(2, size=99), on_conflict="replace")
    assert await rig.identical() == (1, MD5)
    (notice,) = rig.notices
    assert isinstance(notice, no.Warned)
    assert notice.message.startswith(
        "d/data.bin: the item already holds this file (file 1); others of that name are kept"
    )


async def test_another_job_s_upload_is_not_touched() -> None:
    rig = Rig(unfinished_file(), on_conflict="replace", owners={1: "abc"})
    with pytest.raises(Conflict, match="started by job abc on this machine"):
        await rig.identical()
    assert (rig.events, rig.api.uploads) == ([], [])


async def decided(rig: Rig, on_conflict: OnConflict) -> Decision:
    async def owners() -> Mapping[int, str]:
        rig.owners_read += 1
        return {}

    api: Any = rig.api
    return await resolve(api, Expected(size=len(CONTENT), md5=MD5), rig.api.existing, owners, on_conflict)


@pytest.mark.parametrize(
    ("existing", "on_conflict", "asked"),
    [
        ([unfinished_file()], "replace", ["idle"]),
        ([unfinished_file()], "skip", ["idle"]),
        ([unfinished_file()], "keep", []),
        ([unfinished_file()], "fail", []),
        ([unfinished_file(upload=None)], "replace", []),
        ([DIFFERENT, unfinished_file(2)], "replace", ["idle"]),
        ([DIFFERENT, unfinished_file(2)], "skip", []),
        ([complete_file(1), unfinished_file(2)], "replace", []),
        ([complete_file(1, size=8), complete_file(2, size=9), unfinished_file(3)], "replace", []),
    ],
)
async def test_uploads_and_owners_are_looked_up_only_where_they_decide(
    existing: list[File], on_conflict: OnConflict, asked: list[str]
) -> None:
    rig = Rig(*existing)
    await decided(rig, on_conflict)
    assert rig.api.uploads == asked
    assert rig.owners_read == (1 if asked or existing == [unfinished_file(upload=None)] else 0)


@pytest.mark.parametrize(("upload", "action"), [("idle", "replace"), ("gone", "replace"), ("busy", "refuse")])
async def test_an_upload_that_is_being_sent_is_not_replaced(upload: str, action: str) -> None:
    assert (await decided(Rig(unfinished_file(upload=upload)), "replace")).action == action
