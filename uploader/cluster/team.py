"""The same command in several processes on a shared state directory: one leads the job, the others are its members.

Which one leads is decided by the job's lease, nothing else. When the leader ends or dies, another takes the lease and
resumes the job; the others follow the holder of the highest lease.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from uploader._version import __version__
from uploader.cluster.files import LeaderFiles, MemberFiles
from uploader.cluster.leader import LeaderRole
from uploader.cluster.member import MemberRole
from uploader.cluster.messages import End, Hello
from uploader.concurrency import in_thread, unwrap_group
from uploader.disk import Disk
from uploader.errors import (
    ExitStatus,
    Facts,
    FigupError,
    Interrupted,
    JobBusy,
    NoToken,
    ResourcesExhausted,
    StateDiskFull,
    StateLost,
    StateUnusable,
    StorageUnavailable,
    UsageError,
)
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.execution import Execution
from uploader.transfer.job import OpenJob
from uploader.transfer.parts.queue import PartQueue
from uploader.transfer.parts.senders import PartSenders
from uploader.transfer.report import FileReport, Report, RunFailed
from uploader.transfer.run.context import JobRun
from uploader.transfer.store import progress_file
from uploader.transfer.store.lease import Leases, is_local_folder, machine_id
from uploader.transfer.store.lock import JobLock

_OF_THIS_PROCESS = (
    *(Interrupted, JobBusy, NoToken, StateLost, StateDiskFull, StateUnusable),
    *(ResourcesExhausted, StorageUnavailable),
)
"""Errors of a leader after which another process may do better: the job continues without it."""
_WAIT_FOR_LEADER = 300.0
"""Seconds that a process without a token waits for one that has one."""
_WAIT_FOR_NEXT = 60.0
"""The same after the job has ended without something, which another member may lead the job once more to do."""
_SHOW = 10.0
"""Seconds between two reports of progress by a member."""


def check_shared(folder: Path, otherwise: str) -> None:
    """Raise UsageError if a state directory is on a local file system. Blocks. Only Linux reports that; elsewhere any
    is accepted. `otherwise`: what other hosts would do.
    """
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if is_local_folder(there):
        raise UsageError(
            f"the state directory {printable(str(folder))} is on a local disk, where other hosts cannot see it: "
            f"{otherwise}",
            facts=Facts("state-not-shared"),
        )


class JoinedTeam:
    """This process in the team of its job: see `uploader.transfer.execution.Team`."""

    def __init__(self, *, may_lead: bool, task: str = "", share: tuple[int, int] | None = None, tasks: int = 1) -> None:
        """`task` and `share`: see `uploader.cluster.messages.Hello`. `tasks`: processes that there should be."""
        self._may_lead = may_lead
        self._task = task
        self._tasks = tasks
        self._share = share
        self._role: LeaderRole | None = None
        self._lock: JobLock | None = None
        self._sent = 0
        self._began: float | None = None
        """When this process first joined, in monotonic seconds."""
        self._has_ended = False
        """True once the job ended while this process was its member."""

    @property
    def may_lead(self) -> bool:
        return self._may_lead

    # --- as leader ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def leading(self, job: OpenJob) -> AsyncIterator[None]:
        wire = LeaderFiles(job.folder, job.disk, job.lock.term, job.lock.is_held)
        self._role = role = LeaderRole(wire, job.lock.term, job.clock, alone=_alone(self._tasks))
        self._lock = job.lock
        job.lock.name_task(self._task)
        end: End | None = None
        try:
            await role.begin()
            yield
            end = End(exit_status=ExitStatus.OK)
        except FigupError as error:
            cause = error.error if isinstance(error, RunFailed) else error
            if not isinstance(cause, _OF_THIS_PROCESS):
                end = End(exit_status=cause.exit_status, code=cause.code, message=cause.message, hint=cause.hint)
            raise
        finally:
            self._role = None
            if end is not None and not job.lock.lost:
                with anyio.CancelScope(shield=True):
                    await _end_if_held(job.lock, role, wire, end)

    async def lead(self, run: JobRun, queue: PartQueue, senders: PartSenders) -> None:
        if self._role is not None:
            await self._role.lead(run, queue, senders)

    def may_send(self) -> bool:
        role, lock = self._role, self._lock
        return role is not None and role.is_settled() and lock is not None and lock.is_fresh()

    def members(self) -> tuple[no.Member, ...]:
        return self._role.members() if self._role is not None else ()

    # --- as member ------------------------------------------------------------------------------------------------

    async def assist(self, execution: Execution, job: str) -> Report | None:
        states = execution.states
        self._began = self._began or execution.clock.monotonic()
        folder = states.folder(job)
        host, pid = socket.gethostname(), os.getpid()
        wire = MemberFiles(folder, states.disk, host=host, pid=pid)
        hello = Hello(
            host=host,
            machine=await in_thread(machine_id, folder),
            pid=pid,
            version=__version__,
            task=self._task,
            share=self._share,
        )
        role = self._member_role(execution, wire, hello)
        execution.notify(no.Joined(job=job, leader=await in_thread(_leader_of, folder, states.disk)))
        end = None
        with unwrap_group():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._show_progress, execution, role, job)
                end = await role.work()
                tasks.cancel_scope.cancel()
        self._sent += role.sent
        if end is not None:
            await wire.close()
            report: Report | None = await self._conclude(execution, job, end)
        else:
            report = await self._report_without_end(execution, job)
        self._has_ended |= report is not None
        return report

    def _member_role(self, execution: Execution, wire: MemberFiles, hello: Hello) -> MemberRole:
        return MemberRole(
            wire,
            hello,
            api=execution.api,
            stop=execution.stop,
            clock=execution.clock,
            retry=execution.settings.retry,
            notify=execution.notify,
            end=execution.end,
            grace=execution.options.grace,
            patience=None if self._may_lead else _WAIT_FOR_NEXT if self._has_ended else _WAIT_FOR_LEADER,
        )

    async def _report_without_end(self, execution: Execution, job: str) -> Report | None:
        """Return the report of a membership that ended before the job; None if this process may lead now, or nobody
        leads the job once more.

        Raises Interrupted or RunFailed after a stop request, NoToken if no process can lead.
        """
        states = execution.states
        if execution.stop.requested:
            error = Interrupted("this process stopped; the job continues in the others, if any")
            if await in_thread(states.readable_state, job) is None:
                raise error
            raise RunFailed(error, await self._report(execution, job, error.exit_status))
        if not self._may_lead and not self._has_ended:
            state = await in_thread(states.readable_state, job)
            if state is None or not state.concluded:
                raise NoToken(f"no process with a token works on job {job}")
            return await self._conclude(execution, job, End(exit_status=ExitStatus.OK))
        return None

    async def _show_progress(self, execution: Execution, role: MemberRole, job: str) -> None:
        """Show the progress of the whole job, as written by its leader."""
        folder, disk = execution.states.folder(job), execution.states.disk
        while True:
            await execution.clock.sleep(_SHOW)
            live = await in_thread(progress_file.read, folder, disk)
            if live is not None:
                execution.notify(msgspec.structs.replace(live.progress, connections=role.connections))

    async def _report(self, execution: Execution, job: str, exit_status: int) -> Report:
        """Report the job as the journal has it, and what this process sent. Raises what reading a journal raises."""
        state = await in_thread(execution.states.read, job)
        return Report(
            job=job,
            item_id=state.item_id,
            item_url=state.item_url,
            files=tuple(FileReport.of(transfer) for transfer in state.reported),
            bytes_sent=self._sent,
            bytes_total=sum(transfer.size for transfer in state.active),
            seconds=round(execution.clock.monotonic() - (self._began or 0.0), 3),
            exit_status=exit_status,
            api_requests=0,
            doi=state.doi,
            public_url=state.public_url,
            private_link=state.done_steps.get("private_link"),
            published=state.publication,
        )

    async def _conclude(self, execution: Execution, job: str, end: End) -> Report:
        """Return the report of a job that has ended. Raises RunFailed with the error that ended it."""
        report = await self._report(execution, job, end.exit_status)
        if end.exit_status == ExitStatus.OK:
            return report
        error = FigupError(end.message, hint=end.hint, facts=Facts(end.code))
        error.code = end.code
        error.exit_status = next(status for status in ExitStatus if status == end.exit_status)
        raise RunFailed(error, report)


def _alone(tasks: int) -> no.Warned | None:
    """Return the warning of one of several tasks that no other has joined."""
    if tasks == 1:
        return None
    text = f"this is one of {tasks} tasks, and none of the others has joined it within a minute"
    return no.Warned(message=f"{text}: do they share the state directory?", facts=Facts("alone"))


async def _end_if_held(lock: JobLock, role: LeaderRole, wire: LeaderFiles, end: End) -> None:
    """Tell the members how the job ended, and remove what is left of others. Another leader's job has not ended."""
    if not await in_thread(lock.is_held):
        return
    gone = await role.end(end)
    # Members that this process has missed may be those of a later leader by now.
    if await in_thread(lock.is_held):
        await wire.close(gone)


def _leader_of(folder: Path, disk: Disk) -> str | None:
    found = Leases(folder, disk).newest()
    has_ended = found is None or (found.lease is not None and found.lease.ended)
    return found.holder() if found is not None and not has_ended else None
