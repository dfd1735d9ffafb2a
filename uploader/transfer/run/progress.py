"""Progress of a run and of each file, at a cost per update that does not depend on the number of files."""

from __future__ import annotations

from collections.abc import Iterable

from uploader.clock import RecentRate
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.notices import ActiveFile, Member, Progress
from uploader.transfer.run.limits import REQUESTS_A_FILE

SHOWN_FILES = 8
"""Maximum number of files listed in `Progress`."""


class FileProgress:
    """Progress of one file: `present` bytes are on Figshare, `in_flight` bytes are being sent."""

    __slots__ = (
        "_done", "_meter", "_transfer", "in_flight", "inspected", "parts_found", "parts_sent", "present", "waiting",
    )  # fmt: skip

    def __init__(self, meter: ProgressTracker, transfer: Transfer) -> None:
        self._meter = meter
        self._transfer = transfer
        self._done = self.present = transfer.size if transfer.state is State.VERIFIED else 0
        self.in_flight = 0
        self.parts_found = 0
        self.parts_sent = 0
        self.waiting = False
        self.inspected = False

    def set_present(self, there: int) -> None:
        """Set the bytes that Figshare has."""
        self.present = there
        self._update()

    def add_in_flight(self, count: int) -> None:
        """Adjust the bytes in flight by `count`, which may be negative."""
        self.in_flight += count
        self._update()

    def part_done(self, count: int, *, sent: bool) -> None:
        """Count a part that Figshare has; `sent` if this run sent it."""
        self.present += count
        if sent:
            self.parts_sent += 1
            self._meter.bytes_sent += count
        self._update()

    def restart(self) -> None:
        """Restart the file from zero."""
        self.present = self.in_flight = 0
        self.waiting = False
        self._update()

    def verified(self) -> None:
        """Count the file as finished."""
        self._meter.files_done += 1
        self.set_present(self._transfer.size)

    def begin(self) -> None:
        """Mark the file as active."""
        self._meter.active[self._transfer.index] = self

    def end(self) -> None:
        """Mark the file as no longer active."""
        self._meter.active.pop(self._transfer.index, None)
        if self._transfer.state is State.VERIFIED:
            self._meter.keep_parts(self._transfer.index, self)

    def snapshot(self) -> ActiveFile:
        """Return the file's progress."""
        transfer = self._transfer
        return ActiveFile(
            path=transfer.path, name=transfer.name, size=transfer.size, bytes_done=self._done, waiting=self.waiting
        )

    @property
    def requests_done(self) -> int:
        """How many of a file's two requests (initiate, complete) were answered."""
        transfer = self._transfer
        if transfer.state is State.COMPLETED:
            return REQUESTS_A_FILE
        return 0 if transfer.file_id is None else 1

    def _update(self) -> None:
        done = min(self._transfer.size, self.present + self.in_flight)
        self._meter.bytes_done += done - self._done
        self._done = done


class ProgressTracker:
    """Progress of all files of a run."""

    def __init__(self, transfers: Iterable[Transfer]) -> None:
        self._files: dict[int, FileProgress] = {}
        """Progress of the files that this run has begun and not verified yet."""
        self._parts: dict[int, tuple[int, int]] = {}
        """Part counts of the files that were inspected and verified in this run: see `parts`."""
        self._rate = RecentRate()
        self.active: dict[int, FileProgress] = {}
        self.files_total = self.files_done = self.bytes_total = self.bytes_done = 0
        for transfer in transfers:
            self.files_total += 1
            self.bytes_total += transfer.size
            if transfer.state is State.VERIFIED:
                self.files_done += 1
                self.bytes_done += transfer.size
        self.files_failed = 0
        """Files that have failed in this run."""
        self.bytes_sent = 0
        """Bytes that this run sent and Figshare accepted."""
        self.accepted = 0
        """Bytes handed to the network in this run, repeated ones included."""
        self.elsewhere = 0
        """Bytes that other processes sent for this run."""
        self.busy = 0
        """Connections that are sending a part."""
        self.in_flight = self.unsent = 0
        """Bytes of the parts that are being sent: those handed to the network, and the others."""

    def file(self, transfer: Transfer) -> FileProgress:
        """Return the progress of one file."""
        found = self._files.get(transfer.index)
        if found is None:
            found = self._files[transfer.index] = FileProgress(self, transfer)
            if transfer.index in self._parts:
                found.inspected = True
                found.parts_found, found.parts_sent = self._parts.pop(transfer.index)
        return found

    def keep_parts(self, index: int, file: FileProgress) -> None:
        """Reduce a verified file's record to what `parts` returns."""
        self._files.pop(index, None)
        if file.inspected:
            self._parts[index] = file.parts_found, file.parts_sent

    def parts(self, transfer: Transfer) -> tuple[int, int]:
        """Return how many parts of a file were present when this run first asked, and how many it sent."""
        file = self._files.get(transfer.index)
        return (file.parts_found, file.parts_sent) if file is not None else self._parts.get(transfer.index, (0, 0))

    def replaced(self, transfer: Transfer, before: int) -> None:
        """Adjust the total for a source whose size was `before`."""
        self.bytes_total += transfer.size - before

    def sample(self, now: float) -> float | None:
        """Recent bytes per second; None before anything was sent. Call regularly; `now` is monotonic."""
        passed = self.accepted + self.elsewhere
        rate = self._rate.sample(now, passed)
        return rate if passed else None

    def progress(self, now: float, *, request_rate: float | None = None, members: tuple[Member, ...] = ()) -> Progress:
        """Return the job's progress. `request_rate`: requests per second, if some wait for the budget; else None."""
        rate, requests = self.sample(now), self._requests_left()
        return Progress(
            bytes_done=self.bytes_done,
            bytes_total=self.bytes_total,
            files_done=self.files_done,
            files_total=self.files_total,
            rate=rate,
            connections=self.busy,
            active=tuple(file.snapshot() for file in self._by_interest()),
            bytes_sent=self.accepted + self.elsewhere,
            request_rate=request_rate if self._is_held(request_rate, requests, rate) else None,
            requests_left=requests,
            requests_total=REQUESTS_A_FILE * self.files_total,
            files_failed=self.files_failed,
            members=members,
        )

    def _requests_left(self) -> int:
        """Return the requests that the files still need, of two each."""
        done = sum(file.requests_done for file in self.active.values())
        return max(0, REQUESTS_A_FILE * (self.files_total - self.files_done) - done)

    def _is_held(self, request_rate: float | None, requests: int, rate: float | None) -> bool:
        """Return True if the requests left take longer than the bytes left."""
        if request_rate is None:
            return False
        left = self.bytes_total - self.bytes_done
        return not rate or requests / request_rate > left / rate

    def _by_interest(self) -> list[FileProgress]:
        """Active files: first those with bytes in flight, then those waiting for Figshare, then the rest."""
        ranks: tuple[list[FileProgress], ...] = ([], [], [])
        for file in self.active.values():
            ranks[0 if file.in_flight else 1 if file.waiting else 2].append(file)
            if len(ranks[0]) >= SHOWN_FILES:
                break
        return [file for rank in ranks for file in rank][:SHOWN_FILES]
