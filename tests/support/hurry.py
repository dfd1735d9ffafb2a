"""Makes the processes of a team notice within a second what takes them up to a minute on a cluster."""

from __future__ import annotations

from uploader.cluster import leader, member, roster

SOON = "from tests.support.hurry import hurry\nhurry()\n"
"""The same, for a process that runs this when it starts: see `Figup.plug` and `tests.support.environment.plugged`."""


def hurry() -> None:
    """Shorten the pauses and patience of a leader and a member in this process."""
    leader.POLL = member.POLL = 0.3
    leader.POLL_SOON = member.POLL_SOON = 0.1
    roster.SILENT, leader.SETTLE = 4.0, 1.0
    member.BEAT, member.KNOWN, member.LEADERLESS = 1.0, 2.5, 2.0
