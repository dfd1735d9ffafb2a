"""A worker of a pool that several jobs use at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from uploader.cluster import carrier
from uploader.cluster.messages import Entry, Order, OrderFailed, OrderOver, PartsLeft, Secret, Speed
from uploader.figshare.client import Figshare
from uploader.figshare.models import Part, Upload
from uploader.figshare.outcomes import UploadGone
from uploader.figshare.settings import RetryPolicy, Settings

SETTINGS = Settings("http://127.0.0.1:9/v2", retry=RetryPolicy(elapsed_cap=1.0))
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
    task = threading.Thread(target=lambda: found.extend(carrier.carry_out("a", SETTINGS, 1, ORDER)), daemon=True)
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
    carrier.apply_limits("b", SETTINGS, 1, 1, 2, None)
    assert [type(entry) for entry in finish()] == [OrderFailed, OrderOver, Speed]


def test_a_carrier_ends_once_its_job_no_longer_uses_it(
    carriers: dict[str, carrier.Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier.apply_limits("a", SETTINGS, 1, 1, 2, None)
    carrier.apply_limits("b", SETTINGS, 1, 1, 2, None)
    assert set(carriers) == {"a", "b"}
    monkeypatch.setattr(carrier, "_UNUSED", -1.0)
    unused = [each.thread for each in carriers.values()]
    carrier.apply_limits("c", SETTINGS, 1, 1, 2, None)
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
