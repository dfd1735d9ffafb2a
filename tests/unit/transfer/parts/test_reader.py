"""The memory of chunks: reused, but never while a view of it is held."""

from __future__ import annotations

from uploader.transfer.parts.reader import ReusableBuffer


def test_memory_is_reused_once_no_view_is_held() -> None:
    memory = ReusableBuffer()
    room = memory.view(1000)
    first = id(room.obj)
    room[:4] = b"1234"
    del room
    again = memory.view(1000)
    assert id(again.obj) == first
    assert again.nbytes == 1000
    del again
    assert memory.view(10).nbytes == 10


def test_what_a_transport_still_holds_is_left_alone() -> None:
    memory = ReusableBuffer()
    room = memory.view(4)
    room[:] = b"1234"
    held = room[1:3]
    del room
    other = memory.view(4)
    other[:] = b"abcd"
    assert bytes(held) == b"23"
    assert other.obj is not held.obj


def test_a_longer_chunk_gets_longer_memory() -> None:
    memory = ReusableBuffer()
    assert [memory.view(length).nbytes for length in (1, 5000, 300)] == [1, 5000, 300]
