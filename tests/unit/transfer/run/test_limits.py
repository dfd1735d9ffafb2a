"""Limits of accounts and items: what is reported before the first byte."""

from __future__ import annotations

import pytest

from uploader.errors import FigupError, FileTooLarge, QuotaExceeded
from uploader.figshare.models import Account
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.run.limits import check_quota, empty_files_warning, many_files_warning, mixed_links_warning


def transfers(*sizes: int) -> list[Transfer]:
    return [
        Transfer(index=index, source=f"/data/{index}", name=str(index), size=size, mtime_ns=1, inode=2)
        for index, size in enumerate(sizes)
    ]


def account(most: int | None = None, quota: int | None = None, used: int | None = None) -> Account:
    return Account(id=1, quota=quota, used_quota=used, maximum_file_size=most)


@pytest.mark.parametrize("quota", [account(), account(5), account(5, 10, 0), account(None, 10), account(None, 10, 0)])
def test_an_upload_within_the_limits_or_without_known_limits_passes(quota: Account) -> None:
    check_quota(quota, transfers(5, 5))


def test_what_exactly_fills_the_quota_passes_and_one_byte_more_does_not() -> None:
    check_quota(account(None, 10, 4), transfers(6))
    with pytest.raises(QuotaExceeded):
        check_quota(account(None, 10, 4), transfers(7))


def test_nothing_to_send_passes_even_beyond_the_quota() -> None:
    check_quota(account(5, 10, 99), [])


@pytest.mark.parametrize(
    ("quota", "kind", "words"),
    [
        (account(4), FileTooLarge, ["/data/0: has 5 bytes; this account takes files of at most 4 bytes"]),
        (account(None, 8, 7), QuotaExceeded, ["the upload needs 6 bytes; this account has 1 byte of its 8 bytes free"]),
        (account(None, 8, 9), QuotaExceeded, ["this account has 0 bytes of its 8 bytes free"]),
        (account(4, 8, 7), FileTooLarge, ["at most 4 bytes; and the upload needs 6 bytes; this account has"]),
    ],
)
def test_every_exceeded_limit_is_reported_at_once(quota: Account, kind: type[FigupError], words: list[str]) -> None:
    with pytest.raises(kind) as raised:
        check_quota(quota, transfers(5, 1))
    assert all(word in raised.value.message for word in words)
    assert raised.value.facts.situation.startswith("too-large") == (kind is FileTooLarge)
    assert ("Free some space" in (raised.value.hint or "")) == (quota.quota is not None)


def test_sizes_are_readable_and_only_the_first_files_are_named() -> None:
    with pytest.raises(
        FileTooLarge, match=r"^/data/0: has 1\.50 GB \(1500000000 bytes\); .*; and 80 more; this"
    ) as raised:
        check_quota(account(1), transfers(*[1_500_000_000] * 100))
    assert raised.value.message.count(" has ") == 20


def test_more_files_than_free_accounts_allow_in_an_item() -> None:
    assert many_files_warning(500, 1, 1.0) is None
    assert many_files_warning(501, 0, 1.0) is None
    assert "501 files" in (many_files_warning(501, 1, 1.0) or "")


def test_a_few_empty_files_are_named_and_the_others_counted() -> None:
    assert empty_files_warning([]) is None
    assert str(empty_files_warning(["/a\n"])).endswith("empty files: /a\\n")
    assert str(empty_files_warning([f"/{n}" for n in range(41)])).endswith(": /0, /1, /2, /3, /4 and 36 more")


def test_more_than_an_hour_of_requests_is_warned_of() -> None:
    assert many_files_warning(100, 1801, None) is None
    assert many_files_warning(100, 1800, 1.0) is None
    assert many_files_warning(100, 200, 0.1) == (
        "200 files need at least 1 h 06 min of API requests, 2 each, regardless of their sizes"
    )
    assert "501 files" in (many_files_warning(501, 1801, 1.0) or "")
    assert "1801 files need" in (many_files_warning(501, 1801, 1.0) or "")


@pytest.mark.parametrize(
    ("links", "files", "warned"), [(0, 0, False), (0, 9, False), (1, 0, False), (2, 0, True), (1, 1, True)]
)
def test_several_links_or_links_beside_files_may_be_refused(links: int, files: int, warned: bool) -> None:
    assert (mixed_links_warning(links, files) is not None) == warned
