"""The fault matrix: every cell of `tests/FAULTS.md` is played, and ends as that page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import matrix
from tests.support.matrix_cells import REQUESTS, cells
from tests.support.matrix_statuses import status

SHARES = 7
"""Tests that the cells are dealt to, so that they can be played in several processes."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", range(SHARES))
def test_every_request_under_every_fault(share: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    dealt = list(cells())[share::SHARES]
    results = matrix.play_all(dealt, tmp_path_factory.mktemp("matrix"), matrix.STAGES)
    outcomes = {key: result.outcome for key, result in results.items()}
    held_to = matrix.expected()
    wrong = [
        f"{' / '.join(key)}: {outcome}, and the page says {held_to.get(key)}\n    {results[key].message}"
        for key, outcome in outcomes.items()
        if outcome != held_to.get(key)
    ]
    assert not wrong, "\n".join(wrong)
    assert held_to.keys() >= outcomes.keys()


def test_the_page_has_every_cell_and_no_other() -> None:
    assert {key[:2] for key in matrix.expected()} == {cell.key[:2] for cell in cells()}


def test_what_the_page_says_is_what_was_written_down_by_hand() -> None:
    rows = {row.title: row for row in REQUESTS}
    wrong = {
        key: f"{outcome}, not {wanted}"
        for key, outcome in matrix.expected().items()
        if matrix.exit_status(outcome) != (wanted := status(rows[key[0]], *key[1:]))
    }
    assert not wrong


def test_the_retry_time_is_capped_where_it_was_told_to_be(tmp_path: Path) -> None:
    tries, spans = [], []
    with matrix.stages(tmp_path, 1) as (stage,):
        for cap in (0.5, 3.0):
            order = stage.order(f"{cap} s")
            order.retry_timeout = cap
            outcome, met, span = stage.attempts(order, "get-item:every=503")
            assert (outcome.exit_status, outcome.error.partition(":")[0]) == (75, "server-failing")
            assert outcome.seconds < 10 * cap
            tries.append(met)
            spans.append(span)
    assert 1 < tries[0] < tries[1] < 12
    assert spans[1] > 0.5, "longer than the first was allowed to"
