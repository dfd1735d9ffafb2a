"""The fault matrix: every cell of `tests/FAULTS.md` is played, and ends as that page says."""

from __future__ import annotations

import pytest

from tests.support import matrix


@pytest.mark.timeout(900)
def test_every_request_under_every_fault(tmp_path_factory: pytest.TempPathFactory) -> None:
    results = matrix.play_all(matrix.cells(), tmp_path_factory.mktemp("matrix"), matrix.STAGES)
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
    cells = {cell.key[:2] for cell in matrix.cells()}
    assert {key[:2] for key in matrix.expected()} == cells


def test_a_passing_fault_that_strikes_once_is_always_ridden_out() -> None:
    passing = [
        "408", "425", "429", "429, Retry-After 1", "429, Retry-After a date", "500", "500, HTML", "502", "503",
        "503, Retry-After 1", "504", "reset before reading", "reset in mid-body", "done, answer lost",
        "done, answer cut", "hang before the answer", "hang in the answer", "nothing is read", "trickle",
        "invisible for a second", "locked for a while", "upload aborted", "upload lost",
    ]  # fmt: skip
    for (request, fault, how), outcome in matrix.expected().items():
        if how == "once" and fault in passing:
            assert outcome == "verified", (request, fault)


def test_what_is_never_done_is_never_called_verified() -> None:
    undone = ["500", "500, HTML", "502", "503", "504", "408", "425", "429", "400", "403", "409", "413", "422"]
    undone += ["200 with HTML", "firewall 202, empty", "firewall 403, empty", "firewall 403, HTML", "redirect"]
    undone += ["reset before reading", "token revoked"]
    for (request, fault, how), outcome in matrix.expected().items():
        if how == "every time" and fault in undone:
            assert outcome != "verified", (request, fault)
