"""A worker of a pool that several jobs use at the same time."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.waiting import until
from uploader.cluster import carrier
from uploader.cluster.messages import Entry, Limits, Order, OrderFailed, OrderOver, PartsLeft, Secret, Speed
from uploader.figshare.client import Figshare
from uploader.figshare.models import Part, Upload
from uploader.figshare.outcomes import UploadGone
from uploader.figshare.settings import RetryPolicy, Settings

SETTINGS = Settings("http://127.0.0.1:9/v2", retry=RetryPolicy(elapsed_cap=1.0))
LIMITS = Limits(number=3, connections=2, rate=5e4)
ORDER = Order(id=1, file_id=5, path="/a", size=1, mtime_ns=1, upload=Secret("http://127.0.0.1:9/u"), parts=((1, 0, 0),))


@pytest.fixture(autouse=True)
def carriers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, carrier.Carrier]]:
    found: dict[str, carrier.Carrier] = {}
    monkeypatch.setattr(carrier, "_carriers", found)
    monkeypatch.setattr(carrier, "_release_worker_thread", lambda: None)
    yield found
    for each in found.values():
        each.close()
        each.thread.join(30)


def begin_order(
    carriers: dict[str, carrier.Carrier], monkeypatch: pytest.MonkeyPatch, outcome: Upload | UploadGone
) -> Callable[[], list[Entry]]:
    """Begin an order whose upload has been requested; the function returned answers it and returns the report."""
    asked, answer = threading.Event(), threading.Event()

    async def upload(_: Figshare, __: str) -> Upload:
        asked.set()
        while not answer.is_set():
            await carriers["a"]._run.clock.sleep(0.01)
        if isinstance(outcome, UploadGone):
            raise outcome
        return outcome

    monkeypatch.setattr(Figshare, "upload", upload)
    found: list[Entry] = []
    task = threading.Thread(
        target=lambda: found.extend(carrier.carry_out("a", SETTINGS, 1, ORDER, LIMITS)), daemon=True
    )
    task.start()
    assert asked.wait(30)

    def finish() -> list[Entry]:
        answer.set()
        task.join(30)
        return found

    return finish


def test_the_order_of_one_job_ends_though_another_job_comes(
    carriers: dict[str, carrier.Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = begin_order(carriers, monkeypatch, UploadGone("gone"))
    carrier.apply_limits("b", SETTINGS, 1, 1, LIMITS)
    assert [type(entry) for entry in finish()] == [OrderFailed, OrderOver, Speed]


def test_a_carrier_ends_once_its_job_no_longer_uses_it(
    carriers: dict[str, carrier.Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier.apply_limits("a", SETTINGS, 1, 1, LIMITS)
    carrier.apply_limits("b", SETTINGS, 1, 1, LIMITS)
    assert set(carriers) == {"a", "b"}
    monkeypatch.setattr(carrier, "_UNUSED", -1.0)
    unused = [each.thread for each in carriers.values()]
    carrier.apply_limits("c", SETTINGS, 1, 1, LIMITS)
    assert set(carriers) == {"c"}
    for thread in unused:
        thread.join(30)
        assert not thread.is_alive()


def test_a_withdrawn_order_is_over_and_what_was_not_begun_is_reported(
    carriers: dict[str, carrier.Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = Upload(token="t", status="pending", size=1, parts=(Part(no=1, start=0, end=0),))
    finish = begin_order(carriers, monkeypatch, upload)
    assert carrier.withdraw("a", SETTINGS, [1, 2], False) == [PartsLeft(term=1, order=1, parts=(1,))]
    assert carrier.withdraw("a", SETTINGS, [1, 2], True) == []
    assert [type(entry) for entry in finish()] == [OrderOver, Speed]


def limits_of(carriers: dict[str, carrier.Carrier]) -> tuple[int, float | None]:
    """The limits that apply in the carrier of the job: connections, and bytes a second."""
    return carriers["a"]._senders._most, carriers["a"]._run.throttle.share


def test_a_carrier_that_begins_anew_has_the_limits_of_its_leader(
    carriers: dict[str, carrier.Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = begin_order(carriers, monkeypatch, UploadGone("gone"))
    assert limits_of(carriers) == (2, 5e4)
    finish()


def limits_are(carriers: dict[str, carrier.Carrier], limits: Limits) -> bool:
    return carriers["a"]._limits == limits


@pytest.mark.parametrize(("first", "second", "end"), [(2, 8, 1), (4, 2, 2)], ids=["raised", "lowered"])
def test_the_newest_limits_apply_though_earlier_ones_are_not_kept_yet(
    carriers: dict[str, carrier.Carrier], monkeypatch: pytest.MonkeyPatch, first: int, second: int, end: int
) -> None:
    carrier.apply_limits("a", SETTINGS, 1, 1, Limits(number=1, connections=32))
    connections = carriers["a"]._senders._connections
    connections.in_use = 6
    monkeypatch.setattr(carrier, "_LIMIT_POLL", 0.01)
    changes = [Limits(number=2, connections=first), Limits(number=3, connections=second)]
    tasks = [
        threading.Thread(target=carrier.apply_limits, args=("a", SETTINGS, 1, 1, each), daemon=True) for each in changes
    ]
    for task, each in zip(tasks, changes, strict=True):
        task.start()
        until(functools.partial(limits_are, carriers, each))
    connections.in_use = end
    for task in tasks:
        task.join(30)
    assert limits_of(carriers) == (second, None)
    carrier.apply_limits("a", SETTINGS, 1, 1, changes[0])
    assert limits_of(carriers) == (second, None), "a task that comes late"
