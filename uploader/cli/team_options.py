"""Options of several processes on one job, and the team that they make of the client."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from uploader.cli.context import state_dir
from uploader.cli.options import GlobalOptions, grouped, with_options
from uploader.cli.parameters import ParsedParam
from uploader.errors import Facts, PoolUnusable, UsageError

if TYPE_CHECKING:
    from uploader.cluster.scheduler import Share
    from uploader.transfer.client import Client
    from uploader.transfer.execution import Team


def _parse_share(text: str) -> str:
    from uploader.cluster.scheduler import parse_share

    parse_share(text, {})
    return text


def _parse_pool(text: str) -> str:
    kind, _, number = text.partition(":")
    if kind == "slurm" and number and not (number.isdecimal() and 1 <= int(number) <= _MAX_WORKERS):
        raise ValueError(f"invalid pool {text!r}; use e.g. slurm:4, with at most {_MAX_WORKERS} workers")
    return text


_MAX_WORKERS = 1000
_cluster = grouped("Many processes")
_OPTIONS = [
    _cluster("--join", is_flag=True,
             help="Work on the job together with the same command in other processes, on hosts that share the state "
                  "directory: one of them leads, the others send parts."),
    _cluster("--shard", metavar="I/N|auto", type=ParsedParam("share", _parse_share),
             help="With --join: begin with the I-th of N shares of the bytes. Only a preference: a process that is "
                  "done takes from the others. auto: the place of this task in its Slurm array or step."),
    _cluster("--dask", metavar="ADDRESS|slurm:N", type=ParsedParam("pool", _parse_pool),
             help="Let the workers of a Dask pool send parts, too: of the scheduler at this address, or N workers that "
                  "are submitted to Slurm now. Both sides need the extra figup[dask]."),
]  # fmt: skip


class Joining(msgspec.Struct, frozen=True):
    """Whether to join other processes, and with which share, or the address of a pool, as given."""

    join: bool
    shard: str | None
    dask: str | None

    @property
    def wanted(self) -> bool:
        """True if the same command in other processes may work on the job."""
        return self.join or self.shard is not None

    @property
    def _starts_workers(self) -> bool:
        return self.dask is not None and self.dask.partition(":")[0] == "slurm"

    def check(self, common: GlobalOptions, *, new_job: bool = False) -> None:
        """Raise UsageError for options that exclude each other, and for a state directory that is not shared."""
        if self.wanted and self.dask is not None:
            raise UsageError("a pool has one process that leads, so others cannot join it", facts=Facts("pool-or-join"))
        if self.wanted and new_job:
            raise UsageError(
                "a new job cannot be joined: every process would start its own", facts=Facts("new-job-joined")
            )
        if common.state_dir is None and (self.wanted or self._starts_workers):
            from uploader.cluster.team import check_shared

            otherwise = "each would start a separate job" if self.wanted else "workers there could not read their keys"
            check_shared(state_dir(common), otherwise)

    def apply(self, client: Client) -> None:
        """Make the client a member of the job's team, or the leader of a pool. Raises PoolUnusable."""
        if self.dask is not None:
            client.team = _pool(self.dask, client)
        if not self.wanted:
            return
        from uploader.cluster.scheduler import parse_share, share_of_task, task_name
        from uploader.cluster.team import JoinedTeam

        share: Share | None = parse_share(self.shard, os.environ) if self.shard is not None else None
        place = share_of_task(os.environ)
        client.team = JoinedTeam(
            may_lead=client.has_token,
            task=task_name(os.environ),
            share=share,
            tasks=place[1] if place is not None else 1,
        )


def _pool(address: str, client: Client) -> Team:
    try:
        from uploader.cluster.pool import PoolTeam
    except ImportError:
        raise PoolUnusable("figup's extra for Dask is not installed here", facts=Facts("no-dask")) from None
    return PoolTeam(address, client.settings)


def team_options(command: Callable[..., int]) -> Any:
    """Add the options of several processes on one job, as the argument `joining`."""

    @functools.wraps(command)
    def collected(*, join: bool, shard: str | None, dask: str | None, **values: Any) -> int:
        return command(joining=Joining(join, shard, dask), **values)

    return with_options(collected, _OPTIONS)
