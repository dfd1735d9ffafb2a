"""Refusals of single files: whether trying once more may help, and what a person can do about them."""

from __future__ import annotations

from uploader.errors import FigupError, RequestRejected, SourceUnreadable
from uploader.transfer.journal.lifecycle import Transfer


def is_retryable(error: FigupError, transfer: Transfer) -> bool:
    """True when a file that failed so is worth another try in the same run; other errors had their time already."""
    if isinstance(error, RequestRejected):
        return not error.permanent and not _is_empty(transfer)
    return isinstance(error, SourceUnreadable)


def hint_for(transfer: Transfer, *, alone: bool) -> str:
    """The hint for a file that Figshare refused. `alone`: the job sends nothing else."""
    leave_out = "" if alone or transfer.link else ", or leave the file out with --exclude"
    mend = (
        "Put something in it (Figshare seems to take no empty files)"
        if _is_empty(transfer)
        else "Mend what Figshare says"
    )
    return f"{mend}{leave_out}; then run the same command again."


def _is_empty(transfer: Transfer) -> bool:
    """Figshare was seen to take no empty files, and which status that has is not known."""
    return transfer.size == 0 and not transfer.link
