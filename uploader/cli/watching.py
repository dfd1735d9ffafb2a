"""Watching a job from outside: what its journal says and who works on it, once or until it ends. Changes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from uploader.cli import units
from uploader.cli.displays import display_for
from uploader.cli.lines import Speed
from uploader.cli.running import Session
from uploader.transfer import notices as no
from uploader.transfer.folders import StateDir
from uploader.transfer.jobs import FileSummary, JobSummary, summarise
from uploader.transfer.lock import holder
from uploader.transfer.source import shown

_EVERY = 1.0
_ENDED = {"finished": 0, "failed": 1, "cancelled": 1, "damaged": 1}


@dataclass(frozen=True)
class Seen:
    """A job as it was seen at one moment. `holder` is who works on it, None for nobody."""

    job: JobSummary
    holder: str | None

    def tell(self, session: Session) -> None:
        """The event, and the summary line."""
        fields: dict[str, Any] = msgspec.to_builtins(self.job)
        summary = session.summary
        for name in ("job", "item_id", "item_url", "bytes_total"):
            setattr(summary, name, fields[name])
        summary.files = [{**file, "status": file["state"]} for file in fields["files"]]
        session.console.event("job", **fields, holder=self.holder)

    @property
    def exit_status(self) -> int | None:
        """Of watching it to its end; None while somebody works on it."""
        return None if self.holder is not None else _ENDED.get(self.job.state, 75)


async def look(states: StateDir, name: str) -> Seen:
    """The job as it is now. Raises JobMissing."""
    worker = await anyio.to_thread.run_sync(holder, states.folder(name), states.disk)
    return Seen(await anyio.to_thread.run_sync(summarise, states, name), worker)


async def watch(session: Session, states: StateDir, name: str) -> int:
    """Follow a job until nobody works on it, showing how far it is; the exit status says how it ended."""
    display = display_for(session.console, no_progress=session.common.no_progress)
    session.signals.progress = display.in_one_line
    speed = Speed()
    try:
        while (seen := await look(states, name)).exit_status is None:
            display.take(_progress(seen.job, speed(time.monotonic(), seen.job.bytes_done)))
            await anyio.sleep(_EVERY)
    finally:
        display.close()
    seen.tell(session)
    session.console.result(text(seen))
    return seen.exit_status or 0


def _progress(job: JobSummary, rate: float | None) -> no.Progress:
    return no.Progress(
        bytes_done=job.bytes_done,
        bytes_total=job.bytes_total,
        files_done=job.files_done,
        files_total=len(job.files),
        rate=rate,
        connections=0,
        active=(),
    )


def text(seen: Seen) -> str:
    """For a person."""
    job = seen.job
    lines = [f"Job {job.job}: {job.state}{_amount(job)}"]
    lines.append(f"Worked on by {seen.holder}" if seen.holder else "Nobody works on it.")
    if job.item_id is not None:
        lines.append(f"Item {job.item_id}: {job.item_url or 'its address is not known'}")
    elif job.title is not None:
        lines.append(f"To be a new item called {shown(job.title)!r}")
    lines += [f"At {job.endpoint}"] if job.endpoint else []
    lines += [_file_line(file) for file in job.files]
    lines += [f"Problem: {shown(job.problem)}"] if job.problem else []
    if seen.exit_status == 75:
        lines.append(f"To go on: figup resume {job.job}")
    return "\n".join(lines)


def _amount(job: JobSummary) -> str:
    if not job.files:
        return ""
    done, total = units.show_bytes(job.bytes_done), units.show_bytes(job.bytes_total)
    return f", {done} of {total} ({units.show_percent(job.bytes_done, job.bytes_total)})"


def _file_line(file: FileSummary) -> str:
    parts = f", {file.parts_done} of {file.parts_total} parts" if file.parts_total else ""
    md5 = f", MD5 {file.md5}" if file.md5 else ""
    return f"  {shown(file.name)}: {file.state}, {units.show_bytes(file.size)}{parts}{md5}"
