"""The wire to a Dask pool whose workers die, freeze or lose what they have."""

from __future__ import annotations

import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import anyio
import distributed
import pytest

from uploader.cluster import carrier, pool, slurm_pool
from uploader.cluster.messages import (
    WORKER_LOST,
    Entry,
    Limits,
    Order,
    OrderFailed,
    OrderOver,
    Orders,
    PartsLeft,
    Secret,
)
from uploader.cluster.pool import DaskWire
from uploader.figshare.settings import Settings

pytestmark = pytest.mark.anyio
WORKER, OTHER = "tcp://w1:1", "tcp://w2:1"


class Task:
    """A task of a pool. Its result does not come if it is None."""

    def __init__(self, status: str, result: list[Entry] | BaseException | None = None) -> None:
        self.status = status
        self.result = result
        self.asked = 0

    def done(self) -> bool:
        return self.status != "pending"

    def __await__(self) -> Generator[Any, Any, list[Entry]]:
        self.asked += 1
        if self.result is None:
            yield from anyio.sleep_forever().__await__()
        if isinstance(self.result, BaseException):
            raise self.result
        assert self.result is not None
        return self.result


class FakePool:
    """A client of a pool with these workers, whose values are their heartbeats. `tasks` are the next ones submitted."""

    def __init__(self, *tasks: Task) -> None:
        self.workers = {WORKER: 1.0, OTHER: 1.0}
        self.tasks = list(tasks)
        self.calls: list[tuple[object, tuple[object, ...]]] = []
        self.cancelled: list[Task] = []
        self.described: list[str] = []
        self.deaf: set[str] = set()
        """Workers that do not answer."""
        self.waiting = self.most_waiting = 0
        """Questions without an answer, now and at most."""
        self.scheduler: FakePool | None = self
        self.status = "running"
        self.fails: BaseException | None = None
        """What ends questions."""
        self.frozen = False

    async def identity(self, *, n_workers: int) -> dict[str, Any]:
        if self.fails is not None:
            raise self.fails
        if self.frozen:
            await anyio.sleep_forever()
        return {"workers": {address: {"last_seen": beat} for address, beat in self.workers.items()}}

    async def run(self, *_: object, workers: list[str], on_error: str) -> dict[str, Any]:
        self.described += workers
        if self.deaf & set(workers):
            self.waiting += 1
            self.most_waiting = max(self.waiting, self.most_waiting)
            try:
                await anyio.sleep_forever()
            finally:
                self.waiting -= 1
        return {}

    def submit(self, call: object, _run: object, _settings: object, *args: object, **__: object) -> Task:
        self.calls.append((call, args))
        return self.tasks.pop(0)

    async def cancel(self, tasks: list[Task]) -> None:
        self.cancelled += tasks


def order(number: int) -> Order:
    return Order(id=number, file_id=5, path="/a", size=1, mtime_ns=1, upload=Secret("u"), parts=((1, 0, 0),))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_RESULT_TIMEOUT", 0.05)
    monkeypatch.setattr(pool, "_ANSWER_TIMEOUT", 0.05)


async def wire_to(client: FakePool, *orders: tuple[str, int]) -> DaskWire:
    """A wire on which each worker has got these orders."""
    wire = DaskWire(client, Settings("http://127.0.0.1:9/v2"), 1)
    await wire.members()
    for member in dict(orders):
        await wire.give(member, Orders(seq=1, orders=tuple(order(no) for name, no in orders if name == member)))
    return wire


async def test_a_result_that_does_not_come_holds_up_no_other_worker() -> None:
    lost, behind, fine = Task("finished"), Task("finished"), Task("finished", [OrderOver(term=1, order=3)])
    client = FakePool(lost, behind, fine)
    wire = await wire_to(client, (WORKER, 1), (WORKER, 2), (OTHER, 3))
    with anyio.fail_after(10):
        assert await wire.reports() == [(OTHER, OrderOver(term=1, order=3))]
        assert await wire.reports() == []
    assert (lost.asked, behind.asked) == (1, 0), "one wait for each beat"
    del client.workers[WORKER]
    await wire.members()
    with anyio.fail_after(10):
        assert await wire.reports() == []
    assert client.cancelled == [lost, behind]


async def test_a_result_that_comes_late_is_taken() -> None:
    late = Task("finished")
    client = FakePool(late)
    wire = await wire_to(client, (WORKER, 1))
    assert await wire.reports() == []
    late.result = [OrderOver(term=1, order=1)]
    client.workers[WORKER] += 1
    await wire.members()
    assert await wire.reports() == [(WORKER, OrderOver(term=1, order=1))]


async def test_a_task_whose_result_is_lost_meanwhile_has_failed() -> None:
    task = Task("finished", distributed.CancelledError())
    wire = await wire_to(FakePool(task), (WORKER, 1))
    assert await wire.reports() == []
    task.status = "cancelled"
    found = [entry for _, entry in await wire.reports()]
    assert [type(entry) for entry in found] == [OrderFailed, OrderOver]


@pytest.mark.parametrize(
    ("status", "code"), [("cancelled", WORKER_LOST), ("lost", WORKER_LOST), ("error", "task-failed")]
)
async def test_a_task_that_is_lost_has_not_failed_for_its_worker(status: str, code: str) -> None:
    """It is, for example, after a short loss of the connection to the scheduler."""
    wire = await wire_to(FakePool(Task(status)), (WORKER, 1))
    (_, failed), _ = await wire.reports()
    assert isinstance(failed, OrderFailed)
    assert failed.code == code


async def test_withdrawn_orders_are_reported_and_can_be_aborted_later() -> None:
    first, second = Task("pending"), Task("pending")
    left: list[Entry] = [PartsLeft(term=1, order=1, parts=(1,))]
    client = FakePool(first, second, Task("finished", left), Task("finished", []))
    wire = await wire_to(client, (WORKER, 1), (WORKER, 2))
    await wire.give(WORKER, Orders(seq=2, orders=(order(2),)))
    assert client.calls[2:] == [(carrier.withdraw, ([1], False))]
    assert await wire.reports() == [(WORKER, left[0])]
    await wire.give(WORKER, Orders(seq=3, orders=(order(2),), abort=True))
    assert client.calls[3:] == [(carrier.withdraw, ([1], True))]
    await wire.give(WORKER, Orders(seq=4, orders=(order(2),), abort=True))
    assert len(client.calls) == 4


async def test_a_worker_asks_before_each_part() -> None:
    """Orders of an earlier leader may go on in it, and its own in another process."""
    client = FakePool(Task("pending"))
    await wire_to(client, (WORKER, 1))
    ((_, (_, given, _)),) = client.calls
    assert isinstance(given, Order)
    assert given.contested


async def test_orders_are_withdrawn_when_the_leader_ends() -> None:
    waiting, begun = Task("pending"), Task("pending")
    failed, withdrawn = Task("error", RuntimeError("the worker died")), Task("finished", [])
    client = FakePool(waiting, begun, Task("pending"), failed, withdrawn)
    wire = await wire_to(client, (WORKER, 1), (WORKER, 2), (OTHER, 3))
    await wire.close()
    assert client.cancelled[:2] == [waiting, begun]
    assert client.calls[3:] == [(carrier.withdraw, ([1, 2], False)), (carrier.withdraw, ([3], False))]
    assert (failed.asked, withdrawn.asked) == (1, 1), "Dask drops a task if its client goes before it ends"


async def test_a_leader_ends_although_a_worker_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_WITHDRAW_TIMEOUT", 0.05)
    wire = await wire_to(FakePool(Task("pending"), Task("pending")), (WORKER, 1))
    with anyio.fail_after(10):
        await wire.close()


async def test_each_order_comes_with_the_limits_of_its_worker() -> None:
    client = FakePool(*(Task("pending") for _ in range(6)))
    wire = await wire_to(client)
    await wire.give(WORKER, Orders(seq=1, orders=(order(1),), connections=2, rate=5e4))
    first, second = (Limits(number=number, connections=2, rate=5e4) for number in (1, 2))
    await wire.give(WORKER, Orders(seq=2, orders=(order(1), order(2)), connections=2, rate=5e4))
    await wire.forget(WORKER)
    await wire.give(WORKER, Orders(seq=1, orders=(order(3),), connections=2, rate=5e4))
    assert [(call, args[-1]) for call, args in client.calls] == [
        *((carrier.apply_limits, first), (carrier.carry_out, first), (carrier.carry_out, first)),
        *((carrier.apply_limits, second), (carrier.carry_out, second)),
    ]


@pytest.mark.parametrize("status", ["closing", "closed"])
async def test_without_its_scheduler_a_pool_has_no_workers(status: str) -> None:
    """Dask's client has given up reaching it, and refuses everything."""
    client = FakePool(Task("pending"))
    wire = await wire_to(client, (WORKER, 1))
    client.status, client.fails = status, RuntimeError("ConnectionPool is closed")
    client.scheduler = None if status == "closed" else client
    assert {name: hello.ended for name, hello in (await wire.members()).items()} == {WORKER: True, OTHER: True}
    assert await wire.reports() == []
    await wire.give(WORKER, Orders(seq=2, orders=(order(2),), connections=1))
    await wire.close()
    assert len(client.calls) == 1
    assert not client.cancelled


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_scheduler_that_does_not_answer_ends_no_worker(frozen: bool) -> None:
    client = FakePool(Task("pending"))
    wire = await wire_to(client, (WORKER, 1))
    before = dict(await wire.members())
    client.frozen, client.fails = frozen, None if frozen else OSError("timed out")
    client.workers[WORKER] += 1
    with anyio.fail_after(10):
        assert await wire.members() == before, "no sign of life, and no end"
    assert await wire.reports() == []
    assert not client.cancelled
    client.frozen, client.fails = False, None
    assert (await wire.members())[WORKER].beat > before[WORKER].beat


async def test_a_new_worker_that_does_not_answer_is_asked_at_its_next_beat() -> None:
    client = FakePool()
    client.deaf = {OTHER}
    wire = await wire_to(client)
    with anyio.fail_after(10):
        assert set(await wire.members()) == {WORKER}
    assert client.described.count(OTHER) == 1
    client.deaf.clear()
    client.workers[OTHER] += 1
    assert set(await wire.members()) == {WORKER, OTHER}
    assert client.described.count(OTHER) == 2


async def test_new_workers_that_do_not_answer_are_waited_for_once() -> None:
    client = FakePool()
    client.deaf = {f"tcp://far{n}:1" for n in range(7)}
    client.workers |= dict.fromkeys(client.deaf, 1.0)
    wire = await wire_to(client)
    assert set(await wire.members()) == {WORKER, OTHER}
    assert client.most_waiting == 7


async def test_a_worker_that_does_not_answer_twice_is_not_asked_again_while_it_stays() -> None:
    """Such as one that beats, but that the scheduler cannot reach: each question holds up the leader."""
    client = FakePool()
    client.deaf = {OTHER}
    wire = await wire_to(client)
    for _ in range(3):
        client.workers[OTHER] += 1
        await wire.members()
    assert client.described.count(OTHER) == 2
    hello = (await wire.members())[OTHER]
    assert (hello.host, hello.version) == ("w2", "")
    assert hello.beat == 4000, "it is alive"
    beat = client.workers.pop(OTHER)
    assert (await wire.members())[OTHER].ended
    await wire.forget(OTHER)
    client.workers[OTHER] = beat
    await wire.members()
    assert client.described.count(OTHER) == 3


async def test_a_worker_at_the_address_of_one_that_did_not_answer_is_a_new_one() -> None:
    client = FakePool()
    client.deaf = {OTHER}
    wire = await wire_to(client)
    beat = client.workers.pop(OTHER)
    await wire.members()
    client.workers[OTHER] = beat + 1
    assert set(await wire.members()) == {WORKER}


async def test_a_worker_that_comes_back_stops_what_it_was_lost_with() -> None:
    client = FakePool(Task("pending"), Task("pending"), Task("pending"), Task("finished", []))
    wire = await wire_to(client, (WORKER, 1), (WORKER, 2), (OTHER, 3))
    beat = client.workers.pop(WORKER)
    assert (await wire.members())[WORKER].ended
    assert await wire.reports() == []
    await wire.forget(WORKER)
    client.workers[WORKER] = beat + 1
    assert not (await wire.members())[WORKER].ended
    assert client.calls[3:] == [(carrier.withdraw, ([1, 2], False))]
    await wire.members()
    assert len(client.calls) == 4


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["10.0.0.7"], "10.0.0.7"),
        (["127.0.1.1"], "192.0.2.2"),
        (["::1", "fe80::1%eth0", "127.0.0.1"], "192.0.2.2"),
        (["2001:db8::7", "127.0.1.1"], "2001:db8::7"),
        (["2001:db8::7", "10.0.0.7"], "10.0.0.7"),
        ([], "192.0.2.2"),
    ],
)
def test_the_scheduler_has_an_address_that_other_nodes_reach(
    addresses: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        if not addresses:
            raise socket.gaierror
        return [(0, 0, 0, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(slurm_pool, "get_ip", lambda: "192.0.2.2")
    assert slurm_pool.reachable_address() == expected


@pytest.mark.parametrize("answer", ["Submitted batch job 17\n", "Submitted batch job 17 on cluster east\n"])
def test_the_job_of_the_workers(answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_pool, "_answer_of", lambda *_: answer)
    keys = Mock(tls_ca_file="ca", tls_worker_cert="cert", tls_worker_key="key")
    assert slurm_pool._submit(tmp_path / "pool", keys, "tls://here:1", 3) == "17"
