"""The fault matrix: cells of `tests/FAULTS.md` are run and end as documented there; with `exhaustive`, all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import matrix, matrix_teams
from tests.support.matrix_cells import KINDS, REQUESTS, Cell, cells, sample
from tests.support.matrix_statuses import status

SHARES = 2
"""Number of tests that share the cells of the sample, so that several processes can run them."""
SHARES_OF_THE_OTHERS = 7
SHARES_OF_THE_TEAMS = 16


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("share", range(SHARES))
def test_every_request_under_every_kind_of_fault(share: int, tmp_path: Path) -> None:
    check(list(sample())[share::SHARES], tmp_path)


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("share", range(SHARES_OF_THE_OTHERS))
def test_every_request_under_every_other_fault(share: int, tmp_path: Path) -> None:
    known = {cell.key for cell in sample()}
    check([cell for cell in cells() if cell.key not in known][share::SHARES_OF_THE_OTHERS], tmp_path)


def check(dealt: list[Cell], folder: Path) -> None:
    """Run these cells. Raise AssertionError with all that did not end as documented."""
    results = matrix.play_all(dealt, folder, matrix.STAGES)
    outcomes = {key: result.outcome for key, result in results.items()}
    held_to = matrix.expected()
    wrong = [
        f"{' / '.join(key)}: {outcome}, and the page says {held_to.get(key)}\n    {results[key].message}"
        for key, outcome in outcomes.items()
        if outcome != held_to.get(key)
    ]
    assert not wrong, "\n".join(wrong)
    assert held_to.keys() >= outcomes.keys()


def test_the_sample_has_every_row_with_many_kinds_of_faults_and_every_fault_both_ways() -> None:
    played = list(sample())
    for request in REQUESTS:
        met = {cell.fault for cell in played if cell.request == request}
        possible = [kind for kind in KINDS if not request.faults.keys().isdisjoint(kind)]
        count = sum(not met.isdisjoint(kind) for kind in possible)
        assert count >= len(possible) // request.step, request.title
    for kind in KINDS:
        assert any(cell.fault in kind for cell in played if cell.request.is_in_memory)
    assert {(cell.fault, cell.often) for cell in played} == {(cell.fault, cell.often) for cell in cells()}
    assert len(played) == len({cell.key for cell in played})


def test_the_page_has_every_cell_and_no_other() -> None:
    assert {key[:2] for key in matrix.expected()} == {cell.key[:2] for cell in cells()}


def test_the_page_contains_the_handwritten_expectations() -> None:
    rows = {row.title: row for row in REQUESTS}
    wrong = {
        key: f"{outcome}, not {wanted}"
        for key, outcome in matrix.expected().items()
        if matrix.exit_status(outcome) != (wanted := status(rows[key[0]], *key[1:]))
    }
    assert not wrong


def test_the_retry_time_is_capped_as_configured(tmp_path: Path) -> None:
    tries, spans = [], []
    with matrix.stages(tmp_path, 1) as (stage,):
        for cap in (0.5, 3.0):
            order = stage.order(f"{cap} s")
            order.retry_timeout = cap
            outcome, met, span = stage.attempts(order, "get-item:every=503")
            assert (outcome.exit_status, outcome.error.partition(":")[0]) == (75, "server-failing")
            assert outcome.seconds < 40 * cap
            tries.append(met)
            spans.append(span)
    assert 1 < tries[0] < tries[1] < 12
    assert spans[1] > 0.5, "longer than the first was allowed to"


@pytest.mark.timeout(1200)
def test_two_processes_of_one_job_under_some_faults(tmp_path: Path) -> None:
    senders = matrix_teams.play_all(matrix_teams.team_sample(), tmp_path, matrix.STAGES)
    assert senders[2] > senders[1] / 2, senders


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", range(SHARES_OF_THE_TEAMS))
def test_two_processes_of_one_job_under_every_fault(share: int, tmp_path: Path) -> None:
    dealt = list(matrix_teams.team_cells())[share::SHARES_OF_THE_TEAMS]
    assert matrix_teams.play_all(dealt, tmp_path, matrix.STAGES)[2] > 0
