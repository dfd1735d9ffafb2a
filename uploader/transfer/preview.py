"""Predict what a command would do. Reads sources, the job's journal and Figshare; writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import msgspec

from uploader.concurrency import in_thread
from uploader.errors import ExitStatus, SourceNotFound
from uploader.figshare.models import Account, File, Item
from uploader.items.checks import check_project
from uploader.items.reconcile import once_visible
from uploader.sources.models import Selection, remote_path
from uploader.text import composed
from uploader.transfer.compare import Match, is_sent_again
from uploader.transfer.destination.lookup import check_account
from uploader.transfer.doubts import Look, look_until_certain
from uploader.transfer.files.planner import FilePlan, Planner
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.plan import Target, job_name, key_of, plan_events, renewal_events
from uploader.transfer.journal.state import JobState
from uploader.transfer.notices import Listener
from uploader.transfer.options import Options
from uploader.transfer.recheck import check_none_lost
from uploader.transfer.renewal import lost_sources, select_moved
from uploader.transfer.report import SkipReport
from uploader.transfer.run.limits import REQUESTS_A_FILE, empty_files_warning, mixed_links_warning
from uploader.transfer.run.listing import may_be_called, visible_within
from uploader.transfer.run.placement import Placement, files_by_path, report_reading_again
from uploader.transfer.run.service import Service
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.overview import JobSummary, summarize


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """The account's limits in bytes; None where the account does not give them. `needed` is what would be added."""

    needed: int
    free: int | None
    quota: int | None
    maximum_file_size: int | None
    too_large: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """False if the upload would end before its first byte."""
        return not self.too_large and (self.free is None or self.needed <= self.free)


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A whole command. `state` is the job's ("new" before the first upload), `title` that of the item to be created.

    `exit_status` is the predicted one of the upload. `space` and `item_files` (the number of files that the item would
    hold) are None if Figshare was not asked. `warnings` are those shown before the first byte. `described` is the
    fingerprint of the metadata that the item has; `done_steps` are the final steps that this job has done and would not
    repeat.
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
    space: Space | None
    exit_status: int
    warnings: tuple[str, ...] = ()
    item_files: int | None = None
    described: str | None = None
    done_steps: tuple[str, ...] = ()

    @property
    def bytes_left(self) -> int:
        """Bytes that would be sent."""
        return sum(file.bytes_left for file in self.files)

    @property
    def requests(self) -> int:
        """Estimated number of API requests; parts do not count."""
        return REQUESTS_A_FILE * sum(file.is_sent for file in self.files)

    @property
    def requests_saved(self) -> int:
        """Estimated number of API requests that sending the members of archives one by one would need in addition."""
        return REQUESTS_A_FILE * sum(file.members - 1 for file in self.files if file.members and file.is_sent)


async def preview(
    api: Service | None,
    states: JobStore,
    target: Target,
    selection: Selection,
    options: Options,
    notify: Listener | None = None,
    *,
    new_job: bool = False,
) -> Preview:
    """Predict what the upload would do. `api` None: without Figshare. `notify` is called if the item is waited for.

    Raises ItemNotFound, ProjectNotFound, JournalDamaged, JournalNewer.
    """
    job, summary, state = await in_thread(_job, states, target, selection, new_job)
    if state is not None:
        await in_thread(select_moved, state, selection)
        _resume(state, selection)
    item_id = state.item_id if state is not None and state.item_id is not None else target.item
    account = await api.account() if api is not None else None
    if api is not None and account is not None and state is not None:
        check_account(state, account.id, api.server_now())
    if api is not None and item_id is None and target.project is not None:
        await check_project(api.items, target.project)
    item: Item | None = None
    remote: Mapping[str, Sequence[File]] = {}
    if api is not None and item_id is not None:
        names = {composed(chosen.name) for chosen in selection.files if not chosen.link}
        item, remote = await _list(api, state, item_id, names, options.settle_timeout, notify)
    unseen = api is None and item_id is not None
    paths = {remote_path(chosen.folder, chosen.name) for chosen in selection.files if not chosen.link}
    planner = Planner(api, states, job, state, remote, options, paths=paths, unseen=unseen)
    files = [await planner.plan(chosen) for chosen in selection.files]
    lost: set[str] = set()
    if state is not None and not options.forget_missing:
        lost = await in_thread(lost_sources, state, selection)
        files += _missing(state, lost, selection)
        files = _without_members(files, await in_thread(list, states.archives(job).gone_members(state, selection)))
    finished = state is not None and state.finished and all(file.status in ("done", "changed") for file in files)
    look = _look(item, remote) if state is not None and item is not None else None
    if state is not None and look is not None:
        files = _rechecked(files, state, look)
    if state is not None and look is not None and not options.forget_missing:
        changes = renewal_events(state, selection, lost)
        files += _orphaned(state, changes, look)
        if state.recovered and all(file.action != "refuse" for file in files):
            known = {composed(transfer.place) for transfer in state.transfers}
            there = ((f.download_url if f.is_link_only else path, f) for path, at in remote.items() for f in at)
            others = (file for place, file in there if composed(place) not in known)
            check_none_lost(state, others, look.folders)
    space = _space(account, files) if account is not None else None
    return Preview(
        job=job,
        state=summary.state if summary is not None else "new",
        endpoint=target.endpoint,
        item_id=item_id,
        item_url=summary.item_url if summary is not None else None,
        title=target.title,
        bytes_done=summary.bytes_done if summary is not None else 0,
        files=tuple(files),
        skipped=tuple(SkipReport(skip.path, skip.reason) for skip in selection.skipped),
        space=space,
        exit_status=_exit_status(files, space, finished=finished),
        warnings=_warnings(selection, remote),
        item_files=None if unseen else sum(map(len, remote.values())) + sum(map(adds_file, files)),
        described=state.described if state is not None else None,
        done_steps=_completed_steps(state, files) if state is not None else (),
    )


async def _list(
    api: Service,
    state: JobState | None,
    item_id: int,
    names: Collection[str],
    settle: float,
    notify: Listener | None,
) -> tuple[Item, dict[str, list[File]]]:
    """List the item's files; again, as the upload looks again, if it seems not to exist or not to hold what was sent,
    or to have others with the composed `names` of sources in no folder: the server may have answered from an old copy
    of its data. Raises ItemNotFound.
    """
    report_unplaced = partial(report_reading_again, notify, item_id) if notify is not None else None
    placement = Placement(partial(api.item, item_id), api.clock, settle, report_unplaced)

    def matters(file: File) -> bool:
        return may_be_called(file, names) and not (state is not None and state.owns(file.id))

    async def ask() -> tuple[Item, dict[str, list[File]]]:
        limit = visible_within(api, state, settle) if state is not None else 0.0
        return await once_visible(partial(files_by_path, api, item_id, placement, matters), limit, api.clock)

    item, remote = await ask()
    if state is None:
        return item, remote
    sent = [t for t in (*state.active, *state.orphaned) if t.state is State.VERIFIED]

    async def look_again(_: Sequence[Transfer]) -> Look:
        nonlocal item, remote
        item, remote = await ask()
        return _look(item, remote)

    await look_until_certain(sent, _look(item, remote), look_again, api.clock, settle, settle)
    return item, remote


def _look(item: Item, existing: Mapping[str, Sequence[File]]) -> Look:
    by_id = {file.id: file for files in existing.values() for file in files}
    return Look(lambda transfer: by_id.get(transfer.file_id or 0), item.folders)


def _exit_status(files: Sequence[FilePlan], space: Space | None, *, finished: bool) -> ExitStatus:
    """Predict the upload's exit status. `finished`: everything is sent, and files are only checked again."""
    if space is not None and not space.enough:
        return ExitStatus.LIMIT
    refused = {file.status for file in files if file.action == "refuse"}
    if not refused:
        return ExitStatus.OK
    is_refused = any(file.status == "missing" and file.members is not None for file in files)
    if is_refused or (refused == {"missing"} and len(files) == 1):
        return ExitStatus.NOT_FOUND
    if "changed" in refused and (finished or len(files) == 1):
        return ExitStatus.INTEGRITY
    return ExitStatus.PENDING if refused == {"unverified"} else ExitStatus.SOME_FAILED


def _warnings(selection: Selection, remote: Mapping[str, Sequence[File]]) -> tuple[str, ...]:
    files = {remote_path(chosen.folder, chosen.name) for chosen in selection.files if not chosen.link}
    links = {chosen.path for chosen in selection.files if chosen.link}
    for path, remote_files in remote.items():
        links.update(file.download_url for file in remote_files if file.is_link_only)
        files.update(path for file in remote_files if not file.is_link_only)
    empty = [chosen.path for chosen in selection.files if chosen.size == 0 and not chosen.link]
    texts = (mixed_links_warning(len(links), len(files)), empty_files_warning(empty))
    return (*selection.warnings, *(text for text in texts if text is not None))


def _completed_steps(state: JobState, files: Sequence[FilePlan]) -> tuple[str, ...]:
    """Return the final steps that the job has done; without publishing if files would be added."""
    done = tuple(step for step in state.done_steps if state.is_done(step))
    return done if all(file.status == "done" for file in files) else tuple(step for step in done if step != "publish")


def adds_file(file: FilePlan) -> bool:
    """Return True if the plan adds a file to the item."""
    return file.action in ("send", "link") and file.status != "changed"


def _job(
    states: JobStore, target: Target, selection: Selection, new_job: bool
) -> tuple[str, JobSummary | None, JobState | None]:
    """Find the command's job, its summary and its state, as the upload would recover it.

    None for a new job. Raises JournalDamaged or JournalNewer if the upload would.
    """
    job, new = states.generation(job_name(target, selection.job_key), new=new_job)
    if new:
        return job, None, None
    summary = summarize(states, job)
    return job, summary, states.recover(job, lambda: plan_events(target, selection, job))[1]


def _rechecked(files: Sequence[FilePlan], state: JobState, look: Look) -> list[FilePlan]:
    """Plan the files that are done, whose remote files the upload would check again.

    Before that, a finished job sends again what is gone; another one leaves it to the next run.
    """
    again = state.finished and all(file.status == "done" for file in files)
    matches = {transfer.file_id: (transfer, *look.compare(transfer)) for transfer in state.active}
    return [
        _finished(file, *matches[file.file_id], again=again)
        if file.status == "done" and file.file_id in matches
        else file
        for file in files
    ]


def _missing(state: JobState, lost: Collection[str], selection: Selection) -> list[FilePlan]:
    """Plan the sources that the job knows and that no longer exist."""
    selected = {key_of(chosen) for chosen in selection.files}
    return [
        _missing_file(t, "no longer exists") for t in state.transfers if t.path in lost and key_of(t) not in selected
    ]


def _missing_file(transfer: Transfer, reason: str, chosen: FilePlan | None = None) -> FilePlan:
    return FilePlan(
        path=chosen.path if chosen is not None else transfer.path,
        folder=transfer.folder,
        name=transfer.name,
        size=transfer.size,
        status="missing",
        action="refuse",
        parts=0,
        bytes_left=0,
        file_id=transfer.file_id,
        reason=reason,
        members=transfer.archive.members if transfer.archive is not None else None,
    )


def _without_members(files: list[FilePlan], gone: Sequence[tuple[Transfer, SourceNotFound]]) -> list[FilePlan]:
    """Refuse the archives with a member that no longer exists, as the upload does before it sends anything."""
    archives = {file.name: file for file in files if file.members is not None}
    refused = {t.name: _missing_file(t, error.message, archives.get(t.name)) for t, error in gone}
    others = [file for file in files if file.name not in refused or file.members is None]
    return [*others, *refused.values()]


def _resume(state: JobState, selection: Selection) -> None:
    """Bring a job with a damaged journal to where the upload looks up what may have been begun."""
    if state.recovered:
        state.apply(ev.Resumed(state.plan.created))
        for event in renewal_events(state, selection):
            if isinstance(event, ev.SourcePlanned | ev.JobGrown):
                state.apply(event)


def _orphaned(state: JobState, changes: Sequence[ev.AnyEvent], look: Look) -> list[FilePlan]:
    """Plan the files that were sent, whose sources are gone, and that the item does not hold any more."""
    for change in changes:
        if isinstance(change, ev.SourceDropped | ev.SourceSkipped):
            state.apply(change)
    return [
        msgspec.structs.replace(
            _missing_file(t, f"no longer exists here, and {difference}"),
            status="unverified" if match is Match.UNKNOWN else "lost",
        )
        for t, (match, difference) in ((t, look.compare(t)) for t in state.orphaned)
        if match is not Match.SAME
    ]


def _finished(file: FilePlan, transfer: Transfer, match: Match, reason: str, *, again: bool) -> FilePlan:
    """Plan a file that is done by how its remote file compares. `again`: it is sent again if that is gone."""
    if match is Match.SAME:
        return file
    if again and is_sent_again(transfer, match):
        return msgspec.structs.replace(file, status="lost", action="send", bytes_left=file.size)
    status = "unverified" if match is Match.UNKNOWN else "lost"
    return msgspec.structs.replace(file, status=status, action="refuse", reason=reason)


def _space(account: Account, files: Sequence[FilePlan]) -> Space:
    new = [file for file in files if file.action in ("send", "replace") and file.bytes_left]
    maximum = account.maximum_file_size
    known = account.quota is not None and account.used_quota is not None
    return Space(
        needed=sum(file.size for file in new),
        free=max(0, (account.quota or 0) - (account.used_quota or 0)) if known else None,
        quota=account.quota,
        maximum_file_size=maximum,
        too_large=tuple(file.path for file in new if maximum is not None and file.size > maximum),
    )
