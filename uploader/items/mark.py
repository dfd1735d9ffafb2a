"""The mark of a new item: part of its title from the request that creates it until its id is on record.

After a lost response it identifies the draft, independent of other drafts with the same title and of server clocks. The
title carries the mark because the list of items shows titles, because every draft has one, and because setting it again
cannot fail for lack of another field.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from uploader.items.payload import MAX_TITLE


def new_mark(origin: str) -> str:
    """Make a mark that no other item has; it begins with `mark_prefix(origin)`."""
    return f"{mark_prefix(origin)}{secrets.token_hex(4)}"


def mark_prefix(origin: str) -> str:
    """Return the prefix of every mark of this origin (a job's name), used if the mark itself is not recorded.

    The same command on another machine has a job of the same name.
    """
    return f"figup-{origin}-"


def marked_title(title: str, mark: str) -> str:
    """Add the mark to the title, shortened if it would be too long for Figshare."""
    end = f" [{mark}]"
    return title[: MAX_TITLE - len(end)] + end


def bears_mark(title: str, marks: Iterable[str]) -> bool:
    """Return whether the title has one of the marks."""
    return any(mark in title for mark in marks)
