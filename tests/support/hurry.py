"""Makes processes notice within a second what takes them up to a minute, such as those of a team on a cluster."""

from __future__ import annotations

from uploader.cluster import leader, member, roster

SOON = "from tests.support.hurry import hurry\nhurry()\n"
"""The same, for a process that runs this when it starts: see `Figup.plug` and `tests.support.environment.plugged`."""
READ_AGAIN_SOON = "from uploader.items import release\nrelease.LATER_READS = (0.1, 0.1)\n"
"""Lets an item that seems unchanged be read again soon: an old copy of it may have been read."""


def hurry() -> None:
    """Shorten the pauses and patience of a leader and a member in this process."""
    leader.POLL = member.POLL = 0.3
    leader.POLL_SOON = member.POLL_SOON = 0.1
    roster.SILENT = 4.0
    leader.SETTLE = member.SETTLE = 1.0  # type: ignore[attr-defined]
    member.BEAT, member.KNOWN, member.LEADERLESS = 1.0, 2.5, 2.0
