"""Relays over all workers, on both databases: breaker, probes, lessons, an operator's pause."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from newsletter.core.db import Sessions
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.core.sections import RelaySettings
from newsletter.sending import relays
from newsletter.sending.breaker import PROBE_WITHIN
from newsletter.sending.relays import LEARNED_FOR, Limits, RelayStatus, Usable

START = datetime(2026, 6, 17, 6, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def relay(name: str, **more: Any) -> RelaySettings:
    return RelaySettings(name=name, url=SecretStr("smtp://relay.example.org"), **more)


A, B = relay("a"), relay("b", connections=10, messages_per_connection=50)


def usable(sessions: Sessions, seconds: float) -> list[Usable]:
    with sessions.writing() as session:
        return relays.choose(session, [A, B], at(seconds))


def fault(sessions: Sessions, seconds: float, times: int = 1, *, ours: bool = False) -> bool:
    opened = False
    for _ in range(times):
        with sessions.writing() as session:
            opened = relays.faulted(session, "a", "421 no", at(seconds), is_configuration=ours)
    return opened


def success(sessions: Sessions, seconds: float) -> bool:
    with sessions.writing() as session:
        return relays.succeeded(session, "a", at(seconds))


def limits(sessions: Sessions, of: RelaySettings, moment: datetime) -> Limits:
    with sessions.reading() as session:
        return relays.limits(session, of, moment)


def status(sessions: Sessions, seconds: float) -> RelayStatus:
    with sessions.reading() as session:
        return relays.list_relays(session, [A, B], at(seconds))[0]


def test_relays_are_used_in_the_order_of_the_settings(sessions: Sessions) -> None:
    assert usable(sessions, 0) == [Usable(A), Usable(B)]
    assert not success(sessions, 0)
    assert not fault(sessions, 0, 4)
    assert usable(sessions, 0) == [Usable(A), Usable(B)]


def test_an_open_breaker_takes_a_relay_out_until_a_probe_succeeds(sessions: Sessions) -> None:
    assert fault(sessions, 0, 5)
    assert not fault(sessions, 1), "it is open already"
    assert usable(sessions, 29) == [Usable(B)]
    assert (status(sessions, 29).state, status(sessions, 29).reason) == ("open", "421 no")
    assert status(sessions, 29).until == at(30)
    assert usable(sessions, 31) == [Usable(A, is_probe=True), Usable(B)]
    assert usable(sessions, 31) == [Usable(B)], "one probe"
    assert status(sessions, 31).state == "probing"
    assert success(sessions, 32)
    assert not success(sessions, 33)
    assert usable(sessions, 33) == [Usable(A), Usable(B)]


def test_a_failed_probe_opens_it_again_for_longer(sessions: Sessions) -> None:
    assert fault(sessions, 0, ours=True)
    assert usable(sessions, 30)[0].is_probe
    assert fault(sessions, 31)
    assert usable(sessions, 90) == [Usable(B)]
    assert usable(sessions, 91)[0].is_probe


def test_a_probe_given_back_or_lost_is_somebody_elses(sessions: Sessions) -> None:
    fault(sessions, 0, 5)
    assert usable(sessions, 31)[0].is_probe
    with sessions.writing() as session:
        relays.give_back_probe(session, "a", at(31))
    assert usable(sessions, 31)[0].is_probe
    lost = 31 + PROBE_WITHIN.total_seconds()
    assert usable(sessions, lost - 1) == [Usable(B)]
    assert usable(sessions, lost)[0].is_probe


def test_over_all_workers_one_probes(sessions: Sessions) -> None:
    fault(sessions, 0, 5)
    together = threading.Barrier(8)
    granted: list[bool] = []

    def worker() -> None:
        together.wait()
        granted.extend(found.is_probe for found in usable(sessions, 31))

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert granted.count(True) == 1
    assert len(granted) == 9


def test_faults_of_many_workers_are_all_counted(sessions: Sessions) -> None:
    opened: list[bool] = []
    threads = [threading.Thread(target=lambda: opened.append(fault(sessions, 0))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened.count(True) == 1
    assert usable(sessions, 0) == [Usable(B)]


def test_what_was_learned_narrows_the_settings_for_a_day(sessions: Sessions) -> None:
    assert limits(sessions, B, START) == Limits(10, 50)
    with sessions.writing() as session:
        relays.learn_connections(session, "b", 6, START)
        relays.learn_connections(session, "b", 9, START)
        relays.learn_messages_per_connection(session, "b", 20, START)
        relays.learn_broken_pipelining(session, "b", START)
    assert limits(sessions, B, START) == Limits(5, 20, may_pipeline=False)
    assert limits(sessions, A, START) == Limits(4, None)
    later = START + LEARNED_FOR + timedelta(seconds=1)
    assert limits(sessions, B, later) == Limits(10, 50)
    with sessions.writing() as session:
        relays.learn_connections(session, "b", 8, later)
    assert limits(sessions, B, later) == Limits(7, 50), "old lessons do not come back"


def test_at_least_one_connection_and_one_message_remain(sessions: Sessions) -> None:
    with sessions.writing() as session:
        relays.learn_connections(session, "a", 1, START)
        relays.learn_messages_per_connection(session, "a", 0, START)
    assert limits(sessions, A, START) == Limits(1, 1)


def test_a_lesson_beyond_the_settings_changes_nothing(sessions: Sessions) -> None:
    with sessions.writing() as session:
        relays.learn_connections(session, "b", 90, START)
        relays.learn_messages_per_connection(session, "b", 900, START)
    assert limits(sessions, B, START) == Limits(10, 50)


def test_an_operator_pauses_and_resumes(sessions: Sessions) -> None:
    fault(sessions, 0, 5)
    with sessions.writing() as session:
        relays.learn_connections(session, "a", 3, START)
        relays.pause(session, "a", "moving house", START)
    with sessions.writing() as session, pytest.raises(RefusedError, match="paused already"):
        relays.pause(session, "a", "again", START)
    assert usable(sessions, 31) == [Usable(B)], "not even a probe"
    assert (status(sessions, 31).state, status(sessions, 31).reason) == ("paused", "moving house")
    with sessions.writing() as session:
        relays.resume(session, "a", at(32))
    assert usable(sessions, 32) == [Usable(A), Usable(B)]
    assert limits(sessions, A, at(32)) == Limits(4, None)


def test_a_rehearsed_pause_is_none(sessions: Sessions) -> None:
    with sessions.writing(rehearse=True) as session:
        relays.pause(session, "a", "", START)
    assert usable(sessions, 0) == [Usable(A), Usable(B)]


def test_a_relay_that_is_not_in_the_settings_is_named() -> None:
    assert relays.find_relay([A, B], "b") is B
    with pytest.raises(NotFoundError, match=r"no relay 'c'; in the settings there are: a, b"):
        relays.find_relay([A, B], "c")
