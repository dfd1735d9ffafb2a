"""The context shared by all parts of a run: service, state, journal, lock, options, listener, counters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import anyio
import msgspec

from uploader.clock import Clock
from uploader.concurrency import StorageSlots
from uploader.errors import ServerFailing
from uploader.figshare.models import Part
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.retry import Backoff
from uploader.figshare.settings import RetryPolicy
from uploader.items.reconcile import GONE_AFTER, once_visible
from uploader.sources.source import FileStamp
from uploader.system import descriptor_share
from uploader.transfer.journal.events import AnyEvent, Archive, FileEvent, PartSent
from uploader.transfer.journal.lifecycle import Transfer
from uploader.transfer.journal.log import Journal
from uploader.transfer.journal.state import JobState
from uploader.transfer.journal.sync_facts import keep_on_record
from uploader.transfer.notices import Listener, Retrying
from uploader.transfer.options import Options
from uploader.transfer.run.deadline import DeadlinePolicy
from uploader.transfer.run.listing import RemoteListing, visible_within
from uploader.transfer.run.placement import report_reading_again
from uploader.transfer.run.progress import ProgressTracker
from uploader.transfer.run.service import Service
from uploader.transfer.run.stop import Stop
from uploader.transfer.run.throttle import Throttle
from uploader.transfer.store.archives import Archives
from uploader.transfer.store.jobs import JobStore
from uploader.transfer.store.lock import JobLock
from uploader.transfer.store.places import PlaceLog

T = TypeVar("T")

REREADING = 4
"""Sources that are read again at the same time."""
OPEN_SOURCES = 48
"""Maximum number of open sources: more than connections, so that these need not wait."""
_OPEN_SHARE, _EXAMINED_SHARE, _TURNS_SHARE = 0.2, 0.15, 0.1
"""Fractions of the free descriptors for open sources, for sources being checked, and for locks of files to start."""
_EXAMINED = 32
"""Maximum number of sources being checked, each open briefly."""
_TURNS = 64
"""Maximum number of files being started, each with a lock file open."""


class StartedElsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """A file that another job here has started. `path` is its remote path, or a link's address.

    `file_id` is None if it is not known yet.
    """

    job: str
    path: str
    file_id: int | None
    unfinished: bool


@dataclass(kw_only=True, eq=False, repr=False)
class JobRun:
    """One run of one job. `job` is its name; `retry` governs what a run itself retries, such as parts."""

    job: str
    api: Service
    states: JobStore
    state: JobState
    journal: Journal
    lock: JobLock
    options: Options
    retry: RetryPolicy
    notify: Listener
    stop: Stop
    clock: Clock
    throttle: Throttle
    deadline: DeadlinePolicy = field(default_factory=lambda: DeadlinePolicy(None))
    wanted_archives: Mapping[int, Archive] = field(default_factory=dict)
    """See `Archives.wanted`."""
    progress: ProgressTracker = field(init=False)
    listing: RemoteListing = field(init=False)
    rereading: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(REREADING))
    """Limits sources that are read again to be compared."""
    open_sources: anyio.Semaphore = field(
        default_factory=lambda: anyio.Semaphore(descriptor_share(OPEN_SOURCES, _OPEN_SHARE))
    )
    """Limits open sources, and so digest threads."""
    source_slots: StorageSlots = field(init=False)
    """Limits threads that check a source."""
    turns: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(descriptor_share(_TURNS, _TURNS_SHARE)))
    """Limits open locks of files that are being started."""
    learning_address: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while the item's address is requested."""
    looking_again: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while the item is listed again because another job has started something in it."""
    started_elsewhere: dict[str, list[StartedElsewhere]] = field(default_factory=dict)
    """Files started by other jobs here since the item was listed, by place."""
    named_files: set[int] = field(default_factory=set)
    """Remote files that a warning of this run has named."""
    verified: set[int] = field(default_factory=set)
    """Transfers sent and verified in this run: not every copy of the server's data has their files yet."""
    confirmed: dict[int, FileStamp] = field(default_factory=dict)
    """States of sources in which they were found to be what was verified, where these differ from the record."""
    reported: dict[int, dict[int, int]] = field(default_factory=dict)
    """xxh3 of parts that other processes sent for an earlier run, by remote file and part number."""
    account: int | None = None
    """The id of the account that this run acts for; None until it was requested."""
    created_item: bool = False
    """True if this run created the job's item, so that nobody can rely on it yet."""
    md5_required: bool | None = None
    """Whether Figshare requires an MD5 to initiate; None while unknown."""
    described: bool = False
    """True once this run changed the item's metadata."""
    unseen_until: float | None = None
    """Until when (monotonic seconds) own files that the item does not show may still appear; None before the closing
    check.
    """
    item_is_public: bool = False
    """True once a closing check found the item published, by this job or otherwise."""

    def __post_init__(self) -> None:
        self.progress = ProgressTracker(self.state.active)
        self.source_slots = StorageSlots(descriptor_share(_EXAMINED, _EXAMINED_SHARE), self.clock)
        # Of a verified file, too, a recovered journal may have lost which ones it replaces.
        everything = self.options.restart_changed or self.state.recovered
        settle = self.options.settle_timeout
        self.listing = RemoteListing(
            self.api, self.state, self.clock, everything=everything, settle=settle, report=self._report_unplaced
        )

    def _report_unplaced(self, seconds: float) -> None:
        report_reading_again(self.notify, self.item_id, seconds)

    def record(self, event: AnyEvent) -> None:
        """Apply an event and write it with the next group."""
        self.state.apply(event)
        self.journal.record(event)

    def part_done(self, transfer: Transfer, part: Part, xxh3: int | None) -> None:
        """Record that the upload service has a part; `xxh3` is None if this run did not send it."""
        if xxh3 is not None:
            self.record(PartSent(transfer.index, no=part.no, xxh3=xxh3))

    async def commit(self, event: AnyEvent) -> None:
        """Apply an event that must be on disk before anything else is done.

        Raises StateDiskFull, StateLost, and JobBusy if another machine has taken over the job.
        """
        await self.lock.check()
        self.record(event)
        kept = self.journal.kept
        kept.item, kept.account = self.state.created_item, self.state.creating_account
        kept.publishing = self.state.last_publish_intent
        if isinstance(event, FileEvent):
            keep_on_record(kept.files, self.state.transfers[event.file], recovered=self.state.recovered)
        await self.journal.commit()

    async def commit_intent(self, intent: AnyEvent) -> None:
        """Commit an intent, directly before its request. Raises as `commit` does."""
        await self.commit(intent)
        # The process may have been suspended while the intent was written.
        await self.lock.check()

    async def send_intended(self, intent: Callable[[], AnyEvent], send: Callable[[OnTurn], Awaitable[T]]) -> T:
        """Send a request and commit its intent once the request budget allows it; return the result of `send`.

        Thus the intent is on disk before the request and has its time. A stop interrupts only the first wait for the
        budget. Before the request is repeated, the lease is checked again. Raises Stopped, and what `commit` and `send`
        raise.
        """
        with self.stop.interruptible() as proceed:
            committed = False

            async def on_turn() -> None:
                nonlocal committed
                if committed:
                    await self.lock.check()
                    return
                proceed()
                committed = True
                await self.commit_intent(intent())

            return await send(on_turn)

    async def once_visible(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask for the job's item. Raises ItemNotFound after the time that `visible_within` gives."""
        return await once_visible(ask, visible_within(self.api, self.state, self.options.settle_timeout), self.clock)

    @property
    def gone_after(self) -> float:
        """Seconds for which something seen before must be missing to count as gone."""
        return min(GONE_AFTER, self.options.settle_timeout)

    def new_backoff(self) -> Backoff:
        """Make the pauses of one operation, capped by the retry timeout."""
        return Backoff(self.retry, self.clock.random)

    async def wait_to_try_again(self, backoff: Backoff, reason: str, *, retry_after: float | None = None) -> None:
        """Report `reason`, then wait. Raises ServerFailing when the retry time is used up, and Stopped."""
        delay = backoff.next_delay(retry_after, self.clock.monotonic())
        if delay is None:
            isolated = backoff.since is not None and self.api.answered > backoff.since
            raise ServerFailing(f"{reason}; given up after retrying for some time", isolated=isolated)
        self.notify(Retrying(reason, delay))
        with self.stop.interruptible():
            await self.clock.sleep(delay)

    @property
    def endpoint(self) -> str:
        """The API that the job talks to."""
        return self.state.plan.endpoint

    @cached_property
    def archives(self) -> Archives:
        """The archives that the job sends."""
        return self.states.archives(self.job, self.lock.still_held, self.wanted_archives, self.options.packing)

    @cached_property
    def places(self) -> PlaceLog:
        """The turns to start remote files in the job's item, once that is known."""
        return PlaceLog(self.states.path / "places", self.states.disk, self.job, self.endpoint, self.item_id)

    @property
    def item_id(self) -> int:
        """The job's item, once it is known."""
        if self.state.item_id is None:
            raise RuntimeError("the item is unknown")
        return self.state.item_id
