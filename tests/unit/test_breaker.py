"""The breaker of a relay, move by move."""

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.sending.breaker import (
    FIRST_OPEN_FOR,
    LONGEST_OPEN_FOR,
    PROBE_WITHIN,
    Breaker,
    BreakerState,
)

START = datetime(2026, 6, 17, 6, tzinfo=UTC)
S = BreakerState


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def faulted(breaker: Breaker, *seconds: float) -> Breaker:
    for moment in seconds:
        breaker = breaker.after_fault(at(moment), "421", is_configuration=False)
    return breaker


OPENED = faulted(Breaker(), 0, 0, 0, 0, 0)


def test_the_fifth_fault_within_thirty_seconds_opens_it() -> None:
    four = faulted(Breaker(), 0, 10, 20, 29)
    assert four.state(at(29)) is S.CLOSED
    five = faulted(four, 30)
    assert five.state(at(30)) is S.OPEN
    assert five.until == at(30) + FIRST_OPEN_FOR
    assert five.reason == "421"


def test_faults_far_apart_do_not() -> None:
    breaker = faulted(Breaker(), *range(0, 1000, 8))
    assert breaker.state(at(1000)) is S.CLOSED


def test_one_fault_of_our_configuration_opens_it_at_once() -> None:
    breaker = Breaker().after_fault(START, "535", is_configuration=True)
    assert breaker.state(START) is S.OPEN


def test_what_is_still_under_way_when_it_opens_changes_nothing() -> None:
    assert faulted(OPENED, 1, 2, 3, 4, 5, 6) == OPENED
    assert OPENED.after_success(at(1)) == OPENED


def test_after_its_time_one_may_probe_and_a_success_closes_it() -> None:
    assert OPENED.state(at(30)) is S.HALF_OPEN
    probing = OPENED.granted(at(31))
    assert probing.state(at(32)) is S.PROBING
    assert probing.after_success(at(32)) == Breaker()


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_ten_minutes() -> None:
    breaker, moment, lengths = OPENED, 0.0, []
    for _ in range(7):
        assert breaker.until is not None
        lengths.append((breaker.until - at(moment)).total_seconds())
        moment = (breaker.until - START).total_seconds()
        breaker = faulted(breaker.granted(at(moment)), moment)
    assert lengths == [30, 60, 120, 240, 480, 600, LONGEST_OPEN_FOR.total_seconds()]


def test_a_probe_that_is_never_heard_of_again_does_not_lock_the_relay_for_ever() -> None:
    probing = OPENED.granted(at(31))
    assert probing.state(at(31) + PROBE_WITHIN) is S.HALF_OPEN


@pytest.mark.parametrize("breaker", [Breaker(), faulted(Breaker(), 0, 1)])
def test_a_success_leaves_a_closed_one_as_it_is(breaker: Breaker) -> None:
    assert breaker.after_success(at(2)) == breaker
