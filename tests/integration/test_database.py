"""Transactions: who commits, what runs afterwards, and how two writers share one SQLite file."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from newsletter.core.clock import now
from newsletter.core.db import Sessions, after_commit
from newsletter.core.doorbell import ring_after_commit
from newsletter.core.tables import database_now
from newsletter.sending import leases
from subscribers.models import Subscriber
from tests import factories


def people(sessions: Sessions) -> int:
    with sessions.reading() as session:
        return len(session.scalars(select(Subscriber.id)).all())


def test_a_block_that_raises_leaves_nothing_behind(sessions: Sessions) -> None:
    def interrupted() -> None:
        with sessions.writing() as session:
            factories.person(session, "ada@example.org")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert people(sessions) == 0


def test_the_bell_rings_after_the_commit_and_never_without(sessions: Sessions) -> None:
    heard: list[tuple[int, int]] = []
    sessions.ring = lambda work: heard.append((work, people(sessions)))
    with sessions.writing() as session:
        factories.person(session, "ada@example.org")
        ring_after_commit(session, 7)
        assert heard == []
    assert heard == [(7, 1)]
    with sessions.writing(rehearse=True) as session:
        after_commit(session, lambda: heard.append((0, 0)))
        bob = factories.person(session, "bob@example.org")
    assert (heard, people(sessions)) == ([(7, 1)], 1)
    assert bob.email == "bob@example.org", "what was read stays readable"


def test_times_are_kept_in_utc_whatever_zone_they_come_in(sessions: Sessions) -> None:
    berlin = timezone(timedelta(hours=2))
    with sessions.writing() as session:
        ada = factories.person(session, "ada@example.org")
        ada.created_at = datetime(2026, 6, 17, 8, tzinfo=berlin)
    with sessions.reading() as session:
        assert session.scalars(select(Subscriber.created_at)).one() == datetime(
            2026, 6, 17, 6, tzinfo=UTC
        )
    naive = datetime(2026, 6, 17, 8)  # noqa: DTZ001 - what is refused
    with sessions.reading() as session, pytest.raises(StatementError, match="naive"):
        session.scalars(select(Subscriber).where(Subscriber.created_at == naive))


def test_the_databases_clock_is_ours_within_a_minute(sessions: Sessions) -> None:
    with sessions.reading() as session:
        moment, later = session.execute(select(database_now(), database_now(90))).one()
    assert abs(moment - now()) < timedelta(minutes=1)
    assert timedelta(seconds=89) < later - moment < timedelta(seconds=91)


def test_leases_are_given_by_the_databases_clock(sessions: Sessions) -> None:
    with (
        time_machine.travel(now() - timedelta(hours=1)),
        leases.hold(sessions, "sender", 60) as held,
        leases.hold(sessions, "sender", 60) as second,
    ):
        assert held
        assert second is None, "a machine whose clock is slow keeps what it holds"


def test_many_writers_wait_for_each_other(sessions: Sessions) -> None:
    def add(number: int) -> None:
        for step in range(5):
            with sessions.writing() as session:
                factories.person(session, f"r{number}-{step}@example.org")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert people(sessions) == 40


def test_a_lease_has_one_holder_and_outlives_no_crash(sessions: Sessions) -> None:
    with leases.hold(sessions, "sender", 60) as held:
        assert held
        with leases.hold(sessions, "sender", 60) as second:
            assert second is None
        assert leases.renew(sessions, [held], 60) == [held]
        leases.renew(sessions, [held], -1)  # as if the holder had died long ago
        with leases.hold(sessions, "sender", 60) as successor:
            assert successor
            assert leases.renew(sessions, [held], 60) == []
    with leases.hold(sessions, "sender", 60) as again:
        assert again


def test_of_several_leases_those_are_taken_that_are_free(sessions: Sessions) -> None:
    slots = [f"relay/main/{number}" for number in range(5)]
    first = leases.take(sessions, slots, 3, 60)
    assert [lease.name for lease in first] == slots[:3]
    second = leases.take(sessions, slots, 3, 60)
    assert [lease.name for lease in second] == slots[3:]
    leases.release(sessions, first[:1])
    assert [lease.name for lease in leases.take(sessions, slots, 3, 60)] == slots[:1]
