"""A Dask pool as the team of a job: this process leads, the pool's workers send parts. The same orders and reports as
between processes on a shared state directory, without files.

Dask runs a task at least once, and elsewhere if its worker dies; orders are pinned to their worker, since the leader
gives what a worker leaves to others.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import distributed
import msgspec

from uploader.cluster import carrier
from uploader.cluster.leader import LeaderRole
from uploader.cluster.messages import WORKER_LOST, Entry, Hello, Limits, OrderFailed, OrderOver, Orders
from uploader.concurrency import unwrap_group
from uploader.errors import Facts, JobBusy, PoolUnusable
from uploader.figshare.settings import Settings
from uploader.text import printable
from uploader.transfer import notices as no
from uploader.transfer.execution import Execution
from uploader.transfer.job import OpenJob
from uploader.transfer.parts.queue import PartQueue
from uploader.transfer.parts.senders import PartSenders
from uploader.transfer.report import Report
from uploader.transfer.run.context import JobRun
from uploader.transfer.store.lock import JobLock

log = logging.getLogger("uploader.cluster.pool")

_CONNECT_TIMEOUT, _CLOSE_TIMEOUT = 20.0, 5.0
_ANSWER_TIMEOUT = 10.0
"""Seconds to wait for an answer of the scheduler or a worker: a frozen one gives none."""
_RESULT_TIMEOUT = 5.0
"""Seconds to wait for the result of a finished task. If its worker dies before that, Dask waits forever: the task may
run on no other worker.
"""
_WITHDRAW_TIMEOUT = 3.0
"""Seconds to wait in the end until the workers have stopped. Dask drops tasks whose client has gone."""
_FAILED = "task-failed"
_PARTS = 4
"""Parts of an order at most: only a whole task reports."""


class DaskWire:
    """The leader's end of a wire to the workers of a pool, whose names are their addresses."""

    def __init__(self, client: Any, settings: Settings, term: int) -> None:
        self._client = client
        self._settings = settings
        self._term = term
        self._run = secrets.token_hex(8)
        self._members: dict[str, Hello] = {}
        self._given: dict[str, Orders] = {}
        self._limits: dict[str, Limits] = {}
        self._limit_numbers = itertools.count(1)
        self._tasks: dict[Any, tuple[str, int | None]] = {}
        """Tasks without a result yet, with their worker and order; None for those about limits."""
        self._silent: dict[str, int] = {}
        """Workers that did not give a result in time, with their beat then: not asked again before the next."""
        self._lost: dict[str, set[int]] = {}
        """Orders without a result, by worker: it may still be carrying them out."""

    async def members(self) -> Mapping[str, Hello]:
        try:
            workers = await self._workers()
        except OSError as error:
            # Without a new beat they are soon silent, but they may be at work.
            log.info("the scheduler does not answer: %s", error)
            return self._members
        await self._meet(workers)
        for address, hello in self._members.items():
            ended = address not in workers
            beat = hello.beat if ended else _beat_of(workers[address])
            self._members[address] = msgspec.structs.replace(hello, beat=beat, ended=ended)
        for address in self._lost.keys() & workers.keys():
            self._submit(address, None, carrier.withdraw, sorted(self._lost.pop(address)), False)
        return self._members

    @property
    def _is_connected(self) -> bool:
        """False once the client has given up reaching the scheduler."""
        return self._client.status not in ("closing", "closed")

    async def _workers(self) -> dict[str, Any]:
        """Return the pool's workers; none once the scheduler is gone. Raises OSError if it does not answer."""
        if not self._is_connected:
            return {}
        with anyio.fail_after(_ANSWER_TIMEOUT):
            workers: dict[str, Any] = (await self._client.scheduler.identity(n_workers=-1))["workers"]
        return workers

    async def _meet(self, workers: Mapping[str, Any]) -> None:
        """Ask new workers about themselves, all at once."""
        met = self._members.keys()
        self._silent = {name: beat for name, beat in self._silent.items() if name in workers or name in met}
        beats = {address: _beat_of(workers[address]) for address in workers.keys() - met}
        with unwrap_group():
            async with anyio.create_task_group() as tasks:
                for address, beat in beats.items():
                    if self._silent.get(address) != beat:
                        tasks.start_soon(self._ask, address, beat)

    async def _ask(self, address: str, beat: int) -> None:
        """Ask a new worker about itself. One that does not answer is asked once more, after its next heartbeat: each
        question holds up the leader.
        """
        try:
            self._members[address] = await self._describe(address)
        except OSError as error:
            log.info("a worker does not answer: %s", error)
            if address in self._silent:
                self._members[address] = Hello(host=_host_of(address), machine="", pid=0, version="")
            self._silent[address] = beat

    async def _describe(self, address: str) -> Hello:
        """Ask a worker about itself. Raises OSError if it does not answer."""
        with anyio.fail_after(_ANSWER_TIMEOUT):
            found = (await self._client.run(carrier.describe, workers=[address], on_error="return")).get(address)
        if isinstance(found, Hello):
            return found
        if isinstance(found, OSError):
            raise found
        return Hello(host=_host_of(address), machine="", pid=0, version="in an unknown version, or not at all")

    async def give(self, member: str, orders: Orders) -> None:
        before = self._given.get(member, Orders(seq=0))
        self._given[member] = orders
        if orders.end is not None:
            return
        known, wanted = ({order.id for order in each.orders} for each in (before, orders))
        limits = self._limits.get(member, Limits())
        if (limits.connections, limits.rate) != (orders.connections, orders.rate):
            # Not `seq`, which begins anew for a worker that was forgotten.
            number = next(self._limit_numbers)
            limits = Limits(number=number, connections=orders.connections, rate=orders.rate)
            self._limits[member] = limits
            self._submit(member, None, carrier.apply_limits, self._term, orders.seq, limits)
        withdrawn = {no for name, no in self._tasks.values() if name == member and no is not None} - wanted
        if withdrawn and (known - wanted or orders.abort > before.abort):
            self._submit(member, None, carrier.withdraw, sorted(withdrawn), orders.abort)
        for order in orders.orders:
            if order.id not in known:
                # An order of an earlier leader may go on in a worker, and so may one whose worker was lost for a while.
                contested = msgspec.structs.replace(order, contested=True)
                self._submit(member, order.id, carrier.carry_out, self._term, contested, limits)

    def _submit(self, member: str, order: int | None, call: object, *args: object) -> None:
        if not self._is_connected:
            return
        task = self._client.submit(
            call, self._run, self._settings, *args, workers=[member], allow_other_workers=False, pure=False, retries=0
        )
        self._tasks[task] = (member, order)

    async def reports(self) -> list[tuple[str, Entry]]:
        found: list[tuple[str, Entry]] = []
        for task in [task for task in self._tasks if task.done()]:
            member, order = self._tasks[task]
            if task.status == "finished":
                entries = await self._result(task, member)
                if entries is None:
                    continue
                found += [(member, entry) for entry in entries]
            elif order is not None:
                text = f"a task of the pool ended as {task.status}"
                code = _FAILED if task.status == "error" else WORKER_LOST
                failed = OrderFailed(term=self._term, order=order, code=code, message=text)
                found += [(member, failed), (member, OrderOver(term=self._term, order=order))]
                self._lost.setdefault(member, set()).add(order)
            del self._tasks[task]
        lost = [task for task, (member, _) in self._tasks.items() if self._has_ended(member)]
        for task in lost:
            member, order = self._tasks.pop(task)
            if order is not None:
                self._lost.setdefault(member, set()).add(order)
        await self._cancel(lost)
        return found

    async def _cancel(self, tasks: Collection[Any]) -> None:
        if tasks and self._is_connected:
            await self._client.cancel(list(tasks))

    def _has_ended(self, member: str) -> bool:
        return member not in self._members or self._members[member].ended

    async def _result(self, task: Any, member: str) -> list[Entry] | None:
        """Return the report of a finished task; None if its worker does not deliver it now."""
        beat = self._members[member].beat
        if self._silent.get(member) == beat:
            return None
        with suppress(OSError, distributed.CancelledError), anyio.move_on_after(_RESULT_TIMEOUT):
            entries: list[Entry] = await task
            return entries
        self._silent[member] = beat
        return None

    async def has_earlier_orders(self) -> bool:
        return False

    def reported(self, member: str) -> int:
        return 0

    async def forget(self, member: str) -> None:
        for known in (self._members, self._given, self._limits, self._silent):
            known.pop(member, None)

    async def close(self) -> None:
        """End what is under way: tasks that wait are cancelled, and workers begin no further part of their orders."""
        tasks, self._tasks = self._tasks, {}
        await self._cancel(tasks)
        for member in dict.fromkeys(name for name, order in tasks.values() if order is not None):
            numbers = sorted(order for name, order in tasks.values() if name == member and order is not None)
            self._submit(member, None, carrier.withdraw, numbers, False)
        with anyio.move_on_after(_WITHDRAW_TIMEOUT):
            for task in self._tasks:
                # However it ends: its worker may die meanwhile.
                with suppress(Exception):
                    await task


def _beat_of(worker: Mapping[str, Any]) -> int:
    return int(1000 * worker["last_seen"])


def _host_of(address: str) -> str:
    return urlsplit(address).hostname or address


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool to connect to. `security`: its keys, None for those of Dask's configuration. `alone`: see `Roster`."""

    address: str
    security: Any = None
    alone: no.Warned | None = None


class PoolTeam:
    """The workers of a pool as members of a job: see `uploader.transfer.execution.Team`."""

    may_lead = True

    def __init__(self, address: str, settings: Settings) -> None:
        """`address` is that of a scheduler, or "slurm:N" for N workers that Slurm starts (see `slurm_pool`)."""
        self._address = address
        self._settings = settings
        self._folder: Path | None = None
        self._lock: JobLock | None = None
        self._role: LeaderRole | None = None

    @asynccontextmanager
    async def leading(self, job: OpenJob) -> AsyncIterator[None]:
        self._lock, self._folder = job.lock, job.folder
        try:
            yield
        finally:
            self._role = None

    async def lead(self, run: JobRun, queue: PartQueue, senders: PartSenders) -> None:
        if self._lock is None or self._folder is None:
            raise RuntimeError("the job is not open")
        # Its own lines on stderr would be between those of the command.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        async with self._pool(self._folder, run.notify) as pool:
            if is_open_to_others(pool.address):
                text = "is not encrypted: anyone who reaches it can run programs as you and read upload URLs"
                run.notify(no.Warned(message=f"{printable(pool.address)} {text}", hint="Use a pool with TLS (tls://)."))
            client = await _connect(pool)
            wire = DaskWire(client, self._settings, self._lock.term)
            self._role = LeaderRole(wire, self._lock.term, run.clock, max_parts=_PARTS, alone=pool.alone)
            try:
                await self._role.begin()
                await self._role.lead(run, queue, senders)
            finally:
                with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                    await wire.close()
                    await client.close()

    @asynccontextmanager
    async def _pool(self, folder: Path, notify: no.Listener) -> AsyncIterator[Pool]:
        kind, _, number = self._address.partition(":")
        if kind != "slurm":
            yield Pool(address=self._address)
            return
        from uploader.cluster.slurm_pool import LOG, slurm_pool

        async with slurm_pool(folder, int(number or 1)) as started:
            if started.problem is not None:
                text = f"{printable(started.problem)}: no workers are started, and this process sends everything"
                notify(no.Warned(message=text))
                yield Pool(address=started.address, security=started.security)
            else:
                text = f"no worker has joined within a minute: see `squeue`, and {printable(str(folder / LOG))}"
                alone = no.Warned(message=text, facts=Facts("no-workers"))
                yield Pool(address=started.address, security=started.security, alone=alone)

    def may_send(self) -> bool:
        return self._lock is not None and self._lock.is_fresh()

    def members(self) -> tuple[no.Member, ...]:
        return self._role.members() if self._role is not None else ()

    async def assist(self, execution: Execution, job: str) -> Report | None:
        raise JobBusy("another process works on this job", facts=Facts(JobBusy.code, job=job))


def is_open_to_others(address: str) -> bool:
    """Return True if a scheduler is on another host, and its traffic is not encrypted."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    host = parts.hostname or ""
    here = host in ("localhost", "127.0.0.1", "::1", socket.gethostname())
    return parts.scheme == "tcp" and not here


async def _connect(pool: Pool) -> Any:
    """Connect to a scheduler. Raises PoolUnusable."""
    connect: Any = distributed.Client
    try:
        return await connect(
            pool.address, security=pool.security, asynchronous=True, timeout=_CONNECT_TIMEOUT, set_as_default=False
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        text = printable(str(error) or type(error).__name__)
        raise PoolUnusable(f"cannot reach a Dask scheduler at {printable(pool.address)}: {text}") from error
