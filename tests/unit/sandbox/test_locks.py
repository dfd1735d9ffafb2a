"""Locks of parts, with a fake clock."""

from __future__ import annotations

import pytest

from uploader.sandbox.locks import PartLocks


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def locks(clock: Clock) -> PartLocks:
    return PartLocks(clock)


def test_one_holder_at_a_time(locks: PartLocks) -> None:
    assert locks.acquire(("u", 1))
    assert not locks.acquire(("u", 1))
    assert locks.acquire(("u", 2))
    assert locks.acquire(("v", 1))
    locks.release(("u", 1))
    assert locks.acquire(("u", 1))


def test_a_held_lock_does_not_expire(locks: PartLocks, clock: Clock) -> None:
    locks.acquire(("u", 1))
    clock.now = 10**12
    assert locks.locked(("u", 1))


def test_a_lock_lingers(locks: PartLocks, clock: Clock) -> None:
    locks.acquire(("u", 1))
    locks.release(("u", 1), 5)
    assert locks.of_upload("u") == {1}
    clock.now = 4.9
    assert not locks.acquire(("u", 1))
    clock.now = 5
    assert locks.of_upload("u") == frozenset()
    assert locks.acquire(("u", 1))


def test_locks_of_a_deleted_upload_are_dropped(locks: PartLocks) -> None:
    locks.acquire(("u", 1))
    locks.acquire(("v", 1))
    locks.forget("u")
    assert not locks.locked(("u", 1))
    assert locks.locked(("v", 1))
    locks.release(("u", 1))
