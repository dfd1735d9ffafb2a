"""Limits of accounts and items, checked before the first byte is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from uploader.errors import Facts, FigupError, FileTooLarge, QuotaExceeded
from uploader.figshare.models import Account
from uploader.text import named_few, printable
from uploader.transfer.journal.lifecycle import Transfer
from uploader.units import format_count, format_duration, format_exact_bytes

FILES_OF_AN_ITEM = 500
"""Most files in one item of a free account (Figshare's help pages). Other accounts may allow more; no API gives it."""
REQUESTS_A_FILE = 2
"""Initiate and complete; parts do not count, and other requests serve many files at once."""
_LONG = 3600.0
"""Seconds of API requests from which packing is proposed."""
_NAMED = 20
"""Files named in one message."""
_NAMED_EMPTY = 5
"""Empty files named in a warning."""
_MIXED_LINKS = (
    "Figshare's own page allows one link in an item, and no files beside it; whether its API allows more is not known: "
    "Figshare may refuse some of the links, and the rest is sent anyway"
)


def check_quota(account: Account, new: Sequence[Transfer]) -> None:
    """Check the `new` transfers against the account's limits, as far as the account gives them.

    Raises FileTooLarge, QuotaExceeded; if both apply, a FileTooLarge that reports both.
    """
    maximum = account.maximum_file_size
    large = [transfer for transfer in new if maximum is not None and transfer.size > maximum]
    error: FigupError | None = None
    if large and maximum is not None:
        error = FileTooLarge(
            f"{too_large((t.path, t.size) for t in large)}; this account takes files of at most "
            f"{format_exact_bytes(maximum)}",
            hint="Leave out larger files, or split them.",
            facts=Facts("too-large"),
            path=large[0].path,
        )
    if account.quota is not None and account.used_quota is not None:
        needed, free = sum(t.size for t in new), max(0, account.quota - account.used_quota)
        if needed > free:
            full = QuotaExceeded(
                f"the upload needs {format_exact_bytes(needed)}; this account has {format_exact_bytes(free)} of its "
                f"{format_exact_bytes(account.quota)} free",
                hint="Free some space, ask Figshare for more, or publish items (published files do not count).",
            )
            error = full if error is None else _combine(error, full)
    if error is not None:
        raise error


def too_large(files: Iterable[tuple[str, int]]) -> str:
    """List the first of these paths with their sizes in bytes, and the number of the others, for a message."""
    named = [f"{printable(path)}: has {format_exact_bytes(size)}" for path, size in files]
    more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return "; ".join([*named[:_NAMED], *more])


def _combine(large: FigupError, full: FigupError) -> FileTooLarge:
    """One error for both, so that the user can fix both at once."""
    return FileTooLarge(
        f"{large.message}; and {full.message}",
        hint=f"{large.hint} {full.hint}",
        path=large.path,
        facts=Facts("too-large-and-full"),
    )


def many_files_warning(total: int, new: int, api_rate: float | None) -> str | None:
    """Warning if `new` files are sent to an item that holds `total` files then, and fewer would be better; else None.

    They may exceed the limit of free accounts, or need more than an hour of API requests, of which `api_rate` are made
    a second, None for no limit.
    """
    texts = []
    if new and total > FILES_OF_AN_ITEM:
        texts.append(
            f"the item would hold {total} files; Figshare's free accounts allow {FILES_OF_AN_ITEM} in one item. "
            "If yours is free, pack them into archives, or send them to several items"
        )
    seconds = REQUESTS_A_FILE * new / api_rate if api_rate else 0.0
    if seconds > _LONG:
        texts.append(
            f"{format_count(new, 'file')} need at least {format_duration(seconds)} of API requests, "
            f"{REQUESTS_A_FILE} each, regardless of their sizes"
        )
    return "; ".join(texts) or None


def empty_files_warning(paths: Sequence[str]) -> str | None:
    """Warning about these empty files, which Figshare was seen to refuse; None if there are none."""
    if not paths:
        return None
    return f"Figshare does not seem to accept empty files: {named_few([*map(printable, paths)], _NAMED_EMPTY)}"


def mixed_links_warning(links: int, files: int) -> str | None:
    """Warning if an item would hold several links, or links and files, else None.

    Source: Figshare's web page; the API's behavior is not known.
    """
    return _MIXED_LINKS if links > 1 or (links and files) else None
