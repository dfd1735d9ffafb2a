"""The journal's format 1, byte for byte: existing journals load, and equal events are written identically."""

from __future__ import annotations

import pytest

from uploader.transfer.journal.log import Synced, decode, encode
from uploader.transfer.journal.state import state_after

JOURNAL = b"""\
{"figup-journal":1} 4aadfde56ed65314
{"e":"job","job":"abc","endpoint":"https://example.org/v2","item":null,"title":"T","created":"2026-01-02T03:04:05+00:00",\
"version":"0.1.0","files":2,"root":"/data","project":null,"account":null} 2a06e688240b9dc0
{"e":"source","f":0,"path":"a","size":90,"mtime_ns":1,"inode":2,"ctime_ns":3} 9a99dbf265faf0a0
{"e":"source","f":1,"path":"https://example.org/x","name":"x","link":true} 9e3f0f9e4535ed0f
{"e":"skip","path":".b","reason":"hidden"} feef561786433491
{"e":"item?","at":"2026-01-02T03:04:05+00:00"} 2c4c4ffb492b530a
{"e":"item+","id":3} e6e1800d06475f47
{"e":"item","id":3,"url":"https://example.org/3","found":false} 29ff3e47a2f30d6a
{"e":"say","mark":"m","spec":{"fields":{"keywords":["a"]},"authors":[{"id":1}]}} b9b08b2d93a554cf
{"e":"said","mark":"m"} 9ffdac66890d9a67
{"e":"how","options":{"on_conflict":"replace"}} ca19306afaedeac2
{"e":"end?","reserve_doi":false,"private_link":false,"publish":true} 603a76e9c2eee665
{"e":"run","at":"2026-01-02T03:04:05+00:00"} 55e8162b64928e2f
{"e":"init?","f":0,"at":"2026-01-02T03:04:05+00:00","known":[7]} 40a6890023c46c1e
{"e":"init","f":0,"id":8,"found":false} a8964c017a52fc67
{"e":"parts","f":0,"done":0,"total":1} 1a98137918cc0d63
{"e":"p","f":0,"n":1,"x":18446744073709551615} 7c2f1e6f747b6cf0
{"e":"sent","f":0,"total":1} 8b06e9adbb89c51f
{"e":"md5","f":0,"md5":"00000000000000000000000000000000"} 750e51285a06448f
{"e":"done?","f":0} de7580bf2b1e7e7b
{"e":"done","f":0} f76866c3c2deac3d
{"e":"ok","f":0,"md5":"00000000000000000000000000000000"} ded8345df6b6da7d
{"e":"init?","f":1,"at":"2026-01-02T03:04:05+00:00","known":[]} 18bb0ae2aee416c5
{"e":"init","f":1,"id":9,"found":false} b295713c6730c1f4
{"e":"linked","f":1} 19eb00e2254e596b
{"e":"public?","version":0,"files":"f"} 50ceb914b50d19e2
{"e":"end","step":"publish","value":"public","at":"2026-01-02T03:04:05+00:00"} d0033be716101bd3
"""
"""A job that sent one file, linked another and published the item."""


def test_a_journal_of_format_1_loads_and_is_written_the_same_way() -> None:
    read = decode(JOURNAL)
    assert read.clean
    assert encode(read.events)[0] == JOURNAL


def test_a_journal_of_format_1_leads_to_a_job_whose_files_are_finished() -> None:
    events = decode(JOURNAL).events
    state = state_after(events)
    assert state.finished
    assert [(t.path, t.name, t.file_id) for t in state.transfers] == [
        ("/data/a", "a", 8),
        ("https://example.org/x", "x", 9),
    ]


LINES = JOURNAL.splitlines(keepends=True)


def with_line(number: int, line: bytes) -> bytes:
    """The journal with another line of this number, from 1."""
    return b"".join([*LINES[: number - 1], line, *LINES[number:]])


def test_a_changed_line_is_damaged_and_only_it_is_left_out() -> None:
    whole = decode(JOURNAL).events
    read = decode(with_line(7, LINES[6].replace(b'"id":3', b'"id":4')))
    assert read.damaged == [7]
    assert read.events == [*whole[:5], *whole[6:]]


def test_a_changed_checksum_damages_its_line_and_the_next() -> None:
    read = decode(with_line(7, LINES[6][:-2] + b"0\n"))
    assert read.damaged == [7, 8]


def test_lines_in_another_order_or_missing_are_damage() -> None:
    assert decode(b"".join([*LINES[:3], LINES[4], LINES[3], *LINES[5:]])).damaged == [4, 5, 6]
    assert decode(b"".join([*LINES[:3], *LINES[4:]])).damaged == [4]


def test_a_last_line_without_its_end_is_torn_and_not_damage() -> None:
    read = decode(JOURNAL[:-1])
    assert (read.torn, read.damaged, len(read.events)) == (True, [], len(LINES) - 2)


@pytest.mark.parametrize("lost", [1, 3])
def test_a_journal_that_is_shorter_than_when_it_was_synced_is_damaged(lost: int) -> None:
    synced = Synced(len(JOURNAL), int(LINES[-1][-17:], 16))
    assert decode(JOURNAL, synced).clean
    assert decode(b"".join(LINES[:-lost]), synced).damaged == [len(LINES) - lost + 1]


def test_a_journal_with_another_line_where_it_was_synced_is_damaged() -> None:
    synced = Synced(sum(map(len, LINES[:10])), 1)
    assert decode(JOURNAL, synced).damaged == [len(LINES) + 1]
