"""The mark of a new item: part of its title from the request that creates it until its id is on record.

After a lost response it identifies the draft, independent of other drafts with the same title and of server clocks. The
title carries the mark because the list of items shows titles, because every draft has one, and because setting it again
cannot fail for lack of another field.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
from collections.abc import Iterable

from uploader.items.payload import LONGEST_TITLE
from uploader.system import process_exists


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
    return title[: LONGEST_TITLE - len(end)] + end


def bears_mark(title: str, marks: Iterable[str]) -> bool:
    """Return whether the title has one of the marks."""
    return any(mark in title for mark in marks)


# --- outside a job ----------------------------------------------------------------------------------------------------


def command_origin(kind: str, title: str, project: int | None = None) -> str:
    """Return the origin of what a command creates outside a job: the same for the same command on this host."""
    words = f"{socket.gethostname()}\n{project}\n{title}"
    return f"{kind}-{hashlib.blake2b(words.encode(), digest_size=4).hexdigest()}"


def new_command_mark(origin: str) -> str:
    """Make a mark that also tells which process created it."""
    return new_mark(f"{origin}-{os.getpid()}")


def is_left_over(title: str, origin: str) -> bool:
    """Return whether the title has a mark of the same command, whose process ended before it removed the mark."""
    found = re.search(rf"\[{re.escape(mark_prefix(origin))}([0-9]{{1,9}})-[0-9a-f]+\]$", title)
    return found is not None and (int(found[1]) == os.getpid() or not process_exists(int(found[1])))
