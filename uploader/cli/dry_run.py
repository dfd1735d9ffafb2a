"""`figup upload --dry-run`: show what the command would do without writing anything.

With a token, Figshare is queried (read-only); without one, the output says what is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import msgspec

from uploader import units
from uploader.cli.context import Context, job_store
from uploader.cli.output.progress import Display
from uploader.cli.output.summary import MAX_LISTED, named_in_item, skipped_lines
from uploader.cli.output.writer import RED, Mark
from uploader.cli.prices import time_of_requests
from uploader.cli.runner import Session
from uploader.clock import Clock
from uploader.errors import Facts, NoToken
from uploader.figshare.ids import Reference
from uploader.items.payload import ItemPayload
from uploader.sources.models import Sources, remote_path
from uploader.sources.packing import collect_packed
from uploader.sources.select import raise_problems
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.destination.options import ItemOptions, check_item_options
from uploader.transfer.files.planner import FilePlan
from uploader.transfer.journal.plan import target_of
from uploader.transfer.options import Options, RequestOptions
from uploader.transfer.preview import Preview, Space, adds_file, preview
from uploader.transfer.run.limits import many_files_warning, too_large
from uploader.transfer.run.throttle import Throttle

if TYPE_CHECKING:
    from uploader.figshare.settings import Settings

LINE_RATES = {"100mbit": 12.5e6, "1gbit": 125e6}
"""Bytes per second of the network links for which the time is estimated without --limit-rate."""
_STATUS_TEXTS = {
    "new": "new",
    "same": "the item has the same file",
    "different": "the item has a different file of that name",
    "unfinished": "the item has an unfinished upload of that name",
    "unknown": "the item has a file of that name and size, still without an MD5",
    "unseen": "the item was not checked",
    "begun": "begun by this job",
    "done": "verified by this job",
    "changed": "changed since this job began to send it",
    "missing": "begun by this job, but the source no longer exists",
    "lost": "verified by this job, but the item no longer holds it",
    "unverified": "verified by this job, but Figshare no longer gives its MD5",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """The request as given on the command line."""

    sources: Sources
    item: Reference | None
    title: str | None
    project: int | None
    item_options: ItemOptions
    new_job: bool
    options: Options
    requests: RequestOptions


async def show_plan(session: Session, context: Context, request: Request) -> int:
    """Show what `figup upload` with these arguments would do.

    Returns the predicted exit status of the upload: see `Preview.exit_status`. Raises what the upload would raise
    before its first byte.
    """
    display = Display(session.console, None)
    plan, spec = await _make_preview(display, context, request)
    settings = context.settings(request.requests)
    estimate = _estimate(plan, request, settings)
    steps = final_steps(request.item_options, spec, request.project, plan)
    _write_events(session, plan, estimate, steps)
    session.console.result(_text(plan, estimate, steps), Mark("NOT ENOUGH", RED))
    new = sum(map(adds_file, plan.files))
    if (warning := many_files_warning(plan.item_files or 0, new, settings.api_rate)) is not None:
        display.show(no.Warned(message=warning, facts=Facts("many-files")))
    return plan.exit_status


async def _make_preview(display: Display, context: Context, request: Request) -> tuple[Preview, ItemPayload | None]:
    """Return the preview, and the description in Figshare's form; None without a token."""
    try:
        client = context.client(request.options, request.requests)
    except NoToken:
        if isinstance(request.item, str):
            # Which item has this DOI is known only to Figshare.
            raise
        selection = await anyio.to_thread.run_sync(collect_packed, request.sources, request.options.packing)
        raise_problems(selection)
        target = target_of(
            context.endpoint,
            request.item,
            request.title,
            selection,
            project=request.project,
            account=context.common.impersonate,
        )
        return await preview(
            None, job_store(context.common), target, selection, request.options, new_job=request.new_job
        ), None
    async with client:
        plan = await client.preview(
            request.sources,
            item=request.item,
            title=request.title,
            project=request.project,
            new_job=request.new_job,
            on_event=display.show,
        )
        with client.figshare(display.show) as api:
            return plan, await check_item_options(api, request.item_options, plan.item_id, request.project)


def _estimate(plan: Preview, request: Request, settings: Settings) -> dict[str, Any]:
    """Estimate the minimum duration from the bytes to send and the requests that may be made a second."""
    requests = time_of_requests(plan.requests, settings.api_rate, settings.api_burst)
    limit = Throttle(request.options.limit_rate, Clock()).rate
    lines = LINE_RATES if limit is None else {"limit": limit}
    return {
        "api_requests": plan.requests,
        "seconds": {name: round(max(plan.bytes_left / rate, requests)) for name, rate in lines.items()},
    }


def _write_events(session: Session, found: Preview, estimate: dict[str, Any], steps: FinalSteps) -> None:
    summary, console = session.summary, session.console
    summary.job, summary.item_id, summary.item_url = found.job, found.item_id, found.item_url
    summary.bytes_total = sum(file.size for file in found.files)
    fields = msgspec.to_builtins(found)
    files, skipped = fields.pop("files"), fields.pop("skipped")
    console.event(
        "plan",
        **fields,
        bytes_total=summary.bytes_total,
        bytes_left=found.bytes_left,
        requests_saved=found.requests_saved,
        parts=sum(file.parts for file in found.files),
        counts=dict(Counter(file.status for file in found.files)),
        actions=dict(Counter(file.action for file in found.files)),
        estimate=estimate,
        **steps.fields(),
    )
    for file in files:
        console.event("file", md5=None, **file)
    for skip in skipped:
        console.event("skipped", **skip)
    summary.files = [{**file, "md5": None} for file in files]
    summary.skipped = skipped


def _text(plan: Preview, estimate: dict[str, Any], steps: FinalSteps) -> str:
    total = units.format_bytes(sum(file.size for file in plan.files))
    title = repr(printable(plan.title or ""))
    if plan.item_id is None:
        target = f"a new item {title}" + (f" in project {steps.project}" if steps.project is not None else "")
    else:
        target = f"item {plan.item_id}" + (f", called {title}" if plan.title is not None else "")
    so_far = plan.state if plan.state == "new" else f"{plan.state}, {units.format_bytes(plan.bytes_done)} sent"
    lines = [f"Job {plan.job} ({so_far})", f"To {target} at {plan.endpoint}"]
    lines += _file_lines(plan.files)
    lines += skipped_lines([(skip.path, skip.reason) for skip in plan.skipped])
    actions = Counter(file.action for file in plan.files)
    counted = ", ".join(f"{count} to {action}" for action, count in actions.most_common())
    parts = sum(file.parts for file in plan.files)
    lines.append(
        f"{units.format_count(len(plan.files), 'file')}, {total}, about {units.format_count(parts, 'part')}: {counted}"
    )
    lines += [f"Note: {warning}." for warning in plan.warnings]
    statuses = Counter(file.status for file in plan.files)
    if len(statuses) > 1:
        lines.append(
            "Found: " + "; ".join(f"{_STATUS_TEXTS[status]}: {count}" for status, count in statuses.most_common())
        )
    lines.append(_space_line(plan.space, plan.files))
    times = ", ".join(
        f"{units.format_duration(seconds)} at {'the limit' if name == 'limit' else name}"
        for name, seconds in estimate["seconds"].items()
    )
    lines.append(f"To send: {units.format_bytes(plan.bytes_left)}, about {plan.requests} requests: at least {times}")
    if plan.requests_saved:
        lines.append(f"Saved by packing: about {plan.requests_saved} requests")
    lines += steps.lines()
    lines.append("Nothing was sent: this was a dry run.")
    return "\n".join(lines)


def _file_lines(files: Sequence[FilePlan]) -> list[str]:
    """List the first files of each kind and count the others."""
    kinds: Counter[tuple[str, str]] = Counter()
    lines = []
    for file in files:
        kinds[file.status, file.action] += 1
        if kinds[file.status, file.action] <= MAX_LISTED:
            lines.append(_file_line(file))
    return lines + [
        f"  and {count - MAX_LISTED} more, {_STATUS_TEXTS[status]}: {action}; --json has all"
        for (status, action), count in kinds.items()
        if count > MAX_LISTED
    ]


def _file_line(file: FilePlan) -> str:
    note = "" if (file.status, file.action) == ("new", "send") else f"  {_STATUS_TEXTS[file.status]}: {file.action}"
    ids = file.replaces or ((file.file_id,) if file.file_id is not None else ())
    number = f" (file {', '.join(map(str, ids))})" if ids else ""
    remote = remote_path(file.folder, file.name)
    is_link = not file.path.startswith("/")
    if file.reason is not None:
        number += f": {printable(file.reason)}"
    named = printable(file.path) if is_link else named_in_item(file.path, remote)
    packed = f", {units.format_count(file.members, 'member')}" if file.members is not None else ""
    return f"  {named}{packed}  {units.format_bytes(file.size)}{note}{number}"


def _space_line(space: Space | None, files: Sequence[FilePlan]) -> str:
    if space is None:
        return "Free space: unknown without a token"
    text = f"Space: {units.format_bytes(space.needed)} needed"
    if space.free is None or space.quota is None:
        text += "; the account does not report how much is free"
    else:
        text += f", {units.format_bytes(space.free)} of {units.format_bytes(space.quota)} free"
    if space.too_large:
        maximum, large = units.format_bytes(space.maximum_file_size or 0), frozenset(space.too_large)
        listed = too_large((file.path, file.size) for file in files if file.path in large)
        text += f"; over this account's maximum file size of {maximum}: {listed}"
    return text if space.enough else f"NOT ENOUGH {text[0].lower()}{text[1:]}"


@dataclass(frozen=True, kw_only=True)
class FinalSteps:
    """The final steps that would be done.

    `project` is where the item would be created. `says` are the metadata fields that would be set, by their API names;
    None if names in them could not be looked up. `embargo` has `until` (a date, None for no end) and `scope` ("file" or
    "article"). `published_before`: this job published the files before, as they are.
    """

    project: int | None
    says: tuple[str, ...] | None
    embargo: dict[str, str | None] | None
    reserve_doi: bool
    private_link: bool
    publish: bool
    published_before: bool

    def fields(self) -> dict[str, Any]:
        """Return the fields for `--json`."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the lines for a user."""
        steps = ["a DOI would be reserved"] if self.reserve_doi else []
        steps += ["a private link would be created"] if self.private_link else []
        return [
            *self._described(),
            *([f"After verification, {' and '.join(steps)}."] if steps else []),
            *self._published(),
        ]

    def _described(self) -> list[str]:
        if self.says is None:
            return ["Metadata would be applied; names in it cannot be resolved without a token."]
        lines = [f"Metadata that would be set: {', '.join(self.says)}"] if self.says else []
        if self.embargo is not None:
            what = "The whole item" if self.embargo["scope"] == "article" else "Its files"
            until = self.embargo["until"]
            lines.append(f"{what} would be under embargo, {f'until {until}' if until else 'permanently'}.")
        return lines

    def _published(self) -> list[str]:
        if self.published_before:
            also = "; the metadata would change in the draft only" if self.says or self.says is None else ""
            return [f"This job has already published these files; there would be no new version{also}."]
        if not self.publish:
            return []
        return ["After verification the item WOULD BE PUBLISHED; a public item cannot be deleted."]


def final_steps(item_options: ItemOptions, spec: ItemPayload | None, project: int | None, plan: Preview) -> FinalSteps:
    """Collect the requested final steps. `spec` None: the description could not be looked up."""
    known = item_options.metadata is None or item_options.metadata.fingerprint == plan.described
    changes = ItemPayload() if known else spec
    body = changes.embargo if changes is not None else None
    return FinalSteps(
        project=project if plan.item_id is None else None,
        says=changes.present_fields if changes is not None else None,
        embargo=_embargo(body) if body else None,
        reserve_doi=item_options.reserve_doi and "reserve_doi" not in plan.done_steps,
        private_link=item_options.private_link and "private_link" not in plan.done_steps,
        publish=item_options.publish and "publish" not in plan.done_steps,
        published_before=item_options.publish and "publish" in plan.done_steps,
    )


def _embargo(body: dict[str, Any]) -> dict[str, str | None]:
    """Return an embargo in the API's form; the date "0" means permanent."""
    until = str(body.get("embargo_date") or "0")
    return {"until": None if until == "0" else until.partition("T")[0], "scope": body.get("embargo_type")}
