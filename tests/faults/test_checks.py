"""The judge is judged: each invariant notices what breaks it, and nothing else."""

from collections.abc import Sequence

import pytest

from tests.faults.checks import LedgerRow, Observed, beyond_rate

_ADA, _BOB, _CYD = "ada@example.org", "bob@example.org", "cyd@example.org"


def observed(accepted: Sequence[str], bound: int = 0, **states: str) -> Observed:
    """Three recipients; `ada="failed"` says how a row ended, all others are accepted."""
    ledger = [
        LedgerRow(who, states.get(who[:3], "accepted"), "a reason") for who in (_ADA, _BOB, _CYD)
    ]
    counts = {s: sum(row.state == s for row in ledger) for s in ("accepted", "failed", "in_doubt")}
    shown = {**counts, "skipped": 0, "gap": 0, "accounting": ""}
    return Observed([_ADA, _BOB, _CYD], accepted, ledger, shown, bound)


def test_a_run_without_a_fault_breaks_nothing() -> None:
    run = observed([_ADA, _BOB, _CYD])
    assert (run.doubled(), run.lost(), run.violations()) == ([], [], [])


def test_a_second_message_is_one_doubled() -> None:
    run = observed([_ADA, _BOB, _CYD, _BOB])
    assert (run.doubled(), run.lost()) == ([_BOB], [])
    assert run.violations() == [f"I1 accepted twice: 1, such as {_BOB}"]


def test_who_is_only_said_to_have_got_it_is_lost() -> None:
    run = observed([_ADA, _BOB])
    assert run.lost() == [_CYD]
    assert run.violations() == [f"I3 said to be accepted, and was not: 1, such as {_CYD}"]


@pytest.mark.parametrize("state", ["failed", "skipped", "in_doubt"])
def test_who_ended_with_a_reason_is_not_lost(state: str) -> None:
    assert observed([_ADA, _BOB], cyd=state).lost() == []


@pytest.mark.parametrize("state", ["pending", "claimed", "sending"])
def test_who_still_waits_is_lost(state: str) -> None:
    run = observed([_ADA, _BOB], cyd=state)
    assert run.lost() == [_CYD]
    assert f"I2 not terminal: 1, such as {_CYD}" in run.violations()


def test_a_failure_that_was_accepted_is_noticed() -> None:
    broken = observed([_ADA, _BOB, _CYD], cyd="failed").violations()
    assert f"I4 accepted, though failed or skipped: 1, such as {_CYD}" in broken


def test_more_in_doubt_than_the_fault_allows_is_noticed() -> None:
    assert observed([_ADA, _BOB], cyd="in_doubt").violations() == ["I6 1 in doubt, bound 0"]
    assert observed([_ADA, _BOB], bound=1, cyd="in_doubt").violations() == []


def test_a_recipient_without_a_row_is_noticed() -> None:
    run = observed([_ADA, _BOB, _CYD])
    fewer = Observed(run.recipients, run.accepted, run.ledger[:2], run.shown)
    assert f"I5 not in the ledger: 1, such as {_CYD}" in fewer.violations()


def test_a_rate_is_kept_with_its_burst_and_not_without() -> None:
    steady = [n / 10 for n in range(50)]
    assert beyond_rate(steady, per_second=10, burst=1) == 0
    at_once = [0.0] * 5
    assert beyond_rate(at_once, per_second=10, burst=5) == 0
    assert beyond_rate(at_once, per_second=10, burst=3) == 2
