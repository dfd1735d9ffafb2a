"""The plan: what a job sends, as events, and how a repeated command changes it. Reads no file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec

from uploader._version import __version__
from uploader.errors import Facts, UsageError
from uploader.items.payload import MAX_TITLE, MIN_TITLE
from uploader.sources.models import Selection, SourceFile, remote_path
from uploader.text import printable
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.state import ABSENT, COMPLETE, FORGOTTEN, VANISHED, JobState

if TYPE_CHECKING:
    from uploader.sources.archive.plan import Plan


_ID_LENGTH = 10


def default_title(selection: Selection) -> str:
    """Make a title from the name of the first source, on one line. Raises UsageError."""
    if selection.title is None:
        raise UsageError("the sources suggest no title for the item", facts=Facts("no-title"))
    return "".join(c if c.isprintable() else " " for c in selection.title).strip()


def checked_title(title: str) -> str:
    """Check that Figshare accepts the title, and return it. Blanks around it do not count. Raises UsageError."""
    inner = title.strip()
    if not MIN_TITLE <= len(inner) <= MAX_TITLE:
        raise UsageError(
            f"a title has {MIN_TITLE} to {MAX_TITLE} characters, and {printable(inner)[:40]!r} has {len(inner)}",
            facts=Facts("title-length"),
        )
    return title


def target_of(
    endpoint: str,
    item: int | None,
    title: str | None,
    selection: Selection,
    *,
    project: int | None = None,
    account: int | None = None,
) -> Target:
    """Return the target: the given item or a new one. Raises UsageError for both, or for an invalid title."""
    if item is not None and (title is not None or project is not None):
        named = "title" if title is not None else "project"
        raise UsageError(f"an existing item and a {named} for a new one are mutually exclusive")
    chosen = None if item is not None else checked_title(default_title(selection) if title is None else title)
    return Target(endpoint=endpoint, item=item, title=chosen, project=project, account=account)


def plan_events(target: Target, selection: Selection, job: str) -> list[ev.AnyEvent]:
    """Make the first events of a job."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    root = _root(selection.files)
    files = len(selection.files)
    plan = ev.JobPlanned(
        job=job,
        endpoint=target.endpoint,
        item=target.item,
        title=target.title,
        created=created,
        version=__version__,
        files=files,
        root=root,
        project=target.project,
        account=target.account,
        named_known=True,
    )
    sources = [_source(index, chosen, root) for index, chosen in enumerate(selection.files)]
    return [plan, *sources, *_changes({}, _reasons(selection))]


def renewal_events(
    state: JobState, selection: Selection, lost: Collection[str] = frozenset(), *, forget_missing: bool = False
) -> list[ev.AnyEvent]:
    """Make the events for a repeated command: sources that it adds or no longer names. `lost` are paths of sources that
    no longer exist: they stay in the job and fail when they are sent, because absence is not intent. Changed sources
    are detected when they are sent, too. With `forget_missing` the user does without sources that are gone and were not
    sent; whether the item still holds the others is checked later.
    """
    # As a rule, the files and their order are the same: then no key is kept of a hundred thousand files.
    same = sum(1 for _ in takewhile(_is_source_of, zip(selection.files, state.transfers, strict=False)))
    known = {key_of(transfer): transfer for transfer in state.transfers[same:]}
    root = state.plan.root
    events: list[ev.AnyEvent] = []
    new: list[ev.AnyEvent] = []
    for place, chosen in enumerate(selection.files):
        transfer = state.transfers[place] if place < same else known.pop(key_of(chosen), None)
        if transfer is None:
            new.append(_source(len(state.transfers) + len(new), chosen, root))
        elif transfer.dropped or transfer.expected != chosen.md5:
            events.append(ev.SourceChosen(transfer.index, chosen.md5))
    missing = {problem.path for problem in selection.problems} | set(lost)
    known = {key: transfer for key, transfer in known.items() if transfer.path not in missing}
    events += [ev.SourceDropped(transfer.index) for transfer in known.values() if not transfer.dropped]
    # The count comes last: a journal torn in between describes a smaller, complete job.
    events += [*new, ev.JobGrown(len(state.transfers) + len(new))] if new else []
    skipped = _reasons(selection)
    for transfer in known.values():
        # The path of an archive is that of a folder, which the other archives may still have.
        path = printable(transfer.path if transfer.archive is None else transfer.remote_path)
        before = state.skipped.get(path)
        # What the user left out stays so when it is removed here, too.
        kept = before if transfer.dropped and before not in ABSENT else None
        reason = skipped.setdefault(path, kept or _drop_reason(path, skipped))
        forgotten = before == FORGOTTEN or (forget_missing and transfer.state not in COMPLETE)
        if forgotten and reason in ABSENT and transfer.archive is None:
            skipped[path] = FORGOTTEN
    return [*events, *_changes(state.skipped, skipped)]


def _is_source_of(pair: tuple[SourceFile, Transfer]) -> bool:
    return key_of(pair[0]) == key_of(pair[1])


def key_of(source: SourceFile | Transfer) -> tuple[str, str]:
    """Return the key of a source in its job: its path and its place in the item. An archive has only a place: the
    folder that stands for its members may change when one is added.
    """
    path = "" if source.archive is not None else source.path
    return path, source.remote_path if isinstance(source, Transfer) else remote_path(source.folder, source.name)


def _root(chosen: list[SourceFile]) -> str:
    """Return the folder below which most sources have the same path as on Figshare; "" for none."""
    for source in chosen[:1]:
        there = f"/{remote_path(source.folder, source.name)}"
        if not source.link and source.path.endswith(there):
            return source.path.removesuffix(there)
    return ""


def _source(index: int, chosen: SourceFile, root: str) -> ev.SourcePlanned:
    """Make the event, as short as possible."""
    there = remote_path(chosen.folder, chosen.name)
    short = not chosen.link and chosen.path == f"{root}/{there}"
    return ev.SourcePlanned(
        index,
        path=there if short else chosen.path,
        name="" if short else chosen.name,
        size=chosen.size,
        mtime_ns=chosen.mtime_ns,
        inode=chosen.inode,
        ctime_ns=chosen.ctime_ns,
        folder=None if short or not chosen.folder else chosen.folder,
        md5=chosen.md5,
        link=chosen.link,
        archive=archive_of(chosen.archive) if chosen.archive is not None else None,
        named=chosen.named,
    )


def archive_of(plan: Plan) -> ev.Archive:
    """Return the journal's record of an archive; its members are in a separate file."""
    return ev.Archive(id=plan.id, format=plan.format, members=plan.sources)


def _reasons(selection: Selection) -> dict[str, str]:
    return {printable(skip.path): skip.reason for skip in selection.skipped}


def _drop_reason(path: str, skipped: dict[str, str]) -> str:
    """Why a planned source is no longer selected: the reason why a folder above it is skipped, or that it is gone."""
    segments = path.split("/")
    above = ("/".join(segments[:end]) + "/" for end in range(1, len(segments)))
    return next((skipped[folder] for folder in above if folder in skipped), VANISHED)


def _changes(before: dict[str, str], now: dict[str, str]) -> list[ev.AnyEvent]:
    """Make the events that lead from one set of skipped paths to another."""
    ended: list[ev.AnyEvent] = [ev.SourceSkipped(path, "") for path in before if path not in now]
    return ended + [ev.SourceSkipped(path, reason) for path, reason in now.items() if before.get(path) != reason]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job's files go: the item with the id `item`, or a new one with this `title`; one of them is None.

    `project` is the project to create the item in, None for none; `account` the account to act for, None for the
    token's own.
    """

    endpoint: str
    item: int | None = None
    title: str | None = None
    project: int | None = None
    account: int | None = None


def job_name(target: Target, named: list[str]) -> str:
    """Name the job that sends these names (a selection's `job_key`) to this target.

    The same command is the same job, even if its folders have changed.
    """
    identity: list[object] = [target.endpoint, target.item, target.title, sorted(set(named))]
    if target.project is not None or target.account is not None:
        identity += [target.project, target.account]
    digest = hashlib.sha256(json.dumps(identity, ensure_ascii=True).encode("ascii")).digest()
    return base64.b32encode(digest).decode("ascii").lower()[:_ID_LENGTH]
