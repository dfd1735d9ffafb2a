"""The fault matrix of a team: two processes with `--join` under every fault of the upload of a file.

The leader makes all requests but those to the upload service, which both make. A fault that strikes one may leave the
other to finish the job, so each ends as documented for one process, or verified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.crashing import Crasher, Order, Outcome
from tests.support.matrix import Stage
from tests.support.matrix_cells import Cell, cells, sample
from tests.support.matrix_statuses import status


class TeamStage(Stage):
    """A stage whose uploads have two processes. Parts take some time, so that both send some."""

    options = f"{Stage.options} --part-size 100KiB --connection-rate 200KB"

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self._second = Crasher()
        self.senders: Counter[int] = Counter()
        """Number of first runs of a cell by the number of processes that sent parts."""

    def close(self) -> None:
        self._second.close()
        super().close()

    def order(self, name: str) -> Order:
        order = super().order(name)
        order.join, order.connections = True, 2
        return order

    def upload(self, order: Order) -> list[Outcome]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda crasher: crasher.upload(order), (self._crasher, self._second)))

    def check(self, cell: Cell) -> None:
        """Run a cell. Raises AssertionError with it if it did not end as documented."""
        outcomes = self.run(cell)
        self.senders[sum("after PUT part" in outcome.points for outcome in outcomes)] += 1
        wanted = status(cell.request, cell.fault, cell.key[2])
        # A process asks for a part before it sends it if another one had it: it meets the fault every time.
        allowed = {wanted, 0, *([75] if cell.often and cell.request.kind == "get-part" else [])}
        # The other process may see before its first request that the quota is full.
        allowed |= {6} if cell.fault == "quota full" else set()
        got = [(outcome.exit_status, outcome.error) for outcome in outcomes]
        assert {status for status, _ in got} <= allowed, f"{cell.key}: {got}, and the page says {wanted}"


def team_cells() -> Iterator[Cell]:
    """All cells in which a file is uploaded."""
    yield from (cell for cell in cells() if not cell.request.link and not cell.request.cancel)


def team_sample() -> list[Cell]:
    """A cell of each row of the upload of a file to a new item, with faults of different kinds."""
    possible = {cell.key for cell in team_cells()}
    rows: dict[str, list[Cell]] = {}
    for cell in sample():
        if cell.key in possible and cell.request.all_faults and not cell.request.given:
            rows.setdefault(cell.request.title, []).append(cell)
    return [row[number % len(row)] for number, row in enumerate(rows.values())]


def play_all(some: Iterable[Cell], folder: Path, count: int) -> Counter[int]:
    """Run cells on several stages at once; `TeamStage.senders`. Raises all AssertionErrors after the last cell."""
    todo = list(some)
    wrong: list[str] = []
    stages: list[TeamStage] = []

    def play_every(number: int) -> None:
        for cell in todo[number::count]:
            try:
                stages[number].check(cell)
            except AssertionError as error:
                wrong.append(str(error))
        try:
            stages[number].check_all()
        except AssertionError as error:
            wrong.append(str(error))

    try:
        stages.extend(TeamStage(folder, str(number)) for number in range(count))
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(play_every, range(count)))
    finally:
        for stage in stages:
            stage.close()
    assert not wrong, "\n".join(wrong)
    return sum((stage.senders for stage in stages), Counter[int]())
