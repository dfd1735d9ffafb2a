"""Options of several processes on one job, and the team that they make of the client."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uploader.cli.context import state_dir
from uploader.cli.options import GlobalOptions, ParsedParam, grouped, with_options
from uploader.errors import Facts, UsageError

if TYPE_CHECKING:
    from uploader.cluster.share import Share
    from uploader.transfer.client import Client


def _parse_share(text: str) -> str:
    from uploader.cluster.share import parse_share

    parse_share(text, {})
    return text


_cluster = grouped("Many processes")
_OPTIONS = [
    _cluster("--join", is_flag=True,
             help="Work on the job together with the same command in other processes, on hosts that share the state "
                  "directory: one of them leads, the others send parts."),
    _cluster("--shard", metavar="I/N|auto", type=ParsedParam("share", _parse_share),
             help="With --join: begin with the I-th of N shares of the bytes. Only a preference: whoever is done first "
                  "takes from the others. auto: the place of this task in its Slurm array or step."),
]  # fmt: skip


@dataclass(frozen=True)
class Joining:
    """Whether to join other processes, and with which share, as given."""

    join: bool
    shard: str | None

    @property
    def wanted(self) -> bool:
        """True if other processes may work on the job."""
        return self.join or self.shard is not None

    def check(self, common: GlobalOptions, *, new_job: bool = False) -> None:
        """Raise UsageError for options that exclude each other, and for a state directory that is not shared."""
        if not self.wanted:
            return
        if new_job:
            raise UsageError(
                "a new job cannot be joined: every process would start its own", facts=Facts("new-job-joined")
            )
        if common.state_dir is None:
            from uploader.cluster.team import check_shared

            check_shared(state_dir(common))

    def apply(self, client: Client) -> None:
        """Make the client a member of the job's team."""
        if not self.wanted:
            return
        from uploader.cluster.share import parse_share, task_name
        from uploader.cluster.team import JoinedTeam

        share: Share | None = parse_share(self.shard, os.environ) if self.shard is not None else None
        client.team = JoinedTeam(may_lead=client.has_token, task=task_name(os.environ), share=share)


def team_options(command: Callable[..., int]) -> Any:
    """Add the options of several processes on one job, as the argument `joining`."""

    @functools.wraps(command)
    def collected(*, join: bool, shard: str | None, **values: Any) -> int:
        return command(joining=Joining(join, shard), **values)

    return with_options(collected, _OPTIONS)
