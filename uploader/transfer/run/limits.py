"""Room: whether the account takes what is to be sent, as far as it says; found out before the first byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from uploader.errors import FigupError, FileTooLarge, QuotaExceeded
from uploader.figshare.models import Account
from uploader.text import printable
from uploader.transfer.journal.lifecycle import Transfer
from uploader.units import format_exact_bytes

FILES_OF_AN_ITEM = 500
"""What an item of a free account holds (Figshare's help pages). Others may hold more; no API tells."""
_NAMED = 20
"""Files that one message names."""
_DOUBT = (
    "Figshare's own page allows one link in an item, and no files beside it; whether it takes more from a "
    "program is not known: Figshare may refuse some of it, and the rest is sent all the same"
)


def check_quota(account: Account, new: Sequence[Transfer]) -> None:
    """Return when all that is `new` to Figshare is within the account's limits, or the account does not say.

    Raises FileTooLarge and QuotaExceeded; where both would have to be said, one that says both.
    """
    most = account.maximum_file_size
    large = [transfer for transfer in new if most is not None and transfer.size > most]
    error: FigupError | None = None
    if large and most is not None:
        error = FileTooLarge(
            f"{too_large((t.path, t.size) for t in large)}; this account takes files of at most "
            f"{format_exact_bytes(most)}",
            hint="Leave out what is larger with --exclude, or split it.",
            path=large[0].path,
        )
    if account.quota is not None and account.used_quota is not None:
        need, room = sum(t.size for t in new), max(0, account.quota - account.used_quota)
        if need > room:
            full = QuotaExceeded(
                f"{format_exact_bytes(need)} are to be sent; this account has room for {format_exact_bytes(room)} of "
                f"its "
                f"{format_exact_bytes(account.quota)}",
                hint="Make room, ask for more at figshare.com, or publish items (they free private quota).",
            )
            error = full if error is None else _both(error, full)
    if error is not None:
        raise error


def too_large(files: Iterable[tuple[str, int]]) -> str:
    """The first of these paths with their sizes, and how many more there are."""
    named = [f"{printable(path)}: has {format_exact_bytes(size)}" for path, size in files]
    more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return "; ".join([*named[:_NAMED], *more])


def _both(large: FigupError, full: FigupError) -> FileTooLarge:
    """They are mended together, so they are told together."""
    return FileTooLarge(f"{large.message}; and {full.message}", hint=f"{large.hint} {full.hint}", path=large.path)


def file_count_warning(files: int) -> str | None:
    """What to tell whoever is about to have an item hold so many files; None where that is no matter."""
    if files <= FILES_OF_AN_ITEM:
        return None
    return (
        f"the item would hold {files} files, and Figshare's free accounts have at most {FILES_OF_AN_ITEM} in one; "
        "if yours is free, pack them into archives, or send them to several items"
    )


def mixed_links_warning(links: int, files: int) -> str | None:
    """What to say beforehand of an item that is to hold so many links and files; None where nothing speaks against it.

    Observed is the page alone; what the API does is not known.
    """
    return _DOUBT if links > 1 or (links and files) else None
