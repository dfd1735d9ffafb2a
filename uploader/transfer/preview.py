"""What a command would do, found out by reading alone: sources, the job's journal, and what Figshare tells."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import anyio.to_thread
import msgspec

from uploader.figshare.client import Figshare
from uploader.figshare.models import Account, File
from uploader.items.checks import check_project
from uploader.sources.models import Selection, SourceFile, remote_path
from uploader.transfer.compare import has_changed, likeness
from uploader.transfer.files.conflicts import finished
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.plan import Target, job_name
from uploader.transfer.journal.state import JobState
from uploader.transfer.options import OnConflict, Options
from uploader.transfer.report import SkipReport
from uploader.transfer.run.limits import mixed_links_warning
from uploader.transfer.run.listing import files_by_path
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import JobSummary, summarize

USUAL_PART = 10 << 20
"""Bytes of most parts that were seen (observed; the server chooses, and tells it only once a file is initiated)."""
REQUESTS_A_FILE = 2
"""Initiate and complete; what is asked beside that is asked for many files at once."""

_ACTIONS: dict[str, dict[OnConflict, str]] = {
    "same": {"skip": "skip", "replace": "skip", "keep": "skip", "fail": "refuse"},
    "different": {"skip": "refuse", "replace": "replace", "keep": "send", "fail": "refuse"},
}


class FilePlan(msgspec.Struct, frozen=True):
    """One source.

    `status`: `new`; as what the item holds in its place, `same`, `different`, `unfinished` or `unknown` (no MD5 yet);
    `unseen` (nobody could be asked); `begun` or `done` by the same job, or `changed` since. `action`: `send`, `resume`,
    `skip`, `replace`, `refuse`, `link`. `parts` is an estimate; `bytes_left` are to be sent. `replaces` are the ids of
    all files that would be removed once this one is verified.
    """

    path: str
    folder: str
    name: str
    size: int
    status: str
    action: str
    parts: int
    bytes_left: int
    file_id: int | None = None
    replaces: tuple[int, ...] = ()


class Space(msgspec.Struct, frozen=True):
    """What the account has room for, in bytes; None where it does not say. `needed` is what is yet to be allotted."""

    needed: int
    free: int | None
    quota: int | None
    maximum_file_size: int | None
    too_large: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """False when the upload would end before its first byte."""
        return not self.too_large and (self.free is None or self.needed <= self.free)


class Preview(msgspec.Struct, frozen=True):
    """A whole command. `state` is the job's ("new" where there is none yet), `title` that of the item to be created.

    `room` is None where the account could not be asked. `item_files`: so many would the item hold; None likewise.
    `warnings` are what would be said before the first byte. `described` is the mark of the description that the job's
    item has; `granted` are the wishes for the end that this job has done and would not do again.
    """

    job: str
    state: str
    endpoint: str
    item_id: int | None
    item_url: str | None
    title: str | None
    bytes_done: int
    files: tuple[FilePlan, ...]
    skipped: tuple[SkipReport, ...]
    room: Space | None
    warnings: tuple[str, ...] = ()
    item_files: int | None = None
    described: str | None = None
    granted: tuple[str, ...] = ()

    @property
    def bytes_left(self) -> int:
        """Bytes that would be sent."""
        return sum(file.bytes_left for file in self.files)

    @property
    def requests(self) -> int:
        """About how many requests that would take, parts not counted."""
        return REQUESTS_A_FILE * sum(file.action in ("send", "resume", "replace", "link") for file in self.files)


async def preview(
    api: Figshare | None,
    states: JobStore,
    target: Target,
    selection: Selection,
    options: Options,
    *,
    new_job: bool = False,
) -> Preview:
    """Look at everything; `api` None: nobody is asked. Raises ItemNotFound, and what `check_project` raises."""
    job, summary, state = await anyio.to_thread.run_sync(_job, states, job_name(target, selection.job_key), new_job)
    item = summary.item_id if summary is not None and summary.item_id is not None else target.item
    account = await api.account() if api is not None else None
    if api is not None and item is None and target.project is not None:
        await check_project(api.items, target.project)
    held = await files_by_path(api, await api.item(item)) if api is not None and item is not None else {}
    unseen = api is None and item is not None
    files = [plan async for plan in _plans(api, selection, state, held, options, unseen=unseen)]
    return Preview(
        job=job,
        state=summary.state if summary is not None else "new",
        endpoint=target.endpoint,
        item_id=item,
        item_url=summary.item_url if summary is not None else None,
        title=target.title,
        bytes_done=summary.bytes_done if summary is not None else 0,
        files=tuple(files),
        skipped=tuple(SkipReport(skip.path, skip.reason) for skip in selection.skipped),
        room=_room(account, files) if account is not None else None,
        warnings=_warnings(selection, held),
        item_files=None if unseen else sum(map(len, held.values())) + sum(map(adds_file, files)),
        described=state.described if state is not None else None,
        granted=_granted(state, files) if state is not None else (),
    )


def _warnings(selection: Selection, held: Mapping[str, Sequence[File]]) -> tuple[str, ...]:
    files = {remote_path(chosen.folder, chosen.name) for chosen in selection.files if not chosen.link}
    links = {chosen.path for chosen in selection.files if chosen.link}
    for path, several in held.items():
        links.update(file.download_url for file in several if file.is_link_only)
        files.update(path for file in several if not file.is_link_only)
    text = mixed_links_warning(len(links), len(files))
    return () if text is None else (text,)


def _granted(state: JobState, files: Sequence[FilePlan]) -> tuple[str, ...]:
    """What was wished for the end and done by the job; the item is not published as it is where anything is new."""
    done = tuple(step for step in state.done_steps if state.is_done(step))
    return done if all(file.status == "done" for file in files) else tuple(step for step in done if step != "publish")


def adds_file(file: FilePlan) -> bool:
    """True when the item would hold one file more by it. A replaced one goes."""
    return file.action in ("send", "link") and file.status != "changed"


def _job(states: JobStore, name: str, new_job: bool) -> tuple[str, JobSummary | None, JobState | None]:
    """The job that a command means, and what it is so far; None for a new one, or for one that cannot be read."""
    existing = None if new_job else states.latest(name)
    if existing is None:
        return states.next_generation(name), None, None
    summary = summarize(states, existing)
    return existing, summary, None if summary.state == "damaged" else states.read(existing)[1]


async def _plans(
    api: Figshare | None,
    selection: Selection,
    state: JobState | None,
    held: dict[str, list[File]],
    options: Options,
    *,
    unseen: bool,
) -> AsyncIterator[FilePlan]:
    known = {(t.path, t.remote_path): t for t in state.transfers} if state is not None else {}
    by_id = {file.id: file for files in held.values() for file in files}
    links: dict[str, list[File]] = {}
    for file in (file for file in by_id.values() if file.is_link_only):
        links.setdefault(file.download_url, []).append(file)
    for chosen in selection.files:
        transfer = known.get((chosen.path, remote_path(chosen.folder, chosen.name)))
        if transfer is not None and transfer.file_id is not None:
            changed = await has_changed(api, chosen, transfer, by_id.get(transfer.file_id))
            yield _of_job(chosen, transfer, options, changed=changed)
            continue
        mine = transfer.owned_ids() if transfer is not None else set()
        there = links if chosen.link else held
        key = chosen.path if chosen.link else remote_path(chosen.folder, chosen.name)
        others = [file for file in there.get(key, []) if file.id not in mine]
        yield await _of_item(chosen, others, options.on_conflict, unseen=unseen)


def _of_job(chosen: SourceFile, transfer: Transfer, options: Options, *, changed: bool) -> FilePlan:
    """What the job knows of a source that it began with."""
    if changed:
        again = options.restart_changed
        action, left = ("send", chosen.size) if again else ("refuse", 0)
        return _plan(chosen, "changed", action, transfer.file_id, left=left)
    if transfer.state is State.VERIFIED:
        return _plan(chosen, "done", "skip", transfer.file_id, left=0)
    done = chosen.size * transfer.parts_done // transfer.parts_total if transfer.parts_total else 0
    return _plan(chosen, "begun", "resume", transfer.file_id, left=chosen.size - done)


async def _of_item(chosen: SourceFile, others: Sequence[File], on_conflict: OnConflict, *, unseen: bool) -> FilePlan:
    if chosen.link:
        if not others:
            return _plan(chosen, "unseen" if unseen else "new", "link", None, left=0)
        return _plan(chosen, "same", _ACTIONS["same"][on_conflict], others[0].id, left=0)
    if not others:
        return _plan(chosen, "unseen" if unseen else "new", "send", None, left=chosen.size)
    status, file = await likeness(chosen, others)
    action = _ACTIONS["same" if status == "same" else "different"][on_conflict]
    if action == "replace" and len(finished(others)) > 1:
        action = "refuse"
    left = chosen.size if action in ("send", "replace") else 0
    plan = _plan(chosen, status, action, file.id, left=left)
    replaced = sorted(other.id for other in others) if action == "replace" else ()
    return msgspec.structs.replace(plan, replaces=tuple(replaced))


def _plan(chosen: SourceFile, status: str, action: str, file_id: int | None, *, left: int) -> FilePlan:
    parts = 0 if chosen.link else max(1, -(-chosen.size // USUAL_PART))
    return FilePlan(chosen.path, chosen.folder, chosen.name, chosen.size, status, action, parts, left, file_id)


def _room(account: Account, files: Sequence[FilePlan]) -> Space:
    fresh = [file for file in files if file.action in ("send", "replace") and file.bytes_left]
    most = account.maximum_file_size
    told = account.quota is not None and account.used_quota is not None
    return Space(
        needed=sum(file.size for file in fresh),
        free=max(0, (account.quota or 0) - (account.used_quota or 0)) if told else None,
        quota=account.quota,
        maximum_file_size=most,
        too_large=tuple(file.path for file in fresh if most is not None and file.size > most),
    )
