"""What happens to a file, given the item's files at its path."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from uploader.cli.hint_table import HINTS
from uploader.errors import Conflict, Facts, FigupError, RequestRejected, SourceUnreadable
from uploader.figshare.models import File, Part, Upload
from uploader.transfer.compare import Expected, Match
from uploader.transfer.files.decide import decide, is_retryable, refusal_advice
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.options import OnConflict

MD5 = "a" * 32
SOURCE = Expected(size=7, md5=MD5)
FILE = File(id=1, name="data.bin", size=7, status="available", computed_md5=MD5)


def file(number: int = 1, **changes: Any) -> File:
    return msgspec.structs.replace(FILE, id=number, **changes)


def different(number: int = 1) -> File:
    return file(number, size=9)


def unfinished(number: int = 1) -> File:
    return file(number, status="created", computed_md5=None, upload_url="https://up/1")


def upload(*, locked: bool = False) -> Upload:
    parts = (Part(no=1, start=0, end=3, complete=True), Part(no=2, start=4, end=6, locked=locked))
    return Upload(token="t", status="pending", size=7, parts=parts)


@pytest.mark.parametrize("choice", ["skip", "replace", "keep", "fail"])
def test_a_file_is_sent_if_the_item_has_none_of_that_name(choice: OnConflict) -> None:
    decision = decide(SOURCE, [], {}, choice)
    assert (decision.action, decision.match, decision.file) == ("send", Match.MISSING, None)


@pytest.mark.parametrize(
    ("existing", "skip", "replace", "keep", "fail"),
    [
        ([file()], "skip", "skip", "skip", "refuse"),
        ([different()], "refuse", "replace", "send", "refuse"),
        ([file(computed_md5=None)], "refuse", "replace", "send", "refuse"),
        ([file(status="ic_failure")], "refuse", "replace", "send", "refuse"),
        ([file(is_link_only=True)], "refuse", "replace", "send", "refuse"),
        ([unfinished()], "refuse", "replace", "send", "refuse"),
        ([different(1), unfinished(2), unfinished(3)], "refuse", "replace", "send", "refuse"),
        ([different(1), different(2)], "refuse", "refuse", "send", "refuse"),
        ([different(1), file(2)], "skip", "skip", "skip", "refuse"),
    ],
)
def test_each_on_conflict_choice(existing: list[File], skip: str, replace: str, keep: str, fail: str) -> None:
    actions: dict[OnConflict, str] = {"skip": skip, "replace": replace, "keep": keep, "fail": fail}
    for choice, action in actions.items():
        decision = decide(SOURCE, existing, {}, choice)
        assert decision.action == action, choice
        assert bool(decision.reason) == (action == "refuse")
        assert decision.replaces == (tuple(f.id for f in existing) if action == "replace" else ())


@pytest.mark.parametrize(
    ("existing", "reason"),
    [
        (different(), "the item holds a different file of that name (file 1, 9 bytes)"),
        (file(is_link_only=True), "the item holds a link of that name (file 1)"),
        (
            file(status="ic_failure"),
            "the item holds a file of that name that failed Figshare's integrity check (file 1)",
        ),
        (
            file(computed_md5=None),
            "the item holds a file of that name and size (file 1), but Figshare has not computed",
        ),
        (unfinished(), "the item holds an unfinished upload of that name (file 1), not started by any job on this"),
    ],
)
def test_a_conflict_describes_the_remote_file_and_the_choices(existing: File, reason: str) -> None:
    decision = decide(SOURCE, [existing], {}, "skip")
    assert decision.reason.startswith(reason)
    assert decision.facts is not None
    assert "--on-conflict" in HINTS[decision.facts.situation].text


@pytest.mark.parametrize(
    ("asked", "words"),
    [({}, "(file 1)"), ({1: upload()}, "(file 1, 1 of 2 parts sent)"), ({1: None}, "(file 1, whose upload is gone)")],
)
def test_a_conflict_reports_the_progress_of_an_unfinished_upload(asked: dict[int, Upload | None], words: str) -> None:
    assert words in decide(SOURCE, [unfinished()], {}, "skip", asked).reason


@pytest.mark.parametrize("choice", ["skip", "replace"])
@pytest.mark.parametrize("existing", [[unfinished()], [different(5), unfinished()], [file(1, status="created")]])
def test_an_unfinished_upload_of_another_job_is_never_replaced(choice: OnConflict, existing: list[File]) -> None:
    decision = decide(SOURCE, existing, {1: "abc"}, choice)
    assert decision.action == "refuse"
    if choice == "replace":
        assert decision.reason.endswith("started by job abc on this machine")
        assert decision.facts == Facts("started-here", job="abc")


def test_the_finished_file_of_another_job_may_be_replaced() -> None:
    assert decide(SOURCE, [different()], {1: "abc"}, "replace").action == "replace"


def test_an_upload_that_is_being_sent_is_not_replaced_and_one_that_is_gone_is() -> None:
    busy = decide(SOURCE, [unfinished()], {}, "replace", {1: upload(locked=True)})
    assert (busy.action, busy.reason[:44]) == ("refuse", "another process is sending a file of that na")
    for idle in (upload(), None):
        assert decide(SOURCE, [unfinished()], {}, "replace", {1: idle}).replaces == (1,)


def test_several_different_files_are_listed() -> None:
    existing = [different(number) for number in range(1, 13)] + [file(13, is_link_only=True)]
    reason = decide(SOURCE, existing, {}, "replace").reason
    assert "holds 13 different files of that name (file 1, 9 bytes; file 2, 9 bytes;" in reason
    assert "file 10, 9 bytes; ...)" in reason


def test_with_an_identical_file_the_others_are_kept_and_listed() -> None:
    existing = [different(1), file(2), file(3), unfinished(4)]
    decision = decide(SOURCE, existing, {}, "replace")
    assert decision.file == existing[1]
    assert decision.remark == (
        "the item already holds this file (file 2); others of that name are kept: file 1, 9 bytes; file 4, unfinished"
    )
    assert decide(SOURCE, existing, {}, "skip").remark == ""
    assert decide(SOURCE, [file(2), file(3)], {}, "replace").remark == ""


@pytest.mark.parametrize(
    ("choice", "action"), [("skip", "skip"), ("replace", "skip"), ("keep", "skip"), ("fail", "refuse")]
)
def test_an_existing_link(choice: OnConflict, action: str) -> None:
    existing = [file(is_link_only=True, download_url="https://x")]
    decision = decide(Expected(link="https://x"), existing, {}, choice)
    assert decision.action == action
    assert decision.reason == ("the item already has this link (file 1)" if choice == "fail" else "")


# --- files that Figshare refused ----------------------------------------------------------------------------------


def transfer(size: int = 1, *, link: bool = False) -> Transfer:
    return Transfer(index=0, source="/data/x", name="x", size=size, mtime_ns=1, inode=1, link=link)


@pytest.mark.parametrize(
    ("error", "size", "again"),
    [
        (RequestRejected("no"), 1, True),
        (RequestRejected("no"), 0, False),
        (SourceUnreadable("no"), 1, True),
        (Conflict("no"), 1, False),
    ],
)
def test_which_failures_are_retried(error: FigupError, size: int, again: bool) -> None:
    assert is_retryable(error, transfer(size)) is again


REFUSAL = RequestRejected("no")


def test_the_hint_for_a_rejected_file() -> None:
    assert refusal_advice(REFUSAL, transfer(), single_file=True) == ("Fix what Figshare reports.", "refused")
    assert refusal_advice(REFUSAL, transfer(), single_file=False) == ("Fix what Figshare reports.", "refused-of-many")
    assert refusal_advice(RequestRejected("no", facts=Facts("redirected")), transfer(), single_file=True) is None
    link = refusal_advice(REFUSAL, transfer(0, link=True), single_file=False)
    assert link == ("Fix what Figshare reports.", "refused")
    empty = "Figshare does not seem to accept empty files. Add content."
    assert refusal_advice(REFUSAL, transfer(0), single_file=True) == (empty, "empty-file")
    assert refusal_advice(REFUSAL, transfer(0), single_file=False) == (empty, "empty-file-of-many")
